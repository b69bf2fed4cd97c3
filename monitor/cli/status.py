"""`status`: what the database knows of targets and daemon, beside a running daemon."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.access.readable import ago, many, milliseconds, next_probe_text, printable, span, utc
from monitor.access.target import pool_name_of, pool_summary
from monitor.access.words import Code, Effect, State
from monitor.cli.common import (
    ConfigOption,
    FormatOption,
    load_settings,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from monitor.config import Settings
    from monitor.store.records import DaemonRow, TargetStatus, WorkerStatus
    from monitor.store.status_queries import Money

#: Routes are compared by what they answered lately.
_COMPARED = timedelta(days=7)
#: Targets of pools that are listed at most; the rest is counted.
LISTED_MOST = 50
#: How long a change counts as recent.
_NEWS = timedelta(hours=1)


def status(
    *,
    routes: Annotated[
        bool, typer.Option("--routes", help="Compare the routes to each model instead.")
    ] = False,
    config: ConfigOption = None,
    output: FormatOption = "text",
) -> None:
    """Show every target: its state, since when, what is in the way, and when it is probed next.

    A pool is a line, and of its targets only what is out of the ordinary is listed; JSON has all.

    With --routes: for each model and route the states, how fast it answered, and what, in 7 days.
    """
    from monitor.store import status_queries
    from monitor.store.record_forms import as_json

    settings = load_settings(config, reading=True)
    now = datetime.now(UTC)
    if routes:
        _routes(settings, now, output)
        return
    found = status_queries.status(settings.database, now=now)
    if output == "json":
        print_json(as_json(found))
        return
    pools, targets, more = pool_summaries(
        found.targets, [pool.name for pool in settings.pools], settings.deadlines.stale, now
    )
    if pools:
        print("\n".join([*pools, ""]))
    rows = [
        (
            t.target,
            str(t.state),
            ago(t.since, now),
            str(t.blocker or "-"),
            last_answer(t),
            ago(t.last_probe_at, now),
            next_probe_text(t.next_probe_at, t.held_by, now),
            f"{t.spend_today_usd:.4f}",
        )
        for t in targets
    ]
    columns = ("TARGET", "STATE", "SINCE", "BLOCKER", "LAST ANSWER", "LAST", "NEXT", "KEY TODAY $")
    if rows or not pools:
        print_table(columns, rows)
    if any(one.last_diagnosis is Code.NETWORK_ERROR for one in found.targets):
        for why, who in status_queries.no_answer_reasons(settings.database):
            print()
            short = who if len(who) <= 200 else f"{who[:200]}…"
            print(printable(f"no answer to {short}: {why}"))
    if more:
        print(f"and {more} more of pools that are out of the ordinary: --format json has all")
    for line in gone(settings, status_queries.money(settings.database, now=now)):
        print(f"\n{printable(line)}")
    oldest = found.oldest_pending_s
    waits = "" if oldest is None else f" (the oldest for {span(oldest)})"
    hidden = f", {found.silenced} silenced" if found.silenced else ""
    print(f"\nnotifications: {found.pending} pending{waits}, {found.dead} dead{hidden}")
    for one in found.silences:
        until = f"until {utc(one.expires_at)} ({ago(one.expires_at, now)})"
        of = ", ".join(one.patterns)
        print(printable(f"silence {one.id}: {of} {until}, by {one.by}: {one.reason}"))
    print(_daemon_line(found.daemon, now))
    for worker in found.workers:
        print(printable(_worker_line(worker)))


def gone(settings: "Settings", money: "Money") -> list[str]:
    """The budgets with no room left for a probe: only listings are sent."""
    from monitor.config import price_of

    day, month = settings.budget.per_key_per_day, settings.budget.per_month
    over, least = [], month
    for key in settings.keys:
        spent = money.today.get(key.name, 0.0)
        if not spent:
            continue
        route = settings.routes[key.route]
        dearest = max(price_of(settings.catalog, route, one)[0] for one in key.watch)
        least = min(least, dearest)
        if spent + dearest > day:
            over.append(f"{key.name} (${spent:.4f}, ${money.held[key.name]:.4f} of it held)")
    said = []
    if over:
        more = f" and {len(over) - 5} more" if len(over) > 5 else ""
        said.append(
            f"budget: today's ${day:g} is gone for {', '.join(over[:5])}{more}; only listings are"
            " sent until 00:00 UTC, or until what is in doubt is given back"
        )
    if money.month and money.month + least > month:
        said.append(f"budget: the month's ${month:g} is gone (${money.month:.4f} booked or held)")
    return said


def _routes(settings: "Settings", now: datetime, output: str) -> None:
    """Print each route separately: provider access is never added to OpenAI access."""
    from monitor.store import queries
    from monitor.store.record_forms import as_json

    found = queries.routes(settings.database, since=now - _COMPARED)
    if output == "json":
        print_json(as_json({"since": now - _COMPARED, "routes": found}))
        return
    rows = [
        (
            f"{one.model}:{one.surface}",
            one.route,
            str(one.contract),
            ", ".join(f"{count} {state}" for state, count in one.states.items()),
            str(one.answers),
            milliseconds(one.latency_median_ms),
            milliseconds(one.latency_p95_ms),
            ", ".join(
                f"{code} {of.count} ({milliseconds(of.latency_median_ms)})"
                for code, of in one.by_diagnosis.items()
            )
            or "-",
        )
        for one in found
    ]
    columns = ("MODEL", "ROUTE", "CONTRACT", "TARGETS", "ANSWERS", "MEDIAN", "95 %", "BY DIAGNOSIS")
    print_table(columns, rows)
    print(f"\nfull probes of {_COMPARED.days} days; latencies in brackets are that answer's median")


def _daemon_line(daemon: "DaemonRow | None", now: datetime) -> str:
    from monitor.store.status_queries import trouble

    if daemon is None:
        return "daemon: has not run yet"
    if daemon.stopped_at:
        return f"daemon: stopped {ago(daemon.stopped_at, now)}"
    if problem := trouble(daemon, now):
        return f"not as it should be: {printable(problem)}"
    line = f"daemon: running since {utc(daemon.started_at)} (pid {daemon.pid})"
    if missed := daemon.status.get("rounds_missed"):
        line += f"; {missed:,} rounds of probes were missed since then"
    return line


def _worker_line(worker: "WorkerStatus") -> str:
    if worker.gone:
        return f"worker {worker.name}: gone, last seen {span(worker.seen_s)} ago"
    has = f"{many(worker.shards, 'shard')}, {many(worker.targets, 'target')}"
    offline = "; it reaches no route" if worker.offline else ""
    return (
        f"worker {worker.name}: {has}, seen {span(worker.seen_s)} ago ({worker.machine}){offline}"
    )


def pool_summaries(
    targets: "Sequence[TargetStatus]", pools: Collection[str], stale: timedelta, now: datetime
) -> "tuple[list[str], list[TargetStatus], int]":
    """A summary of each pool; the targets to list; how many more of pools are out of the ordinary.

    Out of the ordinary is what is blocked, locked, or changed within the hour, whose last answer told
    nothing, or whose next probe is late by `stale`: in this order. What is in no pool is listed before.
    """
    own: list[TargetStatus] = []
    by_pool: dict[str, list[TargetStatus]] = {name: [] for name in pools}
    for target in targets:
        pool = pool_name_of(target.key, pools)
        (by_pool[pool] if pool else own).append(target)
    lines = [
        pool_summary(pool, ((one.state, one.blocker) for one in its))
        for pool, its in by_pool.items()
    ]
    ranked = [
        (rank, target)
        for its in by_pool.values()
        for target in its
        if (rank := _rank(target, stale, now)) is not None
    ]
    ranked.sort(key=lambda one: one[0])
    listed = [target for _, target in ranked[:LISTED_MOST]]
    return lines, own + listed, len(ranked) - len(listed)


def last_answer(target: "TargetStatus") -> str:
    """What the last answer means; a list that came as it should says nothing of the gate."""
    return str(target.last_diagnosis or ("list answered" if target.last_probe_at else "-"))


def _rank(target: "TargetStatus", stale: timedelta, now: datetime) -> int | None:
    """How far out of the ordinary a target is, 0 the farthest; None when it is not."""
    if target.blocker:
        return 0
    if target.state is State.LOCKED:
        return 1
    if target.state is not State.UNKNOWN and now - target.since < _NEWS:
        return 2
    answer, due = target.last_diagnosis, target.next_probe_at
    if (answer and answer.effect is Effect.INCONCLUSIVE) or (due and now - due >= stale):
        return 3
    return None
