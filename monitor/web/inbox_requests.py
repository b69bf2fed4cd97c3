"""What people ask of the daemon from the page or the API: checked, and left in its inbox."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog

from monitor.access.fields import parse_duration
from monitor.access.silences import PATTERNS_MOST, fault_of
from monitor.access.typed_times import parse_time
from monitor.access.words import DeclarationKind
from monitor.config.problems import suggestion
from monitor.config.silence_patterns import Names, patterns_of
from monitor.store import queries
from monitor.store.inbox import DECLARE, END_SILENCE, PROBE, RETRY, SILENCE, submit
from monitor.web.page_values import whole
from monitor.web.permissions import RefusedError, Visitor
from monitor.web.site import Site

log = structlog.get_logger()

#: The part of an address that names a request whose fate the page shows.
SAID = "said"

#: Parts of a request that are logged.
_LOGGED = ("target", "subject", "patterns", "ids", "id")

_Values = Mapping[str, Any]


async def told(site: Site, visitor: Visitor, kind: str, values: _Values) -> int:
    """Check what is asked and hand it to the daemon, by its kind in the inbox. Returns the request's number.

    Raises RefusedError with status 400 for what cannot be meant, with the nearest that can.
    """
    payload = await _CHECKS[kind](site, values)
    by = visitor.name or "the page"
    shown = {name: value for name, value in payload.items() if name in _LOGGED}
    log.info("handed_over", kind=kind, by=by, **shown)
    return await site.reader.ask(submit, kind, payload | {"by": by}, datetime.now(UTC))


async def _declare(site: Site, values: _Values) -> dict[str, Any]:
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
    return {"kind": kind, "subject": subject, "at": at.isoformat()}


async def _probe(site: Site, values: _Values) -> dict[str, Any]:
    target = str(values.get("target", ""))
    _require(target, (await site.reader.snapshot()).by_name, "target")
    return {"target": target}


async def _retry(site: Site, values: _Values) -> dict[str, Any]:
    dead = await site.reader.ask(queries.dead_alerts)
    if "ids" in values:
        ids = values["ids"]
    elif one := values.get("id"):  # of a form
        ids = [whole(one)]
    else:
        return {}
    if not isinstance(ids, list) or any(type(one) is not int for one in ids):
        raise RefusedError(400, "ids is a list of whole numbers")
    if gone := sorted(set(ids) - dead.keys()):
        raise RefusedError(400, f"not dead: {', '.join(map(str, gone[:10]))}")
    return {"ids": ids}


def _require(name: str, known: Collection[str], what: str) -> None:
    if name not in known:
        raise RefusedError(400, f"no {what} is named {name[:200]!r}; {suggestion(name, known)}")


async def _silence(site: Site, values: _Values) -> dict[str, Any]:
    given = values.get("patterns", values.get("pattern", ""))
    words = given.split() if isinstance(given, str) else given
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise RefusedError(400, "patterns are texts")
    reason, now = values.get("reason", ""), datetime.now(UTC)
    if not isinstance(reason, str):
        raise RefusedError(400, "reason is a text")
    try:
        until = now + parse_duration(str(values.get("for", "")))
    except ValueError as error:
        raise RefusedError(400, f"for {error}") from None
    try:
        patterns = patterns_of(words[: PATTERNS_MOST + 1], await _names(site))
    except ValueError as error:
        raise RefusedError(400, str(error)) from None
    if fault := fault_of(patterns, reason, until, now):
        raise RefusedError(400, fault)
    return {"patterns": list(patterns), "reason": reason, "expires_at": until.isoformat()}


async def _names(site: Site) -> Names:
    """What there is to be silenced."""
    targets = (await site.reader.snapshot()).status.targets
    settings = site.settings
    return Names(
        targets=[one.target for one in targets],
        organizations={one.organization for one in targets if one.organization},
        pools=[pool.name for pool in settings.pools],
        # without channels the daemon tells its terminal
        channels=[channel.name for channel in settings.channels] or ["console"],
    )


async def _end_silence(site: Site, values: _Values) -> dict[str, Any]:
    number = whole(str(values.get("id", "")))
    in_force, _ = await site.reader.ask(queries.silences, datetime.now(UTC))
    if number not in [one.id for one in in_force]:
        raise RefusedError(404, "no such silence is in force")
    return {"id": number}


_CHECKS = {
    DECLARE: _declare,
    PROBE: _probe,
    RETRY: _retry,
    SILENCE: _silence,
    END_SILENCE: _end_silence,
}
