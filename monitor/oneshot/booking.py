"""Money that commands spend beside a daemon: reserved before they send, booked after.

Where a daemon lives, it is asked through the inbox and replies there; else the books are opened under
the file's lock. Both go by the same ledger. What a command that died had reserved is in doubt.
"""

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from monitor.access.databases import Database
from monitor.access.holds import Fate, Need, Posting, Reservation
from monitor.access.spending import BudgetLedger
from monitor.config import Settings
from monitor.store.errors import LockedError, StoreError
from monitor.store.inbox import reply_to, submit
from monitor.store.ownership import open_books, withdraw

#: The inbox's words: hold this before it is sent; this is what it cost.
RESERVE, SPEND = "reserve", "spend"
#: US dollars; more than any probes of one command cost.
_MOST = 1000.0
#: Seconds to wait for the daemon's reply; it reads its inbox every second.
_PATIENCE, _A_MOMENT, _AGAIN = 10.0, 0.3, 0.05
#: Daemons of a fleet that are asked at once.
_AT_ONCE = 16


class OverBudgetError(Exception):
    """The budget has no room for what a command wants to send; the text says what is left."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be held: for a target's account, or one of the command's own."""

    account: str
    key: str
    usd: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a hold came to; `usd` is None while that is in doubt."""

    hold: Reservation
    usd: float | None
    probes: int = 1
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Reserved:
    """What was held, in the order wanted, and what the budgets had left before: by key, and of the month."""

    holds: tuple[Reservation, ...]
    left: Mapping[str, float]
    left_of_month: float

    def words(self) -> str:
        """What is left, for people; of few keys each."""
        keys = [f"${max(usd, 0):.4f} of {key}'s day" for key, usd in self.left.items()]
        shown = keys if len(keys) <= 3 else [f"the days of {len(keys)} keys"]
        return f"left before it: {', '.join(shown)}, ${max(self.left_of_month, 0):.4f} of the month"


def reserve(settings: Settings, wanted: Sequence[Wanted], *, over: bool) -> Reserved:
    """Hold what is wanted, all of it or nothing; with `over` whether there is room or not.

    Raises OverBudgetError without room, StoreError when the books cannot be had.
    """
    reserved = _reserved(settings, wanted, over=over)
    if len(reserved.holds) < len(wanted):
        usd = sum(one.usd for one in wanted)
        raise OverBudgetError(f"${usd:.4f} is more than the budget has: {reserved.words()}")
    return reserved


def settle(settings: Settings, costs: Sequence[Cost]) -> str | None:
    """Book what the holds came to. Returns what went wrong, None when all is well."""
    now = datetime.now(UTC)
    ledger = BudgetLedger(settings.budget)
    try:
        try:
            with open_books(settings.database, ledger, now) as books:
                for cost in costs:
                    books.post(booked(ledger, cost))
        except LockedError:
            for part in _by_daemon(settings, [cost.hold.key for cost in costs]):
                those = [costs[at] for at in part]
                items = [[_plain(one.hold), one.usd, one.probes, one.estimated] for one in those]
                submit(settings.database, SPEND, {"costs": items}, now)
    except StoreError as error:
        return f"what was reserved stays so: {error}"
    return None


def take(
    ledger: BudgetLedger, wanted: Sequence[Wanted], day: date, need: Need, *, over: bool
) -> tuple[Reserved, Posting]:
    """Hold all that is wanted or nothing, and what is to be written of it."""
    left = {one.key: ledger.left_of_day(one.key, day, need) for one in wanted}
    month = ledger.left_of_month(day, need)
    holds: list[Reservation] = []
    postings: list[Posting] = []
    for one in wanted:
        found = ledger.reserve(one.account, one.key, day, one.usd, need)
        if found is None and over:
            hold = ledger.hold(one.account, one.key, day, one.usd)
            found = hold, Posting(held=(hold,), over=True)
        if found is None:
            for hold in holds:
                ledger.dropped(hold)
            holds = []
            break
        holds.append(found[0])
        postings.append(found[1])
    posting = joined([*postings, ledger.posting()])
    return Reserved(tuple(holds), left, month), posting


def booked(ledger: BudgetLedger, cost: Cost) -> Posting:
    """Settle one hold of a command; it may be in doubt since a restart, or decided meanwhile."""
    if not ledger.resume(cost.hold):
        hold = cost.hold
        return ledger.spent(hold.key, hold.day, cost.usd or 0.0, estimated=cost.estimated)
    done = ledger.settle(
        cost.hold, cost.usd, Fate.KEPT, again=False, estimated=cost.estimated, probes=cost.probes
    )
    return done.posting


def joined(postings: Iterable[Posting]) -> Posting:
    """Several postings as one."""
    kept = list(postings)
    return Posting(
        tuple(spend for one in kept for spend in one.spends),
        tuple(hold for one in kept for hold in one.held),
        tuple(id_ for one in kept for id_ in one.freed),
        over=any(one.over for one in kept),
    )


def wanted_of(payload: Mapping[str, Any]) -> tuple[list[Wanted], date, bool] | None:
    """What another process asks to hold; None when it cannot be understood."""
    try:
        day = date.fromisoformat(str(payload.get("day")))
        rows = [(str(account), str(key), _number(usd)) for account, key, usd in payload["wanted"]]
    except (KeyError, TypeError, ValueError):
        return None
    if not all(0 <= usd <= _MOST for _, _, usd in rows):
        return None
    return [Wanted(*row) for row in rows], day, payload.get("over") is True


def costs_of(payload: Mapping[str, Any]) -> list[Cost] | None:
    """What another process says that its holds came to; None when it cannot be understood."""
    try:
        costs = [
            Cost(
                _hold_of(hold),
                None if usd is None else _number(usd),
                min(max(int(probes), 0), 1000),
                estimated is True,
            )
            for hold, usd, probes, estimated in payload["costs"]
        ]
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return costs if all(0 <= (cost.usd or 0.0) <= _MOST for cost in costs) else None


def reply_of(reserved: Reserved) -> str:
    """The reply to a command, as text."""
    return json.dumps(
        {
            "held": [_plain(hold) for hold in reserved.holds],
            "left": dict(reserved.left),
            "left_of_month": reserved.left_of_month,
        }
    )


def _by_daemon(settings: Settings, keys: Sequence[str]) -> list[list[int]]:
    """The positions of the keys by the daemon that books for them: in a fleet each has some keys."""
    parts: dict[int | None, list[int]] = {}
    for at, key in enumerate(keys):
        parts.setdefault(settings.shard_of_key(key) if settings.fleet else None, []).append(at)
    return list(parts.values())


def _reserved(settings: Settings, wanted: Sequence[Wanted], *, over: bool) -> Reserved:
    """Hold it under the lock, or have the daemons do it that have the lock: all of it or nothing."""
    parts = _by_daemon(settings, [one.key for one in wanted])
    if len(parts) < 2:
        return _reserved_by_one(settings, wanted, over=over)
    with ThreadPoolExecutor(max_workers=min(len(parts), _AT_ONCE)) as pool:
        asked = [
            pool.submit(_reserved_by_one, settings, [wanted[at] for at in part], over=over)
            for part in parts
        ]
    got = [one.result() for one in asked if one.exception() is None]
    refused = next((one for one in got if not one.holds), None)
    if refused or len(got) < len(parts):
        settle(settings, [Cost(hold, 0.0) for one in got for hold in one.holds])
    if refused:
        return refused
    results = [one.result() for one in asked]  # raises what one of them raised
    holds = {
        at: hold
        for part, one in zip(parts, results, strict=True)
        for at, hold in zip(part, one.holds, strict=True)
    }
    return Reserved(
        tuple(holds[at] for at in range(len(wanted))),
        {key: usd for one in results for key, usd in one.left.items()},
        min(one.left_of_month for one in results),
    )


def _reserved_by_one(settings: Settings, wanted: Sequence[Wanted], *, over: bool) -> Reserved:
    database, item, now = settings.database, None, datetime.now(UTC)
    payload = {
        "wanted": [[one.account, one.key, one.usd] for one in wanted],
        "day": f"{now:%Y-%m-%d}",
        "over": over,
    }
    began = time.monotonic()
    while time.monotonic() < began + _PATIENCE:
        try:
            ledger = BudgetLedger(settings.budget)
            with open_books(database, ledger, now) as books:
                if item is not None and (reply := withdraw(books, item)) is not None:
                    return _replied(database, reply)
                # no monitor runs: nobody waits
                reserved, posting = take(ledger, wanted, now.date(), Need.ANSWERED, over=over)
                books.post(posting)
                return reserved
        except LockedError:
            # another command has it for a moment, a daemon for as long as it lives
            if item is None and time.monotonic() > began + _A_MOMENT:
                item = submit(database, RESERVE, payload, now)
            if item is not None and (reply := reply_to(database, item)) is not None:
                return _replied(database, reply)
        time.sleep(_AGAIN)
    raise StoreError(f"{database}: the daemon does not answer")


def _replied(database: Database, reply: Mapping[str, Any]) -> Reserved:
    try:
        holds = tuple(map(_hold_of, reply.get("held", ())))
        left = {str(key): _number(usd) for key, usd in dict(reply.get("left", {})).items()}
    except (TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"{database}: the daemon's reply cannot be read") from error
    return Reserved(holds, left, _number(reply.get("left_of_month")))


def _plain(hold: Reservation) -> list[Any]:
    return [hold.id, hold.account, hold.key, f"{hold.day}", hold.usd]


def _hold_of(value: Any) -> Reservation:
    """The hold that `_plain` wrote; raises TypeError or ValueError for anything else."""
    id_, account, key, day, usd = value
    return Reservation(int(id_), str(account), str(key), date.fromisoformat(day), _number(usd))


def _number(value: Any) -> float:
    """The number; 0 for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if math.isfinite(value) else 0.0
