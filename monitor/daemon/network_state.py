"""Whether the monitor's own network is down: every route fails at once."""

from collections.abc import Mapping
from typing import Any

from monitor.access.observation import Diagnosis
from monitor.access.words import Code, EventKind


class NetworkState:
    """Tells `offline` once when every route fails to be reached, and `online` at the first answer.

    `sizes` says how many targets each route has: one with many must fail several times in a row,
    so that two unlucky connections are no outage.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._failures: dict[str, int] = {}
        self.offline = False
        #: by route, why the last failure was one: a diagnosis' rule, and its words
        self.causes: dict[str, tuple[str, str]] = {}
        self.use(sizes)

    def use(self, sizes: Mapping[str, int]) -> None:
        """Judge these routes from now on; the failures of those that remain still count."""
        self._sizes = {route: size for route, size in sizes.items() if size}
        self._needed = {route: max(2, min(5, size)) for route, size in self._sizes.items()}
        self._failures = {route: self._failures.get(route, 0) for route in self._needed}

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

    def facts(self) -> dict[str, Any]:
        """The facts of the event that `answered` returned."""
        routes = sorted(self._needed)
        facts: dict[str, Any] = {"routes": routes, "targets": sum(self._sizes.values())}
        if self.offline:
            causes = [self.causes.get(name, ("", "")) for name in routes]
            facts["message"] = "; ".join(dict.fromkeys(words for _, words in causes if words))
            facts["rules"] = list(dict.fromkeys(rule for rule, _ in causes if rule))
        return facts
