"""What one channel has still to send, in memory: which rows may go now, together, and when the next may.

Pure: the time is a value, in seconds of a monotonic clock.
"""

import heapq
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count

from monitor.access.happening import Happening
from monitor.access.words import EventKind
from monitor.alerts.outbox import Pending

#: Rows that share a message at most.
TOGETHER_MOST = 500

#: A group that failed so often may be the fault of one of its rows: then each goes alone.
STUBBORN = 3


@dataclass(slots=True, eq=False)
class Group:
    """Rows that share a message. `failures` are its own, in a row."""

    rows: tuple[Pending, ...]
    failures: int = 0
    #: when it may be sent
    at: float = 0.0
    #: whether it is the first of a window
    opens: bool = False

    @property
    def ids(self) -> list[int]:
        """The ids of its notifications."""
        return [row.id for row in self.rows]


@dataclass(slots=True)
class _Scope:
    """Rows of one organization that were never tried, and the window in which they gather."""

    rows: list[Pending] = field(default_factory=list)
    #: 0 while no window is open
    window_ends: float = 0.0
    #: a first light waits only behind another first light
    told_light: bool = False
    #: when it is looked at next; the entry of `Waiting._due` that counts
    due: float | None = None


class Waiting:
    """The rows of one channel that are not delivered yet.

    Order is kept per target, and per scope for what has no target: a row goes only when no earlier one
    of its target is left. The first row of a scope goes at once and opens a window of `group_within`
    seconds; what follows within it goes together at its end. A group that failed goes again as it was,
    at a time of its own, and holds back the later rows of its targets and nothing else.
    """

    def __init__(self, group_within: float) -> None:
        self._group_within = group_within
        self._rows: dict[int, Pending] = {}
        #: by target, the ids that are left, in order
        self._orders: dict[Hashable, deque[int]] = {}
        self._scopes: dict[Hashable, _Scope] = {}
        #: scopes with rows to look at: when, and which
        self._due: list[tuple[float, int, Hashable]] = []
        self._retries: list[tuple[float, int, Group]] = []
        #: due, and held back by an earlier row of a target
        self._held: list[Group] = []
        self._number = count()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, id_: int) -> bool:
        return id_ in self._rows

    def add(self, rows: Iterable[Pending]) -> None:
        """Take rows in, in the order in which they happened; known ones are passed over."""
        for row in rows:
            if row.id in self._rows:
                continue
            self._rows[row.id] = row
            self._orders.setdefault(_order(row.happening), deque()).append(row.id)
            self._enter(row)

    def take(self, now: float, most: int, *, flush: bool = False) -> list[Group]:
        """Up to `most` groups that may be sent now, under way until it is said what became of them.

        With `flush` no row waits for its window.
        """
        taken: list[Group] = []
        while len(taken) < most and self._retries and self._retries[0][0] <= now:
            again = heapq.heappop(self._retries)[2]
            (self._held if self._free(again.rows)[1] else taken).append(again)
        if flush:
            for key, place in self._scopes.items():
                place.window_ends = 0.0
                self._schedule(key, place)
        while len(taken) < most and self._due and self._due[0][0] <= now:
            at, _, key = heapq.heappop(self._due)
            scope = self._scopes.get(key)
            if scope is None or scope.due != at:
                continue
            scope.due = None
            if group := self._from_scope(key, scope, now):
                taken.append(group)
        return taken

    def next_at(self) -> float | None:
        """When something may be sent next, unless something changes; None when nothing waits."""
        times = [heap[0][0] for heap in (self._retries, self._due) if heap]
        return min(times, default=None)

    def sent(self, group: Group, now: float) -> None:
        """The group is out: its window counts from here, and its rows are forgotten."""
        scope = self._scopes.get(_scope(group.rows[0]))
        if group.opens and scope:
            scope.window_ends = now + self._group_within
        self.remove(group)

    def failed(self, group: Group, at: float) -> None:
        """The group goes again at `at`. One that failed again and again goes target by target."""
        group.failures += 1
        key = _scope(group.rows[0])
        if group.opens and key in self._scopes:
            # Nothing was told: what gathers behind this message must not wait for it.
            self._scopes[key].window_ends, group.opens = 0.0, False
            self._schedule(key, self._scopes[key])
        again = [group]
        if group.failures >= STUBBORN and len(group.rows) > 1:
            again = self._heads(group)
        for one in again:
            self._retry(one, at)

    def put_back(self, group: Group, at: float) -> None:
        """The group was not tried: it goes again at `at`."""
        self._retry(group, at)

    def idle(self) -> list[Pending]:
        """The rows that are not under way."""
        waiting = [row for scope in self._scopes.values() for row in scope.rows]
        tried = [*self._held, *(group for _, _, group in self._retries)]
        return waiting + [row for group in tried for row in group.rows]

    def again_at(self, at: float) -> None:
        """Let everything that waits for a retry go at `at` or before: the channel works again."""
        for group in self._taken_out():
            self._retry(group, min(group.at, at))

    def remove(self, group: Group) -> None:
        """Forget the rows of a group; what waited behind them may go."""
        held, self._held = self._held, []
        for one in held:
            self._retry(one, one.at)
        for row in group.rows:
            self._rows.pop(row.id, None)
            order = _order(row.happening)
            left = self._orders.get(order)
            if not left:
                continue
            left.remove(row.id)
            if not left:
                del self._orders[order]
                continue
            key = _scope(self._rows[left[0]])
            if key in self._scopes:
                self._schedule(key, self._scopes[key])

    def give_up(self, rows: Sequence[Pending]) -> None:
        """Forget rows that nobody will send, wherever they wait."""
        ids = {row.id for row in rows}
        for group in self._taken_out():
            group.rows = tuple(row for row in group.rows if row.id not in ids)
            if group.rows:
                self._retry(group, group.at)
        for scope in self._scopes.values():
            scope.rows = [row for row in scope.rows if row.id not in ids]
        self.remove(Group(tuple(rows)))

    def _heads(self, group: Group) -> list[Group]:
        """The first row of each target alone; the others wait behind it like new ones."""
        heads: list[Group] = []
        seen: set[Hashable] = set()
        for row in group.rows:
            order = _order(row.happening)
            if order in seen:
                self._enter(row)
            else:
                seen.add(order)
                heads.append(Group((row,), group.failures))
        return heads

    def _taken_out(self) -> list[Group]:
        """All groups that wait for another try, in their order, taken out."""
        groups = [*self._held, *(group for _, _, group in sorted(self._retries))]
        self._held, self._retries = [], []
        return groups

    def _retry(self, group: Group, at: float) -> None:
        group.at = at
        heapq.heappush(self._retries, (at, next(self._number), group))

    def _enter(self, row: Pending) -> None:
        key = _scope(row)
        scope = self._scopes.setdefault(key, _Scope())
        scope.rows.append(row)
        self._schedule(key, scope)

    def _schedule(self, key: Hashable, scope: _Scope) -> None:
        """Have the scope looked at when its rows, or its window, may be due."""
        at = scope.window_ends
        if not scope.told_light and _has_light(scope.rows):
            at = 0.0
        if scope.due is None or at < scope.due:
            scope.due = at
            heapq.heappush(self._due, (at, next(self._number), key))

    def _from_scope(self, key: Hashable, scope: _Scope, now: float) -> Group | None:
        """The rows of a scope that may go now. They open a window, or end the one that is open."""
        open_ = now < scope.window_ends
        free, held = self._free(scope.rows)
        if free and open_ and (scope.told_light or not _has_light(free)):
            free = []
        if not free:
            if open_:
                scope.due = scope.window_ends
                heapq.heappush(self._due, (scope.due, next(self._number), key))
            elif not scope.rows:
                del self._scopes[key]
            return None  # rows that are held come back when those before them are gone
        free, more = free[:TOGETHER_MOST], free[TOGETHER_MOST:]
        scope.rows = more + held
        opens = not (more or scope.window_ends or isinstance(key, tuple))
        if opens:
            scope.window_ends, scope.told_light = now + self._group_within, _has_light(free)
        elif open_:
            scope.told_light = True
        elif not more:  # what is left of a burst waits for nothing
            scope.window_ends, scope.told_light = 0.0, False
        self._schedule(key, scope)
        return Group(tuple(free), opens=opens)

    def _free(self, rows: Sequence[Pending]) -> tuple[list[Pending], list[Pending]]:
        """Rows that no earlier row of their target holds back, but one that goes along; and the others."""
        free: list[Pending] = []
        held: list[Pending] = []
        places: dict[Hashable, int] = {}
        for row in rows:
            order = _order(row.happening)
            place = places.get(order, 0)
            if self._orders[order][place] == row.id:
                places[order] = place + 1
                free.append(row)
            else:
                held.append(row)
        return free, held


def _order(happening: Happening) -> Hashable:
    return happening.target or ("scope", happening.scope)


def _scope(row: Pending) -> Hashable:
    """Rows of equal scopes share messages; one without a scope is alone."""
    return row.happening.scope or ("alone", row.id)


def _has_light(rows: Iterable[Pending]) -> bool:
    return any(row.happening.event is EventKind.FIRST_LIGHT for row in rows)
