"""The tables of the pages are as the program is. After a change of it: `make docs`."""

from datetime import date

import generate
import pytest
from pages import ROOT, blocks, read
from pydantic import TypeAdapter

from monitor.access.words import Code, EventKind, State
from monitor.catalog import Catalog, builtin
from monitor.cli.commands import app
from monitor.cli.common import Exit
from monitor.config import schema


def catalog_of(entries: dict[str, object]) -> Catalog:
    return TypeAdapter(Catalog).validate_python({"models": entries})


@pytest.mark.parametrize(("page", "name"), list(generate.TABLES))
def test_the_page_has_the_table_as_it_is_made(page: str, name: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert generate.table_of(text, name) == generate.TABLES[page, name]()


@pytest.mark.parametrize("name", list(generate.FILES))
def test_the_file_is_as_it_is_made(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert text == generate.FILES[name]()


def test_every_section_of_the_settings_has_a_table() -> None:
    assert {name.partition(".")[0] for name in generate.SECTIONS} == set(schema()["properties"])
    text = generate.settings()
    fields = [one for part in schema()["$defs"].values() for one in part["properties"]]
    missing = {one for one in fields if f"`{one}`" not in text and f".{one}`" not in text}
    assert missing == {"models"}, "in the heading of its section"


def test_settings_are_shown_with_their_form_and_default() -> None:
    text = generate.settings()
    assert '| `eager` | duration | `"25s"` |' in text
    assert '| `overdue` | list of durations | `["45m", "2h", "1d", "3d"]` |' in text
    assert "| `secret` | reference | needed |" in text
    assert "| `price.text_in` | number |" in text
    assert "| `any_size` | true or false |" in text


def test_every_model_is_a_row() -> None:
    rows = generate.models(builtin()).splitlines()
    assert len(rows) == 2 + len(builtin().models)
    assert all(row.count("|") == 7 for row in rows)
    assert "| `gpt-image-2` | `images` | images, edits, image_tool | model | $0.0017 | - |" in rows


def test_gates_name_the_surfaces_that_they_refuse() -> None:
    entry = {
        "surfaces": ["chat", "responses", "stream", "models"],
        "gates": {"chat": "model", "stream": "stream"},
        "shutdown": date(2027, 1, 1),
    }
    rows = generate.models(catalog_of({"acme-1": entry})).splitlines()
    assert rows[-1] == (
        "| `acme-1` | `chat` | chat, responses, stream | model (chat), stream | not known"
        " | 2027-01-01 |"
    )


def test_a_model_of_which_only_its_place_in_the_list_is_known_has_a_row() -> None:
    catalog = catalog_of({"acme-1": {"surfaces": ["models"]}})
    assert (
        generate.models(catalog).splitlines()[-1]
        == "| `acme-1` | `models` | models | none | $0 | - |"
    )


def test_every_diagnosis_and_every_rule_is_a_row() -> None:
    codes = generate.codes().splitlines()
    assert len(codes) == 2 + len(Code)
    assert all(row.count("|") == 7 for row in codes)
    rules = generate.rules().splitlines()
    assert len(rules) > 40
    assert rules[2].startswith("| 1 | `")


def test_a_page_without_the_comments_is_refused() -> None:
    with pytest.raises(ValueError, match="once each"):
        generate.table_of("no table", "models")


def test_the_states_and_the_alerts_are_all_explained() -> None:
    text = read("docs/states.md")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [one for one in State if not any(row.startswith(f"| `{one}` |") for row in rows)] == []
    assert [one for one in EventKind if not any(f"`{one}`" in row for row in rows)] == []
    assert all(f"`{one}`" in read("README.md") for one in State)


def test_the_exit_statuses_are_all_explained() -> None:
    rows = [line for line in read("docs/diagnosis.md").splitlines() if line.startswith("| ")]
    told = {word for row in rows for word in row.split("|")[1].replace(",", " ").split()}
    assert {str(int(one)) for one in Exit} <= told


def test_the_readme_is_short_and_names_every_command() -> None:
    text = read("README.md")
    assert len(text.splitlines()) <= 150
    table = text.partition("## Commands")[2].partition("## ")[0]
    names = [one.name for one in (*app.registered_commands, *app.registered_groups)]
    assert len(names) > 10
    assert [name for name in names if f"`{name}" not in table] == []


def test_the_minimal_settings_are_those_that_the_readme_starts() -> None:
    lines = "".join(block.text for block in blocks("README.md", "sh"))
    assert "run --config config/minimal.toml" in lines
