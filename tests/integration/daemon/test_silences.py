"""Silences, as stories of a whole monitor: what each channel gets, and that nothing is lost."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from monitor.store import inbox, queries, status_queries

pytestmark = pytest.mark.anyio

MAIL = '[[channels]]\nname = "mail"\nurl = "env:MAIL"\n'
OPEN, LOCKED = '[keys.gate]\nopen = "always"', '[keys.gate]\nlocked = "always"'
TARGET = "acme/gpt-image-2:images"
FIGURES = '[delivery]\ngroup_within = "50ms"\n'


class Story:
    """A monitor of one shut target that tells two channels."""

    def __init__(self, bench, key, simulated) -> None:
        self.bench, self.simulated = bench, simulated
        self.ops, self.mail = bench.taker, bench.another_channel("mail")
        self.keys = key("acme")

    async def begin(self, figures: str = "") -> None:
        await self.bench.simulate(self.simulated("acme"))
        settings = self.bench.settings(self.keys, FIGURES + figures, MAIL)
        self.settings = self.bench.never_settling(settings) if figures else settings
        await self.bench.run(self.settings)
        await self.happens("unverified")

    @property
    def database(self):
        return self.bench.folder / "monitor.db"

    async def happens(self, event: str, times: int = 1) -> None:
        await self.bench.until(lambda: self.bench.events().count(event) >= times)

    async def gate(self, gate: str, *events: str) -> None:
        """Let the gate be so from now on, until these events have happened once more."""
        before = {event: self.bench.events().count(event) for event in events}
        self.bench.replay(self.simulated("acme", gate))
        await self.ask("probe", target=TARGET)  # what is open is asked once a day
        for event in events:
            await self.happens(event, before[event] + 1)

    async def ask(self, kind: str, **payload):
        item = inbox.submit(self.database, kind, {**payload, "by": "alice"}, self.bench.now())
        await self.bench.until(lambda: inbox.reply_to(self.database, item) is not None)
        return inbox.reply_to(self.database, item)

    async def silence(self, *patterns: str, seconds: float = 3600.0) -> int:
        until = self.bench.now() + timedelta(seconds=seconds)
        reply = await self.ask(
            "silence",
            patterns=patterns or ["acme/*"],
            expires_at=until.isoformat(),
            reason="moving",
        )
        return reply["silence"]

    async def end(self, silence: int) -> None:
        assert await self.ask("end-silence", id=silence) == {"silence": silence}

    async def ask_to_declare(self, kind: str) -> None:
        at = self.bench.now().isoformat()
        payload = {"kind": kind, "subject": "acme", "at": at, "by": "alice"}
        inbox.submit(self.database, "declare", payload, self.bench.now())

    def hidden(self) -> list[str]:
        """The events that were kept from somebody, with the channel."""
        return [
            f"{row.event.kind} {one.channel}"
            for row in queries.history(self.database)
            for one in row.notifications
            if one.state == "silenced"
        ]

    async def all_told(self) -> None:
        """Nothing is lost: each notification is delivered, or silenced by a silence that told of it."""

        def settled() -> bool:
            with closing(sqlite3.connect(self.database)) as database:
                pending = "SELECT count(*) FROM notifications WHERE state = 'pending'"
                return database.execute(pending).fetchone() == (0,)

        await self.bench.until(settled)
        with closing(sqlite3.connect(self.database)) as database:
            rows = database.execute(
                "SELECT n.channel, n.state, s.id, s.ended_at FROM notifications n"
                " LEFT JOIN silences s ON s.id = n.silence_id"
            ).fetchall()
            digests = database.execute(
                "SELECT n.channel, json_extract(e.facts, '$.silence') FROM events e"
                " JOIN notifications n ON n.event_id = e.id WHERE e.kind = 'silence_ended'"
            ).fetchall()
        assert {state for _, state, *_ in rows} <= {"delivered", "silenced"}
        owed = {
            (channel, id_) for channel, state, id_, ended in rows if state == "silenced" and ended
        }
        assert sorted(digests) == sorted(owed)
        assert all(id_ for _, state, id_, _ in rows if state == "silenced")

    def told(self, channel) -> list[str]:
        """The heads of the messages, without what varies; those of groups by their parts."""
        return [title.partition(":")[0].partition(" [")[0] for title in channel.titles]

    def changed(self, channel) -> str:
        """The line of the last message that says what is different."""
        lines = channel.texts[-1].splitlines()
        return next((line for line in lines if line.startswith("Changed: ")), "nothing")


@pytest.fixture
async def story(bench, key, simulated) -> Story:
    story = Story(bench, key, simulated)
    await story.begin()
    return story


async def test_what_opens_while_it_is_silenced_is_told_all_the_same(story):
    silence = await story.silence()
    await story.gate(OPEN, "first_light", "available")
    await story.end(silence)
    await story.all_told()
    assert story.hidden() == []
    for channel in (story.ops, story.mail):
        assert [title.split(":")[0] for title in channel.titles[-2:]] == [
            "First light",
            "Available",
        ]


async def test_the_budget_of_a_key_is_silenced_with_its_targets_if_events_are_named(
    bench, key, simulated
):
    story = Story(bench, key, simulated)
    await story.begin("[budget]\nper_key_per_day = 0.006\n")
    await story.silence("acme/*", "event:budget", "channel:ops")
    flicker = ", ".join(f"[{t}, {t + 0.35}]" for t in range(60))
    await story.gate(f"[keys.gate]\nopen = [{flicker}]", "budget")
    await story.all_told()
    assert story.hidden() == ["budget ops"]


async def test_what_opens_while_openings_are_silenced_is_told_at_the_end(story):
    silence = await story.silence("acme/*", "event:*")
    await story.gate(OPEN, "first_light", "available")
    await story.end(silence)
    await story.all_told()
    for channel in (story.ops, story.mail):
        assert story.told(channel)[-1] == f"Silence {silence} ended"
        assert story.changed(channel) == f"Changed: {TARGET}: unverified → available"
        assert "2 notifications" in channel.texts[-1]
    assert story.hidden() == [
        "first_light mail", "first_light ops", "available mail", "available ops",
    ]  # fmt: skip


async def test_what_opens_and_closes_again_is_told_once(story):
    silence = await story.silence()
    await story.gate(OPEN, "available")
    await story.gate("", "propagating")
    assert story.hidden() == ["propagating mail", "propagating ops"]
    await story.end(silence)
    await story.all_told()
    for channel in (story.ops, story.mail):
        assert story.changed(channel) == f"Changed: {TARGET}: available → propagating"


async def test_what_goes_there_and_back_unseen_is_counted(story):
    await story.gate(OPEN, "available")
    silence = await story.silence("event:*")
    await story.gate("", "propagating")
    await story.gate(OPEN, "available")
    await story.end(silence)
    await story.all_told()
    for channel in (story.ops, story.mail):
        assert channel.titles[-1].startswith(f"Silence {silence} ended: nothing changed")
        assert "Unchanged: 1 target" in channel.texts[-1]


async def test_what_is_locked_while_it_is_silenced_is_told_at_the_end(story):
    silence = await story.silence()
    await story.gate(LOCKED, "locked")
    assert not any("ocked" in title for title in story.ops.titles)
    await story.end(silence)
    await story.all_told()
    for channel in (story.ops, story.mail):
        assert story.changed(channel) == f"Changed: {TARGET}: unverified → locked"
    assert story.hidden() == ["locked mail", "locked ops"]


async def test_the_end_comes_by_itself(story):
    await story.silence(seconds=6)
    await story.gate(LOCKED, "locked")
    await story.happens("silence_ended", 2)
    await story.all_told()
    for channel in (story.ops, story.mail):
        assert "has expired" in channel.texts[-1]
        assert story.changed(channel) == f"Changed: {TARGET}: unverified → locked"


async def test_what_expired_while_the_daemon_was_down_is_told_at_its_next_start(story):
    silence = await story.silence(seconds=8)
    await story.gate(LOCKED, "locked")
    await story.bench.stop()
    over = story.bench.now() + timedelta(seconds=8)
    await story.bench.until(lambda: story.bench.now() > over)
    assert "silence_ended" not in story.bench.events()
    await story.bench.run(story.settings)
    await story.happens("silence_ended", 2)
    await story.all_told()
    for channel in (story.ops, story.mail):
        assert story.told(channel)[-1] == f"Silence {silence} ended"
        assert story.changed(channel) == f"Changed: {TARGET}: unverified → locked"


async def test_a_silence_goes_on_over_a_restart(story):
    silence = await story.silence()
    await story.bench.stop()
    story.bench.replay(story.simulated("acme", LOCKED))
    await story.bench.run(story.settings)
    await story.happens("locked")
    assert story.hidden() == ["locked mail", "locked ops"]
    await story.end(silence)
    await story.all_told()
    assert story.changed(story.ops) == f"Changed: {TARGET}: unverified → locked"


async def test_what_is_ended_early_by_hand_says_by_whom(story):
    silence = await story.silence()
    await story.gate(LOCKED, "locked")
    await story.end(silence)
    await story.all_told()
    assert "The silence by alice was ended by alice." in story.ops.texts[-1]
    error = {"error": f"no silence {silence} is in force"}
    assert await story.ask("end-silence", id=silence) == error


async def test_of_two_that_overlap_the_later_end_tells(story):
    short = await story.silence("acme/*")
    await story.gate(LOCKED, "locked")
    long = await story.silence("channel:ops", seconds=7200)
    await story.end(short)
    await story.bench.until(lambda: "silence_ended" in story.bench.events())
    await story.bench.until(lambda: story.told(story.mail)[-1:] == [f"Silence {short} ended"])
    assert not any(title.startswith("Silence") for title in story.ops.titles)
    await story.end(long)
    await story.all_told()
    assert story.told(story.ops)[-1] == f"Silence {long} ended"
    assert story.changed(story.ops) == f"Changed: {TARGET}: unverified → locked"
    assert sum(title.startswith("Silence") for title in story.mail.titles) == 1


async def test_a_silence_of_one_channel_keeps_nothing_from_the_other(story):
    silence = await story.silence("channel:ops")
    await story.gate(LOCKED, "locked")
    await story.bench.until(lambda: any("locked" in title for title in story.mail.titles))
    await story.end(silence)
    await story.all_told()
    assert story.hidden() == ["locked ops"]
    assert story.changed(story.ops) == f"Changed: {TARGET}: unverified → locked"
    assert not any(title.startswith("Silence") for title in story.mail.titles)


async def test_the_next_message_says_what_was_silenced_before_it(story):
    silence = await story.silence("channel:ops")
    await story.gate(LOCKED, "locked")
    (id_,) = [event.id for event in story.bench.history() if event.kind == "locked"]
    await story.end(silence)
    await story.ask_to_declare("cleared")
    await story.happens("unverified", 2)
    await story.all_told()
    said = f"Not told: 1 earlier change of this target was silenced (#{id_})"
    assert any(said in text for text in story.ops.texts)
    assert not any("Not told" in text for text in story.mail.texts)


async def test_status_says_what_is_silenced_and_until_when(story):
    silence = await story.silence()
    await story.gate(LOCKED, "locked")
    found = status_queries.status(story.database, now=story.bench.now())
    assert found.silenced == 2
    assert [one.id for one in found.silences] == [silence]
    await story.end(silence)
    after = status_queries.status(story.database, now=story.bench.now())
    assert (after.silenced, after.silences) == (0, ())
    in_force, over = queries.silences(story.database, story.bench.now())
    assert (in_force, [one.id for one in over]) == ([], [silence])


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({}, "the request cannot be understood"),
        ({"patterns": "acme/*"}, "the request cannot be understood"),
        ({"patterns": ["acme"]}, "'acme' is no pattern of a silence"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "a silence must end after it begins"),
    ],
)
async def test_what_cannot_be_a_silence_is_refused_in_the_reply(story, payload, error):
    until = story.bench.now() + timedelta(hours=1)
    given = {"patterns": ["acme/*"], "reason": "x", "expires_at": until.isoformat()}
    assert await story.ask("silence", **(given | payload if payload else {})) == {"error": error}


async def test_a_probe_that_is_asked_for_is_made_now(bench, key, simulated):
    story = Story(bench, key, simulated)
    await story.begin()
    await story.gate(OPEN, "available")
    asked = bench.simulator.ledger.count(surface="images")
    assert await story.ask("probe", target=TARGET) == {"target": TARGET}
    await bench.until(lambda: bench.simulator.ledger.count(surface="images") > asked)
    reply = await story.ask("probe", target="acme/gpt-image-3:images")
    assert reply["error"].endswith(f'did you mean "{TARGET}"?')
