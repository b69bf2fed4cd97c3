"""Silences in the database: what they hide, what is told at their end, and that each is one transaction."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.access.words import Code, EventKind, Reason, State
from monitor.store import inbox, queries, silences
from monitor.store.recorder import Recorder
from monitor.store.records import Change, NotificationState
from monitor.store.transaction import Transaction

pytestmark = pytest.mark.anyio

UNVERIFIED, PROPAGATING, LOCKED, AVAILABLE = (
    State.UNVERIFIED, State.PROPAGATING, State.LOCKED, State.AVAILABLE,
)  # fmt: skip


class Story:
    """A recorder with one target, what happens to it, and what each channel is told."""

    def __init__(self, recorder, make, place, clock) -> None:
        self.recorder, self.make, self.place, self.clock = recorder, make, place, clock
        self.state = State.UNKNOWN

    async def moves(self, after, *channels, kind=None, target=None, **values) -> int:
        """A transition of the target, told to these channels. Returns its event's id."""
        target = target or self.make.target()
        memory = replace(self.make.gated, state=after, since=self.clock.now)
        event = self.make.event(
            target, kind=EventKind(kind or after), before=self.state, after=after, at=self.clock.now,
            channels=channels or ("ops",), facts={"organization": "org-acme"}, **values,
        )  # fmt: skip
        self.state = after
        (id_,) = await self.recorder.write([Change(target.name, memory, None, (event,))])
        return id_

    async def silence(self, *patterns, hours=2.0):
        item = inbox.submit(self.place, "silence", {}, self.clock.now)
        until = self.clock.now + timedelta(hours=hours)
        return await self.recorder.silences.make(
            patterns or ("acme-prod/*",), "moving", "alice", until, item=item
        )

    async def end(self, silence, by=None):
        reason = Reason.SILENCE_ENDED_BY_HAND if by else Reason.SILENCE_EXPIRED
        return await self.recorder.silences.end(silence, reason, by)

    def rows(self) -> dict[int, dict[str, str]]:
        """By event, each channel and the state of its notification."""
        return {
            row.event.id: {one.channel: str(one.state) for one in row.notifications}
            for row in queries.history(self.place)
        }

    def digests(self):
        return [
            row.event
            for row in queries.history(self.place)
            if row.event.kind is EventKind.SILENCE_ENDED
        ]

    def facts(self, id_: int):
        return next(row.event.facts for row in queries.history(self.place) if row.event.id == id_)


@pytest.fixture
async def story(recorder, make, place, clock) -> Story:
    return Story(recorder, make, place, clock)


async def test_what_is_silenced_is_recorded_with_its_silence_and_never_claimed(story, ask):
    before = await story.moves(UNVERIFIED, "ops", "mail")
    one = await story.silence("acme-prod/*", "channel:ops")
    hidden = await story.moves(LOCKED, "ops", "mail")
    assert story.rows() == {
        before: {"ops": "pending", "mail": "pending"},
        hidden: {"ops": "silenced", "mail": "pending"},
    }
    assert ask("SELECT event_id, silence_id FROM notifications WHERE silence_id IS NOT NULL") == [
        (hidden, one.id)
    ]
    pending = await story.recorder.outbox.pending("ops", 10)
    assert [row.event.id for row in pending] == [before]
    (silenced,) = queries.alerts(story.place, NotificationState.SILENCED)
    (id_,) = ask("SELECT id FROM notifications WHERE state = 'silenced'")[0]
    assert silenced.id == id_
    assert await story.recorder.outbox.claim([id_], story.clock.move(minutes=1)) == ([], [])
    await story.recorder.outbox.retry(["ops", "mail"])
    assert story.rows()[hidden]["ops"] == "silenced"


async def test_the_recorded_event_is_not_handed_to_a_silenced_channel(story):
    await story.silence("channel:ops")
    taken = []
    event = story.make.event(story.make.target(), channels=("ops", "mail"))
    await story.recorder.queue.keep([Change(events=(event,))], taken.extend)
    assert set(taken[0].pending) == {"mail"}
    assert set(taken[0].silenced) == {"ops"}


async def test_a_silence_and_its_request_are_one_transaction_with_a_reply(story, ask, monkeypatch):
    item = inbox.submit(story.place, "silence", {}, story.clock.now)
    settle = Transaction.settle_inbox

    def fails(self, ids, reply=None):
        settle(self, ids, reply)
        raise OSError("the plug")

    until = story.clock.now + timedelta(hours=1)
    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "settle_inbox", fails)
        with pytest.raises(OSError, match="the plug"):
            await story.recorder.silences.make(["a/*"], "x", "alice", until, item=item)
    assert ask("SELECT count(*) FROM silences") == [(0,)]
    assert inbox.reply_to(story.place, item) is None
    hidden = await story.moves(LOCKED)
    assert story.rows()[hidden] == {"ops": "pending"}
    one = await story.recorder.silences.make(["a/*"], "x", "alice", until, item=item)
    assert inbox.reply_to(story.place, item) == {"silence": one.id}


async def test_the_end_is_one_transaction(story, ask, monkeypatch):
    one = await story.silence()
    await story.moves(LOCKED)
    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "record", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await story.end(one)
    assert ask("SELECT ended_at FROM silences") == [(None,)]
    story.clock.move(minutes=1)
    hidden = await story.moves(UNVERIFIED)
    assert story.rows()[hidden] == {"ops": "silenced"}
    assert len(await story.end(one)) == 1
    assert await story.end(one) == []
    assert len(story.digests()) == 1


async def test_at_its_end_each_channel_is_told_what_is_true_now(story):
    await story.moves(UNVERIFIED, "ops", "mail")
    one = await story.silence()
    await story.moves(PROPAGATING, "ops", "mail")
    await story.moves(LOCKED, "ops")
    recorded = await story.end(one, by="bob")
    assert [set(each.pending) for each in recorded] == [{"ops"}, {"mail"}]
    ops, mail = story.digests()
    assert ops.channels == mail.channels == ()
    assert ops.reason is Reason.SILENCE_ENDED_BY_HAND
    assert ops.facts == {
        "silence": one.id, "why": "moving", "by": "alice", "since": story.clock.now.isoformat(),
        "ended_by": "bob", "hidden": 2, "hidden_kinds": {"propagating": 1, "locked": 1},
        "changed": [
            {"target": "acme-prod/gpt-image-2:images", "told": "unverified", "now": "locked",
             "told_blocker": None, "blocker": None}
        ],
        "changed_targets": 1, "unchanged_targets": 0,
    }  # fmt: skip
    assert mail.facts["hidden"] == 1


async def test_what_goes_there_and_back_is_counted_only(story):
    await story.moves(UNVERIFIED)
    one = await story.silence()
    await story.moves(PROPAGATING)
    await story.moves(UNVERIFIED)
    await story.end(one)
    (digest,) = story.digests()
    assert digest.facts["changed"] == []
    assert (digest.facts["hidden"], digest.facts["unchanged_targets"]) == (2, 1)


async def test_after_a_clock_step_what_was_told_last_is_the_last_that_was_recorded(story, clock):
    clock.now += timedelta(hours=3)
    await story.moves(UNVERIFIED)
    clock.now -= timedelta(hours=3)
    await story.moves(AVAILABLE)
    one = await story.silence("acme-prod/*", "event:*")
    hidden = await story.moves(UNVERIFIED)
    await story.end(one)
    (change,) = story.digests()[0].facts["changed"]
    assert (change["told"], change["now"]) == (AVAILABLE, UNVERIFIED)
    told = await story.moves(LOCKED)
    assert story.facts(told)["hidden_before"] == {"ops": [hidden]}


async def test_who_was_told_nothing_compares_with_what_was_before(story):
    await story.moves(AVAILABLE, "nobody", kind="baseline")
    one = await story.silence()
    await story.moves(UNVERIFIED, kind="revoked")
    await story.end(one)
    (digest,) = story.digests()
    (changed,) = digest.facts["changed"]
    assert (changed["told"], changed["now"]) == (None, "unverified")
    again = await story.silence()
    await story.moves(AVAILABLE, kind="propagating")
    await story.moves(UNVERIFIED, kind="propagating")
    await story.end(again)
    assert story.digests()[-1].facts["changed"] == [], (
        "the digest before told that it is unverified"
    )


async def test_a_blocker_that_was_hidden_is_told_beside_an_unchanged_state(story, make):
    target = make.target()
    await story.moves(UNVERIFIED)
    one = await story.silence()
    memory = replace(make.gated, blockers=(Code.QUOTA_EXHAUSTED,))
    event = make.event(
        target, kind=EventKind.BLOCKED, reason=Reason.BLOCKER_SEEN, before=None, after=None,
        diagnosis=Code.QUOTA_EXHAUSTED, channels=("ops",),
    )  # fmt: skip
    await story.recorder.write([Change(target.name, memory, None, (event,))])
    await story.end(one)
    (changed,) = story.digests()[0].facts["changed"]
    assert (changed["told"], changed["now"]) == ("unverified", "unverified")
    assert (changed["told_blocker"], changed["blocker"]) == (None, "quota_exhausted")


async def test_a_silence_that_hid_nothing_ends_without_a_word(story, ask):
    one = await story.silence()
    assert await story.end(one) == []
    assert ask("SELECT count(*) FROM events") == [(0,)]
    assert ask("SELECT count(*) FROM silences WHERE ended_at IS NULL") == [(0,)]


async def test_what_another_silence_covers_too_waits_for_its_end(story, ask):
    await story.moves(UNVERIFIED, "ops", "mail")
    short = await story.silence(hours=1)
    await story.moves(LOCKED, "ops", "mail")
    long = await story.silence("channel:ops", hours=5)
    await story.end(short)
    (digest,) = story.digests()
    assert digest.facts["silence"] == short.id
    assert list(story.rows()[digest.id]) == ["mail"]
    assert ask("SELECT channel, silence_id FROM notifications WHERE silence_id NOTNULL ORDER BY id") == [
        ("ops", long.id), ("mail", short.id),
    ]  # fmt: skip
    await story.end(long)
    last = story.digests()[-1]
    assert list(story.rows()[last.id]) == ["ops"]
    assert last.facts["changed"][0]["told"] == "unverified"
    assert last.facts["changed"][0]["now"] == "locked"


async def test_of_two_silences_the_longer_one_hides(story, ask):
    await story.silence(hours=1)
    long = await story.silence(hours=5)
    await story.moves(LOCKED)
    assert ask("SELECT silence_id FROM notifications") == [(long.id,)]


async def test_when_it_is_over_it_hides_nothing_more_before_its_end_is_told(story):
    one = await story.silence(hours=1)
    assert story.recorder.silences.expired(story.clock.now) == []
    story.clock.move(hours=1)
    assert story.recorder.silences.expired(story.clock.now) == [one]
    told = await story.moves(LOCKED)
    assert story.rows()[told] == {"ops": "pending"}


async def test_a_restart_keeps_the_silences_and_knows_the_expired(story, place, clock, make):
    one = await story.silence(hours=1)
    hidden = await story.moves(LOCKED)
    await story.recorder.aclose()
    clock.move(minutes=30)
    again = await Recorder.open(place, clock=clock)
    story.recorder = again
    also = await story.moves(UNVERIFIED)
    assert {story.rows()[id_]["ops"] for id_ in (hidden, also)} == {"silenced"}
    await again.aclose()
    clock.move(hours=3)
    later = await Recorder.open(place, clock=clock)
    story.recorder = later
    assert [one.id for one in later.silences.expired(clock.now)] == [one.id]
    await story.end(one)
    assert story.digests()[0].facts["hidden"] == 2
    await later.aclose()


async def test_the_next_event_says_what_was_hidden_from_each_channel(story):
    first = await story.moves(UNVERIFIED, "ops", "mail")
    one = await story.silence("channel:ops")
    hidden = [await story.moves(PROPAGATING, "ops", "mail"), await story.moves(LOCKED, "ops")]
    await story.end(one)
    told = await story.moves(UNVERIFIED, "ops", "mail")
    assert story.facts(told)["hidden_before"] == {"ops": hidden}
    after = await story.moves(LOCKED, "ops", "mail")
    assert "hidden_before" not in story.facts(after)
    assert "hidden_before" not in story.facts(first)


async def test_what_passes_says_until_when_the_rest_is_silenced(story):
    one = await story.silence("acme-prod/*", "channel:ops")
    told = await story.moves(AVAILABLE, "ops", "mail")
    until = one.expires_at.isoformat()
    assert story.facts(told)["silenced"] == {"ops": {"silence": one.id, "until": until}}
    await story.end(one)
    assert "silenced" not in story.facts(await story.moves(UNVERIFIED, "ops", "mail"))


async def test_that_something_was_hidden_is_known_after_a_restart(story, place, clock):
    one = await story.silence()
    hidden = await story.moves(LOCKED)
    await story.end(one)
    await story.recorder.aclose()
    story.recorder = await Recorder.open(place, clock=clock)
    told = await story.moves(UNVERIFIED)
    assert story.facts(told)["hidden_before"] == {"ops": [hidden]}
    await story.recorder.aclose()


async def test_no_more_than_the_most_are_in_force(story, monkeypatch):
    monkeypatch.setattr(silences, "IN_FORCE_MOST", 2)
    first = await story.silence()
    assert await story.silence()
    assert await story.silence() is None
    await story.end(first)
    assert await story.silence()


async def test_events_and_silences_keep_their_order_under_load(story):
    """Whatever is written after a silence was made is silenced, and what is written before is not."""

    async def make() -> None:
        await story.silence()

    moves = [story.moves(UNVERIFIED if n % 2 else LOCKED) for n in range(40)]
    await asyncio.gather(*moves[:20], make(), *moves[20:])
    states = [state["ops"] for _, state in sorted(story.rows().items())]
    assert states == ["pending"] * 20 + ["silenced"] * 20


async def test_many_changed_targets_are_named_up_to_a_limit(story, make):
    targets = [make.target(f"key-{n}") for n in range(30)]
    await story.recorder.register([make.target(), *targets])
    one = await story.silence("channel:ops")
    for target in targets:
        story.state = State.UNKNOWN
        await story.moves(UNVERIFIED, target=target)
    await story.end(one)
    facts = story.digests()[0].facts
    assert (len(facts["changed"]), facts["changed_targets"]) == (20, 30)


async def test_secrets_in_a_reason_are_hidden(place, clock):
    hide = lambda said: json.loads(json.dumps(said).replace("sk-FAKE", "***"))  # noqa: E731
    recorder = await Recorder.open(place, clock=clock, hide=hide)
    item = inbox.submit(place, "silence", {}, clock.now)
    until = clock.now + timedelta(hours=1)
    one = await recorder.silences.make(["a/*"], "for sk-FAKE", "alice", until, item=item)
    assert one.reason == "for ***"
    await recorder.aclose()
