"""Takes secrets out of whatever is about to leave the process, by value and by pattern.

What a server says of the key that it was asked with is masked where it leaves the diagnosis; this is the
last line, for every key and channel there is: rows, messages, logs, exceptions, what is printed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from monitor.access.masking import Mask

#: Short texts without a secret that are remembered: a log repeats the same few words.
_CLEAN_MOST, _SHORT = 4096, 512

#: Values that are remembered: those of the settings, and of many settings before them.
_KNOWN_MOST = 50_000


class Redactor:
    """Hides the given values, however they are encoded, and what has the pattern of one.

    `whole` are values that count only as a whole (see `Mask`). One serves the whole process, so that what
    it learns is hidden everywhere at once.
    """

    def __init__(self, secrets: Iterable[str] = (), whole: Iterable[str] = ()) -> None:
        self._known: dict[tuple[str, bool], None] = {}
        self._mask = Mask(())
        self._clean: set[str] = set()
        self.learn(secrets, whole)

    def learn(self, secrets: Iterable[str], whole: Iterable[str] = ()) -> None:
        """Hide these, too. Known values stay hidden: a key that was replaced may still be valid."""
        news = dict.fromkeys([*((one, False) for one in secrets), *((one, True) for one in whole)])
        known = {one: None for one in self._known if one not in news} | news
        for one in list(known)[: max(len(known) - _KNOWN_MOST, 0)]:
            del known[one]
        self._known = known
        self._mask = Mask(
            (one for one, entire in known if not entire), (one for one, entire in known if entire)
        )
        self._clean = set()  # for the log's thread, which may be about to add to the old one

    def text(self, text: str) -> str:
        """The text with every secret replaced by `[hidden]`."""
        clean = self._clean
        if text in clean:
            return text
        hidden = self._mask.text(text)
        if hidden == text and len(text) <= _SHORT:
            if len(clean) >= _CLEAN_MOST:
                clean.clear()
            clean.add(text)
        return hidden

    def value(self, value: Any) -> Any:
        """The same for nested values, for logs and JSON."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self.text(str(k)): self.value(v) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        return self.text(str(value))
