"""Requests to a fleet: each is carried out by the worker that has the shard of what it is about."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from monitor.access.target import key_of
from monitor.daemon.inbox_reader import InboxReader
from monitor.oneshot.booking import RESERVE, SPEND, costs_of, wanted_of
from monitor.store.inbox import PROBE
from monitor.store.records import InboxItem


@dataclass(eq=False, kw_only=True)
class SharedInboxReader(InboxReader):
    """Takes the requests that are this worker's; `is_own` says it of keys."""

    is_own: Callable[[Collection[str]], bool]

    def concerns(self, item: InboxItem) -> bool:
        """Whether this worker is to carry the request out."""
        return self.is_own(_keys_of(item))

    async def take_declarations(self) -> None:
        """Leave them to the beat: each shard takes each once."""


def _keys_of(item: InboxItem) -> list[str]:
    """The keys that a request is about; none where it concerns all, or cannot be understood."""
    if item.kind == PROBE:
        return [key_of(str(item.payload.get("target", "")))]
    if item.kind == RESERVE and (found := wanted_of(item.payload)):
        return [one.key for one in found[0]]
    if item.kind == SPEND:
        return [cost.hold.key for cost in costs_of(item.payload) or ()]
    return []
