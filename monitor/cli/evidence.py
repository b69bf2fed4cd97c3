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
from monitor.cli.outlet import redactor

if TYPE_CHECKING:
    from monitor.config import Settings


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
) -> None:
    """Print what support asks for: who asks for what, the answers since, request ids, what was ruled out.

    Sends nothing and needs no secret; where the key can be read its fingerprint is shown.
    """
    from monitor.config.references import resolved
    from monitor.daemon.evidence import Asked, bundle
    from monitor.daemon.evidence_text import markdown
    from monitor.store.dossier import dossier

    settings = load_settings(config, reading=True)
    chosen = select_targets(settings, [target])
    if len(chosen) != 1:
        fail(
            f"{target!r} names several targets; write one of\n  "
            + "\n  ".join(one.name for one in chosen)
        )
    (one,) = chosen
    secret = resolved(settings.key(one.key).secret, os.environ, _folder(settings))
    asked = Asked(
        route=settings.routes[one.route],
        catalog=settings.catalog,
        reference=settings.key(one.key).secret.reference,
        fingerprint=secret.fingerprint if secret else None,
    )
    with plain_errors():
        made = bundle(dossier(settings.database, one.name), asked, datetime.now(UTC))
    redactor().learn([secret.reveal()] if secret else ())
    made = redactor().value(made)
    if output is BundleFormat.JSON:
        print_json(made)
    else:
        print(markdown(made), end="")


def _folder(settings: "Settings") -> Path:
    """What relative paths of references start from."""
    return settings.source.parent.absolute() if settings.source else Path()
