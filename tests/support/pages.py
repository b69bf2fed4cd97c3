"""The documents as tests read them: their links, anchors, shell lines and worked examples."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: What people read; the change log names what was.
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        ROOT / "deploy" / "README.md",
        ROOT / "tests" / "README.md",
    )
)

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} (.*)$", re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]\[]*(?:\[[^\]]*\])?[^\]\[]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block, with the heading above it."""

    page: str
    heading: str
    language: str
    text: str


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", read(page))


def links(page: str) -> list[str]:
    return _LINK.findall(prose(page))


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as forges make them; of equal headings the later have a number."""
    found: dict[str, int] = {}
    made = set()
    for heading in _HEADING.findall(prose(page)):
        words = re.sub(r"\]\([^)]*\)", "", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        count = found.get(anchor, 0)
        found[anchor] = count + 1
        made.add(f"{anchor}-{count}" if count else anchor)
    return made


def blocks(page: str, language: str | None = None) -> Iterator[Block]:
    """The fenced blocks of a page, or those of one language."""
    text = read(page)
    for match in _FENCE.finditer(text):
        if language is None or match["language"] == language:
            headings = _HEADING.findall(_FENCE.sub("", text[: match.start()]))
            yield Block(page, headings[-1] if headings else "", match["language"], match["text"])
