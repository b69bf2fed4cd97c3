"""`declare`: what a person knows of a verification, told to the daemon."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.access.words import Contract, DeclarationKind, State
from monitor.cli.common import (
    ConfigOption,
    ago,
    fail,
    load_settings,
    many,
    plain_errors,
    printable,
    when_taken,
)

if TYPE_CHECKING:
    from monitor.access.target import Target
    from monitor.config import Settings
    from monitor.store.records import Status


def declare(
    kind: Annotated[
        DeclarationKind,
        typer.Argument(
            help="What became of the verification.", metavar="verified|rejected|cleared"
        ),
    ],
    subject: Annotated[str, typer.Argument(metavar="ORGANIZATION|KEY", help="As in the settings.")],
    at: Annotated[
        str, typer.Option(metavar="TIME", help='When: "14:05", "20 min ago", RFC 3339.')
    ] = "now",
    config: ConfigOption = None,
) -> None:
    """Tell the monitor that a verification was completed or rejected, or clear what was declared."""
    from monitor.access.states import RETRY_AFTER_REJECTION
    from monitor.cli.times import echo, parse_time
    from monitor.store import status_queries
    from monitor.store.database import create
    from monitor.store.inbox import submit_declaration

    now = datetime.now(UTC)
    try:
        told_at = parse_time(at, now)
    except ValueError as error:
        fail(f"--at {printable(at)!r} {error}")
    settings = load_settings(config, reading=True)
    targets = _of(settings, subject)
    with plain_errors():
        create(settings.database)  # before the first start, too: it is kept for it
        status = status_queries.status(settings.database, now=now)
        submit_declaration(settings.database, kind, subject, told_at, now)
    print(f"{kind}: {subject}, at {echo(told_at)} ({ago(told_at, now)})")
    print(_touched(settings, targets, status))
    if kind is DeclarationKind.REJECTED:
        again = told_at + RETRY_AFTER_REJECTION
        print(f"the next try of a verification makes sense from {echo(again)} on")
    give_up = settings.deadlines.give_up_after
    if kind is DeclarationKind.VERIFIED and now - told_at >= give_up:
        print(
            f"that is more than {give_up.days} days ago: it is kept, and nothing is expected of it"
        )
    print(f"handed to the daemon, {when_taken(status.daemon, now)}")


def _of(settings: "Settings", subject: str) -> "list[Target]":
    """The targets of an organization or a key; ends the command when it is neither."""
    from monitor.config.problems import shown, suggestion

    keys = {key.name for key in settings.keys}
    organizations = {key.organization for key in settings.keys if key.organization}
    if subject not in keys | organizations:
        near = printable(suggestion(subject, keys | organizations))
        fail(f"no key and no organization of the settings is named {shown(subject)}; {near}")
    return [one for one in settings.targets() if subject in (one.key, one.organization)]


def _touched(settings: "Settings", targets: "list[Target]", status: "Status") -> str:
    """How many targets a declaration may touch, and why others are left alone."""
    available = {one.target for one in status.targets if one.state is State.AVAILABLE}
    counts = {"on provider routes": 0, "without a gate": 0, "available": 0}
    for target in targets:
        known = settings.catalog.get(target.capability.model)
        if target.contract is not Contract.DIRECT:
            counts["on provider routes"] += 1
        elif known is not None and target.capability.surface not in known.gates:
            counts["without a gate"] += 1
        elif target.name in available:
            counts["available"] += 1
    left = ", ".join(f"{count} {why}" for why, count in counts.items() if count)
    touched = len(targets) - sum(counts.values())
    return f"it may touch {touched} of {many(len(targets), 'target')}" + (
        f" (left alone: {left})" if left else ""
    )
