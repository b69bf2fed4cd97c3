"""The settings: each section of the file is a frozen dataclass, which the rest of the program reads.

Form, default, constraints and meaning of a setting stand on its field, and nowhere else: pydantic reads a
file by them, and the errors, the JSON Schema and the table in docs/settings.md are made from them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)

from monitor.access.databases import Database
from monitor.access.diagnosis.own_rule import OwnRule
from monitor.access.fields import Duration, Number, Text, Whole, about, setting
from monitor.access.limits import Budget, Cadence, Confirmation, Deadlines, Delivery
from monitor.access.target import Capability, Target, pool_name_of, scope_of, shard_of
from monitor.access.words import Contract, Surface
from monitor.catalog import Catalog, builtin
from monitor.config import checks, urls
from monitor.config.channel_section import Channel
from monitor.config.checks import HeaderValue, Name, SecretReference, Some
from monitor.config.references import PoolFile
from monitor.config.web_section import Web

OPENAI = "openai"
OPENAI_URL = "https://api.openai.com/v1"


class LogFormat(StrEnum):
    """How the log is written."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least that the log says."""

    INFO = "info"
    DEBUG = "debug"


_PoolReference = Annotated[
    PoolFile,
    PlainValidator(checks.pool_file),
    WithJsonSchema({"type": "string", "pattern": "^(file|credential):.+"}),
]
_Watched = Annotated[
    tuple[Annotated[Capability, PlainValidator(checks.capability), Some], ...],
    AfterValidator(checks.each_once),
]
_Moment = Annotated[
    datetime,
    PlainValidator(checks.moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
_Database = Annotated[
    Database,
    PlainValidator(checks.database),
    WithJsonSchema(
        {"type": "string", "pattern": "^(sqlite:///|postgres(ql)?://|env:|file:|credential:)."}
    ),
]
_BaseUrl = Annotated[
    str,
    PlainValidator(urls.base_url),
    WithJsonSchema({"type": "string", "pattern": "^https?://[^@?#]+$"}),
]
_SecondOrMore = Annotated[Duration, AfterValidator(checks.at_least_a_second)]
_KnownRoute = Annotated[Text, AfterValidator(checks.known_route)]
_LogEvery = Annotated[
    Whole,
    Field(
        ge=1,
        le=1_000_000,
        description="Of equal answers in a row the first is logged, and then one of so many, with their "
        "count; what changes is always logged",
    ),
]


@dataclass(frozen=True, slots=True)
class Monitor:
    """The monitor itself."""

    database: _Database | None = setting(
        None,
        "The SQLite file: sqlite:////absolute/path, or sqlite:///path from this file's folder. "
        "Default: in $STATE_DIRECTORY, else in the XDG state folder. "
        "Or a PostgreSQL: a reference such as env:DATABASE_URL, or postgresql://HOST/NAME without a password",
    )
    log_format: LogFormat = setting(
        LogFormat.AUTO,
        "auto, json or console; auto is console on a terminal and json elsewhere",
    )
    log_level: LogLevel = setting(
        LogLevel.INFO, "info or debug; debug logs each probe, whatever log_every says"
    )


@dataclass(frozen=True, slots=True)
class Route:
    """A base URL and whose contract it is. A secret is sent over its own key's route only."""

    base_url: Annotated[
        _BaseUrl,
        about(
            "Where paths such as /models are added; https, or http on this machine. "
            "Needed for every route but the built-in openai"
        ),
    ]
    contract: Annotated[
        Contract,
        AfterValidator(urls.contract),
        about(
            "direct (your own contract with OpenAI) or provider (a gateway or relay). "
            "Default: direct for OpenAI's own host, else provider",
            default_factory=urls.usual_contract,
        ),
    ]
    price: Annotated[Number, Field(ge=0, le=1000)] = setting(
        1.0, "Factor on the catalog's prices; what is spent at a provider is always an estimate"
    )
    rate: Annotated[Number, Field(gt=0, le=1000)] = setting(
        5.0, "The most probes sent over this route in a second"
    )
    timeout: _SecondOrMore | None = setting(
        None,
        "The longest that one full probe may take. Default: 3m where images are made, "
        "as one that is cut short is billed too; 1m elsewhere",
    )

    @property
    def deadline(self) -> float | None:
        """The timeout in seconds."""
        return self.timeout.total_seconds() if self.timeout else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A secret, whom it acts for, its route, and what is watched with it."""

    name: Annotated[
        Name,
        AfterValidator(checks.new_name("key")),
        about('Unique, without "/"; the first part of the names of its targets'),
    ]
    secret: Annotated[
        SecretReference,
        about(
            "The API key by reference: env:NAME, file:PATH (from this file's folder) "
            "or credential:NAME (of the service manager)"
        ),
    ]
    organization: HeaderValue | None = setting(
        None, "The organization to act for (org-…), sent with each request"
    )
    project: HeaderValue | None = setting(
        None, "The project to act for (proj_…), sent with each request"
    )
    route: _KnownRoute = setting(OPENAI, "The name of the route that the secret is sent over")
    watch: Annotated[
        _Watched,
        about("What is watched: MODEL, or MODEL:SURFACE with one of " + ", ".join(Surface)),
    ]
    verified_at: _Moment | None = setting(
        None, "When the organization's verification was completed: the same as declaring it"
    )
    log_every: _LogEvery = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Many similar keys in one file: each is watched like one of [[keys]]; shown and told together."""

    name: Annotated[
        Name,
        AfterValidator(checks.new_name("pool")),
        about("Unique; its keys are named NAME-FINGERPRINT"),
    ]
    secrets: Annotated[
        _PoolReference,
        about(
            "A file with one API key a line, by reference: file:PATH (from this file's folder) "
            "or credential:NAME. Blank lines and lines that begin with # are skipped"
        ),
    ]
    organization: HeaderValue | None = setting(
        None, "The organization that all of them act for. Default: each has one of its own"
    )
    project: HeaderValue | None = setting(None, "The project that all of them act for")
    route: _KnownRoute = setting(OPENAI, "The name of the route that the secrets are sent over")
    watch: Annotated[_Watched, about("What is watched with each of them, as for [[keys]]")]
    channels: Annotated[
        tuple[Annotated[str, PlainValidator(checks.known_channel), Some], ...],
        Field(min_length=1),
    ] = setting(
        (),
        "The channels that are told of this pool, whatever their targets say, and no others. "
        "Default: all, by their targets",
    )
    cadence: Cadence = setting(Cadence(), "What differs from [cadence] for this pool")
    log_every: _LogEvery = 100

    def lines(self) -> tuple[Key, ...]:
        """A key for each line of the file; none where it was not read."""
        return tuple(
            Key(
                name=name,
                secret=secret,
                organization=self.organization,
                project=self.project,
                route=self.route,
                watch=self.watch,
                log_every=self.log_every,
            )
            for name, secret in self.secrets.named(self.name)
        )


@dataclass(frozen=True, slots=True)
class Organization:
    """What is known of an organization besides its keys."""

    admin_key: Annotated[
        SecretReference,
        about(
            "An admin key of the organization, by reference. diagnose and evidence read the "
            "project's rate_limits and model_permissions with it; nothing else does"
        ),
    ]
    route: _KnownRoute = setting(
        OPENAI, "The name of the direct route that the admin key is sent over"
    )


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A dead man's switch: called while the monitor makes progress, so that its silence is noticed."""

    url: Annotated[SecretReference, AfterValidator(urls.heartbeat_url)] | None = setting(
        None,
        "Called with GET, by reference; /start and /fail are added to its path, as "
        "healthchecks.io takes them. Default: none is called",
    )
    every: _SecondOrMore = setting(timedelta(minutes=1), "Between two calls")


@dataclass(frozen=True, slots=True)
class Fleet:
    """Several daemons on one PostgreSQL share the work, and take over from each other."""

    worker: Annotated[Name, about("The worker's name, unique in the fleet")] | None = setting(
        None,
        "The name of this daemon, unique in the fleet; run --worker sets it, too. "
        "Default: the machine's host name",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """The settings file of access-monitor."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    # The order matters: keys need the catalog, pools the cadence, and the patterns of channels the keys.
    catalog: Annotated[Catalog, AfterValidator(checks.take_catalog)] = setting(
        builtin, "Models of your own, or overrides"
    )
    monitor: Monitor = setting(Monitor(), "The monitor itself")
    routes: Annotated[Mapping[Name, Route], AfterValidator(MappingProxyType)] = setting(
        dict, "By name; openai is built in, and may be given to change its price or rate"
    )
    cadence: Cadence = setting(Cadence(), "How often a target is probed, by situation")
    confirmation: Confirmation = setting(
        Confirmation(), "How many answers, over what time, make a state"
    )
    deadlines: Deadlines = setting(Deadlines(), "When it is told that something has not happened")
    budget: Budget = setting(Budget(), "The most that may be spent")
    delivery: Delivery = setting(Delivery(), "How notifications are delivered and retried")
    keys: Annotated[tuple[Key, ...], AfterValidator(checks.take_keys)] = setting(
        (), "At least one, or a pool", validate_default=True
    )
    pools: Annotated[
        tuple[Annotated[Pool, BeforeValidator(checks.with_cadence)], ...],
        AfterValidator(checks.take_pools),
    ] = setting((), "Many keys, one a line of a file", validate_default=True)
    organizations: Annotated[
        Mapping[HeaderValue, Organization],
        AfterValidator(checks.take_organizations),
        AfterValidator(MappingProxyType),
    ] = setting(dict, "By id (org-…): its admin key, if there is one")
    rules: Annotated[tuple[OwnRule, ...], AfterValidator(checks.take_rules)] = setting(
        (), "What answers mean, before the built-in rules; never over a success"
    )
    channels: tuple[Channel, ...] = setting(
        (), "Without any, messages are printed on standard output"
    )
    heartbeat: Heartbeat = setting(
        Heartbeat(), "A dead man's switch, to notice when the monitor is gone"
    )
    web: Web = setting(Web(), "The page, its API and the metrics: access-monitor web")
    fleet: Fleet | None = setting(
        None, "Given, even if empty: this daemon is one of several on the same PostgreSQL"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(File):
    """The file's sections, and what was found out by reading them; `keys` has those of the pools, too."""

    #: None when they came from the environment alone
    source: Path | None
    #: the SQLite file
    database: Database
    #: what is usable, but should be checked by a person
    warnings: tuple[str, ...] = ()
    #: so many workers share the routes and the month's budget
    workers: int = 1
    _by_name: Mapping[str, Key] = field(init=False, repr=False, compare=False)
    _pools: Mapping[str, Pool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {key.name: key for key in self.keys})
        object.__setattr__(self, "_pools", {pool.name: pool for pool in self.pools})

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
            for capability in key.watch
        )

    def shard_of_key(self, name: str) -> int | None:
        """The shard of the key of that name; None when there is none."""
        key = self._by_name.get(name)
        return None if key is None else _shard_of(key)

    def only(self, shards: Collection[int], workers: int) -> "Settings":
        """These settings with the keys of some shards only, for one of so many workers."""
        keys = tuple(key for key in self.keys if _shard_of(key) in shards)
        return replace(self, keys=keys, workers=workers)

    def key(self, name: str) -> Key:
        """The key of that name.

        Raises:
            KeyError: when there is none.

        """
        return self._by_name[name]

    def pool_of(self, key: str) -> Pool | None:
        """The pool that the key belongs to; no other key may be named like one of a pool."""
        name = pool_name_of(key, self._pools)
        return self._pools[name] if name else None


def _shard_of(key: Key) -> int:
    return shard_of(key.route, scope_of(key.name, key.organization))
