"""What is forgotten, and what never is."""

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.access.words import ProbeKind
from monitor.store.status_queries import figures

pytestmark = pytest.mark.anyio


async def prune(recorder, clock) -> int:
    """All steps of a round."""
    gone = await recorder.prune(clock.now)
    while recorder._pruned_to:
        gone += await recorder.prune(clock.now)
    return gone


async def test_closed_runs_are_forgotten_after_ninety_days_and_the_open_one_never(
    recorder, make, clock, ask
):
    target = make.target()
    for n in range(5):
        clock.move(days=1)
        await recorder.write([change(make, target, f"message {n}")])
    clock.move(days=89)
    assert await prune(recorder, clock) == 3
    clock.move(days=400)
    assert await prune(recorder, clock) == 1
    assert ask("SELECT message FROM runs") == [("message 4",)]
    assert await prune(recorder, clock) == 0
    # an equal answer goes on the run that is left
    await recorder.write([change(make, target, "message 4")])
    assert ask("SELECT answers FROM runs") == [(2,)]


async def test_each_kind_of_probe_has_an_open_run_of_its_own(recorder, make, clock, ask):
    target = make.target()
    await recorder.write(
        [change(make, target, "full"), change(make, target, "free", kind=ProbeKind.LISTING)]
    )
    clock.move(days=200)
    assert await prune(recorder, clock) == 0
    assert ask("SELECT count(*) FROM runs") == [(2,)]


async def test_transitions_and_notifications_are_never_forgotten(recorder, make, clock, ask):
    await recorder.write([make.change(make.target(), "ops")])
    clock.move(days=4000)
    await prune(recorder, clock)
    assert ask("SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM notifications)") == [
        (1, 1)
    ]


async def test_many_runs_are_forgotten_in_small_steps(recorder, make, clock, ask):
    target = make.target()
    for n in range(12):
        clock.move(minutes=1)
        await recorder.write([change(make, target, f"{n}.{m}") for m in range(100)])
    clock.move(days=100)
    steps = []
    while True:
        steps.append(await recorder.prune(clock.now))
        if not recorder._pruned_to:
            break
    assert steps == [500, 500, 199]


async def test_taken_requests_are_forgotten_but_the_newest(recorder, make, clock, ask):
    for n in range(3):
        ask(
            "INSERT INTO inbox (kind, payload, created_at, taken_at) VALUES ('retry', '{}', ?, ?)",
            *[str(clock.now.replace(tzinfo=None) + timedelta(seconds=n))] * 2,
        )
    ask(
        "INSERT INTO inbox (kind, payload, created_at) VALUES ('retry', '{}', '2026-11-20 12:00:00')"
    )
    clock.move(days=91)
    await prune(recorder, clock)
    assert ask("SELECT id, taken_at IS NULL FROM inbox") == [(4, 1)]


def change(make, target, message, **values):
    answer = make.answer(message=message, **values)
    return replace(make.change(target), answer=answer, events=())


async def test_what_a_key_ever_spent_never_gets_less(recorder, make, clock, ask, place):
    for _ in range(3):
        for _ in range(300):
            clock.move(days=1)
            await recorder.write([make.spent(0.01)])
        await prune(recorder, clock)
    assert figures(place, (), ()).spent == {make.key: pytest.approx(9.0)}
    rows = ask("SELECT day, probes FROM spend ORDER BY day")
    assert len(rows) == 402
    assert str(rows[0][0]) == "1970-01-01"
    assert sum(probes for _, probes in rows) == 900
