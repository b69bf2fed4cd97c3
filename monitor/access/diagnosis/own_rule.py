"""Rules of the users' own, as the settings have them.

Each is tried before the built-in ones, and never over a proven success. Apart from `rules`, as it needs
pydantic: a program that only asks what an answer means (`monitor.api`) starts without.
"""

from dataclasses import dataclass, field, fields
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from monitor.access.diagnosis.envelope import ErrorLayer
from monitor.access.diagnosis.text import fold
from monitor.access.fields import Text, Whole, about, setting
from monitor.access.words import Code, Effect


def _never_granted(code: Code) -> Code:
    if code.effect is Effect.GRANTED:
        raise ValueError("a rule never means granted: only an answer's payload proves access")
    return code


def _printable(text: str) -> str:
    if not text.strip() or len(text) > 200 or not text.isprintable():
        raise ValueError("must be 1 to 200 printable characters")
    return text.strip()


_OwnText = Annotated[
    Text, AfterValidator(_printable), Field(json_schema_extra={"minLength": 1, "maxLength": 200})
]


@dataclass(frozen=True, slots=True)
class OwnRule:
    """The meaning of an answer that the built-in rules do not know: every field that is given must match."""

    diagnosis: Annotated[
        Code,
        AfterValidator(_never_granted),
        WithJsonSchema({"enum": [str(code) for code in Code if code.effect is not Effect.GRANTED]}),
        about("What it means; never access_granted"),
    ]
    status: Annotated[Whole, Field(ge=100, le=599)] | None = setting(
        None, "The answer's status, or the one that its error states"
    )
    code: _OwnText | None = setting(None, "The error's code; a number in quotes")
    type: _OwnText | None = setting(None, "The error's type")
    param: _OwnText | None = setting(None, "The error's param")
    message_contains: _OwnText | None = setting(
        None, "A phrase in the error's message, upper or lower case; no pattern"
    )
    #: the phrase, folded as messages are
    _words: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse dangerous rules with ValueError, and fold the phrase as messages are folded."""
        _never_granted(self.diagnosis)
        if not self.tells():
            wanted = ", ".join(one.name for one in fields(self)[1:-1])
            raise ValueError(f"needs at least one of: {wanted}")
        object.__setattr__(self, "_words", fold(self.message_contains or ""))

    def tells(self) -> list[str]:
        """The names of what it reads."""
        names = [one.name for one in fields(self)[1:-1]]
        return [name for name in names if getattr(self, name) not in (None, "")]

    def matches(self, layer: ErrorLayer, message: str, status: int | None) -> bool:
        """Whether an error of an answer is what this rule is for; `message` is folded."""
        exact = ((self.code, layer.code), (self.type, layer.type), (self.param, layer.param))
        return (
            self.status in (None, status, layer.status)
            and self._words in message
            and all(wanted is None or wanted.strip().casefold() == had for wanted, had in exact)
        )
