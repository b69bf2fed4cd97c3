"""SIGHUP: parsed whole, then swapped; what does not load changes nothing."""

import hashlib
import json
import signal

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

SCENARIO = """
name = "reload"
[[keys]]
name = "one"
secret = "sk-sim-FAKE-one-0001"
[[keys]]
name = "two"
secret = "sk-sim-FAKE-two-0001"
[[keys]]
name = "three"
secret = "sk-sim-FAKE-three-0001"
"""


def settings(base_url: str, fast: str, *names: str, wrong: str = "") -> str:
    parts = [
        '[monitor]\ndatabase = "sqlite:///monitor.db"\nlog_format = "json"',
        f'[routes.sim]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 500.0',
    ]
    parts += [
        f'[[keys]]\nname = "{name}"\nsecret = "file:{name}.key"\nroute = "sim"\nwatch = ["gpt-image-2"]\n'
        for name in names
    ]
    return "\n".join(parts) + fast + wrong


async def test_a_reload_adds_removes_and_goes_on_and_a_bad_file_changes_nothing(lab, fast):
    await lab.simulate(SCENARIO)
    for name in ("one", "two", "three"):
        (lab.folder / f"{name}.key").write_text(f"sk-sim-FAKE-{name}-0001\n")
    (lab.folder / "two.key").write_text("sk-sim-FAKE-mistyped-0001\n")
    lab.settings.write_text(settings(lab.base_url, fast, "one", "two"))
    daemon = await lab.daemon()
    await lab.told("unverified")
    await lab.told("blocked")
    log = lab.folder / "run.log"

    async def asked(key: str) -> int:
        counts = (await lab.totals())["counts"]
        return sum(row["count"] for row in counts if row["key"] == key)

    lab.settings.write_text(settings(lab.base_url, fast, "one", wrong="\n[nonsense]\n"))
    daemon.send_signal(signal.SIGHUP)
    await lab.until(lambda: "reload_refused" in log.read_text(), "the refusal")
    assert "nonsense" in log.read_text()
    before = await asked("one")

    async def goes_on() -> bool:
        return await asked("one") > before + 2

    await lab.until(goes_on, "the daemon to go on")

    (lab.folder / "two.key").write_text("sk-sim-FAKE-two-0001\n")
    lab.settings.write_text(settings(lab.base_url, fast, "two", "three"))
    daemon.send_signal(signal.SIGHUP)
    await lab.until(lambda: '"reloaded"' in log.read_text(), "the reload")
    await lab.told("unverified", count=3)
    await lab.told("unblocked")
    status = await lab.call("status", "--format", "json")
    states = {t["key"]: (t["state"], t["blocker"]) for t in json.loads(status.out)["targets"]}
    assert states == {"two": ("unverified", None), "three": ("unverified", None)}
    gone = await asked("one")
    rest = await asked("two")

    async def others_go_on() -> bool:
        return await asked("two") > rest + 3

    await lab.until(others_go_on, "the others to go on")
    assert await asked("one") <= gone + 1

    lab.settings.write_text(
        settings(lab.base_url, fast, "one", "two", "three").replace("monitor.db", "another.db")
    )
    refused = log.read_text().count("reload_refused")
    daemon.send_signal(signal.SIGHUP)
    await lab.until(lambda: log.read_text().count("reload_refused") > refused, "the refusal")
    assert "the database cannot change while it runs" in log.read_text()
    lab.settings.write_text(settings(lab.base_url, fast, "one", "two", "three"))
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0
    history = await lab.history()
    assert [row["event"] for row in history].count("started") == 1
    assert not any("probe_was_lost" in line for line in log.read_text().splitlines())


def mark(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


async def test_a_reload_notices_the_lines_of_a_pool_and_status_sums_it_up(lab, fast):
    await lab.simulate(SCENARIO)
    names, nobody = ("one", "two", "three"), "sk-sim-FAKE-nobody-0001"
    one, two, three = (f"sk-sim-FAKE-{name}-0001" for name in names)
    keys = lab.folder / "pool.keys"
    keys.touch(mode=0o600)
    keys.write_text(f"# a pool\n{one}\n{two}\n")
    lab.settings.write_text(
        settings(lab.base_url, fast)
        + '\n[[pools]]\nname = "acme"\nsecrets = "file:pool.keys"\nroute = "sim"\nlog_every = 50\n'
        'watch = ["gpt-image-2"]\n'
    )
    daemon = await lab.daemon()
    await lab.told("unverified", count=2)
    log = lab.folder / "run.log"

    keys.write_text(f"{two}\n{three} {nobody}\n")
    daemon.send_signal(signal.SIGHUP)
    await lab.until(lambda: "reload_refused" in log.read_text(), "the refusal")
    assert "line 2 holds whitespace" in log.read_text()
    keys.write_text(f"{two}\n{three}\n{nobody}\n")
    daemon.send_signal(signal.SIGHUP)
    await lab.told("unverified", count=3)
    await lab.told("blocked")
    status = await lab.call("status", "--format", "json")
    found = {t["key"]: t["blocker"] for t in json.loads(status.out)["targets"]}
    assert found == {
        f"acme-{mark(two)}": None,
        f"acme-{mark(three)}": None,
        f"acme-{mark(nobody)}": "invalid_credentials",
    }
    keys.rename(lab.folder / "gone.keys")  # who only reads needs no secret
    status = await lab.call("status")
    assert status.status == 0
    assert status.out.splitlines()[0] == "acme: 2 unverified, 1 invalid credentials"
    assert f"acme-{mark(nobody)}/gpt-image-2:images" in status.out
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0
    text = log.read_text() + status.out
    assert not any(secret in text for secret in (one, two, three, nobody))
    assert "pool acme: 2 keys, gpt-image-2:images, over sim (direct)" in text
