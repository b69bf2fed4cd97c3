"""One channel's way from the outbox to the service: grouping, order, retries, giving up."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto

import structlog

from monitor.access.limits import Delivery
from monitor.alerts.apprise_channel import DeliveryError
from monitor.alerts.fitting import Fitted, divide
from monitor.alerts.messages import Detail, Draft, Told
from monitor.alerts.outbox import Outbox, Pending, Sender
from monitor.alerts.windows import Windows

log = structlog.get_logger()

Group = Sequence[Pending]

#: Rows read in one round: what one channel may hold in memory, and one message at most tells.
ROWS_MOST = 500

#: A group that failed so often may be the fault of its rows, not of the channel.
STUBBORN = 3

#: How long a lease outlives the attempt it is for.
LEASE_MARGIN = timedelta(seconds=10)

#: Without being woken, a channel looks this often: for leases of a process that died.
IDLE_S = 15.0


class Outcome(Enum):
    """What became of an attempt. LEASED: somebody else is at it, or died over it."""

    DELIVERED = auto()
    FAILED = auto()
    LEASED = auto()


@dataclass(slots=True)
class _Round:
    """What one round found: `due` are times on the loop's clock, `suspect` a group that may be at fault
    itself, `asked` whether another group was tried to find that out."""

    due: list[float]
    tried: set[int] = field(default_factory=set)
    delivered: bool = False
    suspect: Group | None = None
    asked: bool = False


class Lane:
    """Delivers one channel's notifications in order; see `Dispatcher` for the parameters.

    Changes of a scope gather in windows (`Windows`). What belongs to no scope goes at once. Nothing waits
    while more rows are pending than one round reads: what comes behind them would wait, too.
    """

    def __init__(
        self,
        outbox: Outbox,
        channel: Sender,
        delivery: Delivery,
        *,
        now: Callable[[], datetime],
        spread: Callable[[], float],
        summary: Callable[[str], str | None],
    ):
        self.dead = 0
        self.round_at: float | None = None
        self._outbox = outbox
        self._channel = channel
        self._delivery = delivery
        self._now = now
        self._spread = spread
        self._summary = summary
        self._wake = asyncio.Event()
        self._round = asyncio.Lock()
        self._stopping = False
        self._windows = Windows(delivery.group_within.total_seconds())
        #: notifications that are refused while others are taken, and when each is tried again
        self._retry_at: dict[int, float] = {}
        #: failures in a row, of whichever group; while there are some, the channel seems down
        self._failures = 0
        self._failed_at = 0.0
        self._closed_until = 0.0
        #: the service asked to be sent nothing until then
        self._asked_until = 0.0
        #: the newest row that waited when an attempt failed
        self._newest_failed = 0
        #: whether the last round failed for the outbox's sake, which is said once
        self._unusable = False
        #: when the rows of this round were asked for
        self._read_at = now()
        #: delivered, but the outbox could not be told yet
        self._unmarked: set[int] = set()

    def wake(self) -> None:
        """Look at once."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            self._wake.clear()
            wait = IDLE_S
            try:
                async with self._round:
                    if not self._stopping:
                        wait = min(await self._deliver(flush=False), IDLE_S)
            except Exception as error:  # noqa: BLE001
                # A store that fails must not end the channel: the rows are still pending.
                self._say_unusable(error)
            self.round_at = self._clock()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(wait, 0.0)):
                    await self._wake.wait()

    async def drain(self) -> None:
        """Wait for the attempt under way, then send what may be sent, windows or not."""
        self._stopping = True
        async with self._round:
            try:
                await self._deliver(flush=True)
            except Exception as error:  # noqa: BLE001  the rows are still pending
                self._say_unusable(error)

    async def halt(self) -> None:
        """Wait for the attempt under way, and begin no other."""
        self._stopping = True
        async with self._round:
            pass

    async def _deliver(self, *, flush: bool) -> float:
        """One round: try every group that is due, in order. Returns seconds until the next is due."""
        if self._unmarked:
            await self._mark(sorted(self._unmarked))
        # taken before the rows: a step of the clock makes nothing older, and later rows move with it
        self._read_at = self._now()
        rows = await self._outbox.pending(self._channel.name, ROWS_MOST)
        if self._unusable:
            self._unusable = False
            log.info("outbox.usable_again", channel=self._channel.name)
        self._forget(rows)
        failures = self._failures
        course = _Round(self._windows.ends)
        await self._try_in_order(rows, course, flush=flush or len(rows) == ROWS_MOST)
        if course.suspect and not course.asked and await self._one_by_one(course.suspect):
            return 0.0  # the rest of them may go now
        if not rows:
            self._failures = 0
        if self._failures:
            self._newest_failed = max(self._newest_failed, *(row.id for row in rows))
            course.due.append(self._closed_until)
            if not course.delivered:
                await self._give_up_old(rows, course.tried)
        more = course.delivered and len(rows) == ROWS_MOST
        # the attempts of this round may have taken longer than the wait after them
        late = self._failures > failures and self._closed_until <= self._clock()
        if more or late:
            return 0.0
        # Times gone by are of rows that somebody else has leased, or that are gone: no reason to spin.
        current = self._clock()
        return min((at - current for at in course.due if at > current), default=IDLE_S)

    async def _try_in_order(self, rows: Group, course: "_Round", *, flush: bool) -> None:
        for group in self._groups(rows):
            again = self._again_at(group, rows)
            if again > self._clock() and course.suspect is None:
                course.due.append(again)
                continue
            if not flush and self._windows.end_for(group) > self._clock():
                continue
            course.tried.update(row.id for row in group)
            outcome = await self._attempt(group)
            course.due += [self._retry_at[row.id] for row in group if row.id in self._retry_at]
            if outcome is Outcome.DELIVERED:
                course.delivered = True
                if course.suspect:
                    # It is not the channel: these rows are refused, and go their own way from here.
                    self._own_way(course.suspect)
                    course.suspect = None
            elif outcome is Outcome.FAILED and not self._goes_its_own_way(group):
                # For the sake of order the next ones wait behind a group that failed. One that fails
                # again and again may be the fault of its rows: then the next one finds that out.
                course.asked = course.suspect is not None
                if (
                    course.asked
                    or self._asked_until > self._clock()
                    or _attempts(group) + 1 < STUBBORN
                ):
                    return
                course.suspect = group

    async def _one_by_one(self, group: Group) -> bool:
        """A group fails again and again, and there is no other to ask whether the channel works.

        Its first rows are tried alone: together they may be too much, or one of them may be at fault.
        Returns whether one was taken; the ones before it then go their own way.
        """
        refused: list[Pending] = []
        for row in group[:STUBBORN] if len(group) > 1 else ():
            outcome = await self._attempt([row])
            if outcome is Outcome.DELIVERED:
                self._own_way(refused)
                return True
            refused.append(row)
        return False

    def _again_at(self, group: Group, rows: Group) -> float:
        """When a group may be tried after the failures so far, on the loop's clock."""
        return max(self._asked_until, self._after_failures(group, rows))

    def _after_failures(self, group: Group, rows: Group) -> float:
        if self._goes_its_own_way(group):
            return self._retry_at[group[0].id]
        # Something new may find out early whether the channel works again; the oldest goes first.
        if self._failures and rows[-1].id > self._newest_failed:
            return min(self._closed_until, self._failed_at + self._backoff(1))
        return self._closed_until

    def _goes_its_own_way(self, group: Group) -> bool:
        return group[0].id in self._retry_at

    def _own_way(self, group: Group) -> None:
        """Rows that are refused while others are taken: each is tried alone, at its own times."""
        for row in group:
            self._retry_at[row.id] = self._clock() + self._backoff(row.attempts + 1)

    def _groups(self, rows: Group) -> list[list[Pending]]:
        """Rows that share a message, in the order of each group's first row."""
        groups: dict[object, list[Pending]] = {}
        for row in rows:
            alone = row.id in self._retry_at
            groups.setdefault((row.id,) if alone else row.happening.scope, []).append(row)
        return list(groups.values())

    async def _attempt(self, group: Group) -> Outcome:
        """Tell a group in as many messages as it needs: each part is claimed, sent and marked alone."""
        outcome, rest = Outcome.LEASED, group
        for part in await self._divided(group):
            one = await self._attempt_part(rest[: part.number], part.detail)
            if one is Outcome.FAILED:
                return one  # what comes behind it waits, for the order's sake
            if one is Outcome.DELIVERED:
                outcome = one
            rest = rest[part.number :]
        return outcome

    async def _divided(self, group: Group) -> list[Fitted]:
        try:
            room = await self._channel.room()
            # in a thread: hundreds take a while
            return await asyncio.to_thread(divide, self._draft(group), room)
        except Exception:  # the attempt may do better, and knows how to fail
            log.exception("notification.unmeasured", channel=self._channel.name)
            return [Fitted(len(group), Detail())]

    def _draft(self, group: Group) -> Draft:
        scope = group[0].happening.scope
        told = [Told(row.happening_id, row.happening) for row in group]
        return Draft(told, now=self._now(), summary=self._summary(scope) if scope else None)

    async def _attempt_part(self, group: Group, detail: Detail) -> Outcome:
        """Claim, send, mark."""
        lease = self._delivery.timeout + LEASE_MARGIN
        got = set(await self._outbox.claim([row.id for row in group], self._now() + lease))
        mine = [row for row in group if row.id in got]
        if not mine:
            return Outcome.LEASED
        started = self._clock()
        try:
            await self._channel.send(self._draft(mine).message(detail))
        except DeliveryError as error:
            unsure = " (it may have been delivered)" if error.maybe_delivered else ""
            self._asked_until = max(self._asked_until, self._clock() + error.wait)
            await self._failed(mine, error.reason + unsure, started)
            return Outcome.FAILED
        except Exception as error:
            # A fault of ours in one message must not stop the others.
            log.exception("notification.broken", channel=self._channel.name)
            await self._failed(mine, f"internal: {type(error).__name__}", started)
            return Outcome.FAILED
        finally:
            self.round_at = self._clock()  # each attempt is bounded; a round of many is not
        self._succeeded(mine)
        self._log("delivered", mine, started)
        await self._mark([row.id for row in mine])
        return Outcome.DELIVERED

    async def _mark(self, ids: Sequence[int]) -> None:
        """Note the delivery; what the outbox does not take is remembered, or it would be sent again."""
        self._unmarked.update(ids)
        await self._outbox.delivered(ids, self._now())
        self._unmarked.difference_update(ids)

    def _say_unusable(self, error: Exception) -> None:
        if not self._unusable:
            log.error(
                "outbox.unusable", channel=self._channel.name, error=str(error), exc_info=error
            )
        self._unusable = True

    def _succeeded(self, group: Group) -> None:
        for row in group:
            self._retry_at.pop(row.id, None)
        self._failures, self._closed_until = 0, 0.0
        self._windows.told(group, self._clock())

    async def _failed(self, group: Group, reason: str, started: float) -> None:
        if self._goes_its_own_way(group):
            wait = self._at_least_asked(self._backoff(_attempts(group) + 1))
            self._retry_at |= {row.id: self._clock() + wait for row in group}
        else:
            self._failures += 1
            self._failed_at = self._clock()
            wait = self._at_least_asked(self._backoff(self._failures))
            self._closed_until = self._clock() + wait
        old = [row for row in group if self._too_old(row)]
        young = [row for row in group if not self._too_old(row)]
        if young:
            self._log("failed", young, started, reason=reason, retry_in_s=round(wait, 1))
            await self._outbox.failed(
                [row.id for row in young], reason, self._now() + timedelta(seconds=wait)
            )
        if old:
            await self._give_up(old, reason, started)

    async def _give_up_old(self, rows: Group, tried: set[int]) -> None:
        """A channel that is down takes nothing: what has waited too long behind it is given up, too."""
        old = [row for row in rows if row.id not in tried and self._too_old(row)]
        if old:
            await self._give_up(old, "the channel has not worked for too long", self._clock())

    async def _give_up(self, group: Group, reason: str, started: float) -> None:
        self.dead += len(group)
        for row in group:
            self._retry_at.pop(row.id, None)
        self._log("dead", group, started, reason=reason)
        await self._outbox.dead([row.id for row in group], reason, self._now())

    def _backoff(self, failures: int) -> float:
        """Seconds to wait after so many failures: doubling, with jitter, within the settings."""
        first = self._delivery.retry_first.total_seconds()
        most = self._delivery.retry_most.total_seconds()
        doubled = first * 2.0 ** min(failures - 1, 32)
        return min(doubled * (1 + self._spread() / 4), most)

    def _at_least_asked(self, wait: float) -> float:
        return max(wait, self._asked_until - self._clock())

    def _too_old(self, row: Pending) -> bool:
        return self._read_at - row.created_at >= self._delivery.give_up_after

    def _forget(self, rows: Group) -> None:
        """Drop what is remembered of rows that are gone, and windows that ended with nothing in them."""
        ids = {row.id for row in rows}
        if len(rows) < ROWS_MOST:
            self._retry_at = {id_: at for id_, at in self._retry_at.items() if id_ in ids}
        self._windows.forget({row.happening.scope for row in rows}, self._clock())

    def _log(self, outcome: str, group: Group, started: float, **more: object) -> None:
        level = {"delivered": log.info, "failed": log.warning, "dead": log.error}[outcome]
        level(
            f"notification.{outcome}",
            channel=self._channel.name,
            ids=[row.happening_id for row in group],
            events=[str(row.happening.event) for row in group],
            outcome=outcome,
            attempt=_attempts(group) + 1,
            latency_ms=round((self._clock() - started) * 1000, 1),
            **more,
        )

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()


def _attempts(group: Group) -> int:
    return max(row.attempts for row in group)
