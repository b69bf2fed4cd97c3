"""Every built-in entry, as the file has it, has the form that the rest of the program relies on."""

import tomllib
from datetime import date
from importlib import resources
from typing import Any

import pytest

from monitor.access.target import Capability, split_capability
from monitor.access.words import Gate, Surface
from monitor.catalog import builtin, open_price, probe_request
from monitor.catalog.requests import image_tokens

ENTRIES: dict[str, dict[str, Any]] = tomllib.loads(
    resources.files("monitor.catalog").joinpath("models.toml").read_text(encoding="utf-8")
)["models"]
NEEDED = {"surfaces", "gates", "source", "checked"}
OPTIONAL = {"price", "shutdown", "any_size", "square_tokens"}
#: Marks of where a figure comes from, as the file's head explains them.
MARKS = ("seen", "doc", "client", "list", "guess", "release notes")


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_has_the_fields_of_the_schema_and_no_others(name: str) -> None:
    entry = ENTRIES[name]
    assert set(entry) >= NEEDED
    assert set(entry) <= NEEDED | OPTIONAL
    assert split_capability(name) == (name, None)
    assert entry["surfaces"] == [str(Surface(surface)) for surface in entry["surfaces"]]
    assert len(set(entry["surfaces"])) == len(entry["surfaces"])
    assert entry["surfaces"][-1] == Surface.MODELS
    assert len(entry["surfaces"]) > 1
    assert set(entry["gates"]) <= set(entry["surfaces"]) - {Surface.MODELS}
    assert set(entry["gates"].values()) <= set(Gate)
    assert any(mark in entry["source"] for mark in MARKS)
    assert type(entry["checked"]) is date
    assert type(entry.get("shutdown", date(2026, 1, 1))) is date


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entrys_prices_cover_what_its_surfaces_use(name: str) -> None:
    entry = ENTRIES[name]
    price = entry.get("price")
    if price is None:
        assert "not known" in entry["source"] or "shutdown" in entry
        return
    assert all(isinstance(dollars, float) and dollars > 0 for dollars in price.values())
    pictures = any(Surface(surface).makes_images for surface in entry["surfaces"])
    assert set(price) >= ({"text_in", "image_in", "image_out"} if pictures else {"text_in"})
    assert pictures or set(price) == {"text_in", "text_out"}
    assert (entry.get("any_size", False) != ("square_tokens" in entry)) is pictures


@pytest.mark.parametrize("name", ENTRIES)
def test_every_surface_of_an_entry_can_be_probed_and_has_a_price_if_the_entry_has(
    name: str,
) -> None:
    for surface in map(Surface, ENTRIES[name]["surfaces"]):
        capability = Capability(name, surface)
        assert probe_request(builtin(), capability).path.startswith("/")
        price = open_price(builtin(), capability)
        assert (price is not None) is ("price" in ENTRIES[name] or surface is Surface.MODELS)


def test_the_image_formula_gives_the_figures_that_are_known() -> None:
    price = ENTRIES["gpt-image-2"]["price"]
    assert image_tokens(1440, 480) == image_tokens(480, 1440) == 54
    assert round((54 * price["image_out"] + 16 * price["text_in"]) / 1e6, 4) == 0.0017
    assert image_tokens(1024, 1024) == 196
    assert round(196 * price["image_out"] / 1e6, 4) == 0.0059


@pytest.mark.parametrize("model", ["gpt-image-2.5-flare", "gpt-image-2.6-sunburst"])
def test_the_later_image_models_are_priced_alike(model: str) -> None:
    newer, known = ENTRIES[model]["price"], ENTRIES["gpt-image-2"]["price"]
    assert all(newer[kind] == known[kind] for kind in ("text_in", "image_in", "image_out"))
