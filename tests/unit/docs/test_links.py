"""What the pages point at is there."""

import re
from xml.etree import ElementTree as ET

import pytest
from pages import PAGES, ROOT, anchors, links, prose

#: A file or a folder of ours, named in code. Folders that are made, and wildcards, are not meant.
NAMED = re.compile(
    r"`((?:monitor|tests|docs|deploy|config)/[\w./-]*\w|[\w-]+\.(?:lock|toml)|\.ci/run)/?`"
)
#: A file that a user has, and files that a worked example makes.
OTHERS = {
    "access-monitor.toml",
    *(f"tests/unit/alerts/messages/reload_refused.{form}" for form in ("txt", "html", "slack")),
}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(page: str) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if link.startswith(("https://", "mailto:")) or (target.exists() and not anchor):
            continue
        if not target.exists() or anchor not in anchors(
            target.resolve().relative_to(ROOT).as_posix()
        ):
            broken.append(link)
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), ["README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for link in links(page):
            target = ((ROOT / page).parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists():
                name = target.relative_to(ROOT).as_posix()
                waiting += [name] if name not in reached else []
    assert set(PAGES) - reached == {"deploy/README.md"}, "shown by forges beside the files"


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_every_file_of_ours_that_is_named_exists(page: str) -> None:
    named = set(NAMED.findall(prose(page))) - OTHERS
    beside = (ROOT / page).parent
    places = (ROOT, beside, *beside.glob("*/"))
    missing = sorted(one for one in named if not any((place / one).exists() for place in places))
    assert missing == []


def test_links_and_anchors_are_found_as_forges_make_them() -> None:
    assert "the-guarantee" in anchors("README.md")
    assert "catalogmodelsmodel" in anchors("docs/settings.md")
    assert "docs/states.md" in links("README.md")
    assert "docs/status.svg" in links("README.md")


@pytest.mark.parametrize("name", ["alert.svg", "status.svg"])
def test_pictures_are_small_and_need_nothing_from_elsewhere(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert ET.fromstring(text).tag.endswith("svg")
    assert len(text) < 10_000
    assert re.findall(r"https?:[^\s\"')]+", text) == ["http://www.w3.org/2000/svg"]
