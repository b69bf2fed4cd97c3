"""`status` and `history`: what the database knows, read beside a running daemon."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.common import (
    ConfigOption,
    Format,
    FormatOption,
    ago,
    load_settings,
    parse_since,
    plain_errors,
    print_json,
    print_table,
    utc,
)

if TYPE_CHECKING:
    from monitor.store.records import DaemonRow, HistoryRow

#: A daemon notes its progress every 15 s; without any for this long it is gone or hangs.
_SILENT = timedelta(seconds=60)


def status(config: ConfigOption = None, output: FormatOption = Format.TEXT) -> None:
    """Show every target: its state, since when, what is in the way, and when it is looked at next."""
    from monitor.store import queries
    from monitor.store.shapes import as_json

    settings = load_settings(config, reading=True)
    now = datetime.now(UTC)
    with plain_errors():
        found = queries.status(settings.database, now=now)
    if output is Format.JSON:
        print_json(as_json(found))
        return
    rows = [
        (
            t.target,
            str(t.state),
            ago(t.since, now),
            str(t.blocker or "-"),
            str(t.last_diagnosis or "-"),
            ago(t.last_probe_at, now),
            ago(t.next_probe_at, now),
            f"{t.spend_today_usd:.4f}",
        )
        for t in found.targets
    ]
    columns = ("TARGET", "STATE", "SINCE", "BLOCKER", "LAST ANSWER", "LAST", "NEXT", "KEY TODAY $")
    print_table(columns, rows)
    print(f"\nnotifications: {found.pending} pending, {found.dead} dead")
    print(_daemon_line(found.daemon, now))


def _daemon_line(daemon: "DaemonRow | None", now: datetime) -> str:
    if daemon is None:
        return "daemon: has not run yet"
    if daemon.stopped_at:
        return f"daemon: stopped {ago(daemon.stopped_at, now)}"
    if now - daemon.progress_at > _SILENT:
        return f"daemon: no progress since {utc(daemon.progress_at)}: it was killed, or hangs"
    return f"daemon: running since {utc(daemon.started_at)} (pid {daemon.pid})"


def history(
    target: Annotated[
        str | None, typer.Argument(metavar="[TARGET]", help="A target's name, or a pattern.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="2d, 90m, or a time.")] = None,
    config: ConfigOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show what happened, oldest first, and who was told."""
    from monitor.store import queries
    from monitor.store.shapes import as_json

    settings = load_settings(config, reading=True)
    start = parse_since(since, datetime.now(UTC)) if since else None
    with plain_errors():
        found = queries.history(settings.database, target, since=start)
    if output is Format.JSON:
        print_json([as_json(row) for row in found])
        return
    print_history(found)


def print_history(found: "list[HistoryRow]") -> None:
    """Print happenings as a table."""
    columns = ("ID", "AT", "TARGET", "WHAT", "REASON", "ANSWER", "TOLD")
    print_table(columns, [_history_row(row) for row in found])


def _history_row(row: "HistoryRow") -> tuple[str, ...]:
    happening = row.happening
    what = str(happening.event)
    if happening.before and happening.after:
        what = f"{happening.before} → {happening.after}"
        if str(happening.event) != str(happening.after):
            what += f" ({happening.event})"
    told = ", ".join(f"{n.channel} {n.state}" for n in row.notifications)
    return (
        str(row.id),
        utc(happening.at),
        happening.target or happening.route or "-",
        what,
        str(happening.reason),
        str(happening.diagnosis or "-"),
        told or "-",
    )
