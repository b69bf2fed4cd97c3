"""The worker of one channel: reads the outbox, sends messages in parallel, retries and gives up."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from monitor.access.events import Event, Notification
from monitor.access.limits import Delivery
from monitor.alerts.channel_health import ChannelHealth
from monitor.alerts.group import Group
from monitor.alerts.interfaces import Count, DeliveryError, Outbox, Sender
from monitor.alerts.messages import TOGETHER_MOST, Draft, first_of
from monitor.alerts.render import Message
from monitor.alerts.waiting import Waiting

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


@dataclass(eq=False)
class ChannelWorker:
    """Delivers one channel's notifications. `Dispatcher` describes the parameters, `Waiting` the order."""

    outbox: Outbox
    channel: Sender
    delivery: Delivery
    now: Callable[[], datetime]
    spread: Callable[[], float]
    compose: Callable[[Sequence[Event], str], Draft]
    count: Count

    def __post_init__(self) -> None:
        #: loop time at which the last round or attempt ended
        self.progress_at: float | None = None
        #: so many processes share the channel's pace
        self.share = 1
        self._clock = asyncio.get_running_loop().time
        self._waiting = Waiting(
            self.delivery.group_within.total_seconds(), separate=self.channel.separate
        )
        self._health = ChannelHealth(
            self.delivery.retry_first.total_seconds(), self.delivery.retry_most.total_seconds()
        )
        self._wake = asyncio.Event()
        self._one_round = asyncio.Lock()
        self._sends: set[asyncio.Task[None]] = set()
        self._claimed: deque[Group] = deque()
        #: rows that this worker may have leased itself: a failure was not taken, or a claim was not answered
        self._leased: set[int] = set()
        self._stopping = self._halted = False
        #: loop time at which the service's pace allows the next message
        self._next_at = 0.0
        #: the newest event id that was read; of a fleet's others there may be rows below one that was offered
        self._read_to = 0
        #: whether all was read; False while a read is under way
        self._read_all = False
        #: loop time of the last read
        self._read_at = 0.0
        self._wakes = 0
        #: by row, the loop time at which it is given up: a step of the wall clock does not change it
        self._expires: dict[int, float] = {}
        #: ids of rows that are delivered but not marked yet
        self._unmarked: set[int] = set()
        self._marking: asyncio.Task[None] | None = None
        self._unusable = False

    def wake(self, *, from_start: bool = False) -> None:
        """Read the outbox now: it may hold new rows. `from_start` reads all of it again."""
        if from_start:
            self._read_to = 0
            self._health.gone = False
        self._read_all = False
        self._wakes += 1
        self._wake.set()

    def offer(self, rows: Sequence[Notification]) -> None:
        """Take rows that were just committed. If earlier rows are still unread, read the outbox instead."""
        room = MEMORY_MOST - len(self._waiting)
        if self._read_all and len(rows) <= room:
            self._take_in(rows, self.now(), self._clock())
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
                if self._unusable and not self._unmarked:
                    self._unusable = False
                    log.info("outbox.usable_again", channel=self.channel.name)
            except Exception as error:  # noqa: BLE001  a failing store must not end the channel
                self._say_unusable(error)
            self.progress_at = self._clock()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(wait, 0.0), IDLE_S)):
                    await self._wake.wait()

    async def drain(self) -> None:
        """Wait for the sends under way, then send what may be sent without waiting for windows."""
        self._stopping = True
        if self._sends:
            await asyncio.wait(self._sends)
        try:
            self._read_all = False
            await self._round(flush=True)
            while self._sends:
                await asyncio.wait(self._sends, return_when=asyncio.FIRST_COMPLETED)
                await self._round(flush=True)
            await self._mark()
        except Exception as error:  # noqa: BLE001  the rows are still pending
            self._say_unusable(error)

    async def halt(self) -> None:
        """Wait for the sends under way and begin no others."""
        self._stopping = self._halted = True
        if self._sends:
            await asyncio.wait(self._sends)
        with suppress(Exception):  # already logged; the next worker finds the rows leased
            await self._mark()
            await self.outbox.release([id_ for group in self._claimed for id_ in group.ids])

    async def _round(self, *, flush: bool = False) -> float:
        """Read new rows and begin the sends that may begin. Returns seconds until more may."""
        async with self._one_round:
            if self._unmarked and self._marking is None:
                await self._mark()
            await self._read()
            now = self._clock()
            self._return_old(now)
            if self._health.down and (old := self._too_old(self._waiting.idle())):
                await self._give_up(old, self._health.why, now)
            self._begin()
            most = self._may_claim(now)
            if most <= 0:
                return max(self._health.ready_at(now) - now, 0.0) if not self._sends else IDLE_S
            if now < self._next_at and not flush:
                return self._next_at - now  # rows that come until then can share the message
            if self._health.down:
                self._waiting.again_at(now)
            groups = self._waiting.take(now, most, flush=flush, together=self.channel.pace > 0)
            if groups:
                await self._claim(groups)
            if self._may_claim(self._clock()) <= 0:
                return IDLE_S  # the end of a send wakes
            at = self._waiting.next_at()
            return IDLE_S if at is None else at - self._clock()

    def _may_claim(self, now: float) -> int:
        """How many messages may be claimed: those that may begin now, and some ahead on a healthy channel."""
        places, ahead = self.channel.parallel, len(self._claimed)
        if places > 1 and not self._health.down and self._health.ready_at(now) <= now:
            return AHEAD * places - ahead if ahead < places else 0
        return self._room(now) - ahead

    def _room(self, now: float) -> int:
        """How many sends may begin now."""
        if self._health.ready_at(now) > now:
            return 0
        if self._health.down:
            return 0 if self._sends else 1
        return self.channel.parallel - len(self._sends)

    async def _read(self) -> None:
        if from_start := self._waiting.has_left_out():
            self._read_to = 0
        if from_start or self._clock() - self._read_at >= IDLE_S:
            self._read_all = False
        while not self._read_all and len(self._waiting) < MEMORY_MOST:
            if not len(self._waiting):
                self._read_to = 0
            now, at = self.now(), self._clock()
            known = self._wakes
            rows = await self.outbox.pending(self.channel.name, ROWS_MOST, self._read_to)
            # Rows committed during the read may be missing from it.
            self._read_all = len(rows) < ROWS_MOST and known == self._wakes
            self._read_at = at
            self._take_in([row for row in rows if row.id not in self._unmarked], now, at)
            if rows:
                self._read_to = rows[-1].event.id

    def _take_in(self, rows: Sequence[Notification], now: datetime, at: float) -> None:
        new = self._waiting.add(rows)
        if new:
            self._health.retry_soon(at)
        for row in new:
            left = self.delivery.left(now - row.created_at)
            self._expires[row.id] = at + left.total_seconds()

    async def _claim(self, groups: Sequence[Group]) -> None:
        for group in groups:
            await self._compose(group)
        lease = self.delivery.timeout + LEASE_MARGIN
        ids = [id_ for group in groups for id_ in group.ids]
        until = self._clock() + LEASE_MARGIN.total_seconds()
        try:
            got, leased = map(set, await self.outbox.claim(ids, self.now() + lease))
            got |= leased & self._leased
            self._leased -= set(ids)
        except BaseException:
            self._leased.update(ids)  # perhaps: a claim may be made though its answer was cut off
            for group in groups:
                self._waiting.retry(group, self._clock() + AGAIN_S)
            raise
        for group in groups:
            mine = tuple(row for row in group.rows if row.id in got)
            if len(mine) < len(group.rows):
                # Another process has leased them, or died with the lease: retry until the lease ends.
                if others := tuple(row for row in group.rows if row.id in leased):
                    self._waiting.retry(group.part(others), self._clock() + AGAIN_S)
                # The others are no longer pending: they were read before their outcome was written.
                self._forget([row for row in group.rows if row.id not in got | leased])
                group.rows = mine
                if mine:
                    await self._compose(group)
            if mine:
                group.claimed_until = until
                self._claimed.append(group)
        self._begin()

    def _begin(self) -> None:
        """Send as many claimed groups as may be sent now."""
        now = self._clock()
        while self._claimed and self._room(now) > 0 and not self._halted:
            task = asyncio.create_task(self._send(self._claimed.popleft()))
            self._sends.add(task)
            task.add_done_callback(self._sent)

    def _return_old(self, now: float) -> None:
        """Put back groups that will not be sent, or whose claim became too old while the channel was down."""
        while self._claimed and (self._health.gone or self._claimed[0].claimed_until <= now):
            self._waiting.retry(self._claimed.popleft(), now)

    async def _compose(self, group: Group) -> None:
        """Give the group a message of as many of its rows as fit into one; the other rows wait."""
        if self.channel.separate:
            group.message = Message("", "info", [], events=[row.event for row in group.rows])
            return
        draft = self._draft(group)
        number, group.message = TOGETHER_MOST, None
        try:
            limits = await self.channel.message_limits()
            if len(group.rows) > QUICK_MOST:
                number, group.message = await asyncio.to_thread(first_of, draft, limits)
            else:
                number, group.message = first_of(draft, limits)
        except Exception:  # the attempt may succeed all the same, and it handles failures
            log.exception("notification.unmeasured", channel=self.channel.name)
        self._waiting.keep(group, number, self._clock())

    def _draft(self, group: Group) -> Draft:
        return self.compose([row.event for row in group.rows], self.channel.name)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        self.progress_at = self._clock()
        self._begin()
        self._wake.set()

    async def _send(self, group: Group) -> None:
        """Send a claimed group and record the outcome."""
        message, group.message = group.message, None
        started, took = self._clock(), len(group.taken)
        self._next_at = started + self.channel.pace * self.share
        try:
            await self.channel.send(group.sends(message or self._draft(group).message()))
        except DeliveryError as error:
            if len(group.taken) > took:
                self._works()
            await self._failed(group, error, started)
        except Exception as error:  # a bug that one message triggers must not stop the others
            log.exception("notification.broken", channel=self.channel.name)
            await self._failed(group, DeliveryError(f"internal: {type(error).__name__}"), started)
        else:
            self._succeeded(group, started)

    def _succeeded(self, group: Group, started: float) -> None:
        self._works()
        self._log("delivered", group, started)
        self._waiting.sent(group, self._clock())
        for id_ in group.ids:
            self._expires.pop(id_, None)
        self._unmarked.update(group.ids)
        if self._marking is None:
            self._marking = asyncio.create_task(self._mark_soon())

    def _works(self) -> None:
        if self._health.succeeded():
            log.info("channel.up", channel=self.channel.name)
            self._waiting.again_at(self._clock())

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
            ids = sorted(self._unmarked)
            await self.outbox.delivered(ids, self.now())
            self._unmarked.difference_update(ids)  # others may have come meanwhile

    async def _failed(self, group: Group, error: DeliveryError, started: float) -> None:
        now = self._clock()
        why = error.reason
        # A recipient that refuses what others took says nothing of the channel, but for a wait.
        if (error.wait or not group.taken) and self._health.failed(
            group.ids[0], now, self.spread(), asked=error.wait, reason=why
        ):
            log.error("channel.down", channel=self.channel.name, reason=why)
        if group.taken:
            why = f"some recipients took it, not all: {why}"
        wait = max(self._health.backoff(group.failures + 1, self.spread()), error.wait)
        reason = why + (" (it may have been delivered)" if error.ended else "")
        old = self._too_old(group.rows)
        group.rows = tuple(row for row in group.rows if row not in old)
        try:
            if old:
                await self._give_up(old, reason, started)
            if group.rows:
                self._log("failed", group, started, reason=reason, retry_in_s=round(wait, 1))
                await self.outbox.failed(group.ids, reason, self.now() + timedelta(seconds=wait))
        except Exception as trouble:  # noqa: BLE001  the rows are retried all the same
            self._leased.update(group.ids)
            self._say_unusable(trouble)
        if group.rows and error.ended is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(ABANDONED_S):
                    await error.ended.wait()
        if group.rows:
            self._waiting.failed(group, max(now + wait, self._clock()))

    async def _give_up(self, rows: Sequence[Notification], reason: str, started: float) -> None:
        self._log("dead", Group(tuple(rows)), started, reason=reason)
        self._forget(rows)
        await self.outbox.dead([row.id for row in rows], reason, self.now())

    def _forget(self, rows: Sequence[Notification]) -> None:
        self._waiting.give_up(rows)
        for row in rows:
            self._expires.pop(row.id, None)

    def _too_old(self, rows: Iterable[Notification]) -> list[Notification]:
        return [row for row in rows if self._health.gone or self._clock() >= self._expires[row.id]]

    def _say_unusable(self, error: Exception) -> None:
        if not self._unusable:
            log.error(
                "outbox.unusable", channel=self.channel.name, error=str(error), exc_info=error
            )
        self._unusable = True
        asyncio.get_running_loop().call_later(AGAIN_S, self._wake.set)

    def _log(self, outcome: str, group: Group, started: float, **more: object) -> None:
        """Log and count what became of a group."""
        self.count(self.channel.name, outcome, len(group.rows))
        latency = round((self._clock() - started) * 1000, 1)
        group.log(outcome, channel=self.channel.name, latency_ms=latency, **more)
