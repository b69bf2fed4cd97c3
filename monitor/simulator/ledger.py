"""What was answered and what it would have cost, to compare with what the monitor booked."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from monitor.simulator.answers import Charge

#: Entries of the log that are kept; the totals count all.
LOG_LIMIT = 200_000

_NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Entry:
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
    nano_dollars: int
    #: From the answer's own header, for evidence.
    request_id: str | None

    def to_json(self) -> dict[str, Any]:
        """The entry as the HTTP interface shows it."""
        return {
            "number": self.number,
            "at": self.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "elapsed": round(self.elapsed, 6),
            "key": self.key,
            "path": self.path,
            "model": self.model,
            "surface": self.surface,
            "status": self.status,
            "what": self.what,
            "billed_usd": self.nano_dollars / _NANO,
            "request_id": self.request_id,
        }


_Row = tuple[str, str, str, int, str]


class Ledger:
    """Totals of everything, and a log of the latest answers."""

    def __init__(self, limit: int = LOG_LIMIT) -> None:
        self._log: deque[Entry] = deque(maxlen=limit)
        self._rows: Counter[_Row] = Counter()
        self._bills: Counter[tuple[str, str]] = Counter()
        self._number = 0

    def record(
        self,
        *,
        elapsed: float,
        key: str,
        path: str,
        model: str,
        surface: str,
        status: int,
        what: str,
        charges: Sequence[Charge] = (),
        request_id: str | None = None,
    ) -> Entry:
        """Record one answer. Key and model must come from a bounded set: they are counted."""
        self._number += 1
        for charge in charges:
            self._bills[key, charge.model] += charge.nano_dollars
        self._rows[key, model, surface, status, what] += 1
        entry = Entry(
            number=self._number,
            at=datetime.now(UTC),
            elapsed=elapsed,
            key=key,
            path=path,
            model=model,
            surface=surface,
            status=status,
            what=what,
            nano_dollars=sum(charge.nano_dollars for charge in charges),
            request_id=request_id,
        )
        self._log.append(entry)
        return entry

    @property
    def entries(self) -> list[Entry]:
        """The kept log, oldest first."""
        return list(self._log)

    def since(self, number: int) -> Iterator[Entry]:
        """The kept entries after that number."""
        skipped = number - (self._number - len(self._log))
        return islice(self._log, max(0, skipped), None)

    def count(
        self,
        *,
        key: str | None = None,
        model: str | None = None,
        surface: str | None = None,
        status: int | None = None,
        what: str | None = None,
    ) -> int:
        """How many answers there were of this kind; None stands for any."""
        wanted = (key, model, surface, status, what)
        return sum(
            number
            for row, number in self._rows.items()
            if all(want is None or want == have for want, have in zip(wanted, row, strict=True))
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
                {
                    "key": key,
                    "model": model,
                    "surface": surface,
                    "status": status,
                    "what": what,
                    "count": number,
                }
                for (key, model, surface, status, what), number in sorted(self._rows.items())
            ],
        }
