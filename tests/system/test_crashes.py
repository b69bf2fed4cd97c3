"""The guarantee under SIGKILL: at random moments and at each step, what is owed is told."""

import asyncio
import itertools
import random
import signal
import sqlite3
import sys
from collections import Counter
from pathlib import Path

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1500)]

STEPS = (
    "at random",
    "after the answer",
    "before the commit",
    "after the commit",
    "after the claim",
    "after the send",
    "before the mark",
)
KEYS = 40
STEPPED = Path(__file__).with_name("stepped.py")


def scenario(seconds: float) -> str:
    """Gates that open all the time, and stay open."""
    parts = ['name = "crashes"']
    for n in range(KEYS):
        opens = 1.0 + n * seconds / KEYS
        parts.append(
            f'[[keys]]\nname = "key-{n}"\nsecret = "sk-sim-FAKE-key-{n:04}"\n'
            f'organization = "org-{n % 8}"\n[keys.gate]\nopen = {opens:.2f}'
        )
    return "\n".join(parts)


def settings(base_url: str, fast: str) -> str:
    parts = [
        '[monitor]\ndatabase = "sqlite:///monitor.db"\nlog_format = "json"',
        f'[routes.sim]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 500.0',
        '[[channels]]\nname = "slack"\nurl = "env:SLACK_URL"',
        '[[channels]]\nname = "mail"\nurl = "env:MAIL_URL"',
        # crashes count what was reserved as spent, and there are many
        "[budget]\nper_key_per_day = 5.0\nper_month = 500.0",
    ]
    for n in range(KEYS):
        parts.append(
            f'[[keys]]\nname = "key-{n}"\nsecret = "env:KEY_{n}"\norganization = "org-{n % 8}"\n'
            f'route = "sim"\nwatch = ["gpt-5.1:summary"]'
        )
    return "\n".join(parts) + fast


async def killed(lab, step: str, dice: random.Random) -> bool:
    """Run the daemon until it is killed; False when the step was not reached in time."""
    arguments = ["run", "--config", str(lab.settings)]
    if step == "at random":
        process = await lab.start(*arguments)
        await asyncio.sleep(0.4 + dice.random() * 1.6)
        process.send_signal(signal.SIGKILL)
    else:
        count = dice.randint(1, 12)
        process = await lab.launch(sys.executable, str(STEPPED), step, str(count), *arguments)
        try:
            await asyncio.wait_for(process.wait(), 4)
        except TimeoutError:
            process.send_signal(signal.SIGKILL)
            await process.wait()
            return False
    await process.wait()
    assert process.returncode == -signal.SIGKILL
    return True


async def test_what_is_owed_is_told_whatever_is_killed(lab, fast, torture, fault):
    dice = random.Random(20261120)
    kills = 203 if torture else 14
    await lab.open_ends()
    await lab.simulate(scenario(kills * 1.2))
    lab.settings.write_text(settings(lab.base_url, fast))
    lab.environ |= {f"KEY_{n}": f"sk-sim-FAKE-key-{n:04}" for n in range(KEYS)}
    done: Counter[str] = Counter()
    for n in range(kills):
        step = STEPS[n % len(STEPS)]
        done[step if await killed(lab, step, dice) else "step not reached: at random"] += 1

    daemon = await lab.daemon()

    def all_open() -> bool:
        return rows(lab, "SELECT count(*) FROM targets WHERE state = 'available'")[0][0] == KEYS

    def all_told() -> bool:
        return rows(lab, "SELECT count(*) FROM notifications WHERE state != 'delivered'")[0][0] == 0

    def up() -> bool:
        return rows(lab, "SELECT pid FROM daemon")[0][0] == daemon.pid

    await lab.until(up, "the last daemon to be up")
    await lab.until(all_open, "all targets to be available", patience=180)
    await lab.until(all_told, "all notifications to be delivered", patience=120)
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0

    moves = rows(
        lab, "SELECT target, before, after, id FROM happenings WHERE after IS NOT NULL ORDER BY id"
    )
    for n in range(KEYS):
        path = [
            (before, after) for target, before, after, _ in moves if target.startswith(f"key-{n}/")
        ]
        assert path[-1][1] == "available"
        assert path[0][0] == "unknown"
        assert all(a[1] == b[0] for a, b in itertools.pairwise(path)), path
        openings = [move for move in path if move[1] == "available"]
        assert len(openings) == 1
    owed = dict(rows(lab, "SELECT happening_id, count(*) FROM notifications GROUP BY happening_id"))
    lost, duplicates = [], []
    for channel, end in (("slack", lab.slack), ("mail", lab.mail)):
        got = Counter(end.ids)
        lost += [(channel, id_) for id_ in owed if id_ not in got]
        assert not set(got) - set(owed), "told without being recorded"
        tries = dict(
            rows(
                lab, f"SELECT happening_id, attempts FROM notifications WHERE channel = '{channel}'"
            )
        )
        for id_, times in got.items():
            if times > 1:
                duplicates.append((channel, id_))
                assert tries[id_] >= times, "a duplicate without a send that was cut"
    fault(
        "SIGKILL " + ", ".join(f"{step} {times}" for step, times in sorted(done.items())),
        sum(done.values()),
        "every transition told on both channels, none twice unless a send was cut",
        f"{len(moves)} transitions recorded, {2 * len(owed)} notifications owed,"
        f" {len(lost)} lost, {len(duplicates)} duplicates, each recognisable by its id",
    )
    assert lost == []


def rows(lab, query: str) -> list[tuple]:
    with sqlite3.connect(f"file:{lab.folder / 'monitor.db'}?mode=ro", uri=True) as database:
        return database.execute(query).fetchall()
