"""`evidence`: the bundle that support asks for, from the database alone."""

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.common import (
    ConfigOption,
    fail,
    load_settings,
    plain_errors,
    print_json,
    select_targets,
)
from monitor.cli.streams import redactor

if TYPE_CHECKING:
    from monitor.access.target import Target
    from monitor.config import Settings
    from monitor.oneshot.model_checks import ProjectRules
    from monitor.store.targets import TargetRecord


class BundleFormat(StrEnum):
    """How the bundle is printed."""

    MARKDOWN = "markdown"
    JSON = "json"


def evidence(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="KEY, KEY/MODEL or KEY/MODEL:SURFACE.")
    ],
    config: ConfigOption = None,
    output: Annotated[
        BundleFormat, typer.Option("--format", help="How to print.")
    ] = BundleFormat.MARKDOWN,
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
    from monitor.store.targets import target_record

    settings = load_settings(config, reading=not admin)
    chosen = select_targets(settings, [target])
    if len(chosen) != 1:
        fail(
            f"{target!r} names several targets; write one of\n  "
            + "\n  ".join(one.name for one in chosen)
        )
    (one,) = chosen
    with plain_errors():
        known = target_record(settings.database, one.name)
    rules = _rules(settings, one, known) if admin else None
    secret = resolved(settings.key(one.key).secret, os.environ, _folder(settings))
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
    if output is BundleFormat.JSON:
        print_json(made)
    else:
        print(markdown(made), end="")


def _rules(settings: "Settings", target: "Target", known: "TargetRecord") -> "ProjectRules":
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


def _folder(settings: "Settings") -> Path:
    """What relative paths of references start from."""
    return settings.source.parent.absolute() if settings.source else Path()
