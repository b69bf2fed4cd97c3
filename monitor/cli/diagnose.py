"""`diagnose` and `evidence`: why a key is refused, and the bundle that support asks for."""

import os
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.access.readable import printable
from monitor.cli import completing
from monitor.cli.checking import status_of, target_argument, with_declarations
from monitor.cli.common import (
    BundleFormat,
    ConfigOption,
    FormatOption,
    fail,
    load_settings,
    note,
    print_json,
    print_table,
    select_targets,
)
from monitor.cli.reservations import OverBudget, Yes, agree, probing
from monitor.cli.streams import redactor

if TYPE_CHECKING:
    from monitor.access.target import Target
    from monitor.config import Settings
    from monitor.oneshot.checkup_plan import CheckupPlan
    from monitor.oneshot.evidence_bundle import ProjectRules
    from monitor.store.target_queries import TargetRecord


def diagnose(
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="The name of a key of the settings.", autocompletion=completing.keys
        ),
    ],
    *,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL[:SURFACE]", help="Default: the first that the key watches."),
    ] = None,
    yes: Yes = False,
    over_budget: OverBudget = False,
    config: ConfigOption = None,
    output: FormatOption = "text",
) -> None:
    """Run the whole self-help list on one key: whose problem it is, what to do, what not to bother doing.

    Exit status as `check`: 0 granted, 10 gated (11 after a fresh declaration), 12 locked, 13 blocked,
    14 inconclusive.
    """
    from monitor.daemon.signals import run
    from monitor.oneshot.checkup import checkup

    settings = with_declarations(load_settings(config, alerting=False), datetime.now(UTC))
    plan = _plan(settings, key, model)
    agree(_announce(settings, plan), yes=yes)
    with probing(settings, plan, over=over_budget) as attempts:
        report = run(checkup(settings, plan, os.environ, datetime.now(UTC), attempts))
    # Evidence quotes variables and servers: whatever is secret in it goes last of all.
    hide = redactor().value
    shown = hide(report.as_json())
    if output == "json":
        print_json(shown)
    else:
        _print(shown, hide(report.verdict.steps))
    raise typer.Exit(status_of(settings, key, report.verdict.diagnosis.effect))


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
    """Print what will be probed and what it costs by the catalog; return the cost."""
    from monitor.oneshot.probe_once import cost

    total = cost(settings, plan)
    probes = list(plan)
    note(
        f"{plan.target.name}: {len(probes)} probes besides free requests; refused ones cost nothing;"
        f" about ${total:.4f} if all are open"
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


def evidence(
    target: Annotated[str, target_argument("TARGET")],
    config: ConfigOption = None,
    output: BundleFormat = "markdown",
    *,
    admin: Annotated[
        bool,
        typer.Option(
            "--admin",
            help="Ask with the organization's admin key what the project may use: free requests.",
        ),
    ] = False,
) -> None:
    """Print what support asks for: who asks for what, the answers since, request ids, what was ruled out.

    Sends nothing and needs no secret, but for --admin; where the key can be read its fingerprint is shown.
    """
    from monitor.config.references import resolved
    from monitor.oneshot.evidence_bundle import Asked, bundle
    from monitor.oneshot.evidence_text import markdown
    from monitor.store.target_queries import target_record

    settings = load_settings(config, reading=not admin, alerting=False)
    chosen = select_targets(settings, [target])
    if len(chosen) != 1:
        fail(
            f"{target!r} names several targets; write one of\n  "
            + "\n  ".join(one.name for one in chosen)
        )
    (one,) = chosen
    known = target_record(settings.database, one.name)
    rules = _admin_rules(settings, one, known) if admin else None
    # relative paths of references start there
    folder = settings.source.parent.absolute() if settings.source else Path()
    secret = resolved(settings.key(one.key).secret, os.environ, folder)
    asked = Asked(
        route=settings.routes[one.route],
        catalog=settings.catalog,
        reference=settings.key(one.key).secret.reference,
        fingerprint=secret.fingerprint if secret else None,
        rules=rules,
    )
    made = bundle(known, asked, datetime.now(UTC))
    redactor().learn([secret.reveal()] if secret else ())
    made = redactor().value(made)
    if output == "json":
        print_json(made)
    else:
        print(markdown(made), end="")


def _admin_rules(settings: "Settings", target: "Target", known: "TargetRecord") -> "ProjectRules":
    """What the admin key reads; ends the command where there is none, or nothing to ask for."""
    from monitor.access.words import Contract
    from monitor.daemon.signals import run
    from monitor.oneshot.model_checks import project_rules
    from monitor.probing import Prober

    if target.contract is not Contract.DIRECT:
        fail(f"--admin: {target.name} goes over a provider's route, which no admin key can read")
    if target.organization not in settings.organizations:
        name = target.organization or "org-…"
        why = (
            "the settings have no admin key for it" if target.organization else "its key names none"
        )
        fail(
            f'--admin: organization of {target.name}: {why}: [organizations."{name}"] admin_key = …'
        )
    headers = known.runs[-1].headers if known.runs else {}
    project = target.project or headers.get("openai-project")

    async def ask() -> "ProjectRules | None":
        prober = Prober(catalog=settings.catalog)
        try:
            return await project_rules(
                settings, prober, target.organization, project, target.capability.model
            )
        finally:
            await prober.aclose()

    rules = run(ask())
    if rules is None:
        fail(f"--admin: no project is configured for {target.key}, and the answers name none")
    return rules
