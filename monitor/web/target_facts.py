"""What is known of one target, for its page and for the API."""

from datetime import UTC, datetime
from typing import Any

from monitor.access.diagnosis.advice import advise
from monitor.config import Settings
from monitor.oneshot.evidence_bundle import Asked, bundle
from monitor.store.record_forms import as_json
from monitor.store.records import TargetStatus
from monitor.store.target_queries import target_record
from monitor.web.permissions import RefusedError
from monitor.web.site import Site


async def target_named(site: Site, name: str) -> TargetStatus:
    """The active target of this name. Raises RefusedError when there is none."""
    status = (await site.reader.snapshot()).by_name.get(name)
    if status is None:
        raise RefusedError(404, f"no target is named {name[:500]!r}")
    return status


async def details_of(site: Site, status: TargetStatus) -> dict[str, Any]:
    """A target's answers and declarations since it is in its state, as JSON values, and what to do."""
    record = await site.reader.ask(target_record, status.target, for_support=False)
    code = status.blocker or status.last_diagnosis
    advice = advise(code, None, None) if code else None
    return {
        "target": as_json(status),
        "start": as_json(record.start),
        "declared": record.declared,
        "declarations": as_json(record.declarations),
        "runs": as_json(record.runs),
        "runs_left_out": record.runs_left_out,
        "advice": advice.advice if advice else None,
    }


async def evidence_of(site: Site, status: TargetStatus) -> dict[str, Any]:
    """The bundle for support. Raises RefusedError when the settings no longer have the target's route."""
    settings, route = site.settings, site.settings.routes.get(status.route)
    if route is None:
        raise RefusedError(404, f"the settings have no route {status.route} any more")
    record = await site.reader.ask(target_record, status.target)
    asked = Asked(
        route=route,
        catalog=settings.catalog,
        reference=_reference(settings, status.key),
        fingerprint=None,  # that needs the key
        rules=None,
    )
    return bundle(record, asked, datetime.now(UTC))


def _reference(settings: Settings, key: str) -> str:
    """How the settings name a key's secret."""
    if pool := settings.pool_of(key):
        return pool.secrets.reference
    own = (one.secret.reference for one in settings.keys if one.name == key)
    return next(own, "unknown to these settings")
