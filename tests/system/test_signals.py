"""Signals: from the first moment on, once and in order, and nothing left behind."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]

SCENARIO = """
name = "signals"
[[keys]]
name = "open"
secret = "sk-sim-FAKE-open-0001"
[keys.gate]
open = "always"
"""
SETTINGS = """
[monitor]
database = "sqlite:///monitor.db"
[confirmation]
confirmation_span = "2m"
[routes.sim]
base_url = "{base_url}"
contract = "direct"
[[keys]]
name = "open"
secret = "env:OPEN"
route = "sim"
watch = ["gpt-image-2"]
"""


@pytest.fixture
async def sim(lab):
    await lab.simulate(SCENARIO)
    (lab.folder / "temporary").mkdir()
    lab.environ |= {"OPEN": "sk-sim-FAKE-open-0001", "TMPDIR": str(lab.folder / "temporary")}
    lab.settings.write_text(SETTINGS.format(base_url=lab.base_url))
    return lab


async def spent(sim) -> float:
    found = json.loads((await sim.call("status", "--format", "json")).out)
    return found["targets"][0]["spend_today_usd"]


async def test_a_second_sigterm_within_half_a_second_is_the_first_ones_echo(sim):
    daemon = await sim.daemon()
    await sim.told("started")
    daemon.send_signal(signal.SIGTERM)
    daemon.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(daemon.wait(), 40) == 0
    assert [row["event"] for row in await sim.history()][-1] == "stopping"


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal: Python itself must have begun to run."""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.split("SigCgt:")[1].split()[0], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("after", [0, 0.1, 0.4])
async def test_sighup_at_any_moment_of_a_start_reads_the_settings_anew(sim, after):
    daemon = await sim.daemon()
    await sim.until(lambda: catches(daemon.pid, signal.SIGHUP), "the handler")
    assert not (sim.folder / "monitor.db").exists()
    await asyncio.sleep(after)  # the moment itself is what is tried
    daemon.send_signal(signal.SIGHUP)
    await sim.until(lambda: bool(sim.logged("reloaded")), "the settings to be read anew")
    daemon.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(daemon.wait(), 40) == 0


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
async def test_a_wait_that_is_ended_books_what_it_spent_and_leaves_nothing_behind(
    sim, number, status
):
    daemon = await sim.daemon()
    await sim.told("started")
    await sim.until(lambda: bool(sim.logged("probe")), "the first probe")
    daemon.terminate()
    await daemon.wait()
    before = await spent(sim)
    ledger = (await sim.ledger())["billed_usd"]
    process = await sim.start("wait", "open")

    async def probed() -> bool:
        return (await sim.ledger())["billed_usd"] > ledger

    await sim.until(probed, "the probe of the wait")
    process.send_signal(number)
    process.send_signal(number)  # its echo
    assert await asyncio.wait_for(process.wait(), 40) == status
    assert not list((sim.folder / "temporary").iterdir())
    daemon = await sim.daemon()
    await sim.told("started", count=2)
    bill = (await sim.ledger())["billed_usd"]

    async def booked() -> bool:
        return await spent(sim) >= bill - 1e-9

    assert bill > before
    await sim.until(booked, "the bill in the books")
