"""The catalog: finding a model, the built-in entries, and the users' own beside them."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from monitor.access.fields import setting
from monitor.access.words import Gate, Surface
from monitor.catalog.entries import completed
from monitor.catalog.model import Model, Price

_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def _completed(entries: Any) -> Any:
    return completed(entries, builtin().models)


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


def family(name: str) -> str:
    """The family a model belongs to, to compare the model a payload names with the one asked for.

    For an unknown model it is the name itself, without a snapshot's date and a vendor's prefix.
    """
    model = builtin().get(name)
    return model.family if model else _spellings(name)[-1]


def _spellings(name: str) -> tuple[str, ...]:
    bare = name.rpartition("/")[2]
    return (name, _SNAPSHOT.sub("", name), bare, _SNAPSHOT.sub("", bare))
