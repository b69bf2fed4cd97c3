"""The README's table of models is the catalog's."""

from datetime import date
from pathlib import Path

from monitor.catalog import Catalog, builtin
from monitor.catalog.table import BEGIN, END, table

README = Path(__file__).parents[3] / "README.md"


def test_the_readme_has_the_table_as_the_catalog_makes_it() -> None:
    """After a change of the catalog: `python -m monitor.catalog.table` prints the new one."""
    text = README.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.partition(BEGIN)[2].partition(END)[0].strip() == table(builtin()).strip()


def test_every_model_is_a_row() -> None:
    rows = table(builtin()).splitlines()
    assert len(rows) == 2 + len(builtin().models)
    assert all(row.count("|") == 7 for row in rows)
    assert "| `gpt-image-2` | `images` | images, edits, image_tool | model | $0.0017 | - |" in rows


def test_gates_name_the_surfaces_that_they_refuse() -> None:
    entry = {
        "surfaces": ["chat", "responses", "stream", "models"],
        "gates": {"chat": "model", "stream": "stream"},
        "shutdown": date(2027, 1, 1),
    }
    rows = table(Catalog().with_overrides({"acme-1": entry})).splitlines()
    assert rows[2] == (
        "| `acme-1` | `chat` | chat, responses, stream | model (chat), stream | not known"
        " | 2027-01-01 |"
    )


def test_a_model_of_which_only_its_place_in_the_list_is_known_has_a_row() -> None:
    rows = table(Catalog().with_overrides({"acme-1": {"surfaces": ["models"]}})).splitlines()
    assert rows[2] == "| `acme-1` | `models` | models | none | $0 | - |"
