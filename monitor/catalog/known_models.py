"""The catalog: finding a model, the built-in entries, and the users' own beside them."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from types import MappingProxyType

from monitor.access.words import Surface
from monitor.catalog.entries import CatalogError, read_entry
from monitor.catalog.model import Model

_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True, slots=True)
class Catalog:
    """The known models by name. Lookups never raise; an unknown model is None."""

    models: Mapping[str, Model] = field(default_factory=dict)

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

    def with_overrides(self, models: Mapping[str, object]) -> "Catalog":
        """A catalog with these entries changed or added, as in `[catalog.models.NAME]`.

        An entry of a known name changes only the fields it names; one of a new name needs at least
        `surfaces`. Raises CatalogError naming the entry and the field.
        """
        changed = {
            name: read_entry(name, entry, self.models.get(name)) for name, entry in models.items()
        }
        return Catalog(MappingProxyType({**self.models, **changed}))


@cache
def builtin() -> Catalog:
    """The catalog that comes with this program (`models.toml`). Raises CatalogError if it is damaged."""
    text = resources.files("monitor.catalog").joinpath("models.toml").read_text(encoding="utf-8")
    models: dict[str, Model] = {}
    for name, entry in tomllib.loads(text)["models"].items():
        for needed in ("family", "source", "checked", "gates"):
            if needed not in entry:
                raise CatalogError(name, needed, "is missing")
        models[name] = read_entry(name, entry)
    return Catalog(MappingProxyType(models))


def family(name: str) -> str:
    """The family a model belongs to, to compare the model a payload names with the one asked for.

    For an unknown model it is the name itself, without a snapshot's date and a vendor's prefix.
    """
    model = builtin().get(name)
    return model.family if model else _spellings(name)[-1]


def _spellings(name: str) -> tuple[str, ...]:
    bare = name.rpartition("/")[2]
    return (name, _SNAPSHOT.sub("", name), bare, _SNAPSHOT.sub("", bare))
