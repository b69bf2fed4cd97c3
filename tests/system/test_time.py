"""The clock is stepped, stands still, and time goes by unseen: with libfaketime on the real process."""

import importlib.util
import itertools
import os
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest
from watched import scenario, secrets, settings

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

KEYS = tuple(f"acme-{n}" for n in range(6))
TARGETS = {f"{key}/gpt-5.1:summary" for key in KEYS}
#: Seconds between two probes of a shut gate here; `FAST` says the same.
EAGER = 0.3


def library() -> Path:
    found = importlib.util.find_spec("libfaketime")
    if found is None or found.origin is None:
        pytest.skip("libfaketime is not installed")
    source = Path(found.origin).parent / "vendor" / "libfaketime" / "src"
    for path in source.glob("libfaketime.*"):
        if path.name in ("libfaketime.so.1", "libfaketime.1.dylib"):
            return path
    pytest.skip("libfaketime is not built for this machine")


class Wall:
    """The wall clock of the daemon: an offset to the real one, or a moment at which it stands."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "faketime"
        self.environ = {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "TZ": "UTC",
        }
        self.offset = timedelta()
        self.step(timedelta())

    def step(self, by: timedelta) -> None:
        self.offset += by
        self._write(f"{self.offset.total_seconds():+.0f}s")

    def stand(self) -> None:
        self._write(f"{datetime.now(UTC) + self.offset:%Y-%m-%d %H:%M:%S}")

    def _write(self, text: str) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(text)
        new.replace(self._path)


@pytest.fixture
def wall(tmp_path) -> Wall:
    return Wall(tmp_path)


@pytest.fixture
async def daemon(lab, fast, wall):
    """A daemon that probes shut gates, its clock in our hand."""
    await lab.open_ends()
    await lab.simulate(scenario(dict.fromkeys(KEYS, "")))
    # the eager hour must outlast a step, or the pace would rightly change
    lab.settings.write_text(
        settings(lab.base_url, KEYS, route="rate = 500.0\nprice = 0.0", channels=["slack"])
        + fast.replace("[cadence]", '[cadence]\neager_for = "90d"')
    )
    lab.environ |= secrets(KEYS)
    process = await lab.daemon(**wall.environ)
    await lab.told("unverified", count=len(KEYS))
    return process


async def probes(lab) -> list[dict]:
    """Every full probe, by the simulator's word and its own clock."""
    log = (await lab.ledger())["log"]
    return [entry for entry in log if entry["what"] in ("gated", "granted")]


async def further(lab, times: int) -> Counter:
    """Wait until every key was probed so often again; how often each one was by then."""
    before = len(await probes(lab))

    async def enough() -> bool:
        seen = Counter(entry["key"] for entry in (await probes(lab))[before:])
        return all(seen[key] >= times for key in KEYS)

    await lab.until(enough, f"{times} more probes of each")
    return Counter(entry["key"] for entry in (await probes(lab))[before:])


def closest(entries: list[dict]) -> float:
    """The shortest time between two probes of one key, in seconds."""
    times: dict[str, list[float]] = {}
    for entry in entries:
        times.setdefault(entry["key"], []).append(entry["elapsed"])
    return min(b - a for own in times.values() for a, b in itertools.pairwise(own))


async def end_well(lab, daemon) -> None:
    """The gates open, and all is told once, whatever was done to the clock."""
    await lab.replay(scenario(dict.fromkeys(KEYS, "open = 0")))
    await lab.told("available", count=len(KEYS))
    history = await lab.history()
    for target in TARGETS:
        own = [row["event"] for row in history if row["target"] == target]
        assert own == ["unverified", "first_light", "available"]
    owed = sorted(row["id"] for row in history if row["notifications"])
    await lab.until(lambda: sorted(lab.slack.ids) == owed, "slack to get everything once")
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0
    for forbidden in ("probe_failed", "beat_failed", "probe_was_lost", "no_progress"):
        assert not lab.logged(forbidden)


async def test_a_step_of_the_clock_forgets_no_target_hammers_none_and_tells_nothing(
    lab, daemon, wall, fault, torture
):
    # there and back, by an hour and by a day
    hours = [1, -1, -1, 1, 24, -24, -24, 24] * (2 if torture else 1)
    for n, step in enumerate(hours):
        before = len(await probes(lab))
        wall.step(timedelta(hours=step))
        await lab.until(lambda: len(lab.logged("clock_stepped")) == n + 1, "the step to be seen")  # noqa: B023
        await further(lab, 3)
        assert closest((await probes(lab))[before:]) > EAGER / 3
    seen = [line["seconds"] for line in lab.logged("clock_stepped")]
    assert all(abs(seconds - step * 3600) < 5 for seconds, step in zip(seen, hours, strict=True)), (
        seen
    )
    count, near = len(await probes(lab)), closest(await probes(lab))
    await end_well(lab, daemon)
    fault(
        "the wall clock is stepped by 1 h and by 24 h, forth and back", len(hours),
        "no target forgotten, no burst, nothing told but what is so, nothing given up as too old",
        f"{count} probes, the closest two at one target {near:.2f} s apart (planned {EAGER} s)",
    )  # fmt: skip


async def test_a_clock_that_stands_still_stops_no_probe(lab, daemon, wall, fault, torture):
    wall.stand()
    began = monotonic()
    await lab.until(lambda: bool(lab.logged("clock_stands_still")), "it to be noticed")
    seen = await further(lab, 15 if torture else 8)
    stood = monotonic() - began
    wall.step(timedelta())
    await lab.until(lambda: bool(lab.logged("clock_goes_again")), "it to go on")
    await further(lab, 3)
    await end_well(lab, daemon)
    assert len(lab.logged("clock_stands_still")) == len(lab.logged("clock_goes_again")) == 1
    fault(
        "the wall clock stands still", f"{stood:.0f} s",
        "probes go on, at each beat of the monitor's own clock; said once",
        f"{sum(seen.values())} probes of {len(KEYS)} targets meanwhile",
    )  # fmt: skip


async def test_what_opens_while_the_process_is_suspended_is_told_when_it_goes_on(
    lab, daemon, fault, torture
):
    seconds = 15 if torture else 4
    os.kill(daemon.pid, signal.SIGSTOP)
    began = monotonic()
    await lab.replay(scenario(dict.fromkeys(KEYS, "open = 0")))
    await lab.until(lambda: monotonic() - began > seconds, "the nap to be over", patience=60)
    os.kill(daemon.pid, signal.SIGCONT)
    woken = monotonic()
    await lab.told("first_light", count=len(KEYS))
    took = monotonic() - woken
    assert not lab.logged("clock_stepped")
    await end_well(lab, daemon)
    fault(
        f"suspended for {seconds} s while {len(KEYS)} gates open", 1,
        "no step, no stale target; every opening told when it goes on",
        f"{len(KEYS)} first lights recorded within {took:.1f} s of waking up",
    )  # fmt: skip
