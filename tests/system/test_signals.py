"""Signals: from the first moment on, once and in order, and nothing left behind."""

import asyncio
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]

KEY = """
[[keys]]
name = "{name}"
secret = "sk-sim-FAKE-{name}-0001"
[keys.gate]
open = "always"
"""
#: No image is answered.
SILENT = """
[[keys.faults]]
what = "timeout"
seconds = 300
surfaces = ["images"]
"""
SETTINGS = """
[monitor]
database = "sqlite:///{name}.db"
log_format = "json"
[confirmation]
confirmation_span = "2m"
[routes.sim]
base_url = "{base_url}"
contract = "direct"
[[keys]]
name = "{name}"
secret = "env:SECRET"
route = "sim"
watch = {models}
"""
NAMES = ("one", "two", "three")


async def prepared(lab, *, more: str = "", models: str = '["gpt-image-2"]') -> None:
    """A simulator and three settings files, each with a key and a database of its own."""
    await lab.simulate('name = "signals"' + "".join(KEY.format(name=name) + more for name in NAMES))
    (lab.folder / "temporary").mkdir()
    lab.environ["TMPDIR"] = str(lab.folder / "temporary")
    for name in NAMES:
        text = SETTINGS.format(name=name, base_url=lab.base_url, models=models)
        (lab.folder / f"{name}.toml").write_text(text)


async def start(lab, name: str, *arguments: str):
    secret = {"SECRET": f"sk-sim-FAKE-{name}-0001"}
    return await lab.start(*arguments, "--config", f"{name}.toml", environ=secret, log=name)


async def images(lab, name: str) -> int:
    """How many requests for images the key made."""
    counts = (await lab.totals())["counts"]
    return sum(row["count"] for row in counts if (row["key"], row["surface"]) == (name, "images"))


async def bill(lab, name: str) -> float:
    """What the key was billed in US dollars."""
    return sum(row["usd"] for row in (await lab.totals())["billed"] if row["key"] == name)


def ask(lab, name: str, query: str) -> tuple:
    with closing(sqlite3.connect(f"file:{lab.folder / name}.db?mode=ro", uri=True)) as database:
        return database.execute(query).fetchone()


def says(lab, name: str, words: str) -> bool:
    return words in (lab.folder / f"{name}.log").read_text()


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal: Python itself must have begun to run."""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.split("SigCgt:")[1].split()[0], 16) >> (number - 1) & 1)


async def test_sighup_at_any_moment_of_a_start_reads_the_settings_anew_and_sigterm_ends_once(lab):
    await prepared(lab)

    async def live(name: str, moment) -> int:
        daemon = await start(lab, name, "run")
        await lab.until(lambda: catches(daemon.pid, signal.SIGHUP), "the handler")
        await lab.until(lambda: moment(name), "the moment")
        daemon.send_signal(signal.SIGHUP)
        await lab.until(lambda: says(lab, name, '"reloaded"'), "the settings to be read anew")
        daemon.send_signal(signal.SIGTERM)
        daemon.send_signal(signal.SIGTERM)  # its echo
        return await asyncio.wait_for(daemon.wait(), 90)

    moments = (
        lambda _: True,
        lambda name: (lab.folder / f"{name}.db").exists(),
        lambda name: says(lab, name, '"event"'),
    )
    assert await asyncio.gather(*map(live, NAMES, moments)) == [0, 0, 0]
    for name in NAMES:
        last = "SELECT kind FROM events ORDER BY id DESC LIMIT 1"
        assert ask(lab, name, last) == ("stopping",)


async def test_a_wait_that_is_ended_books_what_it_spent_and_leaves_nothing_behind(lab):
    await prepared(lab)

    async def live(name: str, number: int) -> int:
        process = await start(lab, name, "wait", name, "--yes")

        async def probed() -> bool:
            return await bill(lab, name) > 0

        await lab.until(probed, "the probe of the wait")
        process.send_signal(number)
        process.send_signal(number)  # its echo
        return await asyncio.wait_for(process.wait(), 90)

    ends = await asyncio.gather(*map(live, NAMES, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)))
    assert ends == [143, 130, 129]
    assert not list((lab.folder / "temporary").iterdir())
    for name in NAMES:
        (booked,) = ask(lab, name, "SELECT coalesce(sum(settled_usd), 0) FROM spend")
        # an answer that a signal cut off is in doubt
        (in_doubt,) = ask(lab, name, "SELECT coalesce(sum(usd), 0) FROM holds")
        assert booked + in_doubt >= await bill(lab, name) - 1e-9 > 0


async def test_what_was_sent_when_a_command_was_ended_is_in_doubt_and_the_rest_given_back(lab):
    models = '["gpt-image-2", "gpt-image-1", "gpt-image-1.5", "gpt-image-1-mini"]'
    await prepared(lab, more=SILENT, models=models)

    async def live(name: str, number: int, sent: int, *arguments: str) -> int:
        process = await start(lab, name, *arguments)

        async def asked() -> bool:
            return await images(lab, name) >= sent

        await lab.until(asked, "the requests")
        process.send_signal(number)
        return await asyncio.wait_for(process.wait(), 90)

    ends = await asyncio.gather(
        # two images go at once, the others wait for their organization's gap
        live("one", signal.SIGINT, 2, "check", "one", "--yes"),
        live("two", signal.SIGHUP, 1, "check", "two/gpt-image-2"),
        # after the control model, which answers
        live("three", signal.SIGTERM, 1, "diagnose", "three", "--yes"),
    )
    assert ends == [130, 129, 143]
    for name, sent in zip(NAMES, (2, 1, 1), strict=True):
        assert await images(lab, name) == sent
        assert ask(lab, name, "SELECT count(*), min(usd) > 0 FROM holds") == (sent, 1)
        (booked,) = ask(lab, name, "SELECT coalesce(sum(settled_usd), 0) FROM spend")
        log = (await lab.ledger())["log"]
        answered = [e for e in log if e["key"] == name and e["surface"] != "images"]
        assert booked == pytest.approx(sum(entry["billed_usd"] for entry in answered))
