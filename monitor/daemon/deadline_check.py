"""What happens without an answer: deadlines that pass, silence, models near their shutdown."""

import asyncio
from dataclasses import InitVar, dataclass
from datetime import datetime

import structlog

from monitor.access.events import Event, TimePassed
from monitor.access.states import advance
from monitor.access.words import EventKind
from monitor.config import Settings
from monitor.daemon.changes import Changes
from monitor.daemon.clock import Clock
from monitor.daemon.silences import Silences, stale_of
from monitor.daemon.watches import Watch, Watches
from monitor.oneshot.evidence_bundle import Asked, bundle
from monitor.oneshot.evidence_text import markdown
from monitor.store.errors import StoreError
from monitor.store.records import Change
from monitor.store.targets import target_record

log = structlog.get_logger()


@dataclass(eq=False, kw_only=True)
class DeadlineCheck:
    """Applies the passing of time to all targets."""

    settings: InitVar[Settings]
    watches: Watches
    silences: Silences
    changes: Changes
    clock: Clock

    def __post_init__(self, settings: Settings) -> None:
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Make the evidence of these settings from now on."""
        self._settings = settings

    async def run(self) -> None:
        """Check all deadlines once."""
        now = self.clock.now()
        changes: list[Change] = []
        silent: list[tuple[Watch, Event]] = []
        overdue: list[tuple[Watch, TimePassed]] = []
        for watch in self.watches:
            passed = self.silences.passed(watch, now)
            decision = advance(watch.memory, passed, now, self.changes.rules)
            if not decision.events:
                continue
            if stale := stale_of(decision):
                silent.append((watch, stale))
            late = any(event.kind is EventKind.OVERDUE for event in decision.events)
            if late and not watch.pool:  # no message has room for the evidence of many keys
                overdue.append((watch, passed))
                continue
            changes.append(self.changes.apply(watch, passed, without=EventKind.STALE))
        for watch, passed, stale in self.silences.nearly_due(silent, now):
            silent.append((watch, stale))
            changes.append(self.changes.apply(watch, passed, without=EventKind.STALE))
        changes += self.silences.changes(silent, now)
        if changes:
            await self.changes.write(changes)
        for watch, passed in overdue:
            # The message that advises asking support has the evidence for support. Read it first: no
            # other task may run between the change of a memory and its entry into the queue.
            facts = {"evidence": await evidence_markdown(self._settings, watch, self.clock.now())}
            change = self.changes.apply(watch, passed, without=EventKind.STALE, facts=facts)
            await self.changes.write([change])


async def evidence_markdown(settings: Settings, watch: Watch, now: datetime) -> str:
    """The evidence bundle of a target as Markdown; empty when the database cannot be read now."""
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
