"""A database as a quarter of watching leaves it: 10,000 targets in 40 pools and 200 organizations.

All of it went through the recorder, as from a daemon, but in large batches: events with a notification each,
runs of answers, declarations, openings, starts of the daemon. A million events take minutes, so a file that
was made once can be read again.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from random import Random

from monitor.access.events import Event
from monitor.access.memory import TargetState
from monitor.access.target import Capability, Target
from monitor.access.wait_times import Began, Opening
from monitor.access.words import (
    Code,
    Contract,
    DeclarationKind,
    EventKind,
    Gate,
    ProbeKind,
    Reason,
    State,
    Surface,
)
from monitor.store.recorder import Recorder
from monitor.store.records import AnswerRecord, Change

#: The pool whose every page is opened, and the others; the rest of the targets are the organizations'.
LARGE, POOLS, ORGANIZATIONS = "pool-00", 40, 200
#: Targets that propagate, each with a first light of today.
OPENING = 500
#: Events of the one target that has most of them.
BUSIEST = 10_000
#: Fewer events leave nothing for the other targets.
EVENTS_LEAST = 2 * BUSIEST
#: The time in which all of it happened.
_LASTED = timedelta(days=89)
_BATCH = 2_000

_MODELS = (
    Capability("gpt-image-2", Surface.IMAGES),
    Capability("gpt-5.1", Surface.SUMMARY),
    Capability("gpt-5.4-nano", Surface.RESPONSES),
)
_REFUSED = (
    "Your organization must be verified to use the model. Please go to the settings and verify."
)

#: One life of a target, again and again: what happened, why, and its states before and after.
_LIFE = (
    (EventKind.UNVERIFIED, Reason.GATED, State.UNKNOWN, State.UNVERIFIED),
    (EventKind.PROPAGATING, Reason.VERIFIED_DECLARED, State.UNVERIFIED, State.PROPAGATING),
    (EventKind.OVERDUE, Reason.DEADLINE_PASSED, None, None),
    (EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED, None, None),
    (EventKind.AVAILABLE, Reason.SETTLED, State.PROPAGATING, State.AVAILABLE),
    (EventKind.BLOCKED, Reason.BLOCKER_SEEN, None, None),
    (EventKind.UNBLOCKED, Reason.BLOCKER_CLEARED, None, None),
    (EventKind.REVOKED, Reason.REVOCATION, State.AVAILABLE, State.UNVERIFIED),
    (EventKind.LOCKED, Reason.LOCKED_BY_ANSWER, State.UNVERIFIED, State.LOCKED),
    (EventKind.UNVERIFIED, Reason.UNLOCKED_BY_ANSWERS, State.LOCKED, State.UNVERIFIED),
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is to be of everything."""

    targets: int = 10_000
    events: int = 1_000_000
    openings: int = 10_000
    declarations: int = 2_000
    starts: int = 400


def watched(sizes: Sizes) -> list[Target]:
    """The targets: half of them in one pool, a quarter in 39 others, the rest of organizations."""
    large, others = sizes.targets // 2, sizes.targets // 4
    made = []
    for number in range(sizes.targets):
        if number < large:
            key, organization = _of_pool(LARGE, number), None
        elif number < large + others:
            pool = f"pool-{1 + number % (POOLS - 1):02d}"
            key, organization = _of_pool(pool, number), None
        else:
            key, organization = f"key-{number:05d}", f"org-{number % ORGANIZATIONS:03d}"
        relay = organization is not None and number % 10 == 0
        made.append(
            Target(
                key=key,
                capability=_MODELS[number % len(_MODELS)],
                route="relay" if relay else "sim",
                contract=Contract.PROVIDER if relay else Contract.DIRECT,
                organization=organization,
            )
        )
    return made


def busiest(targets: Sequence[Target]) -> Target:
    """The target that most of the events are of."""
    return targets[-1]


def _of_pool(pool: str, number: int) -> str:
    return f"{pool}-{hashlib.sha256(str(number).encode()).hexdigest()[:8]}"


def settings(sizes: Sizes) -> str:
    """The settings of the web process: it needs the names of the pools, and none of their secrets."""
    relay = '[routes.relay]\nbase_url = "https://relay.example/v1"\ncontract = "provider"'
    parts = [
        '[monitor]\ndatabase = "sqlite:///monitor.db"\nlog_format = "json"',
        '[routes.sim]\nbase_url = "http://127.0.0.1:9/v1"\ncontract = "direct"',
        relay,
    ]
    for number in range(POOLS):
        name = f"pool-{number:02d}"
        parts.append(
            f'[[pools]]\nname = "{name}"\nsecrets = "file:{name}.keys"\nroute = "sim"\n'
            f'watch = ["{_MODELS[0]}"]'
        )
    return "\n".join(parts)


async def fill(path: Path, sizes: Sizes) -> None:
    """Make the database. The events end now."""
    targets, random, now = watched(sizes), Random(14), datetime.now(UTC)
    recorder = await Recorder.open(path, clock=lambda: datetime.now(UTC))
    try:
        await recorder.register(targets)
        told: list[int] = []
        for changes in _batches(_history(targets, sizes, random, now)):
            told += await recorder.write(changes)
            if len(told) > 10 * _BATCH:
                await _deliver(recorder, told, now)
        await _deliver(recorder, told, now)
        for changes in _batches(_present(targets, random, now)):
            await recorder.write(changes)
        await asyncio.gather(
            *(
                recorder.declare(
                    DeclarationKind.VERIFIED, f"org-{number % ORGANIZATIONS:03d}", at, "page"
                )
                for number, at in enumerate(_times(sizes.declarations, now))
            )
        )
        await recorder.progress({})
    finally:
        await recorder.aclose()


def _times(count: int, now: datetime) -> list[datetime]:
    return [now - _LASTED * (1 - number / count) for number in range(count)]


def _batches(changes: Iterator[Change]) -> Iterator[list[Change]]:
    while batch := list(islice(changes, _BATCH)):
        yield batch


async def _deliver(recorder: Recorder, told: list[int], now: datetime) -> None:
    """Mark the notifications of these events as delivered, but one in a hundred that is given up.

    There is one for each event but the daemon's starts, so that their ids do not differ by much.
    """
    rows = await recorder.outbox.pending("ops", len(told))
    ids = [row.id for row in rows]
    dead, delivered = ids[::100], sorted(set(ids) - set(ids[::100]))
    for first in range(0, len(delivered), _BATCH):
        await recorder.outbox.delivered(delivered[first : first + _BATCH], now)
    await recorder.outbox.dead(dead, "the service answered 410: no such hook", now)
    told.clear()


def _history(
    targets: Sequence[Target], sizes: Sizes, random: Random, now: datetime
) -> Iterator[Change]:
    """Events in the order of time, each target's lives from their beginning."""
    lives = {target.name: cycle(_LIFE) for target in targets}
    often = sizes.events // BUSIEST
    starts, openings = (
        max(sizes.events // count, 1) for count in (sizes.starts, max(sizes.openings, 1))
    )
    begin = now - _LASTED
    for number in range(sizes.events):
        at = begin + _LASTED * (number / sizes.events)
        busy = number % often == 0
        target = busiest(targets) if busy else targets[number % (len(targets) - 1)]
        if number % starts == 0:
            down = {"down_since": (at - timedelta(minutes=random.randrange(1, 90))).isoformat()}
            yield Change(events=(Event(EventKind.STARTED, Reason.DAEMON_STARTED, at, facts=down),))
        kind, reason, before, after = next(lives[target.name])
        granted = kind in (EventKind.FIRST_LIGHT, EventKind.AVAILABLE)
        event = Event(
            kind, reason, at, target.name, target.scope, target.route, before, after,
            Code.ACCESS_GRANTED if granted else Code.VERIFICATION_REQUIRED, f"req_FAKE{number:08d}",
            {"organization": target.organization, "probes": 12, "message": _REFUSED}, ("ops",),
        )  # fmt: skip
        opening = _opening(target, at, random) if number % openings == 0 else None
        yield Change(
            target.name,
            answer=_answer(number, at, granted=granted),
            events=(event,),
            opening=opening,
        )


def _answer(number: int, at: datetime, *, granted: bool) -> AnswerRecord | None:
    """One event in three is of an answer that begins a new run."""
    if number % 3:
        return None
    return AnswerRecord(
        kind=ProbeKind.FULL,
        diagnosis=Code.ACCESS_GRANTED if granted else Code.VERIFICATION_REQUIRED,
        status=200 if granted else 403,
        at=at,
        gate=None if granted else Gate.MODEL,
        message="" if granted else f"{_REFUSED} ({number % 7})",
        request_id=f"req_FAKE{number:08d}",
        headers={"openai-organization": "org-acme", "x-request-id": "req_FAKE"},
        latency_ms=80.0 + number % 400,
        connect_ms=12.0,
        tls_ms=20.0,
        first_byte_ms=70.0,
        reused=number % 5 != 0,
    )


def _opening(target: Target, at: datetime, random: Random) -> Opening:
    waited = timedelta(minutes=15 * random.lognormvariate(0, 0.7))
    return Opening(
        target.name, target.contract, target.route, target.organization, target.scope,
        target.capability.model, target.capability.surface, Began.DECLARED, at - waited, at - waited,
        at, at + timedelta(seconds=70), probes=30, cost_usd=0.003, flickers=random.randrange(3),
    )  # fmt: skip


def _present(targets: Sequence[Target], random: Random, now: datetime) -> Iterator[Change]:
    """Each target's state now: most are open, and `OPENING` of them have their first light behind them."""
    opening = set(random.sample(range(len(targets) - 1), min(OPENING, len(targets) // 2)))
    for number, target in enumerate(targets):
        if number in opening:
            state, before = State.PROPAGATING, State.UNVERIFIED
        else:
            state = random.choices(tuple(State), weights=(1, 25, 3, 68, 3))[0]
            before = State.UNVERIFIED if state is not State.UNVERIFIED else State.UNKNOWN
        since = now - timedelta(minutes=random.randrange(2, 600))
        light = since if number in opening else None
        granted = state is State.AVAILABLE or light is not None
        code = Code.ACCESS_GRANTED if granted else Code.VERIFICATION_REQUIRED
        blocked = not granted and number % 20 == 0
        memory = TargetState(
            state=state, since=since, gated_seen=True, first_light_at=light,
            opened_at=since if state is State.AVAILABLE else None,
            declared_at=since - timedelta(minutes=20), clock_at=since - timedelta(minutes=20),
            blockers=(Code.QUOTA_EXHAUSTED,) if blocked else (),
            last_diagnosis=code, last_probe_at=now - timedelta(seconds=number % 60),
            next_probe_at=now + timedelta(seconds=number % 300),
        )  # fmt: skip
        told = Event(
            EventKind.FIRST_LIGHT if light else EventKind(state) if state in _TOLD else EventKind.UNVERIFIED,
            Reason.FIRST_GRANTED if light else Reason.GATED, since, target.name, target.scope,
            target.route, before, state, code, "req_FAKE", {"message": _REFUSED}, ("ops",),
        )  # fmt: skip
        yield Change(target.name, memory, events=(told,))


_TOLD = {State.UNVERIFIED, State.PROPAGATING, State.AVAILABLE, State.LOCKED}
