"""`propagation`: how long openings took, by model and organization."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from monitor.cli.common import (
    ConfigOption,
    Format,
    FormatOption,
    load_settings,
    plain_errors,
    print_json,
    print_table,
    utc,
)

if TYPE_CHECKING:
    from monitor.access.wait_times import OngoingWait, Opening, Summary

#: Records that the text shows, the newest.
_SHOWN = 20
_COLUMNS = (
    "CONTRACT", "MODEL", "ORGANIZATION", "OPENINGS", "WAITING", "MEDIAN", "75 %", "90 %", "95 %",
)  # fmt: skip
_RECORDS = (
    "TARGET", "FROM", "STARTED", "FIRST LIGHT", "WAITED", "SETTLED", "PROBES", "COST $", "FLICKERS",
)  # fmt: skip


def propagation(config: ConfigOption = None, output: FormatOption = Format.TEXT) -> None:
    """Show how long openings took, by model and organization, direct and provider routes apart."""
    from monitor.access.wait_times import summaries
    from monitor.store.queries import propagation as read

    settings = load_settings(config, reading=True)
    with plain_errors():
        openings, waiting = read(settings.database, now=datetime.now(UTC))
    groups = summaries(openings, waiting)
    if output is Format.JSON:
        print_json(_as_json(groups, openings, waiting))
    else:
        _print(groups, openings)


def _as_json(
    groups: "list[Summary]", openings: "list[Opening]", waiting: "list[OngoingWait]"
) -> dict[str, Any]:
    from dataclasses import asdict

    from monitor.store.forms import plain

    return {
        "groups": [plain(asdict(group)) for group in groups],
        "openings": [plain(asdict(one) | {"wait_s": one.wait_s}) for one in openings],
        "waiting": [plain(asdict(one)) for one in waiting],
    }


def _print(groups: "list[Summary]", openings: "list[Opening]") -> None:
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
    from monitor.alerts.facts import duration

    return "-" if seconds is None else duration(seconds)
