"""The catalog: what is known of a model, finding it, and users' own models beside the built-in ones."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict, ValidationInfo
from pydantic.json_schema import SkipJsonSchema

from monitor.access.fields import Dollars, Flag, Text, Whole, about, refuse, setting
from monitor.access.words import Gate, Surface

_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")

#: The gate each surface usually has, by the gate's answers; chat and responses have one only for some
#: models, so an entry must say so.
USUAL_GATES: Mapping[Surface, Gate] = {
    Surface.IMAGES: Gate.MODEL,
    Surface.EDITS: Gate.MODEL,
    Surface.IMAGE_TOOL: Gate.MODEL,
    Surface.STREAM: Gate.STREAM,
    Surface.SUMMARY: Gate.SUMMARY,
}


def _each_once(surfaces: tuple[Surface, ...]) -> tuple[Surface, ...]:
    if len(set(surfaces)) < len(surfaces):
        raise refuse("names a surface twice")
    return surfaces


def _of_its_surfaces(gates: Mapping[Surface, Gate], info: ValidationInfo) -> Mapping[Surface, Gate]:
    for surface in gates:
        if surface not in info.data.get("surfaces", gates):
            raise refuse("is not among the model's surfaces", below=(str(surface),))
    return MappingProxyType(dict(gates))


def _words(text: str) -> str:
    if not text.strip():
        raise refuse("must be text that is not empty")
    return text


def _some(value: Any) -> Any:
    if value == {}:
        raise refuse("must be a table of dollars per million tokens")
    return value


_Day = Annotated[date, Strict()]
_Words = Annotated[Text, AfterValidator(_words)]


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens; None where a model has no such tokens."""

    text_in: Dollars | None = setting(None, "Text tokens of a request")
    text_out: Dollars | None = setting(None, "Text tokens of an answer")
    image_in: Dollars | None = setting(None, "Image tokens of a request")
    image_out: Dollars | None = setting(None, "Image tokens of an answer")


@dataclass(frozen=True, slots=True)
class Model:
    """A model of your own, or changes to a known one."""

    name: SkipJsonSchema[str]
    surfaces: Annotated[
        tuple[Surface, ...],
        Field(min_length=1),
        AfterValidator(_each_once),
        about("The usual one first; needed for a model that the catalog does not know"),
    ]
    #: a surface that is not in it is known to be open to anybody who pays
    gates: Annotated[
        Mapping[Surface, Gate],
        AfterValidator(_of_its_surfaces),
        about("The gate that may refuse a surface: model, stream or summary"),
    ]
    price: Annotated[
        Price | None, BeforeValidator(_some), about("US dollars per million tokens, by kind")
    ]
    shutdown: Annotated[_Day | None, about("The day the model is shut down")]
    source: Annotated[_Words, about("Where these figures come from")]
    checked: Annotated[_Day | None, about("When they were last compared with the source")]
    any_size: Flag = setting(
        False,
        "Whether images may have any size; else they have the sizes of GPT Image 1",
        json_schema_extra={"default": None},  # a known model keeps its own
    )
    square_tokens: Annotated[Whole, Field(ge=1)] | None = setting(
        None, "Output tokens of one low-quality image of 1024x1024, where sizes are fixed"
    )


def _completed(entries: Any) -> Any:
    """Each entry with what it leaves out: as the known model of its name has it, else as is usual."""
    if not isinstance(entries, dict):
        return entries
    return {
        name: _whole(name, entry, builtin().models.get(name)) if isinstance(entry, dict) else entry
        for name, entry in entries.items()
    }


def _whole(name: str, entry: dict[str, Any], known: Model | None) -> dict[str, Any]:
    if not name or name != name.strip() or not name.isprintable():
        text = "the name is empty or has blanks around it or control characters"
        raise refuse(text, below=(name,))
    if "name" in entry:
        raise refuse("unknown setting; the name is in the heading", below=(name, "name"))
    given = entry.get("surfaces")
    surfaces = [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
    if known:
        had = {one.name: getattr(known, one.name) for one in fields(known)}
        if given is not None:  # its gates at surfaces that the entry leaves out are gone with them
            had["gates"] = {one: gate for one, gate in known.gates.items() if one in surfaces}
        return {**had, **entry}
    gates = {one: USUAL_GATES[Surface(one)] for one in surfaces if one in USUAL_GATES}
    usual = {"gates": gates, "price": None, "shutdown": None, "checked": None}
    return {"name": name, **usual, "source": "settings", **entry}


def _beside_the_builtin(models: Mapping[str, Model]) -> Mapping[str, Model]:
    return MappingProxyType({**builtin().models, **models})


@dataclass(frozen=True, slots=True)
class Catalog:
    """What is known of models: the built-in catalog, and beside it what settings say."""

    models: Annotated[
        Mapping[str, Model], BeforeValidator(_completed), AfterValidator(_beside_the_builtin)
    ] = setting(dict, "By the model's name; only what is named is changed", validate_default=True)

    def get(self, name: str) -> Model | None:
        """The model of this name, else of the name without a snapshot's date or a vendor's prefix.

        So `o3-2025-04-16`, `openai/o3` and `openai/o3-2025-04-16` are all `o3`.
        """
        for spelling in _spellings(name):
            if spelling in self.models:
                return self.models[spelling]
        return None

    def same_model(self, one: str, other: str) -> bool:
        """Whether two names mean the same model."""
        known = self.get(one)
        return one == other or (known is not None and self.get(other) is known)

    def usual_surface(self, name: str) -> Surface | None:
        """The surface a model is used through when none is written."""
        model = self.get(name)
        return model.surfaces[0] if model else None

    def nearest(self, name: str) -> str | None:
        """The known name nearest to a mistyped one, or None when none is near."""
        near = difflib.get_close_matches(name.rpartition("/")[2].lower(), self.models, n=1)
        return near[0] if near else None


@cache
def builtin() -> Catalog:
    """The catalog that comes with this program (`models.toml`)."""
    text = resources.files("monitor.catalog").joinpath("models.toml").read_text(encoding="utf-8")
    return Catalog(MappingProxyType(dict(map(_own, tomllib.loads(text)["models"].items()))))


def _own(item: tuple[str, dict[str, Any]]) -> tuple[str, Model]:
    # A test reads the entries as those of settings are read. Here that would cost `explain` 20 ms.
    name, entry = item
    made = {
        "surfaces": tuple(map(Surface, entry["surfaces"])),
        "gates": {Surface(surface): Gate(gate) for surface, gate in entry["gates"].items()},
        "price": Price(**entry["price"]) if "price" in entry else None,
    }
    return name, Model(**{"name": name, "shutdown": None, **entry, **made})


def _spellings(name: str) -> tuple[str, ...]:
    bare = name.rpartition("/")[2]
    return (name, _SNAPSHOT.sub("", name), bare, _SNAPSHOT.sub("", bare))
