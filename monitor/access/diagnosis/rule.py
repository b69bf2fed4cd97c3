"""What a rule is: phrases of a message that mean a code, with the reason it exists."""

import re
from dataclasses import dataclass, field

from monitor.access.words import Code, Gate, Owner

#: One phrase, or several that must all be there.
Phrase = str | tuple[str, ...]
#: Phrases sorted for speed: the single ones, and those of several parts.
_Sorted = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]


@dataclass(frozen=True, slots=True)
class Rule:
    """Phrases that decide a code. The text compared is folded (`text.fold`): lower case, plain quotes.

    `pattern`: one more way to match, for words that come in many orders; its repetitions are bounded.
    `needs`: without one of these words the rule is passed over at once. `unless`: any of these words
    forbids it. `not_on`: status classes (4 for 4xx, 429 exactly) on which the words mean something else.
    """

    name: str
    code: Code
    why: str
    any_of: tuple[Phrase, ...]
    pattern: re.Pattern[str] | None = None
    needs: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    not_on: tuple[int, ...] = ()
    owner: Owner | None = None
    gate: Gate | None = None
    _all: _Sorted = field(init=False, repr=False)
    _ascii: _Sorted = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Sort the phrases: most texts are ASCII, and then two thirds of the work is enough."""
        every = _sort(self.any_of)
        plain = _sort(tuple(phrase for phrase in self.any_of if "".join(phrase).isascii()))
        object.__setattr__(self, "_all", every)
        object.__setattr__(self, "_ascii", plain)

    def matches(self, text: str, status: int | None) -> bool:
        """True when the folded text says what this rule is for."""
        has = text.__contains__
        if self.needs and not any(map(has, self.needs)):
            return False
        singles, several = self._ascii if text.isascii() else self._all
        if not (
            any(map(has, singles))
            or any(has(parts[0]) and all(map(has, parts)) for parts in several)
            or (self.pattern is not None and self.pattern.search(text))
        ):
            return False
        if status is not None and (status in self.not_on or status // 100 in self.not_on):
            return False
        return not any(map(has, self.unless))


def _sort(phrases: tuple[Phrase, ...]) -> _Sorted:
    return (
        tuple(phrase for phrase in phrases if isinstance(phrase, str)),
        tuple(phrase for phrase in phrases if isinstance(phrase, tuple)),
    )
