"""What was answered and what it would have cost, to compare with what the monitor booked."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from monitor.simulator.answers import Charge

#: Entries of the log that are kept; the totals count all.
LOG_LIMIT = 200_000

_NANO = 1_000_000_000


class Entry(NamedTuple):
    """One answer. `at` is wall time, `elapsed` seconds since the server's start on its own clock."""

    number: int
    at: datetime
    elapsed: float
    key: str
    path: str
    model: str
    surface: str
    #: 0 where the connection ended without a status line.
    status: int
    what: str
    billed_usd: float
    #: From the answer's own header, for evidence.
    request_id: str | None

    def to_json(self) -> dict[str, Any]:
        """The entry as the HTTP interface shows it."""
        at = self.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        return self._asdict() | {"at": at, "elapsed": round(self.elapsed, 6)}


class AnswerKind(NamedTuple):
    """What answers are counted by."""

    key: str
    model: str
    surface: str
    status: int
    what: str


class Ledger:
    """Totals of everything, and a log of the latest answers."""

    def __init__(self, limit: int = LOG_LIMIT) -> None:
        self._log: deque[Entry] = deque(maxlen=limit)
        self._counts: Counter[AnswerKind] = Counter()
        self._bills: Counter[tuple[str, str]] = Counter()
        self._number = 0

    def record(
        self,
        kind: AnswerKind,
        *,
        elapsed: float,
        path: str,
        charges: Sequence[Charge] = (),
        request_id: str | None = None,
    ) -> None:
        """Record one answer. Key and model must come from a bounded set: they are counted."""
        self._number += 1
        for charge in charges:
            self._bills[kind.key, charge.model] += charge.nano_dollars
        self._counts[kind] += 1
        self._log.append(
            Entry(
                number=self._number,
                at=datetime.now(UTC),
                elapsed=elapsed,
                path=path,
                billed_usd=sum(charge.nano_dollars for charge in charges) / _NANO,
                request_id=request_id,
                **kind._asdict(),
            )
        )

    @property
    def entries(self) -> list[Entry]:
        """The kept log, oldest first."""
        return list(self._log)

    def since(self, number: int) -> Iterator[Entry]:
        """The kept entries after that number."""
        skipped = number - (self._number - len(self._log))
        return islice(self._log, max(0, skipped), None)

    def count(self, **wanted: str | int) -> int:
        """How many answers there were of this kind: fields of `AnswerKind`, any where one is left out."""
        return sum(
            number
            for kind, number in self._counts.items()
            if all(getattr(kind, name) == value for name, value in wanted.items())
        )

    def billed(self, *, key: str | None = None, model: str | None = None) -> float:
        """Dollars, exact to a billionth; None stands for any."""
        nano = sum(
            amount
            for (its_key, its_model), amount in self._bills.items()
            if key in (None, its_key) and model in (None, its_model)
        )
        return nano / _NANO

    def totals(self) -> dict[str, Any]:
        """Everything but the log, as the HTTP interface shows it."""
        return {
            "requests": self._number,
            "billed_usd": self.billed(),
            "billed": [
                {"key": key, "model": model, "usd": amount / _NANO}
                for (key, model), amount in sorted(self._bills.items())
            ],
            "counts": [
                kind._asdict() | {"count": number} for kind, number in sorted(self._counts.items())
            ],
        }
