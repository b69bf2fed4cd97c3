"""Whatever the server answers, whatever is killed in between: what was billed never exceeds the budget."""

import asyncio
import signal
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.timeout(1500)

PER_KEY, PER_MONTH = 0.010, 0.014
FAULTS = (
    "timeout",
    "cut",
    "server_error",
    "bad_gateway",
    "broken_json",
    "reset",
    "empty_data",
    "slow",
)

faults = st.lists(
    st.fixed_dictionaries(
        {
            "what": st.sampled_from(FAULTS),
            "probability": st.sampled_from([0.2, 0.5, 1.0]),
            "from": st.integers(0, 6),
            "for": st.integers(1, 5),
        }
    ),
    max_size=3,
)
openings = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 6)), min_size=1, max_size=3)
kills = st.lists(st.integers(600, 2200), max_size=3)


def scenario(gates, troubles) -> str:
    at = sorted(dict(gates).items())
    spans, end = [], -1
    for begin, length in at:
        if begin > end:
            spans.append([begin, begin + length])
            end = begin + length
    parts = ['name = "budget"']
    for name in ("one", "two"):
        parts.append(
            f'[[keys]]\nname = "{name}"\nsecret = "sk-sim-FAKE-{name}-0001"\n[keys.gate]\nopen = {spans}'
        )
        for fault in troubles:
            seconds = "seconds = 0.4\n" if fault["what"] in ("timeout", "slow") else ""
            parts.append(
                f'[[keys.faults]]\nwhat = "{fault["what"]}"\nprobability = {fault["probability"]}\n'
                f"between = [[{fault['from']}, {fault['from'] + fault['for']}]]\n{seconds}"
            )
    return "\n".join(parts)


def monitor(base_url: str, fast: str) -> str:
    parts = [
        '[monitor]\ndatabase = "sqlite:///monitor.db"\nlog_format = "json"',
        f'[routes.sim]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 500.0',
        f"[budget]\nper_key_per_day = {PER_KEY}\nper_month = {PER_MONTH}",
    ]
    for name in ("one", "two"):
        parts.append(
            f'[[keys]]\nname = "{name}"\nsecret = "env:KEY_{name.upper()}"\nroute = "sim"\n'
            'watch = ["gpt-image-2", "gpt-image-2:image_tool", "gpt-5.1:summary"]'
        )
    return "\n".join(parts) + fast


def test_what_was_billed_never_exceeds_the_budget(new_lab, fast, torture, fault):
    seen = {"billed": 0.0, "runs": 0, "kills": 0}

    async def play(gates, troubles, delays) -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with AsyncExitStack() as stack:
                lab = new_lab(Path(folder), stack)
                await lab.simulate(scenario(gates, troubles))
                lab.environ |= {
                    "KEY_ONE": "sk-sim-FAKE-one-0001",
                    "KEY_TWO": "sk-sim-FAKE-two-0001",
                }
                lab.settings.write_text(monitor(lab.base_url, fast))
                for delay in delays:
                    daemon = await lab.daemon()
                    await asyncio.sleep(delay / 1000)
                    daemon.send_signal(signal.SIGKILL)
                    await daemon.wait()
                daemon = await lab.daemon()
                await asyncio.sleep(3)
                daemon.send_signal(signal.SIGTERM)
                assert await daemon.wait() == 0
                ledger = await lab.ledger()
                billed = dict.fromkeys(("one", "two"), 0.0)
                for row in ledger["billed"]:
                    billed[row["key"]] += row["usd"]
                assert max(billed.values()) <= PER_KEY
                assert sum(billed.values()) <= PER_MONTH
                seen["billed"] = max(seen["billed"], sum(billed.values()))
                seen["runs"] += 1
                seen["kills"] += len(delays)

    @settings(
        max_examples=25 if torture else 4,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(openings, faults, kills)
    def run(gates, troubles, delays) -> None:
        asyncio.run(play(gates, troubles, delays))

    run()
    fault(
        "random gates, faults and SIGKILLs against a small budget",
        f"{seen['runs']} runs, {seen['kills']} kills",
        f"the bill stays within ${PER_KEY} a key and day and ${PER_MONTH} a month",
        f"at most ${seen['billed']:.5f} billed in a run",
    )
