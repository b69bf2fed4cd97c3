"""Which events go to which channels."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from monitor.access.events import Event
from monitor.access.words import EventKind

#: A channel that gets `first_light` gets these too: they tell what became of it, or that it is not provable.
_AS_FIRST_LIGHT = frozenset({EventKind.SHUT_AGAIN, EventKind.UNPROVEN})


@dataclass(frozen=True, slots=True)
class Subscription:
    """The events that one channel gets, and patterns of target names (`fnmatch`; none means all)."""

    name: str
    events: frozenset[EventKind]
    targets: tuple[str, ...] = ()


def channels_for(
    event: Event,
    channels: Sequence[Subscription],
    only: Collection[str] = (),
    concerned: Collection[str] = (),
) -> tuple[str, ...]:
    """The names of the channels that get an event, in the order given.

    `only` limits the choice to these channels and ignores their patterns.

    An event without a target (of a route, an organization or the monitor) concerns every target, so
    only the event decides; with `concerned` it concerns these targets.
    """
    targets = concerned or (event.target,)
    return tuple(
        channel.name
        for channel in channels
        if _subscribed(event.kind, channel.events)
        and (
            channel.name in only
            if only
            else any(_wanted(target, channel.targets) for target in targets)
        )
    )


def _subscribed(event: EventKind, events: Collection[EventKind]) -> bool:
    return event in events or (event in _AS_FIRST_LIGHT and EventKind.FIRST_LIGHT in events)


def _wanted(target: str | None, patterns: tuple[str, ...]) -> bool:
    if target is None or not patterns:
        return True
    return any(fnmatchcase(target, pattern) for pattern in patterns)
