"""The middle of the pipeline: turns answers, declarations and time into changes, each in one transaction."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog

from monitor.access.cadence import full_interval, next_probe
from monitor.access.events import Event
from monitor.access.inputs import Answered, Declared, Input, SiblingOpened, TimePassed
from monitor.access.limits import Rules
from monitor.access.memory import changed
from monitor.access.observation import Diagnosis, Observation
from monitor.access.states import advance
from monitor.access.wait_times import opening_of
from monitor.access.words import Code, Effect, EventKind, Hold, ProbeKind, Reason, State
from monitor.daemon.clock import Clock
from monitor.daemon.event_builder import EventBuilder
from monitor.daemon.lateness import Lateness
from monitor.daemon.network_state import NetworkState
from monitor.daemon.probe_result import ProbeResult, answer_of
from monitor.daemon.silences import Silences, stale_of
from monitor.daemon.watches import Watch, Watches
from monitor.store.records import Change, Declaration, Recorded
from monitor.store.write_queue import WriteQueue

log = structlog.get_logger()
_ours = logging.getLogger(__name__)

#: Within this time only one sibling's opening makes a waiting target probe early.
_HASTENED = timedelta(seconds=5)


class Engine:
    """Applies events to the watches and writes all their consequences together.

    A watch's memory advances before the write, on the one loop, so that events of its neighbours see it;
    the write queue keeps the order. `committed` gets the recorded events after each commit.
    """

    def __init__(
        self,
        *,
        watches: Watches,
        queue: WriteQueue,
        event_builder: EventBuilder,
        network: NetworkState,
        clock: Clock,
        rules: Rules,
        probe_at: Callable[..., None],
        committed: Callable[[Sequence[Recorded]], None],
        evidence: Callable[[Watch], Awaitable[str]],
        lateness: Lateness,
    ) -> None:
        self._watches = watches
        self._queue = queue
        self._event_builder = event_builder
        self._network = network
        self._clock = clock
        self._rules = rules
        self._probe_at = probe_at
        self._committed = committed
        self._evidence = evidence
        self._lateness = lateness
        self._watching_since = clock.now()
        self._silences = Silences(watches, event_builder, rules)

    async def answered(self, result: ProbeResult) -> None:
        """Handle a probe's result: advance the state, write, and schedule the next probe.

        An opening also makes the target's siblings probe at once.
        """
        watch, diagnosis, now = result.watch, result.diagnosis, self._clock.now()
        code = diagnosis.code if diagnosis else None
        if watch.removed or watch.leaving or result.outdated:
            # The target left the settings meanwhile, or has another secret: only the cost of the answer
            # still matters.
            await self.write([Change(posting=result.posting)])
            self._probe_at(watch, now)
            return
        if result.asked_at < watch.asked_at:
            # a later probe was answered before: this answer does not show the gate's present state
            answer = answer_of(result, now)
            await self.write([Change(watch.name, answer=answer, posting=result.posting)])
            self._probe_at(watch, watch.memory.next_probe_at or now)
            return
        watch.asked_at = result.asked_at
        watch.answers += 1
        if diagnosis and diagnosis.request_id:
            watch.request_ids.append(diagnosis.request_id)
        before = watch.memory
        unproven = diagnosis is not None and diagnosis.unproven
        given = Answered(code, result.kind, result.cost, unproven)
        decision = advance(before, given, now, self._rules)
        inconclusive = code is not None and code.effect is Effect.INCONCLUSIVE
        if code is not None and code.effect.conclusive:
            self._silences.answered(watch.target.route, now)
        every = full_interval(decision.memory, now, watch.cadence, watch.shutdown)
        plan = next_probe(
            decision.memory,
            now,
            watch.cadence,
            phase=watch.phase,
            shutdown=watch.shutdown,
            retry_after=diagnosis.retry_after if diagnosis and inconclusive else None,
            over_budget=result.over_budget,
            at_once=result.brings,
            behind=self._lateness.made(watch.late, every.total_seconds(), self._clock.even()),
        )
        watch.kind = plan.kind
        watch.memory = changed(decision.memory, next_probe_at=plan.at, held_by=plan.held_by)
        events = tuple(
            self._event_builder.of_target(watch, event, diagnosis) for event in decision.events
        )
        changes = [
            Change(
                target=watch.name,
                memory=watch.memory,
                answer=answer_of(result, now),
                events=events,
                posting=result.posting,
                opening=opening_of(watch.target, before, decision, now),
            )
        ]
        if decision.opens_siblings:
            changes += self._siblings_of(watch)
        changes += self._of_network(watch.target.route, result)
        if watch.memory.state is not before.state:
            watch.answers = 0
        worth = _worth_a_line(watch, result) or events
        if worth or _ours.isEnabledFor(logging.DEBUG):  # a line filtered later costs as much
            (log.info if worth else log.debug)(
                "probe",
                target=watch.name,
                kind=str(result.kind),
                diagnosis=code and str(code),
                state=str(watch.memory.state),
                status=result.observation.status,
                latency_ms=round(result.observation.timings.total, 1),
                request_id=diagnosis.request_id if diagnosis else None,
                error=diagnosis.message if diagnosis and code is Code.NETWORK_ERROR else None,
                cost_usd=result.cost or None,
                next_probe_at=_seconds(plan.at),
                why=str(plan.situation),
                equal=watch.equal,
            )
        nothing_new = (
            code is before.last_diagnosis
            and watch.memory.state is before.state
            and not (events or result.posting or len(changes) > 1)
        )
        await self.write(changes, patient=nothing_new)
        # Schedule after the write, and from the memory: the commit may take longer than the wait, and the
        # clock may be stepped meanwhile.
        self._probe_at(watch, watch.memory.next_probe_at or plan.at, plan.early)

    async def held(self, watch: Watch, by: Hold, seconds: float) -> None:
        """A due probe is held back for this many seconds: record it for `status`."""
        at = self._clock.after(seconds)
        watch.memory = replace(watch.memory, next_probe_at=at, held_by=by)
        if self._queue.calm:
            await self.write([Change(target=watch.name, memory=watch.memory)], patient=True)

    def take_over(self, old: "Engine") -> None:
        """Take over from another engine, with its knowledge of the network and of silences."""
        # ruff: noqa: SLF001 - another of this class
        self._watching_since = old._watching_since
        self._silences.take_over(old._silences)
        self._network.take_over(old._network)

    async def declared(self, declaration: Declaration) -> None:
        """Apply a person's declaration about an organization or a key. Each is taken once."""
        now, changes = self._clock.now(), []
        given = Declared(declaration.kind, declaration.at)
        for watch in self._watches.declared_for(declaration.subject):
            if watch.memory.state is State.AVAILABLE:
                continue
            # set `next_probe_at` too: it schedules the target after a restart
            watch.memory = replace(watch.memory, next_probe_at=now)
            changes.append(self._apply(watch, given))
            self._probe_at(watch, now)
        changes.append(Change(declaration=declaration.id))
        log.info("declaration", kind=str(declaration.kind), subject=declaration.subject,
                 at=_seconds(declaration.at), targets=len(changes) - 1)  # fmt: skip
        await self.write(changes)

    async def listed(
        self, watches: Sequence[Watch], observation: Observation, diagnosis: Diagnosis | None
    ) -> None:
        """Record the answer to a key's model list: evidence for its targets, which changes no state."""
        now = self._clock.now()
        await self.write(
            [
                Change(
                    target=watch.name,
                    answer=answer_of(
                        ProbeResult(watch, ProbeKind.LISTING, observation, diagnosis), now
                    ),
                )
                for watch in watches
            ]
        )

    async def time_passed(self) -> None:
        """Apply the passing of time to all targets: deadlines, silences, models near their shutdown."""
        now = self._clock.now()
        # While our own network is down no target counts as silent: `offline` was told.
        since = now if self._network.offline else self._watching_since
        changes: list[Change] = []
        silent: list[tuple[Watch, Event]] = []
        overdue: list[tuple[Watch, TimePassed]] = []
        for watch in self._watches:
            passed = self._silences.passed(watch, now, since)
            decision = advance(watch.memory, passed, now, self._rules)
            if not decision.events:
                continue
            if stale := stale_of(decision):
                silent.append((watch, stale))
            late = any(event.kind is EventKind.OVERDUE for event in decision.events)
            if late and not watch.pool:  # no message has room for the evidence of many keys
                overdue.append((watch, passed))
                continue
            changes.append(self._apply(watch, passed, without=EventKind.STALE))
        for watch, passed, stale in self._silences.company(silent, now, since):
            silent.append((watch, stale))
            changes.append(self._apply(watch, passed, without=EventKind.STALE))
        changes += self._silences.changes(silent, now)
        if changes:
            await self.write(changes)
        for watch, passed in overdue:
            # The message that advises asking support has the evidence for support. Read it first: no
            # other task may run between the change of a memory and its entry into the queue.
            facts = {"evidence": await self._evidence(watch)}
            await self.write([self._apply(watch, passed, without=EventKind.STALE, facts=facts)])

    def probing_resumed(self) -> None:
        """The machine or the network was down until now: silence counts from here."""
        self._watching_since = self._clock.now()

    def clock_stepped(self, step: timedelta) -> None:
        """The wall clock was stepped: move measured times by the same step."""
        self._watching_since += step
        self._silences.shift(step)
        self._watches.shift(step)

    async def tell(self, kind: EventKind, reason: Reason, facts: dict[str, Any]) -> None:
        """Record and tell an event of the whole monitor."""
        event = self._event_builder.of_monitor(kind, reason, self._clock.now(), facts=facts)
        await self.write([Change(events=(event,))])

    async def write(self, changes: Sequence[Change], *, patient: bool = False) -> None:
        """Write changes in their turn. They are kept if the database refuses them now.

        `patient` is for unchanged answers, which nobody waits for.
        """
        tells = any(change.events for change in changes)

        def written(recorded: list[Recorded]) -> None:
            if tells:
                self._committed(recorded)
            for one in recorded:
                _log(one.event)

        await self._queue.keep(changes, written, patient=patient)

    def _apply(
        self,
        watch: Watch,
        given: Input,
        *,
        without: EventKind | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Change:
        now = self._clock.now()
        before = watch.memory.state
        decision = advance(watch.memory, given, now, self._rules)
        watch.memory = decision.memory
        more = dict(facts or {})
        if Reason.GAVE_UP in decision.reasons:
            # the monitor gives up waiting but keeps probing: tell how often
            every = full_interval(watch.memory, now, watch.cadence, watch.shutdown)
            more["every_s"] = every.total_seconds()
        events = tuple(
            self._event_builder.of_target(watch, event, facts=more)
            for event in decision.events
            if event.kind is not without
        )
        if watch.memory.state is not before:
            watch.answers = 0
        return Change(target=watch.name, memory=watch.memory, events=events)

    def _siblings_of(self, opened: Watch) -> Iterable[Change]:
        now = self._clock.now()
        for watch in self._watches.siblings(opened):
            memory = watch.memory
            if memory.state is State.PROPAGATING:
                # If thousands open together, each would make all others probe early, again and again.
                hastened = memory.eager_since
                if hastened is not None and now - hastened < _HASTENED:
                    continue
            elif memory.state is not State.UNVERIFIED:
                continue
            yield self._apply(watch, SiblingOpened(opened.name))
            self._probe_at(watch, now)

    def _of_network(self, route: str, result: ProbeResult) -> Iterable[Change]:
        kind = self._network.answered(route, result.diagnosis)
        if kind:
            self.probing_resumed()
            reason = Reason.ALL_ROUTES_FAIL if kind is EventKind.OFFLINE else Reason.A_ROUTE_ANSWERS
            routes = sorted({watch.target.route for watch in self._watches})
            facts: dict[str, Any] = {"routes": routes, "targets": len(self._watches)}
            if kind is EventKind.OFFLINE:
                causes = [self._network.causes.get(name, ("", "")) for name in routes]
                facts["message"] = "; ".join(dict.fromkeys(words for _, words in causes if words))
                facts["rules"] = list(dict.fromkeys(rule for rule, _ in causes if rule))
            event = self._event_builder.of_monitor(kind, reason, self._clock.now(), facts=facts)
            yield Change(events=(event,))


def _worth_a_line(watch: Watch, result: ProbeResult) -> bool:
    """Count equal answers in a row. Returns whether to log this one: the first, then one in `log_every`."""
    diagnosis = result.diagnosis
    code = diagnosis.code if diagnosis else None
    answered = result.kind, code, result.observation.status, watch.memory.state
    watch.equal = watch.equal + 1 if answered == watch.answered else 1
    watch.answered = answered
    return watch.equal % watch.log_every == 0 or watch.equal == 1


def _log(event: Event) -> None:
    fields: dict[str, Any] = {
        "id": event.id,
        "event_kind": str(event.kind),
        "target": event.target,
        "route": event.route,
        "reason": str(event.reason),
        "channels": list(event.channels),
    }
    if event.before and event.after:
        fields |= {"before": str(event.before), "after": str(event.after)}
    log.info(event.entry, **{name: value for name, value in fields.items() if value})


def _seconds(at: Any) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
