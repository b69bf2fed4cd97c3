"""`diagnose`: the self-help list of the threads, run as checks of one key."""

import os
import textwrap
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.checking import status_of, with_declarations
from monitor.cli.common import (
    ConfigOption,
    Format,
    FormatOption,
    fail,
    load_settings,
    note,
    print_json,
    print_table,
    printable,
)
from monitor.cli.reservations import OverBudget, Yes, agree, probing
from monitor.cli.streams import redactor

if TYPE_CHECKING:
    from monitor.config import Settings
    from monitor.oneshot.checkup_plan import CheckupPlan


def diagnose(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The name of a key of the settings.")],
    *,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL[:SURFACE]", help="Default: the first that the key watches."),
    ] = None,
    yes: Yes = False,
    over_budget: OverBudget = False,
    config: ConfigOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Run the whole self-help list on one key: whose problem it is, what to do, what not to bother doing.

    Exit status as `check`: 0 granted, 10 gated (11 after a fresh declaration), 12 locked, 13 blocked,
    14 inconclusive.
    """
    from monitor.daemon.signals import run
    from monitor.oneshot.checkup import checkup
    from monitor.oneshot.probe_once import Attempts, worst_case

    settings = with_declarations(load_settings(config), datetime.now(UTC))
    plan = _plan(settings, key, model)
    agree(_announce(settings, plan), yes=yes)
    prices = {target: worst_case(settings, target)[0] for target in plan}
    attempts = Attempts()
    with probing(settings, prices, attempts, over=over_budget):
        report = run(checkup(settings, plan, os.environ, datetime.now(UTC), attempts))
    # Evidence quotes variables and servers: whatever is secret in it goes last of all.
    hide = redactor().value
    shown = hide(report.as_json())
    if output is Format.JSON:
        print_json(shown)
    else:
        _print(shown, hide(report.verdict.steps))
    raise typer.Exit(status_of(settings, report.key, report.verdict.diagnosis.effect))


def _plan(settings: "Settings", key: str, model: str | None) -> "CheckupPlan":
    from monitor.oneshot.checkup_plan import plan_of

    known = [one.name for one in settings.keys]
    if key not in known:
        fail(f"no key is named {key!r}; the settings have {', '.join(known[:20])}")
    try:
        return plan_of(settings, key, model, datetime.now(UTC).date())
    except ValueError as error:
        fail(f"--model: {error}")


def _announce(settings: "Settings", plan: "CheckupPlan") -> float:
    """Print what will be probed and what it costs at most; return the cost."""
    from monitor.oneshot.checkup_plan import cost

    total, estimated = cost(settings, plan)
    probes = list(plan)
    note(
        f"{plan.target.name}: {len(probes)} probes besides free requests; refused ones cost nothing;"
        f" at most {'about ' if estimated else ''}${total:.4f} if all are open"
    )
    for route in dict.fromkeys(target.route for target in plan.others):
        names = ", ".join(target.name for target in plan.others if target.route == route)
        note(f"  beside it over {route}, with that key's own secret: {names}")
    if plan.left_out:
        note(f"  and {plan.left_out} more, which are left out")
    return total


def _print(shown: dict[str, Any], steps: list[str]) -> None:
    rows = [
        (
            check["name"],
            check["result"],
            "-" if check["took_ms"] is None else f"{check['took_ms']:.0f} ms",
            check["evidence"],
        )
        for check in shown["checks"]
    ]
    print_table(("CHECK", "RESULT", "TOOK", "EVIDENCE"), rows)
    if len(shown["routes"]) > 1:
        print()
        _print_routes(shown["routes"])
    verdict = shown["verdict"]
    print(f"\nverdict: {verdict['diagnosis']}, owner: {verdict['owner']}")
    _print_list("what to do:", steps)
    if verdict["not_worth"]:
        _print_list("what not to bother doing:", verdict["not_worth"])
    print(f"\ncost: ${shown['cost_usd']:.5f}")


def _print_list(title: str, lines: list[str]) -> None:
    print(f"\n{title}")
    for line in lines:
        print(textwrap.fill(printable(line), 100, initial_indent="  - ", subsequent_indent="    "))


def _print_routes(routes: list[dict[str, Any]]) -> None:
    rows = [
        (
            route["target"],
            f"{route['route']} ({route['contract']})",
            route["effect"],
            route["diagnosis"],
            str(route["status"] or "-"),
            "-" if route["first_byte_ms"] is None else f"{route['first_byte_ms']:.0f} ms",
            f"{route['latency_ms']:.0f} ms",
            f"${route['cost_usd']:.5f}" + (" (estimate)" if route["cost_estimated"] else ""),
        )
        for route in routes
    ]
    columns = ("TARGET", "ROUTE", "EFFECT", "DIAGNOSIS", "STATUS", "FIRST BYTE", "TOTAL", "COST")
    print_table(columns, rows)
