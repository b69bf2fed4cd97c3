"""The settings file's form: every section and field, with its type, its default and its meaning.

The errors, the JSON Schema for editors and the tests of the example are made from this table.
"""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, create_model

from monitor.access.pool_names import pool_of
from monitor.access.words import Contract, Surface
from monitor.catalog import CatalogError
from monitor.config import checks, urls
from monitor.config.fields import (
    AChannel,
    ACode,
    AContract,
    AGate,
    ALogFormat,
    ALogLevel,
    AnEvent,
    ASurface,
    BaseUrl,
    DatabaseFile,
    Dollars,
    Duration,
    HeaderValue,
    LogEvery,
    Moment,
    Name,
    Pattern,
    Phrase,
    PoolReference,
    SecretReference,
    Strict,
    Watched,
)
from monitor.config.figures import FIGURES
from monitor.config.problems import suggestion
from monitor.config.settings import LOG_EVERY

#: Statuses that the gate itself has been seen to answer with.
_OF_THE_GATE = (400, 403, 404)

OPENAI = "openai"
OPENAI_URL = "https://api.openai.com/v1"


class MonitorSection(Strict):
    """The monitor itself."""

    database: DatabaseFile | None = Field(
        default=None,
        description="The SQLite file: sqlite:////absolute/path, or sqlite:///path from this file's folder. "
        "Default: in $STATE_DIRECTORY, else in the XDG state folder",
    )
    log_format: ALogFormat = Field(
        default=checks.LogFormat.AUTO,
        description="auto, json or console; auto is console on a terminal and json elsewhere",
    )
    log_level: ALogLevel = Field(
        default=checks.LogLevel.INFO,
        description="info or debug; debug logs each probe, whatever log_every says",
    )


class RouteSection(Strict):
    """A base URL and whose contract it is. A secret is sent over its own key's route only."""

    # `openai` is built in and may leave its base URL out, so the schema cannot require it.
    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required", None))

    base_url: BaseUrl = Field(
        description="Where paths such as /models are added; https, or http on this machine. "
        "Needed for every route but the built-in openai",
    )
    contract: Annotated[AContract | None, AfterValidator(urls.contract)] = Field(
        default=None,
        validate_default=True,
        description="direct (your own contract with OpenAI) or provider (a gateway or relay). "
        "Default: direct for OpenAI's own host, else provider",
    )
    price: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = Field(
        default=1.0,
        description="Factor on the catalog's prices; what is spent at a provider is always an estimate",
    )
    rate: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = Field(
        default=5.0, description="The most probes sent over this route in a second"
    )
    timeout: Annotated[Duration, AfterValidator(checks.at_least_a_second)] | None = Field(
        default=None,
        description="The longest that one full probe may take. Default: 3m where images are made, "
        "as one that is cut short is billed too; 1m elsewhere",
    )


class KeySection(Strict):
    """A secret, whom it acts for, its route, and what is watched with it."""

    name: Annotated[Name, AfterValidator(checks.new_name("key"))] = Field(
        description='Unique, without "/"; the first part of the names of its targets'
    )
    secret: SecretReference = Field(
        description="The API key by reference: env:NAME, file:PATH (from this file's folder) "
        "or credential:NAME (of the service manager)"
    )
    organization: HeaderValue | None = Field(
        default=None, description="The organization to act for (org-…), sent with each request"
    )
    project: HeaderValue | None = Field(
        default=None, description="The project to act for (proj_…), sent with each request"
    )
    route: Annotated[str, AfterValidator(checks.known_route)] = Field(
        default=OPENAI, description="The name of the route that the secret is sent over"
    )
    watch: Annotated[list[Watched], AfterValidator(checks.each_once)] = Field(
        description="What is watched: MODEL, or MODEL:SURFACE with one of " + ", ".join(Surface)
    )
    verified_at: Moment | None = Field(
        default=None,
        description="When the organization's verification was completed: the same as declaring it",
    )
    log_every: LogEvery = LOG_EVERY


if TYPE_CHECKING:
    CadenceSection = Strict
else:
    CadenceSection = FIGURES["cadence"]


class PoolSection(Strict):
    """Many similar keys in one file: each is watched like one of [[keys]]; shown and told together."""

    name: Annotated[Name, AfterValidator(checks.new_name("pool"))] = Field(
        description="Unique; its keys are named NAME-FINGERPRINT"
    )
    secrets: PoolReference = Field(
        description="A file with one API key a line, by reference: file:PATH (from this file's folder) "
        "or credential:NAME. Blank lines and lines that begin with # are skipped"
    )
    organization: HeaderValue | None = Field(
        default=None,
        description="The organization that all of them act for. Default: each has one of its own",
    )
    project: HeaderValue | None = Field(
        default=None, description="The project that all of them act for"
    )
    route: Annotated[str, AfterValidator(checks.known_route)] = Field(
        default=OPENAI, description="The name of the route that the secrets are sent over"
    )
    watch: Annotated[list[Watched], AfterValidator(checks.each_once)] = Field(
        description="What is watched with each of them, as for [[keys]]"
    )
    channels: Annotated[list[AChannel], Field(min_length=1)] | None = Field(
        default=None,
        description="The channels that are told of this pool, whatever their targets say, and no others. "
        "Default: all, by their targets",
    )
    cadence: CadenceSection = Field(
        default_factory=CadenceSection, description="What differs from [cadence] for this pool"
    )
    log_every: LogEvery = LOG_EVERY


class OrganizationSection(Strict):
    """What is known of an organization besides its keys."""

    admin_key: SecretReference = Field(
        description="An admin key of the organization, by reference. diagnose and evidence read the "
        "project's rate_limits and model_permissions with it; nothing else does"
    )
    route: Annotated[str, AfterValidator(checks.known_route)] = Field(
        default=OPENAI, description="The name of the direct route that the admin key is sent over"
    )


class RuleSection(Strict):
    """The meaning of an answer that the built-in rules do not know: every field that is given must match."""

    diagnosis: ACode = Field(description="What it means; never access_granted")
    status: Annotated[int, Field(ge=100, le=599)] | None = Field(
        default=None, description="The answer's status, or the one that its error states"
    )
    code: Phrase | None = Field(default=None, description="The error's code; a number in quotes")
    type: Phrase | None = Field(default=None, description="The error's type")
    param: Phrase | None = Field(default=None, description="The error's param")
    message_contains: Phrase | None = Field(
        default=None, description="A phrase in the error's message, upper or lower case; no pattern"
    )


class ChannelSection(Strict):
    """Where notifications go."""

    name: Annotated[Name, AfterValidator(checks.new_name("channel"))] = Field(
        description="Unique; shown instead of the URL"
    )
    url: Annotated[SecretReference, AfterValidator(urls.channel_url)] = Field(
        description="Any Apprise URL, by reference: mailtos://…, https://hooks.slack.com/…, jsons://…"
    )
    events: Annotated[list[AnEvent], Field(min_length=1)] | None = Field(
        default=None,
        description="Which events are told. Default: all but baseline, started and stopping",
    )
    targets: Annotated[list[Pattern], Field(min_length=1)] = Field(
        default=["*"],
        description='Patterns on the names of targets (KEY/MODEL:SURFACE), such as "acme-*/*"',
    )


class HeartbeatSection(Strict):
    """A dead man's switch: called while the monitor makes progress, so that its silence is noticed."""

    url: Annotated[SecretReference, AfterValidator(urls.heartbeat_url)] | None = Field(
        default=None,
        description="Called with GET, by reference; /start and /fail are added to its path, as "
        "healthchecks.io takes them. Default: none is called",
    )
    every: Annotated[Duration, AfterValidator(checks.at_least_a_second)] = Field(
        default=timedelta(minutes=1),
        description="Between two calls",
        json_schema_extra={"default": "1m"},
    )


class PriceSection(Strict):
    """US dollars per million tokens."""

    text_in: Dollars | None = Field(default=None, description="Text tokens of a request")
    text_out: Dollars | None = Field(default=None, description="Text tokens of an answer")
    image_in: Dollars | None = Field(default=None, description="Image tokens of a request")
    image_out: Dollars | None = Field(default=None, description="Image tokens of an answer")


class ModelSection(Strict):
    """A model of your own, or changes to a known one."""

    surfaces: Annotated[list[ASurface], Field(min_length=1)] | None = Field(
        default=None,
        description="The usual one first; needed for a model that the catalog does not know",
    )
    gates: dict[ASurface, AGate] | None = Field(
        default=None, description="The gate that may refuse a surface: model, stream or summary"
    )
    price: PriceSection | None = Field(
        default=None, description="US dollars per million tokens, by kind"
    )
    shutdown: date | None = Field(default=None, description="The day the model is shut down")
    family: str | None = Field(
        default=None, description="Shared by models that may answer in each other's name"
    )
    source: str | None = Field(default=None, description="Where these figures come from")
    checked: date | None = Field(
        default=None, description="When they were last compared with the source"
    )
    any_size: bool | None = Field(
        default=None,
        description="Whether images may have any size; else they have the sizes of GPT Image 1",
    )
    square_tokens: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Output tokens of one low-quality image of 1024x1024, where sizes are fixed",
    )


def _take_overrides(
    value: dict[str, ModelSection], info: ValidationInfo
) -> dict[str, ModelSection]:
    context = checks.Context.of(info)
    for name, section in value.items():
        entry = section.model_dump(exclude_unset=True)
        if section.price:
            entry["price"] = section.price.model_dump(exclude_unset=True)
        try:
            context.catalog = context.catalog.with_overrides({name: entry})
        except CatalogError as error:
            below = (name, *(part for part in error.field.split(".") if part))
            raise checks.refuse(error.problem, below=below) from None
    return value


class CatalogSection(Strict):
    """What is known of models, beside the built-in catalog."""

    models: Annotated[dict[str, ModelSection], AfterValidator(_take_overrides)] = Field(
        default={}, description="By the model's name; only what is named is changed"
    )


def _take_keys(value: list[KeySection], info: ValidationInfo) -> list[KeySection]:
    if not value and not checks.Context.of(info).pools:
        raise checks.refuse("no keys: add a [[keys]] section with name, secret and watch")
    return value


def _take_pools(value: list[PoolSection], info: ValidationInfo) -> list[PoolSection]:
    context, keys = checks.Context.of(info), info.data.get("keys")
    if keys is None:  # they have errors of their own
        return value
    pools = [pool.name for pool in value]
    for key in keys:
        pool = key.name if key.name in pools else pool_of(key.name, pools)
        if pool:
            text = f"the key {key.name} is named like this pool or one of its keys: rename one"
            raise checks.refuse(text, below=(pools.index(pool), "name"))
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


def _take_organizations(
    value: dict[str, OrganizationSection], info: ValidationInfo
) -> dict[str, OrganizationSection]:
    known = checks.Context.of(info).organizations
    for name, section in value.items():
        if known is not None and name not in known:
            hint = suggestion(name, known) if known else "no key names one"
            raise checks.refuse(f"no key acts for this organization; {hint}", below=(name,))
        route = info.data.get("routes", {}).get(section.route)
        if route and route.contract is Contract.PROVIDER:
            raise checks.refuse(
                "an admin key is for OpenAI alone: name a direct route", below=(name, "route")
            )
    return value


def _take_rules(value: list[RuleSection], info: ValidationInfo) -> list[RuleSection]:
    for index, rule in enumerate(value):
        named = rule.model_dump(exclude={"diagnosis"}, exclude_none=True)
        if not named:
            wanted = ", ".join(name for name in RuleSection.model_fields if name != "diagnosis")
            raise checks.refuse(f"needs at least one of: {wanted}", below=(index,))
        if set(named) == {"status"} and rule.status in _OF_THE_GATE:
            checks.Context.of(info).warn(
                f"rules[{index}] tests the status alone, and the gate itself answers {rule.status}:"
                " its refusals will not be seen; name a code or a phrase of the message, too"
            )
    return value


class _Known(Strict):
    """The sections that are written out above."""

    # The order matters: keys need the catalog, and the patterns of channels need the keys.
    catalog: CatalogSection = Field(
        CatalogSection(), description="Models of your own, or overrides"
    )
    monitor: MonitorSection = Field(
        default_factory=MonitorSection, description="The monitor itself"
    )
    routes: dict[Name, RouteSection] = Field(
        default={},
        description="By name; openai is built in, and may be given to change its price or rate",
    )
    keys: Annotated[list[KeySection], AfterValidator(_take_keys)] = Field(
        default=[], validate_default=True, description="At least one, or a pool"
    )
    pools: Annotated[list[PoolSection], AfterValidator(_take_pools)] = Field(
        default=[], validate_default=True, description="Many keys, one a line of a file"
    )
    organizations: Annotated[
        dict[HeaderValue, OrganizationSection], AfterValidator(_take_organizations)
    ] = Field(default={}, description="By id (org-…): its admin key, if there is one")
    rules: Annotated[list[RuleSection], AfterValidator(_take_rules)] = Field(
        default=[], description="What answers mean, before the built-in rules; never over a success"
    )
    channels: list[ChannelSection] = Field(
        default=[], description="Without any, messages are printed on standard output"
    )
    heartbeat: HeartbeatSection = Field(
        default_factory=HeartbeatSection,
        description="A dead man's switch, to notice when the monitor is gone",
    )


_figures: dict[str, Any] = {
    name: (section, Field(default_factory=section, description=section.__doc__))
    for name, section in FIGURES.items()
}
#: The whole file.
File = create_model(
    "File", __base__=_Known, __doc__="The settings file of access-monitor.", **_figures
)
