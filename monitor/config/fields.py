"""The types of the settings file's fields: each with its check and its form in the JSON Schema."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from monitor.access.target import Capability
from monitor.access.words import Code, Contract, EventKind, Gate, Surface
from monitor.config import checks, urls
from monitor.config.durations import PATTERN
from monitor.config.pools import PoolFile
from monitor.config.references import Secret

_REFERENCE = {"type": "string", "pattern": "^(env|file|credential):.+"}

Duration = Annotated[
    timedelta,
    PlainValidator(checks.duration),
    WithJsonSchema(
        {"type": "string", "pattern": PATTERN, "examples": ["20s", "5m", "1h30m", "7d"]}
    ),
]
Name = Annotated[
    str,
    PlainValidator(checks.name),
    WithJsonSchema({"type": "string", "pattern": r"^[^\s/*?\[\]]{1,64}$"}),
]
HeaderValue = Annotated[
    str,
    PlainValidator(checks.header_value),
    WithJsonSchema({"type": "string", "pattern": "^[!-~]+$"}),
]
SecretReference = Annotated[Secret, PlainValidator(checks.secret), WithJsonSchema(_REFERENCE)]
PoolReference = Annotated[
    PoolFile,
    PlainValidator(checks.pool_file),
    WithJsonSchema({"type": "string", "pattern": "^(file|credential):.+"}),
]
AChannel = Annotated[
    str, PlainValidator(checks.known_channel), WithJsonSchema({"type": "string", "minLength": 1})
]
Watched = Annotated[
    Capability,
    PlainValidator(checks.capability),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
Moment = Annotated[
    datetime,
    PlainValidator(checks.moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Pattern = Annotated[
    str, PlainValidator(checks.matches_a_target), WithJsonSchema({"type": "string", "minLength": 1})
]
Dollars = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1000)]
AnEvent = Annotated[
    EventKind, PlainValidator(checks.one_of(EventKind)), WithJsonSchema({"enum": [*EventKind]})
]
ACode = Annotated[
    Code, PlainValidator(checks.diagnosis), WithJsonSchema({"enum": checks.NOT_GRANTED})
]
Phrase = Annotated[
    str,
    PlainValidator(checks.phrase),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 200}),
]
ASurface = Annotated[
    Surface, PlainValidator(checks.one_of(Surface)), WithJsonSchema({"enum": [*Surface]})
]
AGate = Annotated[Gate, PlainValidator(checks.one_of(Gate)), WithJsonSchema({"enum": [*Gate]})]
AContract = Annotated[
    Contract, PlainValidator(checks.one_of(Contract)), WithJsonSchema({"enum": [*Contract]})
]
ALogFormat = Annotated[
    checks.LogFormat,
    PlainValidator(checks.one_of(checks.LogFormat)),
    WithJsonSchema({"enum": [*checks.LogFormat]}),
]
ALogLevel = Annotated[
    checks.LogLevel,
    PlainValidator(checks.one_of(checks.LogLevel)),
    WithJsonSchema({"enum": [*checks.LogLevel]}),
]
LogEvery = Annotated[
    int,
    Field(
        ge=1,
        le=1_000_000,
        description="Of equal answers in a row the first is logged, and then one of so many, with their "
        "count; what changes is always logged",
    ),
]
DatabaseFile = Annotated[
    Path,
    PlainValidator(checks.database),
    WithJsonSchema({"type": "string", "pattern": "^sqlite:///."}),
]
BaseUrl = Annotated[
    str,
    PlainValidator(urls.base_url),
    WithJsonSchema({"type": "string", "pattern": "^https?://[^@?#]+$"}),
]


class Strict(BaseModel):
    """A section: unknown settings are errors, nothing is converted, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)
