"""Forms of values that several sections of the settings have."""

from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema

from monitor.config import checks
from monitor.config.references import Secret

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
SecretReference = Annotated[
    Secret,
    PlainValidator(checks.secret),
    WithJsonSchema({"type": "string", "pattern": "^(env|file|credential):.+"}),
]
Some = WithJsonSchema({"type": "string", "minLength": 1})
