"""`history` and `propagation`: what happened, and how long openings took."""

import os
import re
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.access.databases import Database
from monitor.access.readable import printable, utc
from monitor.cli import completing
from monitor.cli.common import (
    ConfigOption,
    FormatOption,
    fail,
    fail_unknown,
    load_settings,
    note,
    print_json,
    print_table,
    read_settings,
)

if TYPE_CHECKING:
    from monitor.access.wait_times import Opening, Summary
    from monitor.store.records import HistoryRow

#: Records that the text shows, the newest.
_SHOWN = 20
_COLUMNS = (
    "CONTRACT", "MODEL", "ORGANIZATION", "OPENINGS", "WAITING", "MEDIAN", "75 %", "90 %", "95 %",
)  # fmt: skip
_RECORDS = (
    "TARGET", "FROM", "STARTED", "FIRST LIGHT", "WAITED", "SETTLED", "PROBES", "COST $", "FLICKERS",
)  # fmt: skip


def history(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[TARGET]",
            help="KEY, KEY/MODEL, KEY/MODEL:SURFACE, or a pattern with * and ?.",
            autocompletion=completing.targets,
        ),
    ] = None,
    since: Annotated[str | None, typer.Option(help="2d, 90m, or a time.")] = None,
    config: ConfigOption = None,
    output: FormatOption = "text",
) -> None:
    """Show what happened, oldest first, and who was told; of one target the last message in full, too."""
    from monitor.config import find, named_database
    from monitor.store import queries
    from monitor.store.record_forms import as_json

    start = _since(since, datetime.now(UTC)) if since else None
    # the settings' other parts are not needed, and thousands of keys take their time
    database = named_database(find(config, os.environ), os.environ)
    pattern = None if target is None else _pattern(database, target, config)
    found = queries.history(database, pattern, since=start)
    if output == "json":
        print_json(as_json(found))
        return
    print_history(found)
    if len(found) == queries.LIMIT:
        print(f"These are the newest {queries.LIMIT:,}: name a target, or a time with --since.")
    if len({row.event.target for row in found}) == 1:
        _print_message(found[-1])


def _since(text: str, now: datetime) -> datetime:
    """`2d`, `90m` before now, a date, or a time as people type them; echoed. Ends the command otherwise."""
    from monitor.access.typed_times import echo, parse_time

    day = len(text) == len("2026-11-20") and text[4] == "-"
    try:
        at = parse_time(f"{text} 0:00" if day else text, now)
    except ValueError as error:
        fail(f"--since {printable(text)!r} {error}")
    note(f"since {echo(at)}")
    return at


def _print_message(row: "HistoryRow") -> None:
    """Print the message in full: a channel with a small limit leaves parts out."""
    from monitor.access.masking import Redactor
    from monitor.alerts.messages import Draft

    message = Draft([row.event], now=row.event.at).message()
    for line in (f"\nThe last message: {message.title}", "", *message.text.rstrip().splitlines()):
        print(printable(Redactor().text(line)))


def _pattern(database: Database, target: str, config: Path | None) -> str:
    """What selects the targets that are meant; ends the command when there are none."""
    from monitor.config import SettingsError
    from monitor.config.problems import shown
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
        fail_unknown("target", target, near)
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


def propagation(config: ConfigOption = None, output: FormatOption = "text") -> None:
    """Show how long openings took, by model and organization, direct and provider routes apart."""
    from monitor.access.wait_times import Opening, Samples
    from monitor.store.queries import propagation as read
    from monitor.store.record_forms import as_json

    settings = load_settings(config, reading=True)
    found = list(read(settings.database, now=datetime.now(UTC)))
    openings = [one for one in found if isinstance(one, Opening)]
    waiting = found[len(openings) :]
    groups = list(Samples(found).summaries())
    if output == "json":
        timed = [asdict(one) | {"wait_s": one.wait_s} for one in openings]
        print_json(as_json({"groups": groups, "openings": timed, "waiting": waiting}))
        return
    if not groups:
        print("no opening has been recorded, and nothing waits for one")
        return
    print_table(_COLUMNS, [_group(group) for group in groups])
    print(
        "\nA wait goes from the declaration (without one: a sibling's opening) to the first light. Who\n"
        "still waits counts as having waited at least so long (Kaplan-Meier); - : not reached yet."
    )
    unmeasured = sum(group.unmeasured for group in groups if group.model is None)
    if unmeasured:
        print(
            f"{unmeasured} more openings are excluded from percentiles: their start is unknown,"
            "\nor they had been open before."
        )
    if openings:
        print()
        print_table(_RECORDS, [_record(one) for one in openings[-_SHOWN:]])
    if len(openings) > _SHOWN:
        print(f"\nthe newest {_SHOWN} of {len(openings)} openings; all: --format json")


def _group(group: "Summary") -> tuple[str, ...]:
    percentiles = (group.median_s, group.p75_s, group.p90_s, group.p95_s)
    return (
        str(group.contract),
        group.model or "all",
        group.scope or "all",
        str(group.openings),
        str(group.waiting),
        *(_wait(seconds) for seconds in percentiles),
    )


def _record(one: "Opening") -> tuple[str, ...]:
    settled = (one.settled_at - one.first_light_at).total_seconds()
    return (
        one.target,
        str(one.began),
        utc(one.started_at),
        utc(one.first_light_at),
        _wait(one.wait_s),
        f"after {_wait(settled)}",
        str(one.probes),
        f"{one.cost_usd:.4f}",
        str(one.flickers),
    )


def _wait(seconds: float | None) -> str:
    from monitor.access.readable import duration

    return "-" if seconds is None else duration(seconds)
