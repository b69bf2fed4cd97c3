"""Silences in the running monitor: made and ended as people ask, and ended when their time is over."""

import json
from dataclasses import dataclass

import structlog

from monitor.access.silences import IN_FORCE_MOST, Silence, fault_of
from monitor.access.words import Reason
from monitor.daemon.changes import Changes
from monitor.daemon.clock import Clock
from monitor.daemon.deliveries import Deliveries
from monitor.store.inbox import END_SILENCE, SILENCE, asker, read_silence
from monitor.store.recorder import Recorder
from monitor.store.records import InboxItem

log = structlog.get_logger()


@dataclass(eq=False, kw_only=True)
class Silencing:
    """Makes and ends silences. What they hide is decided where notifications are written."""

    recorder: Recorder
    changes: Changes
    deliveries: Deliveries
    clock: Clock

    async def asked(self, item: InboxItem) -> bool:
        """Carry out and settle a request if it is of silences. Returns whether it is."""
        if item.kind not in (SILENCE, END_SILENCE):
            return False
        fault = await (self._make(item) if item.kind == SILENCE else self._end(item))
        if fault:
            log.warning("not_silenced" if item.kind == SILENCE else "not_ended", why=fault)
            await self.recorder.settle_inbox([item.id], json.dumps({"error": fault}))
        return True

    async def expire(self) -> None:
        """End the silences whose time is over, also those that ended while no daemon ran."""
        await self.recorder.silences.refresh()
        for silence in self.recorder.silences.expired(self.clock.now()):
            await self._told(silence, Reason.SILENCE_EXPIRED)

    async def _make(self, item: InboxItem) -> str | None:
        """Returns why it cannot be made, or None."""
        wanted = read_silence(item.payload)
        if wanted is None:
            return "the request cannot be understood"
        patterns, reason, expires_at = wanted
        if fault := fault_of(patterns, reason, expires_at, self.clock.now()):
            return fault
        made = await self.recorder.silences.make(
            patterns, reason, asker(item.payload), expires_at, item=item.id
        )
        if made is None:
            return f"{IN_FORCE_MOST} silences are in force: end one first"
        log.info("silenced", id=made.id, patterns=list(made.patterns), reason=made.reason, by=made.by,
                 until=f"{made.expires_at:%Y-%m-%dT%H:%M:%SZ}")  # fmt: skip
        return None

    async def _end(self, item: InboxItem) -> str | None:
        """Returns why it cannot be ended, or None."""
        id_ = item.payload.get("id")
        silence = self.recorder.silences.get(id_) if isinstance(id_, int) else None
        if silence is None:
            return f"no silence {str(id_)[:20]} is in force"
        await self._told(silence, Reason.SILENCE_ENDED_BY_HAND, item)
        return None

    async def _told(self, silence: Silence, reason: Reason, item: InboxItem | None = None) -> None:
        by = asker(item.payload) if item else None
        recorded = await self.recorder.silences.end(
            silence, reason, by, item=item.id if item else None
        )
        log.info("silence_over", id=silence.id, why=str(reason), by=by, told=len(recorded))
        self.changes.written(recorded)
        if recorded:  # a channel may have left the settings meanwhile
            await self.deliveries.dead_letter_removed_channels()
