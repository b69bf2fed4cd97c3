"""The worker of one channel: reads the outbox, sends messages in parallel, retries and gives up."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from monitor.access.events import Notification
from monitor.access.limits import Delivery
from monitor.alerts.apprise_channel import DeliveryError
from monitor.alerts.channel_health import ChannelHealth, backoff
from monitor.alerts.fitting import TOGETHER_MOST, first_of
from monitor.alerts.interfaces import Outbox, Sender
from monitor.alerts.messages import Draft, Message
from monitor.alerts.waiting import Group, Waiting

log = structlog.get_logger()

#: Rows in one read of the outbox.
ROWS_MOST = 500
#: Rows that one channel holds in memory. Later rows stay in the outbox until there is room.
MEMORY_MOST = 4_000

#: A send that timed out may still arrive. Later rows of its targets wait for its end, at most this long.
ABANDONED_S = 60.0
#: How long a lease outlasts the timeout of its attempt.
LEASE_MARGIN = timedelta(seconds=ABANDONED_S + 10)

#: A worker that is not woken reads the outbox this often.
IDLE_S = 15.0
#: A message of up to this many rows is composed on the loop. A longer one takes a while and goes to a thread.
QUICK_MOST = 20
#: Seconds until the worker retries a claim of rows that another process has leased, or a failed outbox.
AGAIN_S = 1.0
#: Messages claimed ahead for each parallel send. A claim is a commit, so one claim takes several messages.
AHEAD = 4


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A group that this worker has claimed, until the loop time `until`.

    With no message, the send composes one.
    """

    group: Group
    message: Message | None
    until: float


class ChannelWorker:
    """Delivers one channel's notifications.

    `Dispatcher` describes the parameters, `Waiting` the order.
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
        #: loop time at which the last round or attempt ended
        self.progress_at: float | None = None
        self._outbox = outbox
        self._channel = channel
        self._delivery = delivery
        self._now = now
        self._spread = spread
        self._summary = summary
        self._first = delivery.retry_first.total_seconds()
        self._most = delivery.retry_most.total_seconds()
        self._waiting = Waiting(delivery.group_within.total_seconds())
        self._health = ChannelHealth(self._first, self._most)
        self._wake = asyncio.Event()
        self._one_round = asyncio.Lock()
        self._sends: set[asyncio.Task[None]] = set()
        self._claimed: deque[_Claimed] = deque()
        #: rows that failed and are still leased by this worker, because the outbox did not take the failure
        self._leased: set[int] = set()
        self._stopping = self._halted = False
        #: loop time at which the service's pace allows the next message
        self._next_at = 0.0
        #: the newest event id that was read
        self._read_to = 0
        self._read_all = self._reading = False
        #: loop time of the last read
        self._read_at = 0.0
        self._wakes = 0
        #: by row, its age when it was read and the loop time of that: a wall clock step does not change ages
        self._ages: dict[int, tuple[timedelta, float]] = {}
        #: ids of rows that are delivered but not marked yet
        self._unmarked: list[int] = []
        self._marking: asyncio.Task[None] | None = None
        self._unusable = False

    def wake(self, *, from_start: bool = False) -> None:
        """Read the outbox now: it may hold new rows. `from_start` reads all of it again."""
        if from_start:
            self._read_to = 0
        self._read_all = False
        self._wakes += 1
        self._wake.set()

    def offer(self, rows: Sequence[Notification]) -> None:
        """Take rows that were just committed. If earlier rows are still unread, read the outbox instead."""
        room = MEMORY_MOST - len(self._waiting)
        if self._read_all and not self._reading and len(rows) <= room:
            self._take_in(rows, self._now(), self._clock())
            self._read_to = max(self._read_to, rows[-1].event.id)
            self._wake.set()
        else:
            self.wake()

    async def run(self) -> None:
        """Deliver until cancelled, then cancel the sends under way."""
        try:
            await self._run()
        finally:
            self._halted = True
            for task in self._sends:
                task.cancel()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            wait = IDLE_S
            try:
                if not self._stopping:
                    wait = await self._round()
                self._say_usable()
            except Exception as error:  # noqa: BLE001
                # A failing store must not end the channel: the rows are still pending.
                self._say_unusable(error)
                wait = AGAIN_S
            self.progress_at = self._clock()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(wait, 0.0), IDLE_S)):
                    await self._wake.wait()

    async def drain(self) -> None:
        """Wait for the sends under way, then send what may be sent without waiting for windows."""
        self._stopping = True
        await self._settle()
        try:
            self._read_all = False
            await self._round(flush=True)
            while self._sends:
                await self._settle(first=True)
                await self._round(flush=True)
            await self._mark()
        except Exception as error:  # noqa: BLE001  the rows are still pending
            self._say_unusable(error)

    async def halt(self) -> None:
        """Wait for the sends under way and begin no others."""
        self._stopping = self._halted = True
        await self._settle()
        with suppress(Exception):  # already logged; the next worker finds the rows leased
            await self._mark()
            await self._outbox.release([id_ for one in self._claimed for id_ in one.group.ids])

    async def _settle(self, *, first: bool = False) -> None:
        if self._sends:
            how = asyncio.FIRST_COMPLETED if first else asyncio.ALL_COMPLETED
            await asyncio.wait(self._sends, return_when=how)

    async def _round(self, *, flush: bool = False) -> float:
        """Read new rows and begin the sends that may begin. Returns seconds until more may."""
        async with self._one_round:
            return await self._begin_what_may(flush=flush)

    async def _begin_what_may(self, *, flush: bool) -> float:
        if self._unmarked and self._marking is None:
            await self._mark()
        await self._read()
        now = self._clock()
        if self._health.down:
            await self._give_up_old()
        self._return_old(now)
        self._begin()
        most = self._may_claim(now)
        if most <= 0:
            return max(self._health.ready_at(now) - now, 0.0) if not self._sends else IDLE_S
        if now < self._next_at and not flush:
            return self._next_at - now  # rows that come until then can share the message
        if self._health.down:
            self._waiting.again_at(now)
        together = self._channel.pace > 0
        groups = self._waiting.take(now, most, flush=flush, together=together)
        if groups:
            await self._claim(groups)
        if self._may_claim(self._clock()) <= 0:
            return IDLE_S  # the end of a send wakes
        at = self._waiting.next_at()
        return IDLE_S if at is None else at - self._clock()

    def _may_claim(self, now: float) -> int:
        """How many messages may be claimed: those that may begin now, and some ahead on a healthy channel."""
        places, ahead = self._channel.parallel, len(self._claimed)
        if places > 1 and not self._health.down and self._health.ready_at(now) <= now:
            return AHEAD * places - ahead if ahead < places else 0
        return self._room(now) - ahead

    def _room(self, now: float) -> int:
        """How many sends may begin now."""
        if self._health.ready_at(now) > now:
            return 0
        if self._health.down:
            return 0 if self._sends else 1
        return self._channel.parallel - len(self._sends)

    async def _read(self) -> None:
        if self._clock() - self._read_at >= IDLE_S:
            self._read_all = False
        while not self._read_all and len(self._waiting) < MEMORY_MOST:
            if not len(self._waiting):
                self._read_to = 0
            now, at = self._now(), self._clock()
            known = self._wakes
            self._reading = True
            try:
                rows = await self._outbox.pending(self._channel.name, ROWS_MOST, self._read_to)
            finally:
                self._reading = False
            # Rows committed during the read may be missing from it.
            self._read_all = len(rows) < ROWS_MOST and known == self._wakes
            self._read_at = at
            out = {*self._unmarked}
            self._take_in([row for row in rows if row.id not in out], now, at)
            if rows:
                self._read_to = rows[-1].event.id

    def _take_in(self, rows: Sequence[Notification], now: datetime, at: float) -> None:
        new = [row for row in rows if row.id not in self._waiting]
        if new:
            self._health.retry_soon(at)
        for row in new:
            self._ages[row.id] = now - row.created_at, at
        self._waiting.add(new)

    async def _claim(self, groups: Sequence[Group]) -> None:
        messages = [await self._composed(group) for group in groups]
        lease = self._delivery.timeout + LEASE_MARGIN
        ids = [id_ for group in groups for id_ in group.ids]
        until = self._clock() + LEASE_MARGIN.total_seconds()
        try:
            got, leased = map(set, await self._outbox.claim(ids, self._now() + lease))
            got |= leased & self._leased
            self._leased -= got
        except BaseException:
            for group in groups:
                self._waiting.put_back(group, self._clock() + AGAIN_S)
            raise
        for group, message in zip(groups, messages, strict=True):
            mine = tuple(row for row in group.rows if row.id in got)
            whole = len(mine) == len(group.rows)
            if not whole:
                # Another process has leased them, or died with the lease: retry until the lease ends.
                if others := tuple(row for row in group.rows if row.id in leased):
                    self._waiting.put_back(Group(others), self._clock() + AGAIN_S)
                # The others are no longer pending: they were read before their outcome was written.
                self._forget([row for row in group.rows if row.id not in got | leased])
                group.rows = mine
            if mine:
                told = message if whole else await self._composed(group)
                self._claimed.append(_Claimed(group, told, until))
        self._begin()

    def _begin(self) -> None:
        """Send as many claimed groups as may be sent now."""
        now = self._clock()
        while self._claimed and self._room(now) > 0 and not self._halted:
            one = self._claimed.popleft()
            task = asyncio.create_task(self._send(one.group, one.message))
            self._sends.add(task)
            task.add_done_callback(self._sent)

    def _return_old(self, now: float) -> None:
        """Put back groups whose claim has become too old because the channel went down."""
        while self._claimed and self._claimed[0].until <= now:
            self._waiting.put_back(self._claimed.popleft().group, now)

    async def _composed(self, group: Group) -> Message | None:
        """A message of as many rows of the group as fit into one; the other rows wait."""
        draft = self._draft(group)
        number, message = TOGETHER_MOST, None
        try:
            limits = await self._channel.message_limits()
            if len(group.rows) > QUICK_MOST:
                number, message = await asyncio.to_thread(first_of, draft, limits)
            else:
                number, message = first_of(draft, limits)
        except Exception:  # the attempt may succeed all the same, and it handles failures
            log.exception("notification.unmeasured", channel=self._channel.name)
        self._waiting.keep(group, number, self._clock())
        return message

    def _draft(self, group: Group) -> Draft:
        scopes = {row.event.scope for row in group.rows}
        scope = scopes.pop() if len(scopes) == 1 else None
        events = [row.event for row in group.rows]
        return Draft(events, now=self._now(), summary=self._summary(scope) if scope else None)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        self.progress_at = self._clock()
        self._begin()
        self._wake.set()

    async def _send(self, group: Group, message: Message | None) -> None:
        """Send a claimed group and record the outcome."""
        started = self._clock()
        self._next_at = started + self._channel.pace
        try:
            await self._channel.send(message or self._draft(group).message())
        except DeliveryError as error:
            await self._failed(group, error, started)
        except Exception as error:
            # A bug that one message triggers must not stop the others.
            log.exception("notification.broken", channel=self._channel.name)
            await self._failed(group, DeliveryError(f"internal: {type(error).__name__}"), started)
        else:
            self._succeeded(group, started)

    def _succeeded(self, group: Group, started: float) -> None:
        if self._health.succeeded():
            log.info("channel.up", channel=self._channel.name)
            self._waiting.again_at(self._clock())
        self._log("delivered", group, started)
        self._waiting.sent(group, self._clock())
        for id_ in group.ids:
            self._ages.pop(id_, None)
        self._unmarked += group.ids
        if self._marking is None:
            self._marking = asyncio.create_task(self._mark_soon())

    async def _mark_soon(self) -> None:
        try:
            await self._mark()
        except Exception as error:  # noqa: BLE001  the rows stay unmarked; the next round retries
            self._say_unusable(error)
        finally:
            self._marking = None

    async def _mark(self) -> None:
        """Mark deliveries in the outbox. Keep the ids until it takes them, or they would be sent again."""
        while self._unmarked:
            ids = self._unmarked[:]
            await self._outbox.delivered(ids, self._now())
            noted = {*ids}  # another round may have marked some of them meanwhile
            self._unmarked = [id_ for id_ in self._unmarked if id_ not in noted]

    async def _failed(self, group: Group, error: DeliveryError, started: float) -> None:
        now = self._clock()
        if error.wait:
            self._health.hold(now + error.wait)
        elif self._health.failed(group.ids[0], now, self._spread()):
            log.error("channel.down", channel=self._channel.name, reason=error.reason)
        wait = backoff(group.failures + 1, self._first, self._most, self._spread())
        wait = max(wait, error.wait)
        reason = error.reason + (" (it may have been delivered)" if error.maybe_delivered else "")
        old = [row for row in group.rows if self._too_old(row)]
        group.rows = tuple(row for row in group.rows if row not in old)
        try:
            if old:
                await self._give_up(old, reason, started)
            if group.rows:
                self._log("failed", group, started, reason=reason, retry_in_s=round(wait, 1))
                at = self._now() + timedelta(seconds=wait)
                await self._outbox.failed(group.ids, reason, at)
        except Exception as trouble:  # noqa: BLE001  the rows are retried all the same
            self._leased.update(group.ids)
            self._say_unusable(trouble)
        if group.rows and error.ended is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(ABANDONED_S):
                    await error.ended.wait()
        if group.rows:
            self._waiting.failed(group, max(now + wait, self._clock()))

    async def _give_up_old(self) -> None:
        """The channel is down: give up all rows that have waited too long, tried or not."""
        old = [row for row in self._waiting.idle() if self._too_old(row)]
        if old:
            await self._give_up(old, "the channel has not worked for too long", self._clock())

    async def _give_up(self, rows: Sequence[Notification], reason: str, started: float) -> None:
        self.dead += len(rows)
        self._log("dead", Group(tuple(rows)), started, reason=reason)
        self._forget(rows)
        await self._outbox.dead([row.id for row in rows], reason, self._now())

    def _forget(self, rows: Sequence[Notification]) -> None:
        self._waiting.give_up(rows)
        for row in rows:
            self._ages.pop(row.id, None)

    def _too_old(self, row: Notification) -> bool:
        age, at = self._ages[row.id]
        return age + timedelta(seconds=self._clock() - at) >= self._delivery.give_up_after

    def _say_unusable(self, error: Exception) -> None:
        if not self._unusable:
            log.error(
                "outbox.unusable", channel=self._channel.name, error=str(error), exc_info=error
            )
        self._unusable = True
        asyncio.get_running_loop().call_later(AGAIN_S, self._wake.set)

    def _say_usable(self) -> None:
        if self._unusable and not self._unmarked:
            self._unusable = False
            log.info("outbox.usable_again", channel=self._channel.name)

    def _log(self, outcome: str, group: Group, started: float, **more: object) -> None:
        level = {"delivered": log.info, "failed": log.warning, "dead": log.error}[outcome]
        level(
            f"notification.{outcome}",
            channel=self._channel.name,
            ids=[row.event.id for row in group.rows],
            events=[str(row.event.kind) for row in group.rows],
            outcome=outcome,
            attempt=max(row.attempts for row in group.rows) + group.failures + 1,
            latency_ms=round((self._clock() - started) * 1000, 1),
            **more,
        )

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()
