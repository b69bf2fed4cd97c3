"""Whether the monitor's own network is down: every route fails at once."""

from collections.abc import Mapping

from monitor.access.observation import Diagnosis
from monitor.access.words import Code, EventKind


class NetworkState:
    """Tells `offline` once when every route fails to be reached, and `online` at the first answer.

    `sizes` says how many targets each route has: one with many must fail several times in a row,
    so that two unlucky connections are no outage.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._needed = {route: max(2, min(5, size)) for route, size in sizes.items() if size}
        self._failures = dict.fromkeys(self._needed, 0)
        self.offline = False
        #: by route, why the last failure was one: a diagnosis' rule, and its words
        self.causes: dict[str, tuple[str, str]] = {}

    def take_over(self, old: "NetworkState") -> None:
        """Take over from another: whether the network is down, and the failures of routes that remain."""
        self.offline, self.causes = old.offline, dict(old.causes)
        for route in self._failures.keys() & old._failures.keys():  # noqa: SLF001 - of this class
            self._failures[route] = old._failures[route]  # noqa: SLF001

    def answered(self, route: str, diagnosis: Diagnosis | None) -> EventKind | None:
        """Learn from a probe's result; return the event it makes, if any."""
        if diagnosis is not None and diagnosis.code is Code.NETWORK_ERROR:
            self.causes[route] = diagnosis.rule, diagnosis.message
            self._failures[route] = self._failures.get(route, 0) + 1
            down = all(self._failures[r] >= needed for r, needed in self._needed.items())
            if down and not self.offline:
                self.offline = True
                return EventKind.OFFLINE
            return None
        self._failures[route] = 0
        if self.offline:
            self.offline = False
            return EventKind.ONLINE
        return None
