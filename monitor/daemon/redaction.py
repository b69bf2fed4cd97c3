"""Takes secrets out of whatever is about to leave the process, by value and by pattern.

What a server sends is freed of the secret it was asked with where it enters (`monitor.probing`); this
is the last line, for logs, exceptions and what is printed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from monitor.access.secrecy import HIDDEN, SHORTEST, forms, without_looks

#: Short texts without a secret that are remembered: a log says the same few words again and again.
_CLEAN_MOST, _SHORT = 4096, 80


class Redactor:
    """Hides the given values, in plain, quoted and base64 form, and what looks like a secret.

    The values are keys, and the telling parts of channel URLs (`alerts.url_secrets`).
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # By its last characters: a look-up for each place of a text takes as long for 10,000 secrets as
        # for one, where a regular expression of all of them takes 170 MB.
        ends: defaultdict[str, set[str]] = defaultdict(set)
        for secret in secrets:
            for form in forms(secret):
                ends[form[-SHORTEST:]].add(form)
        self._ends = {end: tuple(found) for end, found in ends.items()}
        self._clean: set[str] = set()

    def text(self, text: str) -> str:
        """The text with every secret replaced by `[hidden]`."""
        if text in self._clean:
            return text
        hidden = self._without(text)
        if hidden == text and len(text) <= _SHORT:
            if len(self._clean) >= _CLEAN_MOST:
                self._clean.clear()
            self._clean.add(text)
        return hidden

    def _without(self, text: str) -> str:
        places = range(len(text) - SHORTEST + 1) if self._ends else ()
        if not self._ends.keys().isdisjoint([text[at : at + SHORTEST] for at in places]):
            text = self._without_values(text)
        return without_looks(text)

    def value(self, value: Any) -> Any:
        """The same for nested values, for logs and JSON."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(k)): self.value(v) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(str(value))

    def _without_values(self, text: str) -> str:
        parts, done = [], 0
        for begin, end in sorted(self._found(text)):
            if begin >= done:  # else it overlaps with the one before, and both go
                parts += [text[done:begin], HIDDEN]
            done = max(done, end)
        return "".join([*parts, text[done:]])

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        """Where secrets begin and end."""
        for end in range(SHORTEST, len(text) + 1):
            for form in self._ends.get(text[end - SHORTEST : end], ()):
                if end >= len(form) and text.startswith(form, end - len(form)):
                    yield end - len(form), end
