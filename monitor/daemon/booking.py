"""Money that was spent outside of the daemon: asked into its books, which it alone writes."""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from monitor.config import Settings
from monitor.daemon.once import Checked
from monitor.store.errors import StoreError
from monitor.store.inbox import submit
from monitor.store.records import Spend, SpendRow

#: The inbox's word for it.
SPEND = "spend"
#: US dollars; more than any probes of one command cost.
_MOST = 1000.0


def book(settings: Settings, checked: Iterable[Checked], now: datetime) -> str | None:
    """Ask the daemon to book what probes cost; why it could not be asked, None when all is well.

    `now` says which UTC day is charged. A key's probes are one request. Nothing is made up: without
    a database there is nobody to ask.
    """
    sums: dict[str, dict[str, Any]] = {}
    for one in checked:
        if not one.cost_usd:
            continue
        item = sums.setdefault(
            one.target.key,
            {"key": one.target.key, "day": f"{now:%Y-%m-%d}", "usd": 0.0, "estimated": False,
             "probes": 0},
        )  # fmt: skip
        item["usd"] += one.cost_usd
        item["probes"] += 1
        item["estimated"] |= one.estimated
    return _ask(settings, list(sums.values()), now)


def book_all(settings: Settings, spent: Iterable[SpendRow]) -> str | None:
    """The same for what a monitor of its own, such as `wait`'s, has booked in its own database."""
    asked = [
        {"key": row.key, "day": f"{row.day}", "usd": row.settled_usd + row.reserved_usd,
         "estimated": row.estimated, "probes": row.probes}
        for row in spent
    ]  # fmt: skip
    return _ask(settings, [item for item in asked if item["usd"]], datetime.now(UTC))


def _ask(settings: Settings, items: list[dict[str, Any]], now: datetime) -> str | None:
    if not items:
        return None
    total = sum(item["usd"] for item in items)
    if not settings.database.exists():
        return f"${total:.5f} not booked: there is no database yet ({settings.database})"
    try:
        for item in items:
            submit(settings.database, SPEND, item, now)
    except StoreError as error:
        return f"${total:.5f} not booked: {error}"
    return None


def spend_of(payload: Mapping[str, Any]) -> Spend | None:
    """What another process asks to book; None when it cannot be understood."""
    key, usd, probes = payload.get("key"), _number(payload.get("usd")), payload.get("probes", 1)
    try:
        day = date.fromisoformat(str(payload.get("day")))
    except ValueError:
        return None
    if not isinstance(key, str) or not 0 < usd <= _MOST:
        return None
    if not isinstance(probes, int) or not 0 <= probes <= _MOST:
        return None
    estimated = payload.get("estimated") is True
    return Spend(key, day, settled_usd=usd, probes=probes, estimated=estimated)


def _number(value: Any) -> float:
    """The number; nought for whatever is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if math.isfinite(value) else 0.0
