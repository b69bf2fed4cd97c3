"""Openings: from an answer to the message that tells of it; with faults on both sides; many at once."""

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


async def faults(folder: Path, count: int, seconds: float) -> dict[str, Any]:
    """The same, four of five open, while 5 % of the probes and 20 % of the messages fail."""
    begin = 60.0  # who was silent until then would be open at its first answer, which wakes nobody
    each = 0.6 * seconds / count
    keys = [Key(f"key-{n:05d}", opens=begin + n * each if n % 5 else None) for n in range(count)]
    async with lab(folder) as one:
        found = await _run(one, keys, begin + seconds, faults=True)
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


async def _run(
    one: Lab, keys: list[Key], seconds: float, *, faults: bool = False
) -> dict[str, Any]:
    channels = await one.open_ends(mail=not faults)
    one.webhook.refuses = 0.2 if faults else 0.0
    scenario = scenario_of(keys, faults=faults)
    simulator = await one.simulate(scenario)
    one.config.write_text(settings_of(one.base_url, keys, one.folder, more=channels))
    daemon = await one.daemon()
    await one.started(daemon)
    await one.play(scenario)  # its time begins now
    machine, used = Machine(daemon, simulator), processor_seconds(daemon.pid)
    began = time.time()
    await asyncio.sleep(seconds)
    entries = await one.ledger()
    answered = {
        entry["key"]: datetime.fromisoformat(entry["at"]).timestamp()
        for entry in reversed(entries)
        if entry["what"] == "granted"
    }
    lights = _events(one, "first_light")
    deadline = time.time() + (30.0 if faults else 60.0)
    while (answered.keys() - lights.keys() or _outbox(one)[0]) and time.time() < deadline:
        await asyncio.sleep(1)
        lights = _events(one, "first_light")
    others, used = machine.others(), processor_seconds(daemon.pid) - used
    waiting, total, owed = _outbox(one)
    return {
        "opened": len(answered),
        "told_of": len(lights.keys() & answered.keys()),
        **{
            name: _delays(lights, answered, end)
            for name, end in (("hook", one.webhook), ("mail", one.mailbox))
            if end.port
        },
        "notifications": total,
        "not_delivered": waiting,
        "lost": sum(len(owed - end.at.keys()) for end in (one.webhook, one.mailbox) if end.port),
        "doubled": one.webhook.doubled,
        "probes": sum(entry["surface"] != "models" for entry in entries),
        "cpu_s": used,
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
        "p95_s": percentile(delays, 0.95),
        "p99_s": percentile(delays, 0.99),
        "most_s": max(delays, default=float("nan")),
    }


def _events(one: Lab, event: str) -> dict[str, int]:
    rows = one.ask("SELECT target, min(id) FROM events WHERE kind = ? GROUP BY target", event)
    return {target.partition("/")[0]: id_ for target, id_ in rows}


def _outbox(one: Lab) -> tuple[int, int, set[int]]:
    """How many first lights are not delivered, how many notifications there are, and what they tell.

    What settles a minute later may be on its way at any moment.
    """
    ((total,),) = one.ask("SELECT count(*) FROM notifications")
    ((waiting,),) = one.ask(
        "SELECT count(*) FROM notifications JOIN events ON events.id = event_id"
        " WHERE notifications.state <> 'delivered' AND event = 'first_light'"
    )
    done = one.ask("SELECT DISTINCT event_id FROM notifications WHERE state = 'delivered'")
    return waiting, total, {id_ for (id_,) in done}
