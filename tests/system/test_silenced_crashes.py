"""Silences under SIGKILL: made, hiding and ending, they lose nothing and let nothing through."""

import asyncio
import json
import random
import signal
import sys
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor.store.inbox import submit

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

STEPS = (
    "within a silence's end",
    "at random",
    "after a silence",
    "after a silence's end",
    "before a silence's end",
    "before a silence",
)
STEPPED = Path(__file__).with_name("stepped.py")
KEYS = 6
GATES = ("", 'open = "always"', 'locked = "always"')
PATTERNS = (
    ["key-0/*"],
    ["channel:slack"],
    ["*/*", "event:*"],
    ["organization:org-1", "event:locked"],
)


def scenario(dice: random.Random) -> str:
    """Gates that are shut, open or locked, each by chance."""
    parts = ['name = "silenced"']
    for n in range(KEYS):
        parts.append(
            f'[[keys]]\nname = "key-{n}"\nsecret = "sk-sim-FAKE-key-{n:04}"\n'
            f'organization = "org-{n // 2}"\n[keys.gate]\n{dice.choice(GATES)}'
        )
    return "\n".join(parts)


def settings(base_url: str, fast: str) -> str:
    parts = [
        '[monitor]\ndatabase = "sqlite:///monitor.db"\nlog_format = "json"',
        f'[routes.sim]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 500.0',
        '[[channels]]\nname = "slack"\nurl = "env:SLACK_URL"',
        '[[channels]]\nname = "mail"\nurl = "env:MAIL_URL"',
        "[budget]\nper_key_per_day = 50.0\nper_month = 5000.0",
    ]
    for n in range(KEYS):
        parts.append(
            f'[[keys]]\nname = "key-{n}"\nsecret = "env:KEY_{n}"\norganization = "org-{n // 2}"\n'
            f'route = "sim"\nwatch = ["gpt-5.1:summary"]'
        )
    # what is open is asked as often as what is shut: gates change all the time
    return "\n".join(parts) + fast.replace("[cadence]\n", '[cadence]\nfull_probe = "500ms"\n')


class People:
    """Who silence and end silences, while the daemon is up or not."""

    def __init__(self, lab, dice: random.Random) -> None:
        self.lab, self.dice, self.asked = lab, dice, 0

    def ask(self, kind: str, **payload) -> None:
        path = self.lab.folder / "monitor.db"
        submit(path, kind, {**payload, "by": "alice"}, datetime.now(UTC))

    def silence(self, seconds: float) -> None:
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        self.asked += 1
        self.ask(
            "silence", patterns=self.dice.choice(PATTERNS), reason="moving",
            expires_at=until.isoformat(),
        )  # fmt: skip

    def some(self) -> None:
        """Two short ones, now and then a long one, and the ends of two that are in force."""
        for seconds in (4 + self.dice.random(), 6 + self.dice.random()):
            self.silence(seconds)
        if self.dice.random() < 0.3:  # what it covers waits for its end
            self.silence(3600)
        self.end(2)

    def end(self, most: int) -> None:
        known = self.lab.ask("SELECT id FROM silences WHERE ended_at IS NULL ORDER BY random()")
        for (id_,) in known[:most]:
            self.ask("end-silence", id=id_)


async def killed(lab, step: str, dice: random.Random) -> bool:
    """Run the daemon until it is killed; False when the step was not reached in time."""
    arguments = ["run", "--config", str(lab.settings)]
    if step == "at random":
        process = await lab.start(*arguments)
        await asyncio.sleep(1.0 + dice.random() * 2)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        return True
    process = await lab.launch(
        sys.executable, str(STEPPED), step, str(dice.randint(1, 2)), *arguments
    )
    try:
        await asyncio.wait_for(process.wait(), 20)
    except TimeoutError:
        with suppress(ProcessLookupError):  # it may come at the last moment
            process.send_signal(signal.SIGKILL)
        await process.wait()
        return False
    assert process.returncode == -signal.SIGKILL
    return True


async def test_what_is_silenced_is_owed_whatever_is_killed(lab, fast, torture, fault):
    dice = random.Random(20261130)
    people = People(lab, dice)
    await lab.open_ends()
    await lab.simulate(scenario(dice))
    lab.settings.write_text(settings(lab.base_url, fast))
    lab.environ |= {f"KEY_{n}": f"sk-sim-FAKE-key-{n:04}" for n in range(KEYS)}
    first = await lab.daemon()
    await lab.told("unverified", "baseline", "locked", "first_light")
    first.send_signal(signal.SIGKILL)
    await first.wait()

    done: Counter[str] = Counter()
    for n in range(50 if torture else 5):
        await lab.replay(scenario(dice))
        people.some()
        step = STEPS[n % len(STEPS)]
        if not await killed(lab, step, dice):
            step = "at random, as a step did not come"
        done[step] += 1

    daemon = await lab.daemon()
    await lab.until(lambda: lab.ask("SELECT pid FROM daemon") == [(daemon.pid,)], "the last daemon")
    await lab.until(lambda: waiting(lab) == 0, "the inbox to be empty")
    people.end(1000)
    open_ = "SELECT count(*) FROM silences WHERE ended_at IS NULL"
    await lab.until(lambda: lab.ask(open_) == [(0,)], "all silences to end")
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0
    again = await lab.daemon()  # delivers what the stop left
    await lab.until(lambda: lab.ask("SELECT pid FROM daemon") == [(again.pid,)], "the next daemon")
    pending = "SELECT count(*) FROM notifications WHERE state = 'pending'"
    await lab.until(lambda: lab.ask(pending) == [(0,)], "all notifications to be delivered")
    again.send_signal(signal.SIGTERM)
    assert await again.wait() == 0

    replies = [json.loads(reply) for (reply,) in lab.ask(
        "SELECT reply FROM inbox WHERE kind = 'silence' ORDER BY id"
    )]  # fmt: skip
    made = [reply["silence"] for reply in replies if "silence" in reply]
    over = [reply for reply in replies if "error" in reply]
    assert all("end after it begins" in reply["error"] for reply in over)
    assert len(replies) == people.asked
    assert made == [id_ for (id_,) in lab.ask("SELECT id FROM silences ORDER BY id")], "each once"

    told = lab.ask(
        "SELECT e.id, e.kind, n.channel, n.state, n.silence_id, n.attempts FROM events e"
        " LEFT JOIN notifications n ON n.event_id = e.id"
        " WHERE e.kind NOT IN ('baseline', 'started', 'stopping')"
    )
    owed = [(id_, channel) for id_, kind, channel, *_ in told if kind != "silence_ended"]
    assert Counter(owed) == Counter(
        (id_, channel) for id_ in {id_ for id_, _ in owed} for channel in ("slack", "mail")
    )
    assert {state for _, _, _, state, *_ in told} <= {"delivered", "silenced", "pending"}
    hidden = {(silence, channel) for _, _, channel, _, silence, _ in told if silence}
    digests = lab.ask(
        "SELECT json_extract(e.facts, '$.silence'), n.channel FROM events e"
        " JOIN notifications n ON n.event_id = e.id WHERE e.kind = 'silence_ended'"
    )
    assert sorted(digests) == sorted(hidden), "each end told once where it hid something"
    ends = {"slack": Counter(lab.slack.ids), "mail": Counter(lab.mail.ids)}
    lost = [(i, c) for i, _, c, state, *_ in told if state == "delivered" and not ends[c][i]]
    shown = [(i, c) for i, _, c, state, *_ in told if state == "silenced" and ends[c][i]]
    for step, times in done.items():
        fault(f"SIGKILL {step}", times, "goes on where it was", "silences made and ended once each")
    fault(
        f"these kills while {len(made)} silences are made, hide and end", sum(done.values()),
        "each notification is delivered, or silenced by a silence whose end was told once on its channel",
        f"{len(told)} notifications: {sum(1 for one in told if one[4])} silenced, {len(digests)} ends told,"
        f" {len(lost)} lost, {len(shown)} told though silenced",
    )  # fmt: skip
    assert lost == []
    assert shown == []


def waiting(lab) -> int:
    ((count,),) = lab.ask("SELECT count(*) FROM inbox WHERE taken_at IS NULL") or [(1,)]
    return count
