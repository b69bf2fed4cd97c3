"""The rows that one channel still has to send: which may go now, which share a message, when the next may go.

In memory and pure: the time is a value, in seconds of a monotonic clock.
"""

import heapq
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count

from monitor.access.events import Event, Notification
from monitor.access.words import EventKind
from monitor.alerts.group import Group

#: After STUBBORN failures a group is split into PIECES: one of its rows may be the cause.
STUBBORN, PIECES = 3, 8

#: With `separate`, rows of one order that are held at a time: one that is stuck must leave room for others.
ORDER_MOST = 200

#: The window of first lights, as a fraction of the window of other rows.
_LIGHTS_WAIT = 0.25


@dataclass(slots=True)
class _Scope:
    """Rows of one organization that were never tried, and the windows that they wait for."""

    rows: list[Notification] = field(default_factory=list)
    #: 0 while no window is open
    window_ends: float = 0.0
    #: when a first light may go, even in an open window
    lights_at: float = 0.0
    #: when it is checked next; later entries in the heaps are ignored
    due: float | None = None


class Waiting:
    """The rows of one channel that are not delivered yet.

    Order is kept per target, and per scope for rows without a target: a row goes only when no earlier row
    of its target is left. The first row of a scope goes at once and opens a window of `group_within`
    seconds; the rows that follow within the window go together at its end. A first light waits only after
    another first light, and for a quarter of the window; the waiting rows go with it. Of all groups that may
    go, those with first lights go first. A failed group is retried unchanged, at its own time, and holds
    back only the later rows of its targets; none if some of the recipients took it.

    With `separate` each row goes alone, at once, when no earlier row of its organization is left. A key
    without an organization is one of its own, and what has no target is in the order of its scope. Of each
    order `ORDER_MOST` rows are taken; `has_left_out` says when the rest is wanted.
    """

    def __init__(self, group_within: float, *, separate: bool = False) -> None:
        self._group_within = 0.0 if separate else group_within
        self._separate = separate
        self._rows: dict[int, Notification] = {}
        #: by target, or by scope, the ids of its rows, in order
        self._orders: dict[Hashable, deque[int]] = {}
        self._scopes: dict[Hashable, _Scope] = {}
        #: scopes to check: when, a number that separates equal times, which
        self._due: list[tuple[float, int, Hashable]] = []
        self._retries: list[tuple[float, int, Group]] = []
        #: due groups and scopes: those with a first light sort first
        self._ready: list[tuple[bool, int, Group | Hashable]] = []
        #: due groups, held back by an earlier row of a target
        self._held: list[Group] = []
        #: orders of which rows were left out, as they had their most
        self._left_out: set[Hashable] = set()
        self._number = count()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: Iterable[Notification]) -> list[Notification]:
        """Add rows, in the order in which they happened, and return them without those known or left out."""
        added: list[Notification] = []
        for row in rows:
            if row.id in self._rows:
                continue
            order = self._order(row.event)
            # what follows one that was left out is left out, too: else it would be sent before
            if self._separate and (
                order in self._left_out or len(self._orders.get(order, ())) >= ORDER_MOST
            ):
                self._left_out.add(order)
                continue
            self._rows[row.id] = row
            self._orders.setdefault(order, deque()).append(row.id)
            self._enter(row)
            added.append(row)
        return added

    def has_left_out(self) -> bool:
        """Whether rows that were left out have room now, and must be added again, from the first one on."""
        half = ORDER_MOST // 2
        if not any(len(self._orders.get(order, ())) <= half for order in self._left_out):
            return False
        self._left_out.clear()
        return True

    def take(
        self, now: float, most: int, *, flush: bool = False, together: bool = False
    ) -> list[Group]:
        """Up to `most` groups that may be sent now. Each is under way until its outcome is reported.

        `flush` ignores the windows. `together` adds all rows that were never tried: a service that takes
        one message a second gets as few messages as possible.
        """
        if flush:
            for key, scope in self._scopes.items():
                scope.window_ends = scope.lights_at = 0.0
                self._schedule(key, scope, 0.0)
        while self._retries and self._retries[0][0] <= now:
            again = heapq.heappop(self._retries)[2]
            heapq.heappush(self._ready, (not _has_light(again.rows), next(self._number), again))
        while self._due and self._due[0][0] <= now:
            at, number, key = heapq.heappop(self._due)
            due = self._scopes.get(key)
            if due is not None and due.due == at:
                due.due = None
                heapq.heappush(self._ready, (not _has_light(due.rows), number, key))
        taken: list[Group] = []
        while len(taken) < most and self._ready:
            item = heapq.heappop(self._ready)[2]
            group = (
                self._again(item)
                if isinstance(item, Group)
                else self._new(item, now, together=together)
            )
            if group:
                taken.append(group)
        return taken

    def next_at(self) -> float | None:
        """When the next group may be sent, if nothing changes until then; None when nothing waits."""
        if self._ready:
            return 0.0
        times = [heap[0][0] for heap in (self._retries, self._due) if heap]
        return min(times, default=None)

    def sent(self, group: Group, now: float) -> None:
        """The group was sent: its windows begin now, and its rows are removed."""
        lit = {self._scope(row) for row in group.rows if _is_light(row)}
        for key, opens in group.scopes.items():
            if scope := self._scopes.get(key):
                if opens:
                    scope.window_ends = now + self._group_within
                if key in lit:
                    scope.lights_at = now + self._group_within * _LIGHTS_WAIT
        self.remove(group)

    def failed(self, group: Group, at: float) -> None:
        """Retry the group at `at`, in ever smaller pieces if it has failed several times.

        If some recipients took it, nothing waits for the others, and the message is not its cause.
        """
        group.failures += 1
        if group.taken:
            group.scopes = {}
            self._let_pass(group.rows)
            self.retry(group, at)
            return
        # Nothing was delivered, so later rows of the scope must not wait for a window.
        for key, opens in group.scopes.items():
            if scope := self._scopes.get(key):
                scope.lights_at = 0.0
                if opens:
                    scope.window_ends = 0.0
                self._schedule(key, scope, 0.0)
        group.scopes = {}
        stubborn = group.failures >= STUBBORN and len(group.rows) > 1
        for one in self._pieces(group) if stubborn else [group]:
            self.retry(one, at)

    def retry(self, group: Group, at: float) -> None:
        """Let the group, which is not under way, go at `at`."""
        group.at = at
        heapq.heappush(self._retries, (at, next(self._number), group))

    def keep(self, group: Group, number: int, now: float) -> None:
        """Keep the first `number` rows in the group; the others wait for their turn, but for no window."""
        rest, group.rows = group.rows[number:], group.rows[:number]
        if rest and not group.scopes:
            self.retry(group.part(rest), now)
            return
        left: dict[Hashable, list[Notification]] = {}
        for row in rest:
            left.setdefault(self._scope(row), []).append(row)
        for key, rows in left.items():
            scope = self._scopes.setdefault(key, _Scope())
            scope.rows = rows + scope.rows
            scope.window_ends = scope.lights_at = 0.0
            group.scopes.pop(key, None)
            self._schedule(key, scope, 0.0)

    def idle(self) -> list[Notification]:
        """The rows that are not under way."""
        waiting = [row for scope in self._scopes.values() for row in scope.rows]
        return waiting + [row for group in self._tried() for row in group.rows]

    def again_at(self, at: float) -> None:
        """Retry every failed group at `at` or before: the channel works again.

        That says nothing of a recipient that refused what others took.
        """
        for group in self._taken_out():
            self.retry(group, group.at if group.taken else min(group.at, at))

    def remove(self, group: Group) -> None:
        """Remove the rows of a group. The rows that they held back may go."""
        self._let_pass(group.rows)
        for row in group.rows:
            self._rows.pop(row.id, None)

    def _let_pass(self, rows: Sequence[Notification]) -> None:
        """Let the rows go that these hold back."""
        held, self._held = self._held, []
        for one in held:
            self.retry(one, one.at)
        for row in rows:
            order = self._order(row.event)
            left = self._orders.get(order)
            if not left or row.id not in left:
                continue
            left.remove(row.id)
            if left:
                self._call(self._rows[left[0]])
            else:
                del self._orders[order]

    def give_up(self, rows: Sequence[Notification]) -> None:
        """Remove rows that will not be sent, wherever they wait."""
        ids = {row.id for row in rows}
        for group in self._taken_out():
            group.rows = tuple(row for row in group.rows if row.id not in ids)
            if group.rows:
                self.retry(group, group.at)
        for scope in self._scopes.values():
            scope.rows = [row for row in scope.rows if row.id not in ids]
        self.remove(Group(tuple(rows)))

    def _pieces(self, group: Group) -> list[Group]:
        """The first row of each target, in a few groups. The other rows wait behind it like new rows."""
        heads: list[Notification] = []
        seen: set[Hashable] = set()
        for row in group.rows:
            order = self._order(row.event)
            if order in seen:
                self._enter(row)
            else:
                seen.add(order)
                heads.append(row)
        size = -(-len(heads) // PIECES)
        return [
            Group(tuple(heads[at : at + size]), group.failures) for at in range(0, len(heads), size)
        ]

    def _tried(self) -> list[Group]:
        """All groups that wait for a retry, in order."""
        ready = (item for _, _, item in sorted(self._ready) if isinstance(item, Group))
        return [*ready, *self._held, *(group for _, _, group in sorted(self._retries))]

    def _taken_out(self) -> list[Group]:
        groups = self._tried()
        self._ready = [entry for entry in self._ready if not isinstance(entry[2], Group)]
        heapq.heapify(self._ready)
        self._held, self._retries = [], []
        return groups

    def _enter(self, row: Notification) -> None:
        self._scopes.setdefault(self._scope(row), _Scope()).rows.append(row)
        self._call(row)

    def _call(self, row: Notification) -> None:
        """Schedule a check of the row's scope for when the row may go."""
        key = self._scope(row)
        if scope := self._scopes.get(key):
            self._schedule(key, scope, _free_at(scope, light=_is_light(row)))

    def _schedule(self, key: Hashable, scope: _Scope, at: float) -> None:
        if scope.due is None or at < scope.due:
            scope.due = at
            heapq.heappush(self._due, (at, next(self._number), key))

    def _again(self, group: Group) -> Group | None:
        """The rows of a due group that may go; the others are held."""
        if group.taken:
            return group if group.rows else None
        free, held = self._free(group.rows)
        if held:
            self._held.append(Group(tuple(held), group.failures, group.at))
        group.rows = tuple(free)
        return group if free else None

    def _new(self, key: Hashable, now: float, *, together: bool) -> Group | None:
        """The untried rows of a scope that may go; with `together`, those of all scopes."""
        scope = self._scopes.get(key)
        if scope is None:
            return None
        free, _ = self._free(scope.rows)
        at = (
            _free_at(scope, light=_has_light(free))
            if free
            else max(scope.window_ends, scope.lights_at)
        )
        if at > now:
            self._schedule(key, scope, at)
            return None
        if not free:  # held rows are scheduled again when the rows before them are removed
            if not scope.rows:
                del self._scopes[key]
            return None
        group = Group(())
        rows: list[Notification] = []
        for one in list(self._scopes) if together else [key]:
            rows += self._opened(one, group, now)
        lit = {self._order(row.event) for row in rows if _is_light(row)}
        rows.sort(key=lambda row: self._order(row.event) not in lit)
        group.rows = tuple(rows)
        return group

    def _opened(self, key: Hashable, group: Group, now: float) -> list[Notification]:
        """The rows of a scope that may go. Opens a window, or closes one that has ended."""
        scope = self._scopes[key]
        free, scope.rows = self._free(scope.rows)
        if free:
            opens = not scope.window_ends and not isinstance(key, tuple)
            if opens:
                scope.window_ends = now + self._group_within
            elif scope.window_ends <= now:
                scope.window_ends = 0.0
            if _has_light(free):
                scope.lights_at = now + self._group_within * _LIGHTS_WAIT
            group.scopes[key] = opens
            self._schedule(key, scope, max(scope.window_ends, scope.lights_at))
        return free

    def _free(self, rows: Sequence[Notification]) -> tuple[list[Notification], list[Notification]]:
        """The rows that may go, and the rows held back by an earlier row that does not go with them."""
        if self._separate:
            first = bool(rows) and self._orders[self._order(rows[0].event)][0] == rows[0].id
            return list(rows[:first]), list(rows[first:])
        free: list[Notification] = []
        held: list[Notification] = []
        places: dict[Hashable, int] = {}
        for row in rows:
            order = self._order(row.event)
            place = places.get(order, 0)
            if self._orders[order][place] == row.id:
                places[order] = place + 1
                free.append(row)
            else:
                held.append(row)
        return free, held

    def _order(self, event: Event) -> Hashable:
        if not self._separate:
            return event.target or ("scope", event.scope)
        if organization := event.facts.get("organization"):
            return str(organization)
        return ("key", event.target.partition("/")[0]) if event.target else ("scope", event.scope)

    def _scope(self, row: Notification) -> Hashable:
        """Rows of one scope share messages; a row without a scope goes alone."""
        if self._separate:
            return self._order(row.event)
        return row.event.scope or ("alone", row.id)


def _free_at(scope: _Scope, *, light: bool) -> float:
    return min(scope.window_ends, scope.lights_at) if light else scope.window_ends


def _is_light(row: Notification) -> bool:
    return row.event.kind is EventKind.FIRST_LIGHT


def _has_light(rows: Iterable[Notification]) -> bool:
    return any(map(_is_light, rows))
