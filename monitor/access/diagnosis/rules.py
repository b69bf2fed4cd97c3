"""The rules: what each reads in an error, their table, and which of them is first to match an answer.

The built-in ones are in rules.toml, those of the users' own in the settings (`own_rule`).
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from monitor.access.diagnosis.envelope import ErrorLayer
from monitor.access.words import Code, Owner

#: A message from this length on is read once only, however often it is wrapped; refusals are shorter.
_LONG: Final = 1_000
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
    """What of an error means what. The text is folded (`text.fold`); rules.toml explains the fields."""

    id: str
    means: Code
    why: str = ""
    owner: Owner | None = None
    phrases: tuple[Phrase, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    unless: tuple[str, ...] = ()
    only_on: tuple[int, ...] = ()
    not_on: tuple[int, ...] = ()
    alone: bool = False
    beside: str = ""
    yields_to: frozenset[str] = frozenset()
    _single: tuple[str, ...] = field(init=False, repr=False)
    _single_ascii: tuple[str, ...] = field(init=False, repr=False)
    _unless: tuple[str, ...] = field(init=False, repr=False)
    _unless_patterns: tuple[str, ...] = field(init=False, repr=False)
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
        patterns = tuple(text[1:-1] for text in self.unless if _is_pattern(text))
        object.__setattr__(self, "_unless_patterns", patterns)
        plain = tuple(text for text in self.unless if not _is_pattern(text))
        object.__setattr__(self, "_unless", plain)

    def matches(self, message: str, status: int | None) -> bool:
        """True when an error's message is what this rule is for."""
        has = message.__contains__
        single = self._single_ascii if message.isascii() else self._single
        # Most rules do not match a message: this test is the fastest.
        if not any(map(has, single)) and not self._has_several(message):
            return False
        if not self.may_be_on(status) or any(map(has, self._unless)):
            return False
        return not any(_compiled(pattern).search(message) for pattern in self._unless_patterns)

    def _has_several(self, message: str) -> bool:
        for needle, phrases in self._several:
            if needle in message:
                for one in phrases:
                    if one.is_in(message):
                        return True
        return False

    def may_be_on(self, status: int | None) -> bool:
        """True when the words mean this on the status; an unknown one forbids nothing."""
        if status is None:
            return True
        either = {status, status // 100}
        return either.isdisjoint(self.not_on) and not (
            self.only_on and either.isdisjoint(self.only_on)
        )


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
        if _is_pattern(part):
            patterns.append(part[1:-1])
        else:
            parts.append(part)
    if not parts:
        raise ValueError(f"a pattern needs a plain part before it: {text}")
    return Phrase(text, source, tuple(parts), tuple(patterns))


def _is_pattern(text: str) -> bool:
    return len(text) > 2 and text[0] == text[-1] == "/"


def _lines(block: str, sources: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():
        text, _, source = line.rpartition(_SOURCE)
        if line and (not text or source not in sources):
            raise ValueError(f"no known source: {line}")
        if line:
            yield text.strip(), source


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # On first use: compiling them all would cost more than reading the table.
    return re.compile(pattern)


#: The built-in rules, in order.
RULES: Final = tuple(read_rules(Path(__file__).with_name("rules.toml").read_text(encoding="utf-8")))
#: Neighbours of one kind: rules on messages, or words of errors with the rule of each.
_STAGES: Final[tuple[Sequence[Rule] | Mapping[str, Rule], ...]] = tuple(
    {word: rule for rule in rules for word in rule.words} if of_words else tuple(rules)
    for of_words, rules in groupby(RULES, key=lambda rule: bool(rule.words))
)


def first_rule(
    errors: Sequence[ErrorLayer], folded: Sequence[str], inner: int | None
) -> Rule | None:
    """The first rule that matches. `folded` are the errors' messages, `inner` is the innermost status."""
    for stage in _STAGES:
        if isinstance(stage, Mapping):
            rule = next(_by_words(stage, errors, inner), None)
        else:
            rule = _by_message(stage, errors, folded, inner)
        if rule is not None:
            return rule
    return None


def _by_message(
    rules: Sequence[Rule], errors: Sequence[ErrorLayer], folded: Sequence[str], inner: int | None
) -> Rule | None:
    innermost = ""
    seen = set()
    for whole in folded:
        # What wraps a long message repeats it: only what it adds is still to be read.
        text = whole.replace(innermost, " ", 1) if innermost else whole
        if not text or whole in seen:
            continue
        seen.add(whole)
        for rule in rules:
            if (
                rule.matches(text, inner)
                and (not rule.beside or any(rule.beside in each.codes for each in errors))
                and not (rule.alone and len(seen) > 1)
            ):
                return _yielding(rule, errors, inner)
        if not innermost and len(whole) > _LONG:
            innermost = whole[:_LONG]
    return None


def _yielding(rule: Rule, errors: Sequence[ErrorLayer], inner: int | None) -> Rule:
    """The rule itself, or that of a more specific code of the same answer."""
    if not rule.yields_to:
        return rule
    tables = (stage for stage in _STAGES if isinstance(stage, Mapping))
    others = (other for table in tables for other in _by_words(table, errors, inner))
    return next((other for other in others if other.id in rule.yields_to), rule)


def _by_words(
    stage: Mapping[str, Rule], errors: Sequence[ErrorLayer], inner: int | None
) -> Iterator[Rule]:
    for layer in errors:
        for word in layer.codes:
            rule = stage.get(squeezed(word))
            if rule is not None and rule.may_be_on(inner):
                yield rule
