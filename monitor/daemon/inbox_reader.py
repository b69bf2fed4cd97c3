"""Requests to the running monitor: declarations, retries, probes, silences, reservations of commands."""

import json
from collections.abc import Collection, Container
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from monitor.access.events import Declared
from monitor.access.words import Contract, DeclarationKind, ProbeKind, State
from monitor.config import Settings
from monitor.config.problems import shown, suggestion
from monitor.daemon.changes import Changes
from monitor.daemon.clock import Clock
from monitor.daemon.deliveries import Deliveries
from monitor.daemon.payments import Payments
from monitor.daemon.schedule import Schedule
from monitor.daemon.silencing import Silencing
from monitor.daemon.watches import Watches
from monitor.store.errors import TakenError
from monitor.store.inbox import DECLARE, PROBE, RETRY, asker, read_declaration
from monitor.store.recorder import Recorder
from monitor.store.records import Change, Declaration, InboxItem

log = structlog.get_logger()


@dataclass(eq=False, kw_only=True)
class InboxReader:
    """Takes the requests in the inbox and the declarations, each once."""

    recorder: Recorder
    watches: Watches
    changes: Changes
    schedule: Schedule
    payments: Payments
    deliveries: Deliveries
    silencing: Silencing
    clock: Clock

    async def take(self) -> None:
        """Carry out the requests in the inbox, and settle each afterwards."""
        for item in await self.recorder.inbox():
            if not self.concerns(item):
                continue
            log.info("asked", kind=item.kind, by=asker(item.payload))
            with suppress(TakenError):
                if await self.payments.asked(item) or await self.silencing.asked(item):
                    continue
                reply = await self._do(item)
                await self.recorder.settle_inbox([item.id], json.dumps(reply) if reply else None)

    def concerns(self, item: InboxItem) -> bool:  # noqa: ARG002 - a worker of a fleet leaves some to others
        """Whether this daemon is to carry the request out."""
        return True

    async def _do(self, item: InboxItem) -> dict[str, object] | None:
        """Carry a request out. Returns the reply to its sender, if there is one."""
        if item.kind == RETRY:
            ids = item.payload.get("ids")
            count = await self.recorder.outbox.retry(ids if isinstance(ids, list) else None)
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
        """Apply the declarations that are not taken yet."""
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
