"""The outbox: at least once, in order, or listed as undeliverable."""

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.access.memory import ClockStep
from monitor.store import queries, status_queries
from monitor.store.recorder import Recorder
from monitor.store.records import Change, NotificationState

pytestmark = pytest.mark.anyio


@pytest.fixture
async def three(recorder: Recorder, make) -> list[int]:
    """Ids of three notifications for `ops`, with one for `mail` in between."""
    event = make.event(make.target())
    await recorder.write([Change(events=(replace(event, channels=("ops", "mail")),))])
    await recorder.write([Change(events=(replace(event, channels=("ops",)),) * 2)])
    return [row.id for row in await recorder.outbox.pending("ops", 10)]


async def test_a_channel_gets_its_own_in_the_order_it_happened(recorder, make, three):
    rows = await recorder.outbox.pending("ops", 10)
    assert [row.event.id for row in rows] == [1, 2, 3]
    assert all(row.event == make.event(make.target()) for row in rows)
    assert [row.event.id for row in await recorder.outbox.pending("ops", 2)] == [1, 2]
    assert [row.event.id for row in await recorder.outbox.pending("mail", 10)] == [1]
    assert await recorder.outbox.pending("unheard-of", 10) == []


async def test_a_claim_gets_only_what_is_free(recorder, clock, three):
    until = clock.now + timedelta(seconds=30)
    assert await recorder.outbox.claim(three[:2], until) == (three[:2], [])
    assert await recorder.outbox.claim(three, until) == (three[2:], three[:2])
    assert await recorder.outbox.claim(three, until) == ([], three)
    assert [row.attempts for row in await recorder.outbox.pending("ops", 10)] == [1, 1, 1]


async def test_a_lease_that_ran_out_is_free_again(recorder, clock, three):
    await recorder.outbox.claim(three, clock.now + timedelta(seconds=30))
    clock.move(seconds=29)
    assert await recorder.outbox.claim(three, clock.now + timedelta(seconds=30)) == ([], three)
    clock.move(seconds=1)
    assert await recorder.outbox.claim(three, clock.now + timedelta(seconds=30)) == (three, [])


async def test_the_leases_of_a_process_that_is_gone_end_at_the_start(place, recorder, clock, three):
    await recorder.outbox.claim(three, clock.now + timedelta(hours=1))
    await recorder.aclose()
    again = await Recorder.open(place, clock=clock)
    assert await again.outbox.claim(three, clock.now + timedelta(hours=1)) == (three, [])
    await again.aclose()


async def test_delivered_is_no_longer_pending(place, recorder, clock, three):
    await recorder.outbox.claim(three, clock.now + timedelta(seconds=30))
    await recorder.outbox.delivered(three[:2], clock.move(seconds=1))
    assert [row.id for row in await recorder.outbox.pending("ops", 10)] == three[2:]
    until = clock.now + timedelta(hours=2)
    assert await recorder.outbox.claim(three[:2], until) == (
        [],
        [],
    )  # in neither: nobody waits for it
    (row,) = [row for row in queries.alerts(place) if row.id == three[0]]
    assert (row.state, row.attempts, row.delivered_at) == ("delivered", 1, clock.now)


async def test_a_failed_attempt_stays_pending_with_its_error_and_no_lease(
    place, recorder, clock, three
):
    await recorder.outbox.claim(three, clock.now + timedelta(hours=1))
    due = clock.now + timedelta(seconds=5)
    await recorder.outbox.failed(three[:1], "refused", due)
    (row,) = [row for row in queries.alerts(place) if row.id == three[0]]
    assert (row.state, row.attempts, row.next_attempt_at) == ("pending", 1, due)
    assert await recorder.outbox.claim(three, due) == (three[:1], three[1:])


async def test_what_is_given_up_is_listed_and_may_be_retried(place, recorder, clock, three):
    await recorder.outbox.claim(three, clock.now + timedelta(seconds=30))
    await recorder.outbox.dead(three[:2], "gave up", clock.now)
    assert [row.id for row in await recorder.outbox.pending("ops", 10)] == three[2:]
    dead = queries.alerts(place, NotificationState.DEAD)
    assert [(row.id, row.last_error, row.dead_at) for row in dead] == [
        (id_, "gave up", clock.now) for id_ in three[:2]
    ]
    assert status_queries.status(place, now=clock.now).dead == 2

    clock.move(days=2)
    assert await recorder.outbox.retry(["renamed"]) == 0
    assert await recorder.outbox.retry(["ops"], three[1:]) == 1
    assert await recorder.outbox.retry(["ops"]) == 1
    rows = await recorder.outbox.pending("ops", 10)
    assert [(row.id, row.attempts) for row in rows] == [*zip(three, (0, 0, 1), strict=True)]
    assert rows[0].created_at == clock.now
    assert await recorder.outbox.retry(["ops"]) == 0


async def test_what_was_delivered_late_is_not_undeliverable(place, recorder, clock, three):
    await recorder.outbox.dead(three[:1], "timed out", clock.now)
    await recorder.outbox.delivered(three[:1], clock.now)
    assert queries.alerts(place, NotificationState.DEAD) == []
    await recorder.outbox.failed(three[:1], "late news", clock.now)
    await recorder.outbox.dead(three[:1], "late news", clock.now)
    assert [row.id for row in queries.alerts(place, NotificationState.DELIVERED)] == three[:1]


async def test_nothing_to_mark_is_no_mistake(recorder, clock):
    assert await recorder.outbox.claim([], clock.now) == ([], [])
    await recorder.outbox.delivered([], clock.now)
    await recorder.settle_inbox([])


async def test_a_step_of_the_clock_makes_nothing_older_that_waits(place, recorder, make, clock):
    await recorder.write([make.change(make.target(), "ops", "mail")])
    (first, second) = [
        (await recorder.outbox.pending(channel, 10))[0] for channel in ("ops", "mail")
    ]
    await recorder.outbox.claim([first.id], clock.now + timedelta(minutes=1))
    await recorder.outbox.delivered([second.id], clock.now)
    step = timedelta(days=1)
    await recorder.outbox.shift_pending(ClockStep(step, clock.now, clock.now))
    (moved,) = await recorder.outbox.pending("ops", 10)
    assert moved.created_at == first.created_at + step
    alerts = {one.channel: one for one in queries.alerts(place)}
    assert alerts["ops"].next_attempt_at is None
    assert alerts["mail"].created_at == clock.now
    clock.move(days=1)
    assert await recorder.outbox.claim([first.id], clock.now) == ([], [first.id])
    clock.move(minutes=1)
    assert await recorder.outbox.claim([first.id], clock.now) == ([first.id], [])


async def test_what_a_run_before_left_waiting_stays_when_an_old_clock_is_corrected(
    recorder, make, clock
):
    await recorder.write([make.change(make.target(), "ops")])
    booted = clock.now - timedelta(days=3)
    await recorder.outbox.shift_pending(ClockStep(timedelta(days=3), booted, booted))
    (stays,) = await recorder.outbox.pending("ops", 10)
    assert stays.created_at == clock.now
