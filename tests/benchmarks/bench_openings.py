"""Openings: from an answer to the message that tells of it; and many of one organization at once."""

import asyncio
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from bench_lab import End, Key, Lab, Machine, lab, percentile, processor_seconds
from bench_lab import scenario as scenario_of
from bench_lab import settings as settings_of


async def openings(folder: Path, count: int, seconds: float) -> dict[str, Any]:
    """`count` targets every 10 s, each of its own organization, opening one after the other."""
    begin = 60.0  # all were refused by then, and their model lists read
    keys = [Key(f"key-{n:05d}", opens=begin + n * (seconds - 12.0) / count) for n in range(count)]
    async with lab(folder) as one:
        found = await _run(one, keys, begin + seconds)
    return {"targets": count, **found}


async def burst(folder: Path, count: int, within: float = 10.0) -> dict[str, Any]:
    """`count` targets of one organization open within so many seconds; all is to be told in 60 s."""
    begin = 30.0
    keys = [
        Key(f"key-{n:05d}", organization="org-acme", opens=begin + n * within / count)
        for n in range(count)
    ]
    async with lab(folder) as one:
        found = await _run(one, keys, begin + within + 75.0)
    return {"targets": count, "within_s": within, **found}


async def _run(one: Lab, keys: list[Key], seconds: float) -> dict[str, Any]:
    channels = await one.open_ends()
    simulator = await one.simulate(scenario_of(keys))
    one.config.write_text(settings_of(one.base_url, keys, one.folder, more=channels))
    daemon = await one.daemon()
    await one.started(daemon)
    await one.play(scenario_of(keys))  # its time begins now
    machine, used = Machine(daemon, simulator), processor_seconds(daemon.pid)
    began = time.time()
    await asyncio.sleep(seconds)
    deadline = time.time() + 60.0
    while _outbox(one)[0] and time.time() < deadline:  # noqa: ASYNC110 - another process's doing
        await asyncio.sleep(1)
    lights = _happenings(one, "first_light")
    others, used = machine.others(), processor_seconds(daemon.pid) - used
    answered = {
        entry["key"]: datetime.fromisoformat(entry["at"]).timestamp()
        for entry in reversed(await one.ledger())
        if entry["what"] == "granted"
    }
    waiting, total, owed = _outbox(one)
    return {
        "opened": len(answered),
        "told_of": len(lights),
        "hook": _delays(lights, answered, one.webhook),
        "mail": _delays(lights, answered, one.mailbox),
        "notifications": total,
        "not_delivered": waiting,
        "lost": sum(len(owed - end.at.keys()) for end in (one.webhook, one.mailbox)),
        "cpu_share": used / (time.time() - began),
        "others_cores": others,
    }


def _delays(lights: dict[str, int], answered: dict[str, float], end: End) -> dict[str, Any]:
    delays = [
        end.at[id_] - answered[key]
        for key, id_ in lights.items()
        if id_ in end.at and key in answered
    ]
    return {
        "told": len(delays),
        "messages": end.messages,
        "p50_s": percentile(delays, 0.5),
        "p99_s": percentile(delays, 0.99),
        "most_s": max(delays, default=float("nan")),
    }


def _happenings(one: Lab, event: str) -> dict[str, int]:
    rows = one.ask("SELECT target, min(id) FROM happenings WHERE event = ? GROUP BY target", event)
    return {target.partition("/")[0]: id_ for target, id_ in rows}


def _outbox(one: Lab) -> tuple[int, int, set[int]]:
    """How many notifications are not delivered, how many there are, and the happenings they tell."""
    ((waiting, total),) = one.ask("SELECT sum(state <> 'delivered'), count(*) FROM notifications")
    done = one.ask("SELECT DISTINCT happening_id FROM notifications WHERE state = 'delivered'")
    return waiting or 0, total, {id_ for (id_,) in done}
