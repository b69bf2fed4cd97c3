"""The settings as the rest of the monitor sees them: plain values, everything resolved and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from monitor.access.diagnosis import OwnRule
from monitor.access.limits import Budget, Cadence, Confirmation, Deadlines, Delivery
from monitor.access.target import Capability, Target
from monitor.access.words import Contract, EventKind
from monitor.catalog import Catalog
from monitor.config.references import Secret

LOG_EVERY = 100


@dataclass(frozen=True, slots=True)
class Route:
    """A base URL (no slash at its end) and whose contract it is.

    `price` is a factor on the catalog's prices; `rate` is the most probes sent per second. `timeout` is of
    one full probe as a whole; None leaves it to the surface.
    """

    name: str
    base_url: str
    contract: Contract
    price: float = 1.0
    rate: float = 5.0
    timeout: timedelta | None = None

    @property
    def deadline(self) -> float | None:
        """The timeout in seconds."""
        return self.timeout.total_seconds() if self.timeout else None


@dataclass(frozen=True, slots=True)
class Key:
    """A secret, whom it acts for, its route, and what is watched with it."""

    name: str
    secret: Secret
    organization: str | None
    project: str | None
    route: str
    capabilities: tuple[Capability, ...]
    #: a `verified` declaration made in the settings (UTC)
    verified_at: datetime | None = None
    #: the name of the pool it belongs to
    pool: str | None = None
    #: of equal answers in a row one in so many is logged
    log_every: int = LOG_EVERY


@dataclass(frozen=True, slots=True)
class Pool:
    """What holds for all keys of one file; each is a `Key` of its own, named by its fingerprint.

    `secrets` is the reference; `keys` is how many there are, None where the file was not read.
    `channels` are the only ones that are told of it; with none all are, by their patterns.
    """

    name: str
    secrets: str
    keys: int | None
    organization: str | None
    project: str | None
    route: str
    capabilities: tuple[Capability, ...]
    channels: tuple[str, ...]
    cadence: Cadence
    log_every: int = LOG_EVERY


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization's admin key and the direct route that it is sent over."""

    id: str
    admin_key: Secret
    route: str


@dataclass(frozen=True, slots=True)
class Channel:
    """Where notifications go; `targets` are patterns (fnmatch) on the names of targets."""

    name: str
    url: Secret
    events: frozenset[EventKind]
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A dead man's switch: a URL to be called every so often while the monitor makes progress."""

    url: Secret
    every: timedelta


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the monitor was told; `source` is None when it came from the environment alone."""

    source: Path | None
    #: the SQLite file
    database: Path
    log_format: str
    #: as `logging` names it
    log_level: str
    routes: Mapping[str, Route]
    keys: tuple[Key, ...]
    channels: tuple[Channel, ...]
    cadence: Cadence
    confirmation: Confirmation
    deadlines: Deadlines
    budget: Budget
    delivery: Delivery
    catalog: Catalog
    heartbeat: Heartbeat | None = None
    #: what is usable, but should be checked by a person
    warnings: tuple[str, ...] = ()
    #: by id, those with an admin key
    organizations: Mapping[str, Organization] = field(default_factory=dict)
    #: tried in this order before the built-in rules of the diagnosis
    rules: tuple[OwnRule, ...] = ()
    #: by name; their keys are among `keys`
    pools: Mapping[str, Pool] = field(default_factory=dict)
    _by_name: Mapping[str, Key] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {key.name: key for key in self.keys})

    def targets(self) -> tuple[Target, ...]:
        """Every key × its capabilities, in the order of the file."""
        return tuple(
            Target(
                key=key.name,
                capability=capability,
                route=key.route,
                contract=self.routes[key.route].contract,
                organization=key.organization,
                project=key.project,
            )
            for key in self.keys
            for capability in key.capabilities
        )

    def key(self, name: str) -> Key:
        """The key of that name.

        Raises:
            KeyError: when there is none.

        """
        return self._by_name[name]
