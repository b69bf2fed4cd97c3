"""`status` and `history`: what the database knows, read beside a running daemon."""

import os
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.access.words import Code
from monitor.cli.common import (
    ConfigOption,
    Format,
    FormatOption,
    ago,
    fail,
    load_settings,
    parse_since,
    plain_errors,
    print_json,
    print_table,
    printable,
    read_settings,
    span,
    utc,
)

if TYPE_CHECKING:
    from monitor.config import Settings
    from monitor.store.records import DaemonRow, HistoryRow, TargetStatus
    from monitor.store.status_queries import Money

#: Routes are compared by what they answered lately.
_COMPARED = timedelta(days=7)


def status(
    *,
    routes: Annotated[
        bool, typer.Option("--routes", help="Compare the routes to each model instead.")
    ] = False,
    config: ConfigOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show every target: its state, since when, what is in the way, and when it is probed next.

    A pool is a line, and of its targets only what is out of the ordinary is listed; JSON has all.

    With --routes: for each model and route the states, how fast it answered, and what, in 7 days.
    """
    from monitor.cli.pool_lines import pool_summaries
    from monitor.store import status_queries
    from monitor.store.forms import as_json

    settings = load_settings(config, reading=True)
    now = datetime.now(UTC)
    if routes:
        _routes(settings, now, output)
        return
    with plain_errors():
        found = status_queries.status(settings.database, now=now)
    if output is Format.JSON:
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
            str(t.last_diagnosis or "-"),
            ago(t.last_probe_at, now),
            next_probe_text(t, now),
            f"{t.spend_today_usd:.4f}",
        )
        for t in targets
    ]
    columns = ("TARGET", "STATE", "SINCE", "BLOCKER", "LAST ANSWER", "LAST", "NEXT", "KEY TODAY $")
    if rows or not pools:
        print_table(columns, rows)
    if any(one.last_diagnosis is Code.NETWORK_ERROR for one in found.targets):
        with plain_errors():
            for why, who in status_queries.no_answer_reasons(settings.database):
                print()
                print(printable(f"no answer to {_short(who)}: {why}"))
    if more:
        print(f"and {more} more of pools that are out of the ordinary: --format json has all")
    with plain_errors():
        for line in gone(settings, status_queries.money(settings.database, now=now)):
            print(f"\n{printable(line)}")
    oldest = found.oldest_pending_s
    waits = "" if oldest is None else f" (the oldest for {span(oldest)})"
    print(f"\nnotifications: {found.pending} pending{waits}, {found.dead} dead")
    print(_daemon_line(found.daemon, now))


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


def next_probe_text(target: "TargetStatus", now: datetime) -> str:
    """When the next probe is due, and what holds it back."""
    due = target.next_probe_at
    soon = ago(due, now) if due and due > now else ""
    if target.held_by:
        return f"{soon} ({target.held_by})" if soon else str(target.held_by)
    return soon or ("due" if due else "-")


def _short(names: str) -> str:
    return names if len(names) <= 200 else f"{names[:200]}…"


def _routes(settings: "Settings", now: datetime, output: Format) -> None:
    """Print each route separately: provider access is never added to OpenAI access."""
    from monitor.store import queries
    from monitor.store.forms import routes_as_json

    with plain_errors():
        found = queries.routes(settings.database, since=now - _COMPARED)
    if output is Format.JSON:
        print_json(routes_as_json(found, since=now - _COMPARED))
        return
    rows = [
        (
            f"{one.model}:{one.surface}",
            one.route,
            str(one.contract),
            ", ".join(f"{count} {state}" for state, count in one.states.items()),
            str(one.answers),
            _ms(one.latency_median_ms),
            _ms(one.latency_p95_ms),
            ", ".join(
                f"{code} {of.count} ({_ms(of.latency_median_ms)})"
                for code, of in one.by_diagnosis.items()
            )
            or "-",
        )
        for one in found
    ]
    columns = ("MODEL", "ROUTE", "CONTRACT", "TARGETS", "ANSWERS", "MEDIAN", "95 %", "BY DIAGNOSIS")
    print_table(columns, rows)
    print(f"\nfull probes of {_COMPARED.days} days; latencies in brackets are that answer's median")


def _ms(ms: float | None) -> str:
    if ms is None:
        return "-"
    return f"{ms / 1000:.1f} s" if ms >= 10_000 else f"{ms:.0f} ms"


def _daemon_line(daemon: "DaemonRow | None", now: datetime) -> str:
    from monitor.daemon.health import trouble

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


def history(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[TARGET]", help="KEY, KEY/MODEL, KEY/MODEL:SURFACE, or a pattern with * and ?."
        ),
    ] = None,
    since: Annotated[str | None, typer.Option(help="2d, 90m, or a time.")] = None,
    config: ConfigOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show what happened, oldest first, and who was told; of one target the last message in full, too."""
    from monitor.config import find, named_database
    from monitor.store import queries
    from monitor.store.forms import as_json

    start = parse_since(since, datetime.now(UTC)) if since else None
    with plain_errors():
        # the settings' other parts are not needed, and thousands of keys take their time
        database = named_database(find(config, os.environ), os.environ)
        pattern = None if target is None else _pattern(database, target, config)
        found = queries.history(database, pattern, since=start)
    if output is Format.JSON:
        print_json([as_json(row) for row in found])
        return
    print_history(found)
    if len(found) == queries.LIMIT:
        print(f"These are the newest {queries.LIMIT:,}: name a target, or a time with --since.")
    if len({row.event.target for row in found}) == 1:
        _print_message(found[-1])


def _print_message(row: "HistoryRow") -> None:
    """Print the message in full: a channel with a small limit leaves parts out."""
    from monitor.alerts.messages import compose
    from monitor.logs.redaction import Redactor

    message = compose([row.event], now=row.event.at)
    for line in (f"\nThe last message: {message.title}", "", *message.text.rstrip().splitlines()):
        print(printable(Redactor().text(line)))


def _pattern(database: Path, target: str, config: Path | None) -> str:
    """What selects the targets that are meant; ends the command when there are none."""
    from monitor.config import SettingsError
    from monitor.config.problems import shown, suggestion
    from monitor.store import queries

    known = set(queries.names(database))
    if target in known:
        return target
    if any(sign in target for sign in "*?["):
        if any(fnmatchcase(name, target) for name in known):
            return target
        fail(f"no target matches {shown(target)}")
    # a key's targets, or those of a model on all surfaces; signs of patterns mean themselves
    end = ":*" if "/" in target else "/*"
    if any(name.startswith(target + end[0]) for name in known):
        return re.sub(r"([*?[])", r"[\1]", target) + end
    coming: set[str] = set()
    with suppress(SettingsError):  # named by the settings, and not watched yet: there is no history
        coming = {one.name for one in read_settings(config, secrets=False).targets()}
    if not any(name == target or name.startswith(target + end[0]) for name in coming):
        near = {*known, *coming, *(name.partition("/")[0] for name in known | coming)}
        fail(f"no target is named {shown(target)}; {printable(suggestion(target, near))}")
    return target


def print_history(found: "list[HistoryRow]") -> None:
    """Print events as a table."""
    columns = ("ID", "AT", "TARGET", "WHAT", "REASON", "ANSWER", "TOLD")
    print_table(columns, [_history_row(row) for row in found])


def _history_row(row: "HistoryRow") -> tuple[str, ...]:
    event = row.event
    what = str(event.kind)
    if event.before and event.after:
        what = f"{event.before} → {event.after}"
        if str(event.kind) != str(event.after):
            what += f" ({event.kind})"
    told = ", ".join(f"{n.channel} {n.state}" for n in row.notifications)
    return (
        str(event.id),
        utc(event.at),
        event.target or event.route or "-",
        what,
        str(event.reason),
        str(event.diagnosis or "-"),
        told or "-",
    )
