"""The windows in which changes of a scope gather, so that many come in one message."""

from collections.abc import Collection, Sequence

from monitor.access.words import EventKind
from monitor.alerts.outbox import Pending


class Windows:
    """The first change of a scope goes out at once and opens a window of `within` seconds; what follows
    inside it goes out together at its end. A first light waits only behind another first light. What
    belongs to no scope opens none. All times are on one clock, in seconds.
    """

    def __init__(self, within: float):
        self._within = within
        #: by scope: when the window ends, and whether it has told a first light
        self._open: dict[str, tuple[float, bool]] = {}

    @property
    def ends(self) -> list[float]:
        """When each ends."""
        return [end for end, _ in self._open.values()]

    def end_for(self, group: Sequence[Pending]) -> float:
        """When the window that a group waits for ends; 0 for none."""
        end, told_light = self._open.get(group[0].happening.scope or "", (0.0, False))
        return 0.0 if _has_light(group) and not told_light else end

    def told(self, group: Sequence[Pending], now: float) -> None:
        """A group was delivered: open a window, or go on in the one there is, or close one that is over."""
        scope = group[0].happening.scope
        if scope is None:
            return
        end, told_light = self._open.get(scope, (None, False))
        if end is None:
            self._open[scope] = (now + self._within, _has_light(group))
        elif now >= end:
            del self._open[scope]
        else:
            self._open[scope] = (end, told_light or _has_light(group))

    def forget(self, scopes: Collection[str | None], now: float) -> None:
        """Drop windows that ended with nothing in them; `scopes` are those that something waits for."""
        ended = [scope for scope, (end, _) in self._open.items() if end <= now]
        for scope in ended:
            if scope not in scopes:
                del self._open[scope]


def _has_light(group: Sequence[Pending]) -> bool:
    return any(row.happening.event is EventKind.FIRST_LIGHT for row in group)
