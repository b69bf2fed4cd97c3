"""The evidence bundle of a target, for the message that says it is time to ask support."""

import asyncio
from datetime import datetime

import structlog

from monitor.config import Settings
from monitor.daemon.watches import Watch
from monitor.oneshot.evidence_bundle import Asked, bundle
from monitor.oneshot.evidence_text import markdown
from monitor.store.errors import StoreError
from monitor.store.targets import target_record

log = structlog.get_logger()


async def evidence_markdown(settings: Settings, watch: Watch, now: datetime) -> str:
    """The bundle as Markdown; empty when the database cannot be read now."""
    if watch.removed:
        return ""
    secret = settings.key(watch.target.key).secret
    asked = Asked(
        route=settings.routes[watch.target.route],
        catalog=settings.catalog,
        reference=secret.reference,
        fingerprint=secret.fingerprint,
    )
    try:
        known = await asyncio.to_thread(target_record, settings.database, watch.name)
    except StoreError as error:
        log.warning("evidence_unreadable", target=watch.name, error=str(error))
        return ""
    return markdown(bundle(known, asked, now))
