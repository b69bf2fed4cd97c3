"""The built-in entries, lookups, and what users add to them."""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from importlib import resources

import pytest
from pydantic import TypeAdapter

from monitor.access.words import Gate, Surface
from monitor.catalog import Catalog, Price, builtin


def catalog_of(entries: Mapping[str, object]) -> Catalog:
    """The catalog of settings that have these entries."""
    return TypeAdapter(Catalog).validate_python({"models": entries})


def test_the_built_in_entries_are_such_as_settings_may_have() -> None:
    text = resources.files("monitor.catalog").joinpath("models.toml").read_text(encoding="utf-8")
    entries = tomllib.loads(text)["models"]
    renamed = catalog_of({f"acme {name}": entry for name, entry in entries.items()}).models
    for name, entry in entries.items():
        assert {"source", "checked", "gates"} <= set(entry)
        assert replace(renamed[f"acme {name}"], name=name) == builtin().models[name]


@pytest.mark.parametrize(
    ("name", "shutdown"),
    [
        ("gpt-image-1", date(2026, 10, 23)),
        ("o1", date(2026, 10, 23)),
        ("o3-mini", date(2026, 10, 23)),
        ("o4-mini", date(2026, 10, 23)),
        ("gpt-image-1-mini", date(2026, 12, 1)),
        ("gpt-image-1.5", date(2026, 12, 1)),
        ("chatgpt-image-latest", date(2026, 12, 1)),
        ("gpt-5", date(2026, 12, 11)),
        ("gpt-5-mini", date(2026, 12, 11)),
        ("gpt-5-nano", date(2026, 12, 11)),
        ("gpt-5-pro", date(2026, 12, 11)),
        ("o3", date(2026, 12, 11)),
        ("o3-pro", date(2026, 12, 11)),
        ("gpt-5.1", date(2027, 4, 1)),
        ("gpt-image-2", None),
        ("gpt-image-2.5-flare", None),
        ("gpt-image-2.5-sunburst", None),
        ("gpt-image-2.6-flare", None),
        ("gpt-image-2.6-sunburst", None),
        ("gpt-5.5", None),
    ],
)
def test_the_shutdown_dates_are_the_announced_ones(name: str, shutdown: date | None) -> None:
    model = builtin().get(name)
    assert model is not None
    assert model.shutdown == shutdown


def test_every_entry_says_where_it_comes_from_and_when_it_was_checked() -> None:
    for model in builtin().models.values():
        assert model.source
        assert model.checked is not None
        assert model.checked >= date(2026, 11, 20)
        assert set(model.gates) <= set(model.surfaces)
        assert Surface.MODELS in model.surfaces


def test_every_built_in_gate_is_the_one_its_surface_is_known_for() -> None:
    for model in builtin().models.values():
        for surface, gate in model.gates.items():
            expected = {Surface.STREAM: Gate.STREAM, Surface.SUMMARY: Gate.SUMMARY}
            assert gate is expected.get(surface, Gate.MODEL), (model.name, surface)


def test_the_controls_have_no_gate() -> None:
    for name in ("gpt-4o-mini", "gpt-5.4-nano"):
        model = builtin().get(name)
        assert model is not None
        assert not model.gates


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("o3", "o3"),
        ("o3-2025-04-16", "o3"),
        ("gpt-image-2-2026-04-21", "gpt-image-2"),
        ("openai/gpt-image-2", "gpt-image-2"),
        ("vendor/team/o3-2025-04-16", "o3"),
    ],
)
def test_a_snapshot_or_a_vendors_spelling_is_the_model(written: str, known: str) -> None:
    model = builtin().get(written)
    assert model is not None
    assert model.name == known


@pytest.mark.parametrize("unknown", ["", "o3-large", "gpt-image", "o3-2025", "dot/", "o3:free"])
def test_an_unknown_name_is_none(unknown: str) -> None:
    assert builtin().get(unknown) is None
    assert builtin().usual_surface(unknown) is None


def test_the_usual_surface_is_the_first() -> None:
    assert builtin().usual_surface("gpt-image-2") is Surface.IMAGES
    assert builtin().usual_surface("o3-2025-04-16") is Surface.RESPONSES
    assert builtin().usual_surface("gpt-4o-mini") is Surface.CHAT


def test_the_nearest_name_is_offered_for_a_mistyped_one() -> None:
    assert builtin().nearest("gpt-imgae-2") == "gpt-image-2"
    assert builtin().nearest("GPT-Image-2") == "gpt-image-2"
    assert builtin().nearest("zzzzzz") is None


def test_an_override_changes_only_what_it_names() -> None:
    before = builtin().get("gpt-image-2")
    after = catalog_of({"gpt-image-2": {"shutdown": date(2027, 5, 1)}})
    changed = after.get("gpt-image-2")
    assert before is not None
    assert changed is not None
    assert changed.shutdown == date(2027, 5, 1)
    assert changed.price == before.price
    assert changed.surfaces == before.surfaces
    assert builtin().get("gpt-image-2") == before


def test_an_own_model_needs_only_its_surfaces() -> None:
    catalog = catalog_of({"acme/painter": {"surfaces": ["images", "stream", "chat"]}})
    model = catalog.get("acme/painter")
    assert model is not None
    assert model.gates == {Surface.IMAGES: Gate.MODEL, Surface.STREAM: Gate.STREAM}
    assert model.price is None
    assert model.shutdown is None
    assert catalog.usual_surface("acme/painter") is Surface.IMAGES


def test_an_own_model_may_say_everything() -> None:
    entry = {
        "surfaces": ["chat"],
        "gates": {"chat": "model"},
        "price": {"text_in": 1, "text_out": 2.5},
        "shutdown": date(2027, 1, 1),
        "source": "our contract",
        "checked": date(2026, 11, 20),
    }
    model = catalog_of({"painter-9": entry}).get("painter-9")
    assert model is not None
    assert model.price == Price(text_in=1.0, text_out=2.5)
    assert model.gates == {Surface.CHAT: Gate.MODEL}
    assert model.source == "our contract"
