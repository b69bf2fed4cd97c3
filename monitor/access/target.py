"""How capabilities and targets are written and read: `MODEL:SURFACE` and `KEY/MODEL:SURFACE`."""

from dataclasses import dataclass

from monitor.access.words import Contract, Surface

_SURFACES = frozenset(Surface)


@dataclass(frozen=True, slots=True)
class Capability:
    """A model on a surface."""

    model: str
    surface: Surface

    def __str__(self) -> str:
        return f"{self.model}:{self.surface}"


@dataclass(frozen=True, slots=True)
class Target:
    """One key × one capability: the unit that has a state.

    `organization` is the configured id, or None; `scope` then makes the key an organization of its own.
    """

    key: str
    capability: Capability
    route: str
    contract: Contract
    organization: str | None = None
    project: str | None = None

    @property
    def name(self) -> str:
        """The target as written by people: `KEY/MODEL:SURFACE`."""
        return f"{self.key}/{self.capability}"

    @property
    def scope(self) -> str:
        """Whom inference and declarations reach together: the organization, else the key alone."""
        return self.organization or f"key {self.key}"

    def __str__(self) -> str:
        return self.name


def split_capability(text: str) -> tuple[str, Surface | None]:
    """Split `MODEL` or `MODEL:SURFACE`; the surface is the text after the last `:` if it is a known word.

    Models' names may hold `/` and `:`, so `vendor/model:free` has no surface.
    """
    model, colon, last = text.rpartition(":")
    if colon and model and last in _SURFACES:
        return model, Surface(last)
    return text, None
