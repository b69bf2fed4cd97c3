"""The checks of values and of sections, as pydantic calls them; what they need to know is in the `Context`.

Below them stand the forms of values that several sections have.

Each is given the value as the file has it and returns it as the settings keep it, or raises an error
whose text says what to do. They are functions of values, so that every error of a file is found at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from monitor.access.databases import Database
from monitor.access.diagnosis.own_rule import OwnRule
from monitor.access.fields import refuse, text_of
from monitor.access.limits import Cadence
from monitor.access.silences import matches
from monitor.access.target import Capability, pool_name_of, split_capability
from monitor.access.words import Contract, Surface
from monitor.catalog import Catalog
from monitor.config.problems import looks_secret, shown, suggestion
from monitor.config.references import (
    NO_DATABASE,
    PoolFile,
    Secret,
    UnresolvedError,
    names_server,
    read_pool,
    resolve,
    server_at,
    unresolved,
)

if TYPE_CHECKING:  # `settings` imports these checks
    from monitor.config.settings import Key, Organization, Pool

#: Statuses that the gate itself has been seen to answer with.
_OF_THE_GATE = (400, 403, 404)


@dataclass
class Context:
    """What the checks know besides the value; one for each time settings are read."""

    environ: Mapping[str, str] = field(repr=False)
    #: what relative paths start from
    folder: Path
    now: datetime
    catalog: Catalog
    routes: frozenset[str]
    #: names in the file's own catalog entries, right or wrong: what follows from a wrong one is not told
    models: frozenset[str] = frozenset()
    #: names of the file's channels, right or wrong, and whether it has pools
    channels: frozenset[str] = frozenset()
    pools: bool = False
    #: names of all targets, once every key is known to be right; None before
    targets: tuple[str, ...] | None = None
    #: the organizations that keys act for, known when `targets` are
    organizations: tuple[str, ...] | None = None
    names: dict[str, set[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    #: False where nothing is sent: then references are not followed
    secrets: bool = True
    #: False where not even a pool's file is read, for the names of its keys
    pool_files: bool = True

    def warn(self, text: str) -> None:
        """Keep a warning, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    @staticmethod
    def of(info: ValidationInfo) -> "Context":
        """The context that pydantic passes along."""
        context = info.context
        assert isinstance(context, Context)  # noqa: S101  # a mistake of ours, never of the file
        return context


def at_least_a_second(value: timedelta) -> timedelta:
    """A duration of a second or more: a shorter one would send too many calls."""
    if value < timedelta(seconds=1):
        raise refuse("must be at least one second")
    return value


def name(value: Any) -> str:
    """A name that can be part of a target's name and of a pattern."""
    text = text_of(value)
    if not text or len(text) > 64:
        raise refuse("a name has 1 to 64 characters")
    if not text.isprintable() or any(char in "/*?[]" or char.isspace() for char in text):
        raise refuse('a name has no "/", "*", "?", "[", "]", whitespace or control characters')
    if looks_secret(text):
        raise refuse("this looks like a secret: give a name, and the secret by reference")
    return text


def new_name(kind: str) -> Callable[[str, ValidationInfo], str]:
    """A check that no other of its kind has the name."""

    def check(value: str, info: ValidationInfo) -> str:
        taken = Context.of(info).names.setdefault(kind, set())
        if value in taken:
            raise refuse(f"another {kind} has this name already: names are unique")
        taken.add(value)
        return value

    return check


def header_value(value: Any) -> str:
    """An id that is sent in a header: ASCII, one word."""
    text = text_of(value)
    if looks_secret(text):
        raise refuse("this looks like a secret: give an id")
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise refuse("must be an id: ASCII characters without whitespace, not empty")
    return text


def secret(value: Any, info: ValidationInfo) -> Secret:
    """A secret by its reference, resolved. No error of this shows the value."""
    context = Context.of(info)
    if not isinstance(value, str):
        raise refuse('must be a reference such as "env:OPENAI_API_KEY"', hidden=True)
    if not context.secrets:
        return unresolved(value)
    try:
        resolved, warning = resolve(value, context.environ, context.folder)
    except UnresolvedError as error:
        raise refuse(str(error), hidden=True) from None
    if warning:
        context.warn(warning)
    return resolved


def pool_file(value: Any, info: ValidationInfo) -> PoolFile:
    """The keys of a pool's file, by its reference. No error of this shows one."""
    context = Context.of(info)
    if not isinstance(value, str):
        raise refuse('must be a reference such as "file:pool-a.keys"', hidden=True)
    if value.startswith("env:"):
        raise refuse("must be a file, one key a line: file:PATH or credential:NAME", hidden=True)
    if not context.pool_files:
        return PoolFile(unresolved(value).reference, None)
    try:
        read, warnings = read_pool(value, context.environ, context.folder)
    except UnresolvedError as error:
        if context.secrets:
            raise refuse(str(error), hidden=True) from None
        # Who only reads the database can do without the keys' names.
        return PoolFile(unresolved(value).reference, None)
    for warning in warnings:
        context.warn(warning)
    return read


def known_channel(value: Any, info: ValidationInfo) -> str:
    """A channel of the file."""
    text, channels = text_of(value), Context.of(info).channels
    if text not in channels:
        hint = suggestion(text, channels) if channels else "there are no channels"
        raise refuse(f"there is no such channel; {hint}")
    return text


def known_route(value: str, info: ValidationInfo) -> str:
    """A route of the file, or the built-in one."""
    routes = Context.of(info).routes
    if value not in routes:
        raise refuse(f"there is no such route; {suggestion(value, routes)}")
    return value


def capability(value: Any, info: ValidationInfo) -> Capability:
    """`MODEL` or `MODEL:SURFACE`; the catalog knows a model's usual surface."""
    context = Context.of(info)
    text = text_of(value, 'text such as "gpt-image-2" or "gpt-5.1:summary"')
    if not text or not text.isprintable() or any(char.isspace() for char in text):
        raise refuse("must be MODEL or MODEL:SURFACE, without whitespace")
    if looks_secret(text):
        raise refuse("this looks like a secret: give a model")
    model, surface = split_capability(text)
    known = context.catalog.get(model)
    if known is None:
        if model in context.models:
            return Capability(model, surface or Surface.RESPONSES)
        if surface is None:
            raise refuse(_unknown(context.catalog, text))
        if near := context.catalog.nearest(model):
            context.warn(
                f"the catalog does not know {shown(model)} (it knows {shown(near)}): its price is unknown"
            )
        return Capability(model, surface)
    if surface is not None and surface not in known.surfaces and surface is not Surface.MODELS:
        raise refuse(
            f"{shown(model)} is not used through {surface}; it has: {', '.join(known.surfaces)}"
        )
    return Capability(model, surface or known.surfaces[0])


def _unknown(catalog: Catalog, text: str) -> str:
    model, colon, word = text.rpartition(":")
    if colon and (known := catalog.get(model)):
        return f"{shown(word)} is no surface; {suggestion(word, (*known.surfaces, Surface.MODELS))}"
    near = catalog.nearest(text)
    guess = f"; did you mean {shown(near)}?" if near else "."
    own = shown(f"{text}:{Surface.RESPONSES}")
    return (
        f"the catalog does not know this model{guess} For a model of your own, name the surface: {own}"
        f" (surfaces: {', '.join(Surface)})"
    )


def each_once(value: tuple[Capability, ...]) -> tuple[Capability, ...]:
    """A key's list of what it watches: something, and nothing twice."""
    if not value:
        raise refuse("must name at least one model")
    for index, one in enumerate(value):
        if one in value[:index]:
            text = (
                f"{shown(str(one))} is in the list already (a model alone means its usual surface)"
            )
            raise refuse(text, below=(index,))
    return value


def moment(value: Any, info: ValidationInfo) -> datetime:
    """A past time, in UTC. Without a zone it is local time, the latest one past, and is echoed."""
    context = Context.of(info)
    if not isinstance(value, datetime):
        wanted = "a date and a time" if isinstance(value, date) else "a time without quotes"
        raise refuse(f"must be {wanted}, as in 2026-11-20T14:05:00Z")
    try:
        result = value.astimezone(UTC) if value.tzinfo else _local(value, context)
    except (OverflowError, ValueError, OSError):  # near the years 1 and 9999
        raise refuse("is out of the calendar's range") from None
    if result > context.now:
        raise refuse(f"is in the future (it is {context.now.isoformat(timespec='seconds')} now)")
    return result


def _local(value: datetime, context: Context) -> datetime:
    # The hour that a change of the clocks repeats has two readings.
    both = [value.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
    result = max([one for one in both if one <= context.now], default=both[0])
    echo = result.astimezone().isoformat(timespec="seconds")
    context.warn(f"{value.isoformat()} has no zone and was read as local time: {echo}")
    return result


def matches_a_target(value: Any, info: ValidationInfo) -> str:
    """A pattern that picks at least one target; not judged while the targets are not known."""
    pattern = text_of(value, 'a pattern such as "acme-*/*"')
    targets = Context.of(info).targets
    if targets is not None and not any(matches(target, pattern) for target in targets):
        raise refuse(f"matches no target; {suggestion(pattern, targets[:20])}")
    return pattern


def database(value: Any, info: ValidationInfo) -> Database:
    """`sqlite:////absolute/path`, `sqlite:///path` from the settings file's folder, or a PostgreSQL.

    Of that the address, or a reference to it: it needs one where it has a password.
    """
    if not isinstance(value, str):
        raise refuse("must be text")
    if names_server(value):
        context = Context.of(info)
        try:  # it is looked for even where no secret is
            server, warning = server_at(value, context.environ, context.folder)
        except ValueError as error:
            raise refuse(str(error), hidden=True) from None
        if warning:
            context.warn(warning)
        return server
    text = text_of(value)
    if (
        not text.startswith("sqlite:///")
        or text == "sqlite:///"
        or "?" in text
        or not text.isprintable()
    ):
        raise refuse(NO_DATABASE)
    path = text.removeprefix("sqlite:///")
    if path == ":memory:":
        raise refuse("must be a file: a database in memory forgets at every restart")
    return Context.of(info).folder / path


def take_catalog(value: Catalog, info: ValidationInfo) -> Catalog:
    """Let the keys know the catalog."""
    Context.of(info).catalog = value
    return value


def take_keys(value: "tuple[Key, ...]", info: ValidationInfo) -> "tuple[Key, ...]":
    """There is something to watch."""
    if not value and not Context.of(info).pools:
        raise refuse("no keys: add a [[keys]] section with name, secret and watch")
    return value


def with_cadence(value: Any, info: ValidationInfo) -> Any:
    """A pool's own cadence, completed by [cadence]."""
    own = value.get("cadence", {}) if isinstance(value, dict) else None
    if not isinstance(own, dict):
        return value
    return {**value, "cadence": {**asdict(info.data.get("cadence", Cadence())), **own}}


def take_pools(value: "tuple[Pool, ...]", info: ValidationInfo) -> "tuple[Pool, ...]":
    """No key is named like a pool's; from here on all targets and organizations are known."""
    context, keys = Context.of(info), info.data.get("keys")
    if keys is None:  # they have errors of their own
        return value
    pools = [pool.name for pool in value]
    for key in keys:
        pool = key.name if key.name in pools else pool_name_of(key.name, pools)
        if pool:
            text = f"the key {key.name} is named like this pool or one of its keys: rename one"
            raise refuse(text, below=(pools.index(pool), "name"))
    context.organizations = tuple(
        dict.fromkeys(one.organization for one in (*keys, *value) if one.organization)
    )
    if all(pool.secrets.keys is not None for pool in value):
        context.targets = (
            *(f"{key.name}/{one}" for key in keys for one in key.watch),
            *(
                f"{name}/{one}"
                for pool in value
                for name, _ in pool.secrets.named(pool.name)
                for one in pool.watch
            ),
        )
    return value


def take_organizations(
    value: "Mapping[str, Organization]", info: ValidationInfo
) -> "Mapping[str, Organization]":
    """Keys act for each organization, and its admin key is sent to OpenAI only."""
    known = Context.of(info).organizations
    for name, section in value.items():
        if known is not None and name not in known:
            hint = suggestion(name, known) if known else "no key names one"
            raise refuse(f"no key acts for this organization; {hint}", below=(name,))
        route = info.data.get("routes", {}).get(section.route)
        if route and route.contract is Contract.PROVIDER:
            raise refuse(
                "an admin key is for OpenAI alone: name a direct route", below=(name, "route")
            )
    return value


def take_rules(value: tuple[OwnRule, ...], info: ValidationInfo) -> tuple[OwnRule, ...]:
    """Warn of a rule that would hide the gate's own refusals."""
    for index, rule in enumerate(value):
        if rule.tells() == ["status"] and rule.status in _OF_THE_GATE:
            Context.of(info).warn(
                f"rules[{index}] tests the status alone, and the gate itself answers {rule.status}:"
                " its refusals will not be seen; name a code or a phrase of the message, too"
            )
    return value


Name = Annotated[
    str,
    PlainValidator(name),
    WithJsonSchema({"type": "string", "pattern": r"^[^\s/*?\[\]]{1,64}$"}),
]
HeaderValue = Annotated[
    str,
    PlainValidator(header_value),
    WithJsonSchema({"type": "string", "pattern": "^[!-~]+$"}),
]
SecretReference = Annotated[
    Secret,
    PlainValidator(secret),
    WithJsonSchema({"type": "string", "pattern": "^(env|file|credential):.+"}),
]
Some = WithJsonSchema({"type": "string", "minLength": 1})
