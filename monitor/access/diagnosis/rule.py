"""What a rule is, and what it reads in one error: built in (rules.toml), or of the users' own (settings).

Both are of one kind, asked by `Rule.matches`. A rule of the users' own is tried before the built-in ones,
and never over a proven success.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from monitor.access.diagnosis.envelope import ErrorLayer
from monitor.access.diagnosis.text import fold
from monitor.access.fields import Text, Whole, about, setting
from monitor.access.words import Code, Effect, Owner

_SEPARATOR: Final = " + "
_SOURCE: Final = "  # "
_squeeze = str.maketrans("", "", "_- ")


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that must all be in a message, and patterns that are asked after them."""

    text: str
    source: str
    parts: tuple[str, ...]
    patterns: tuple[str, ...] = ()

    def is_in(self, text: str) -> bool:
        """True when a folded message says it."""
        for part in self.parts:
            if part not in text:
                return False
        return all(_compiled(pattern).search(text) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class Rule:
    """What of one error means what. The text compared is folded (`text.fold`); see rules.toml for the fields.

    `fields` are names of a layer's fields with the value each must have; `status` must be one of those known.
    """

    id: str
    means: Code
    why: str = ""
    owner: Owner | None = None
    phrases: tuple[Phrase, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[tuple[str, str], ...] = ()
    status: int | None = None
    unless: tuple[str, ...] = ()
    only_on: tuple[int, ...] = ()
    not_on: tuple[int, ...] = ()
    alone: bool = False
    beside: str = ""
    yields_to: frozenset[str] = frozenset()
    _single: tuple[str, ...] = field(init=False, repr=False)
    _single_ascii: tuple[str, ...] = field(init=False, repr=False)
    #: phrases of several parts, by the first of these
    _several: tuple[tuple[str, tuple[Phrase, ...]], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Sort the phrases for speed: most are one part, and most texts are ASCII."""
        single = tuple(p.text for p in self.phrases if len(p.parts) == 1 and not p.patterns)
        ascii_only = tuple(text for text in single if text.isascii())
        several: dict[str, tuple[Phrase, ...]] = {}
        for one in self.phrases:
            if len(one.parts) != 1 or one.patterns:
                several[one.parts[0]] = (*several.get(one.parts[0], ()), one)
        object.__setattr__(self, "_single", single)
        object.__setattr__(self, "_single_ascii", ascii_only)
        object.__setattr__(self, "_several", tuple(several.items()))

    def matches(self, layer: ErrorLayer, message: str, statuses: Sequence[int | None]) -> bool:
        """True when an error is what this rule is for. `statuses`: those that may be meant."""
        has = message.__contains__
        if self.phrases:
            single = self._single_ascii if message.isascii() else self._single
            # Most rules do not match a message: this test is the fastest.
            if not any(map(has, single)) and not self._has_several(message):
                return False
        return (
            self.may_be_on(statuses)
            and (self.status is None or self.status in statuses)
            and all(getattr(layer, name) == value for name, value in self.fields)
            and not any(map(has, self.unless))
        )

    def _has_several(self, message: str) -> bool:
        for needle, phrases in self._several:
            if needle in message:
                for one in phrases:
                    if one.is_in(message):
                        return True
        return False

    def may_be_on(self, statuses: Sequence[int | None]) -> bool:
        """True when the words mean this on one of the statuses; an unknown one forbids nothing."""
        if self.not_on and any(_among(status, self.not_on) for status in statuses):
            return False
        known = [status for status in statuses if status is not None]
        return not (self.only_on and known) or any(_among(s, self.only_on) for s in known)


def squeezed(word: str) -> str:
    """A code as the table compares it: without case, underscores, and an "error" at its end."""
    return word.casefold().translate(_squeeze).removesuffix("error")


def read_rules(text: str) -> Iterator[Rule]:
    """The rules of a table in their order. Raises ValueError for one that has no source or means nothing."""
    table = tomllib.loads(text)
    sources = table["sources"]
    for raw in table["rule"]:
        phrases = tuple(phrase(*line) for line in _lines(raw.get("phrases", ""), sources))
        words = {
            squeezed(word): source
            for text, source in _lines(raw.get("words", ""), sources)
            for word in text.split()
        }
        if bool(phrases) == bool(words):
            raise ValueError(f"rule {raw['id']} needs phrases or words")
        yield Rule(
            raw["id"],
            Code(raw["means"]),
            raw["why"],
            Owner(raw["owner"]) if "owner" in raw else None,
            phrases,
            words,
            unless=tuple(raw.get("unless", ())),
            only_on=tuple(raw.get("only_on", ())),
            not_on=tuple(raw.get("not_on", ())),
            alone=raw.get("alone", False),
            beside=raw.get("beside", ""),
            yields_to=frozenset(raw.get("yields_to", ())),
        )


def phrase(text: str, source: str = "") -> Phrase:
    """A phrase as it is written in the table: parts joined by " + ", patterns between slashes."""
    parts, patterns = [], []
    for part in text.split(_SEPARATOR):
        if len(part) > 2 and part[0] == part[-1] == "/":
            patterns.append(part[1:-1])
        else:
            parts.append(part)
    if not parts:
        raise ValueError(f"a pattern needs a plain part before it: {text}")
    return Phrase(text, source, tuple(parts), tuple(patterns))


def _lines(block: str, sources: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():
        text, _, source = line.rpartition(_SOURCE)
        if line and (not text or source not in sources):
            raise ValueError(f"no known source: {line}")
        if line:
            yield text.strip(), source


def _among(status: int | None, those: Iterable[int]) -> bool:
    return status is not None and (status in those or status // 100 in those)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # On first use: compiling them all would cost more than reading the table.
    return re.compile(pattern)


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
    _rule: Rule = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse dangerous rules with ValueError, and fold the phrase as messages are folded."""
        _never_granted(self.diagnosis)
        if not self.tells():
            wanted = ", ".join(one.name for one in fields(self)[1:-1])
            raise ValueError(f"needs at least one of: {wanted}")
        words = fold(self.message_contains or "")
        exact = ((name, getattr(self, name)) for name in ("code", "type", "param"))
        rule = Rule(
            "own",
            self.diagnosis,
            phrases=(Phrase(words, "", (words,)),) if words else (),
            fields=tuple(
                (name, value.strip().casefold()) for name, value in exact if value is not None
            ),
            status=self.status,
        )
        object.__setattr__(self, "_rule", rule)

    def tells(self) -> list[str]:
        """The names of what it reads."""
        names = [one.name for one in fields(self)[1:-1]]
        return [name for name in names if getattr(self, name) not in (None, "")]

    def matches(self, layer: ErrorLayer, message: str, status: int | None) -> bool:
        """Whether an error of an answer is what this rule is for; `message` is folded."""
        return self._rule.matches(layer, message, (status, layer.status))
