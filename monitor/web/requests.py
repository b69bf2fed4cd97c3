"""What people ask of the daemon from the page or the API: checked, and left in its inbox."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from monitor.access.fields import parse_duration
from monitor.access.typed_times import parse_time
from monitor.access.words import DeclarationKind
from monitor.config.problems import suggestion
from monitor.store import queries
from monitor.store.inbox import submit
from monitor.web.page_values import whole
from monitor.web.permissions import RefusedError, Visitor
from monitor.web.site import Site

log = structlog.get_logger()

#: The part of an address that names a request whose fate the page shows.
SAID = "said"

_Values = Mapping[str, Any]


async def told(site: Site, visitor: Visitor, kind: str, values: _Values) -> int:
    """Check what is asked and hand it to the daemon. Returns the request's number.

    Raises RefusedError with status 400 for what cannot be meant, with the nearest that can.
    """
    inbox_kind, payload = await _CHECKS[kind](site, values)
    payload |= {"by": visitor.name or "the page"}
    log.info("handed_over", kind=inbox_kind, by=payload["by"], **_shown(payload))
    return await site.reader.ask(submit, inbox_kind, payload, datetime.now(UTC))


def _shown(payload: _Values) -> dict[str, Any]:
    return {
        name: value
        for name, value in payload.items()
        if name in ("target", "subject", "patterns", "ids")
    }


async def _declare(site: Site, values: _Values) -> tuple[str, dict[str, Any]]:
    kind, subject = str(values.get("kind", "")), str(values.get("subject", ""))
    if kind not in set(DeclarationKind):
        raise RefusedError(400, f"kind is none of {', '.join(DeclarationKind)}")
    targets = (await site.reader.snapshot()).status.targets
    known = {one.key for one in targets} | {one.organization for one in targets if one.organization}
    _require(subject, known, "key and no organization")
    now = datetime.now(UTC)
    try:
        at = parse_time(str(values.get("at") or "now"), now, UTC)
    except ValueError as error:
        raise RefusedError(400, f"at {error}") from None
    return "declare", {"kind": kind, "subject": subject, "at": at.isoformat()}


async def _probe(site: Site, values: _Values) -> tuple[str, dict[str, Any]]:
    target = str(values.get("target", ""))
    _require(target, (await site.reader.snapshot()).by_name, "target")
    return "probe", {"target": target}


async def _retry(site: Site, values: _Values) -> tuple[str, dict[str, Any]]:
    dead = await site.reader.ask(queries.dead_alerts)
    if "ids" in values:
        ids = values["ids"]
    elif one := values.get("id"):  # of a form
        ids = [whole(one)]
    else:
        return "retry", {}
    if not isinstance(ids, list) or any(type(one) is not int for one in ids):
        raise RefusedError(400, "ids is a list of whole numbers")
    if gone := sorted(set(ids) - dead):
        raise RefusedError(400, f"not dead: {', '.join(map(str, gone[:10]))}")
    return "retry", {"ids": ids}


def _require(name: str, known: Collection[str], what: str) -> None:
    if name not in known:
        raise RefusedError(400, f"no {what} is named {name[:200]!r}; {suggestion(name, known)}")


def duration(text: str) -> timedelta:
    """How long, as people write it. Raises RefusedError."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise RefusedError(400, f"for {error}") from None


_CHECKS = {"declare": _declare, "probe": _probe, "retry": _retry}
