"""Requests to the running monitor: declarations, retries, probes, silences, reservations of commands."""

import json
from collections.abc import Callable, Collection, Container
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from monitor.access.events import Declared
from monitor.access.silences import IN_FORCE_MOST, Silence, fault_of
from monitor.access.target import key_of
from monitor.access.words import Contract, DeclarationKind, ProbeKind, Reason, State
from monitor.config import Settings
from monitor.config.problems import shown, suggestion
from monitor.daemon.changes import Changes
from monitor.daemon.clock import Clock
from monitor.daemon.deliveries import Deliveries
from monitor.daemon.payments import Payments
from monitor.daemon.schedule import Schedule
from monitor.daemon.watches import Watches
from monitor.oneshot.booking import RESERVE, SPEND, costs_of, wanted_of
from monitor.store.errors import TakenError
from monitor.store.inbox import (
    DECLARE,
    END_SILENCE,
    PROBE,
    RETRY,
    SILENCE,
    asker,
    read_declaration,
    read_silence,
)
from monitor.store.recorder import Recorder
from monitor.store.records import Change, Declaration, InboxItem

log = structlog.get_logger()


@dataclass(eq=False, kw_only=True)
class InboxReader:
    """Takes the requests in the inbox and the declarations, each once; ends silences in their time.

    `is_own` says whether what concerns these keys is this daemon's: a worker leaves some to others.
    """

    recorder: Recorder
    watches: Watches
    changes: Changes
    schedule: Schedule
    payments: Payments
    deliveries: Deliveries
    clock: Clock
    is_own: Callable[[Collection[str]], bool]

    async def take(self) -> None:
        """Carry out the requests in the inbox, and settle each afterwards."""
        for item in await self.recorder.inbox():
            if not self.is_own(_keys_of(item)):
                continue
            log.info("asked", kind=item.kind, by=asker(item.payload))
            with suppress(TakenError):
                if await self.payments.asked(item) or await self._silencing_asked(item):
                    continue
                reply = await self._do(item)
                await self.recorder.settle_inbox([item.id], json.dumps(reply) if reply else None)

    async def _do(self, item: InboxItem) -> dict[str, object] | None:
        """Carry a request out. Returns the reply to its sender, if there is one."""
        if item.kind == RETRY:
            ids = item.payload.get("ids")
            count = await self.recorder.outbox.retry(
                self.deliveries.names, ids if isinstance(ids, list) else None
            )
            log.info("retrying", notifications=count)
            await self.deliveries.revived()
        elif item.kind == PROBE:
            return self._probe_soon(str(item.payload.get("target", "")))
        elif item.kind == DECLARE and (told := read_declaration(item.payload)):
            # with the item's id: an interrupted request is repeated, but two equal declarations both count
            await self.recorder.declare(*told, f"inbox {item.id}")
            await self.take_declarations()
        else:
            log.warning("not_understood", kind=item.kind)
        return None

    def _probe_soon(self, name: str) -> dict[str, object]:
        """Make a target due now, for a full probe. Slots, gaps and the budget hold as for any."""
        watch = self.watches.get(name)
        if watch is None:
            near = suggestion(name, [one.name for one in self.watches])
            return {"error": f"no target is named {shown(name)}; {near}"}
        if not (watch.busy and watch.kind is ProbeKind.FULL):  # that is what is asked for
            watch.asked = True
        if not watch.busy:  # else it is scheduled when the probe under way is recorded
            now = self.clock.now()
            watch.memory = replace(watch.memory, next_probe_at=now)
            self.schedule.at(watch, now)
        return {"target": name}

    async def declare_from(self, settings: Settings) -> None:
        """Apply the verifications declared in the settings, each once, however often they are read."""
        for key in settings.keys:
            if key.verified_at:
                await self.recorder.declare(
                    DeclarationKind.VERIFIED, key.name, key.verified_at, "settings"
                )
        await self.take_declarations()

    async def take_declarations(self) -> None:
        """Apply the declarations that are not taken yet. A worker's beat does it, once in each shard."""
        if self.recorder.fleet:
            return
        for declaration in await self.recorder.untaken_declarations():
            await self.declared(declaration)

    async def apply_earlier_declarations(self) -> None:
        """Apply earlier declarations of their organization or key to new targets."""
        declared = await self.recorder.newest_declarations()
        for watch in self.watches:
            memory, target = watch.memory, watch.target
            if target.contract is not Contract.DIRECT or memory.state is not State.UNKNOWN:
                continue
            found = [
                declared[name] for name in (target.organization, target.key) if name in declared
            ]
            newest = max(found, key=lambda one: one.at, default=None)
            if newest and newest.kind is DeclarationKind.VERIFIED and not memory.declared_at:
                watch.memory = replace(memory, declared_at=newest.at)

    async def declared(
        self,
        declaration: Declaration,
        among: Container[str] | None = None,
        shards: Collection[int] = (),
    ) -> None:
        """Apply a declaration about an organization or a key, and note that it is taken.

        A worker applies it `among` the targets of some `shards`, by name, and notes it of those.
        """
        now, changes = self.clock.now(), []
        declared = Declared(declaration.kind, declaration.at)
        for watch in self.watches.declared_for(declaration.subject):
            if watch.memory.state is State.AVAILABLE:
                continue
            if among is not None and watch.name not in among:
                continue
            # set `next_probe_at` too: it schedules the target after a restart
            watch.memory = replace(watch.memory, next_probe_at=now)
            changes.append(self.changes.apply(watch, declared))
            self.schedule.at(watch, now)
        changes.append(Change(declaration=declaration.id, declared_in=tuple(shards)))
        log.info("declaration", kind=str(declaration.kind), subject=declaration.subject,
                 at=f"{declaration.at:%Y-%m-%dT%H:%M:%SZ}", targets=len(changes) - 1)  # fmt: skip
        await self.changes.write(changes)

    # --- silences: what they hide is decided where notifications are written ---

    async def expire_silences(self) -> None:
        """End the silences whose time is over, also those that ended while no daemon ran."""
        await self.recorder.silences.refresh()
        for silence in self.recorder.silences.expired(self.clock.now()):
            await self._end_silence(silence, Reason.SILENCE_EXPIRED)

    async def _silencing_asked(self, item: InboxItem) -> bool:
        """Carry out and settle a request if it is of silences. Returns whether it is."""
        if item.kind == SILENCE:
            fault = await self._silence(item)
        elif item.kind == END_SILENCE:
            fault = await self._unsilence(item)
        else:
            return False
        if fault:
            log.warning("not_silenced" if item.kind == SILENCE else "not_ended", why=fault)
            await self.recorder.settle_inbox([item.id], json.dumps({"error": fault}))
        return True

    async def _silence(self, item: InboxItem) -> str | None:
        """Make a silence. Returns why it cannot be made, or None."""
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

    async def _unsilence(self, item: InboxItem) -> str | None:
        """End a silence. Returns why it cannot be ended, or None."""
        id_ = item.payload.get("id")
        silence = self.recorder.silences.get(id_) if isinstance(id_, int) else None
        if silence is None:
            return f"no silence {str(id_)[:20]} is in force"
        await self._end_silence(silence, Reason.SILENCE_ENDED_BY_HAND, item)
        return None

    async def _end_silence(
        self, silence: Silence, reason: Reason, item: InboxItem | None = None
    ) -> None:
        by = asker(item.payload) if item else None
        recorded = await self.recorder.silences.end(
            silence, reason, by, item=item.id if item else None
        )
        log.info("silence_over", id=silence.id, why=str(reason), by=by, told=len(recorded))
        self.changes.written(recorded)
        if recorded:  # a channel may have left the settings meanwhile
            await self.deliveries.dead_letter_removed_channels()


def _keys_of(item: InboxItem) -> list[str]:
    """The keys that a request is about; none where it concerns all, or cannot be understood."""
    if item.kind == PROBE:
        return [key_of(str(item.payload.get("target", "")))]
    if item.kind == RESERVE and (found := wanted_of(item.payload)):
        return [one.key for one in found[0]]
    if item.kind == SPEND:
        return [cost.hold.key for cost in costs_of(item.payload) or ()]
    return []
