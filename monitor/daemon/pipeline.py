"""The pipeline, as the picture in docs/architecture.md has it, from top to bottom.

reserve → probe → diagnose → advance → write → schedule
"""

import asyncio
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from monitor.access.cadence import NextProbe, full_interval, next_probe, not_before
from monitor.access.diagnosis import DiagnosisCache
from monitor.access.events import Answered, Decision, SiblingOpened
from monitor.access.memory import TargetState, changed
from monitor.access.states import advance
from monitor.access.wait_times import opening_of
from monitor.access.words import Code, Effect, EventKind, Hold, ProbeKind, Reason, State
from monitor.config import Settings
from monitor.daemon.changes import Changes, EventBuilder
from monitor.daemon.clock import Clock
from monitor.daemon.listings import Listings
from monitor.daemon.payments import Payments
from monitor.daemon.probe import Probe, answer_of, count, not_evaluated
from monitor.daemon.request_slots import RequestSlots, RouteSlots
from monitor.daemon.schedule import Lateness, Schedule
from monitor.daemon.staleness import NetworkState, StaleRoutes
from monitor.daemon.watches import Watch, Watches
from monitor.probing import Prober
from monitor.store.records import Change
from monitor.store.tally import Tally

log = structlog.get_logger()
_ours = logging.getLogger(__name__)

#: Codes that do not come from the server, or say that it does not serve at present.
_NOT_HEARD = frozenset((Code.SERVER_ERROR, Code.EDGE_ERROR, Code.NETWORK_ERROR, Code.RATE_LIMITED))

#: For waits of this many seconds or more, `status` says what holds a target back.
_WORTH_TELLING = 10.0

#: Within this time only one sibling's opening makes a waiting target probe early.
_ONE_OPENING = timedelta(seconds=5)


@dataclass(eq=False, kw_only=True)
class Pipeline:
    """Owns the probes under way. `begin` is called when a target is due, and returns at once."""

    watches: Watches
    clock: Clock
    slots: RequestSlots
    payments: Payments
    prober: Prober
    listings: Listings
    event_builder: EventBuilder
    stale_routes: StaleRoutes
    network: NetworkState
    lateness: Lateness
    tally: Tally
    changes: Changes
    schedule: Schedule
    #: what became of the network, where the pipeline itself does not tell it
    network_news: list[tuple[EventKind, dict[str, Any]]] | None = None
    #: number of probes that ended since the start
    made: int = field(default=0, init=False)
    _tasks: dict[asyncio.Task[None], Watch] = field(default_factory=dict, init=False)
    _stopping: bool = field(default=False, init=False)

    def use(self, settings: Settings) -> None:
        """Diagnose with the rules of these settings from now on."""
        self._cache = DiagnosisCache(settings.rules)

    async def begin(self, watch: Watch) -> None:
        """Begin a probe of the watch, unless one is under way or a slot is not yet free."""
        if watch.busy or watch.handed_over or self._stopping:
            return
        wait, hold = self.slots.wait(watch)
        if wait > 0:
            self.schedule.in_seconds(watch, wait)
            if wait >= _WORTH_TELLING:
                await self._held(watch, hold, wait)
            return
        watch.busy = True
        task = asyncio.create_task(self._guarded(watch), name=f"probe {watch.name}")
        self._tasks[task] = watch
        task.add_done_callback(self._tasks.pop)

    async def drain(self, seconds: float) -> None:
        """Begin no more probes. Wait up to `seconds` for those under way, then cancel them."""
        self._stopping = True
        await _end(list(self._tasks), seconds)

    async def hand_over(self, watches: Collection[Watch], seconds: float) -> None:
        """Begin no more probes of these watches. Wait up to `seconds` for theirs, then cancel them."""
        for watch in watches:
            watch.handed_over = True
        await _end([task for task, watch in self._tasks.items() if watch.handed_over], seconds)

    async def _probe(self, watch: Watch) -> None:
        """One probe: reserve, probe, diagnose; `record` does the rest."""
        if watch.removed:  # by a reload between `begin` and the task's first step
            return
        slots = self.slots.of(watch)  # kept to the end: the route may leave the settings meanwhile
        probe = await self.payments.reserve(watch)
        if probe is None:  # other probes hold the rest of the budget at present
            self.schedule.in_seconds(watch, self.payments.soon)
            return
        await self._send(probe, slots)
        resumed = self._diagnose(probe, slots)
        # its route may have left the settings meanwhile, and with it what is counted of it
        if not watch.removed:
            count(self.tally, probe)
        try:
            await self.record(probe)
        except Exception:
            log.exception("answer_not_taken", target=watch.name)
            probe.diagnosis = not_evaluated(probe.observation)
            await self.record(probe)
        await self.payments.tell_of(probe)
        for one in resumed:
            await self._show(one)

    async def record(self, probe: Probe) -> None:
        """Take a probe's answer: advance, write, schedule. An opening makes siblings probe at once, too."""
        watch, now = probe.watch, self.clock.now()
        if probe.kind is ProbeKind.LISTING:
            self.listings.seen(watch, probe.observation)
        if watch.removed or watch.leaving or probe.outdated:
            # The target left the settings meanwhile, or has another secret: only the cost of the answer
            # still matters.
            await self.changes.write([Change(posting=probe.posting)])
            self.schedule.at(watch, now)
            return
        if probe.asked_at < watch.asked_at:
            # a later probe was answered before: this answer does not show the gate's present state
            answer = answer_of(probe, now)
            await self.changes.write([Change(watch.name, answer=answer, posting=probe.posting)])
            self.schedule.at(watch, watch.memory.next_probe_at or now)
            return
        before = watch.memory
        decision, plan = self._advance(probe, now)
        changes = self._changes_of(probe, before, decision, now)
        if watch.memory.state is not before.state:
            watch.answers = 0
        nothing_new = (
            probe.code is before.last_diagnosis
            and watch.memory.state is before.state
            and not (changes[0].events or probe.posting or len(changes) > 1)
        )
        _log(probe, plan, news=bool(changes[0].events))
        await self.changes.write(changes, patient=nothing_new)
        # Schedule after the write, and from the memory: the commit may take longer than the wait, and the
        # clock may be stepped meanwhile.
        due = now if watch.asked else watch.memory.next_probe_at or plan.at
        self.schedule.at(watch, due, plan.early)

    # --- the steps ---

    async def _send(self, probe: Probe, slots: RouteSlots) -> None:
        """Send the request. One that is cancelled after it left is in doubt."""
        watch, credentials = probe.watch, probe.watch.credentials
        left = asyncio.Event()
        try:
            async with slots.in_flight:
                probe.asked_at = self.clock.even()
                probe.observation = await self.prober.probe(
                    credentials, watch.target.capability, probe.kind,
                    deadline=slots.route.deadline if probe.kind is ProbeKind.FULL else None,
                    leaving=left.set,
                )  # fmt: skip
        except BaseException:
            self.payments.unanswered(probe, left=left.is_set())
            raise
        # after a reload: an answer to the old secret says nothing about the new one
        probe.outdated = watch.credentials != credentials

    def _diagnose(self, probe: Probe, slots: RouteSlots) -> list[Watch]:
        """Find out what the answer means and what it cost. Returns whom it frees of the route's breaker.

        If anything fails, the answer is still recorded, its hold is in doubt, and the cadence decides the
        time of the next probe.
        """
        watch, observation = probe.watch, probe.observation
        cost: float | None = None
        resumed: list[Watch] = []
        try:
            probe.diagnosis = self._cache.read(observation)
            resumed = self.slots.answered(slots, probe)
            self._resume(resumed, slots)
            cost = self.payments.cost(probe, slots.route)
        except Exception:
            log.exception("answer_not_evaluated", target=watch.name)
            probe.diagnosis, cost = not_evaluated(observation), None
        watch.heard = probe.code not in _NOT_HEARD and (observation.status or 500) < 500
        if probe.over_budget:
            probe.brings = watch.waiting and watch.heard and self.payments.may_try(watch)
        if probe.hold and probe.code:
            watch.heard = watch.heard and cost is not None
            self.payments.settle(probe, cost)
        return resumed

    def _advance(self, probe: Probe, now: datetime) -> tuple[Decision, NextProbe]:
        """Advance the watch's memory by the answer, and decide when its next probe is due."""
        watch, diagnosis, code = probe.watch, probe.diagnosis, probe.code
        watch.asked_at = probe.asked_at
        watch.answers += 1
        watch.last = diagnosis
        if diagnosis and diagnosis.request_id:
            watch.request_ids.append(diagnosis.request_id)
        unproven = diagnosis is not None and diagnosis.unproven
        answered = Answered(code, probe.kind, probe.cost, unproven)
        decision = advance(watch.memory, answered, now, self.changes.rules)
        inconclusive = code is not None and code.effect is Effect.INCONCLUSIVE
        if code is not None and code.effect.conclusive:
            self.stale_routes.answered(watch.target.route, now)
        every = full_interval(decision.memory, now, watch.cadence, watch.shutdown)
        plan = next_probe(
            decision.memory,
            now,
            watch.cadence,
            phase=watch.phase,
            shutdown=watch.shutdown,
            retry_after=diagnosis.retry_after if diagnosis and inconclusive else None,
            over_budget=probe.over_budget,
            at_once=probe.brings,
            behind=self.lateness.made(watch.late, every.total_seconds(), self.clock.even()),
        )
        watch.kind = plan.kind
        by = watch.mark if probe.kind is ProbeKind.FULL else watch.memory.last_full_by
        watch.memory = changed(
            decision.memory, next_probe_at=plan.at, held_by=plan.held_by, last_full_by=by
        )
        return decision, plan

    def _changes_of(
        self, probe: Probe, before: TargetState, decision: Decision, now: datetime
    ) -> list[Change]:
        """All that is written with the answer: its target's change first, then those of others."""
        watch = probe.watch
        events = (
            self.event_builder.of_target(watch, event, probe.diagnosis) for event in decision.events
        )
        change = Change(
            target=watch.name,
            memory=watch.memory,
            answer=answer_of(probe, now),
            events=tuple(events),
            posting=probe.posting,
            opening=opening_of(watch.target, before, decision, now),
        )
        changes = [change]
        if decision.opens_siblings:
            changes += self._siblings_of(watch, now)
        changes += self._of_network(probe, now)
        return changes

    def _siblings_of(self, opened: Watch, now: datetime) -> Iterable[Change]:
        for watch in self.watches.siblings(opened):
            memory = watch.memory
            if memory.state is State.PROPAGATING:
                # If thousands open together, each would make all others probe early, again and again.
                since = memory.eager_since
                if since is not None and now - since < _ONE_OPENING:
                    continue
            elif memory.state is not State.UNVERIFIED:
                continue
            yield self.changes.apply(watch, SiblingOpened(opened.name))
            self.schedule.at(watch, not_before(watch.memory, now))

    def _of_network(self, probe: Probe, now: datetime) -> Iterable[Change]:
        kind = self.network.answered(probe.watch.target.route, probe.diagnosis, now)
        if probe.code is Code.NETWORK_ERROR:
            for route in self.network.to_ask(now):
                idle = (w for w in self.watches if w.target.route == route and not w.busy)
                if watch := min(idle, key=lambda w: not_before(w.memory, now), default=None):
                    self.schedule.at(watch, not_before(watch.memory, now))
        if kind:
            self.stale_routes.probing_resumed(now)
            offline = kind is EventKind.OFFLINE
            reason = Reason.ALL_ROUTES_FAIL if offline else Reason.A_ROUTE_ANSWERS
            facts = self.network.facts()
            if self.network_news is not None:
                self.network_news.append((kind, facts))
                return
            yield Change(events=(self.event_builder.of_monitor(kind, reason, now, facts=facts),))

    # --- around a probe ---

    async def _guarded(self, watch: Watch) -> None:
        try:
            structlog.contextvars.bind_contextvars(target=watch.name)  # in this task only
            await self._probe(watch)
        except asyncio.CancelledError:
            raise
        except Exception:
            # One target's failure must not stop the others, nor cancel its own next probe.
            log.exception("probe_failed", target=watch.name)
            if not self._stopping and not self.schedule.holds(watch):
                failed = replace(watch.memory, setbacks=watch.memory.setbacks + 1)
                now = self.clock.now()
                plan = next_probe(
                    failed, now, watch.cadence, phase=watch.phase, shutdown=watch.shutdown
                )
                self.schedule.at(watch, plan.at)
        finally:
            watch.busy = False
            self.made += 1

    def _resume(self, watches: Iterable[Watch], slots: RouteSlots) -> None:
        """The route answers again: probe what its breaker held, at the route's pace."""
        for place, watch in enumerate(watches):
            at = self.clock.after(place * slots.bucket.every)
            watch.memory = replace(watch.memory, next_probe_at=at, held_by=None)
            self.schedule.at(watch, at)

    async def _held(self, watch: Watch, by: Hold, seconds: float) -> None:
        """A due probe is held back for this many seconds: record it for `status`."""
        at = self.clock.after(seconds)
        watch.memory = replace(watch.memory, next_probe_at=at, held_by=by)
        await self._show(watch)

    async def _show(self, watch: Watch) -> None:
        """Record for `status` when the watch is probed next, unless others wait to be written."""
        if self.changes.calm and not (watch.removed or watch.handed_over):
            await self.changes.write([Change(watch.name, watch.memory)], patient=True)


async def _end(tasks: Collection[asyncio.Task[None]], seconds: float) -> None:
    if not tasks:
        return
    _, cut = await asyncio.wait(tasks, timeout=seconds)
    for task in cut:
        task.cancel()
    await asyncio.gather(*cut, return_exceptions=True)


def _log(probe: Probe, plan: NextProbe, *, news: bool) -> None:
    watch, diagnosis, code = probe.watch, probe.diagnosis, probe.code
    worth = _worth_a_line(probe) or news
    if worth or _ours.isEnabledFor(logging.DEBUG):  # a line filtered later costs as much
        (log.info if worth else log.debug)(
            "probe",
            target=watch.name,
            kind=str(probe.kind),
            diagnosis=code and str(code),
            state=str(watch.memory.state),
            status=probe.observation.status,
            latency_ms=round(probe.observation.timings.total, 1),
            request_id=diagnosis.request_id if diagnosis else None,
            error=diagnosis.message if diagnosis and code is Code.NETWORK_ERROR else None,
            cost_usd=probe.cost or None,
            next_probe_at=f"{plan.at:%Y-%m-%dT%H:%M:%SZ}",
            why=str(plan.situation),
            equal=watch.equal,
        )


def _worth_a_line(probe: Probe) -> bool:
    """Count equal answers in a row. Returns whether to log this one: the first, then one in `log_every`."""
    watch = probe.watch
    answered = probe.kind, probe.code, probe.observation.status, watch.memory.state
    watch.equal = watch.equal + 1 if answered == watch.answered else 1
    watch.answered = answered
    return watch.equal % watch.log_every == 0 or watch.equal == 1
