"""Requests to the running monitor: declarations, retries, reservations of commands."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from monitor.access.words import Contract, DeclarationKind, State
from monitor.config import Settings
from monitor.daemon.budgets import Budgets
from monitor.daemon.engine import Engine
from monitor.daemon.watches import Watches
from monitor.store.inbox import read_declaration
from monitor.store.recorder import Recorder
from monitor.store.records import InboxItem

log = structlog.get_logger()


class InboxReader:
    """Takes the requests in the inbox and the declarations, each once.

    `revived` is called when dead notifications become pending again.
    """

    def __init__(
        self,
        recorder: Recorder,
        engine: Engine,
        budgets: Budgets,
        revived: Callable[[], Awaitable[None]],
    ) -> None:
        self._recorder = recorder
        self._engine = engine
        self._budgets = budgets
        self._revived = revived

    async def take(self) -> None:
        """Carry out the requests in the inbox, and settle each afterwards."""
        for item in await self._recorder.inbox():
            log.info("asked", kind=item.kind)
            if await self._budgets.asked(item):
                continue
            await self._do(item)
            await self._recorder.settle_inbox([item.id])

    async def _do(self, item: InboxItem) -> None:
        if item.kind == "retry":
            ids = item.payload.get("ids")
            count = await self._recorder.retry(ids if isinstance(ids, list) else None)
            log.info("retrying", notifications=count)
            await self._revived()
        elif item.kind == "declare" and (told := read_declaration(item.payload)):
            # with the item's id: an interrupted request is repeated, but two equal declarations both count
            await self._recorder.declare(*told, f"inbox {item.id}")
            await self.take_declarations()
        else:
            log.warning("not_understood", kind=item.kind)

    async def declare_from(self, settings: Settings) -> None:
        """Apply the verifications declared in the settings, each once, however often they are read."""
        for key in settings.keys:
            if key.verified_at:
                await self._recorder.declare(
                    DeclarationKind.VERIFIED, key.name, key.verified_at, "settings"
                )
        await self.take_declarations()

    async def take_declarations(self) -> None:
        """Apply the declarations that are not taken yet."""
        for declaration in await self._recorder.untaken_declarations():
            await self._engine.declared(declaration)

    async def apply_earlier_declarations(self, watches: Watches) -> None:
        """Apply earlier declarations of their organization or key to new targets."""
        declared = await self._recorder.newest_declarations()
        for watch in watches:
            memory, target = watch.memory, watch.target
            if target.contract is not Contract.DIRECT or memory.state is not State.UNKNOWN:
                continue
            found = [
                declared[name] for name in (target.organization, target.key) if name in declared
            ]
            newest = max(found, key=lambda one: one.at, default=None)
            if newest and newest.kind is DeclarationKind.VERIFIED and not memory.declared_at:
                watch.memory = replace(memory, declared_at=newest.at)
