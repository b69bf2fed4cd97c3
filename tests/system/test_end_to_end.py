"""Two processes, 20 keys in four organizations: every opening is in the history and at both ends."""

import json
import signal
from datetime import datetime
from statistics import median

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

ORGANIZATIONS = ("acme", "example", "north", "south")
CAPABILITIES = (
    "gpt-image-2:images",
    "gpt-5.1:summary",
    "o3:responses",
    "gpt-5.1:stream",
    "gpt-image-2:edits",
)


def keys() -> list[tuple[str, str, str, float]]:
    """Name, organization, capability and scripted opening (seconds) of each of the 20 keys."""
    return [
        (f"{organization}-{n}", f"org-{organization}", CAPABILITIES[n], 8.0 + 0.7 * (4 * n + o))
        for o, organization in enumerate(ORGANIZATIONS)
        for n in range(5)
    ]


def scenario() -> str:
    parts = ['name = "twenty"', 'about = "twenty keys"']
    for name, organization, capability, opens in keys():
        parts.append(
            f'[[keys]]\nname = "{name}"\nsecret = "sk-sim-FAKE-{name}-0001"\n'
            f'organization = "{organization}"\n[keys.capabilities."{capability}"]\nopen = {opens}'
        )
    return "\n".join(parts)


def settings(base_url: str, fast: str) -> str:
    parts = [
        '[monitor]\ndatabase = "sqlite:///monitor.db"\nlog_format = "json"',
        f'[routes.sim]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 500.0',
        '[[channels]]\nname = "slack"\nurl = "env:SLACK_URL"',
        '[[channels]]\nname = "mail"\nurl = "env:MAIL_URL"',
    ]
    for name, organization, capability, _ in keys():
        variable = f"KEY_{name.replace('-', '_').upper()}"
        parts.append(
            f'[[keys]]\nname = "{name}"\nsecret = "env:{variable}"\norganization = "{organization}"\n'
            f'route = "sim"\nwatch = ["{capability}"]'
        )
    return "\n".join(parts) + fast


def environ() -> dict[str, str]:
    return {
        f"KEY_{name.replace('-', '_').upper()}": f"sk-sim-FAKE-{name}-0001" for name, *_ in keys()
    }


async def test_every_scripted_opening_is_recorded_in_order_and_told_once_at_both_ends(
    lab, fast, capsys
):
    await lab.open_ends()
    await lab.simulate(scenario())
    lab.settings.write_text(settings(lab.base_url, fast))
    daemon = await lab.daemon(**environ())
    await lab.told("available", count=20)
    told = {row["id"] for row in await lab.history() if row["notifications"]}
    await lab.until(
        lambda: told <= set(lab.slack.ids) and told <= set(lab.mail.ids), "both ends to be told"
    )
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0

    history = await lab.history()
    ledger = (await lab.ledger())["log"]
    for event, reason in (("first_light", "first_granted"), ("available", "settled")):
        rows = [row for row in history if row["event"] == event]
        assert [row["target"].partition("/")[0] for row in rows] == in_order(ledger, event)
        assert {row["reason"] for row in rows} == {reason}
        assert {row["diagnosis"] for row in rows} == {"access_granted"}
    for name, *_ in keys():
        moves = [
            (r["from"], r["to"]) for r in history if (r["target"] or "").startswith(f"{name}/")
        ]
        moves = [move for move in moves if move[1]]
        assert moves == [
            ("unknown", "unverified"), ("unverified", "propagating"), ("propagating", "available"),
        ]  # fmt: skip
    owed = [row["id"] for row in history if row["notifications"]]
    for end in (lab.slack, lab.mail):
        assert sorted(end.ids) == sorted(owed)
    assert all(n["state"] == "delivered" for row in history for n in row["notifications"])

    delays = {
        "slack": delays_of(history, ledger, lab.slack),
        "mail": delays_of(history, ledger, lab.mail),
    }
    with capsys.disabled():
        print(
            f"\n20 openings scripted, {len(owed)} events told, each once on slack and once by mail"
        )
        for channel, found in delays.items():
            print(
                f"  from the answer to {channel}: median {1000 * median(found):.0f} ms,"
                f" most {1000 * max(found):.0f} ms ({len(found)} first lights)"
            )


def in_order(ledger, event) -> list[str]:
    """The keys in the order in which they were granted, by the simulator's word: first or again."""
    nth = {"first_light": 1, "available": 2}[event]
    granted: dict[str, int] = {}
    found = []
    for entry in ledger:
        if entry["what"] == "granted":
            granted[entry["key"]] = granted.get(entry["key"], 0) + 1
            if granted[entry["key"]] == nth:
                found.append(entry["key"])
    return found


def delays_of(history, ledger, end) -> list[float]:
    """Seconds from each first granted answer, by the simulator's word, to the message's receipt."""
    first: dict[str, float] = {}
    for entry in ledger:
        if entry["what"] == "granted":
            first.setdefault(entry["key"], datetime.fromisoformat(entry["at"]).timestamp())
    arrived = {id_: arrival.at for arrival in end.arrivals for id_ in arrival.ids}
    return [
        arrived[row["id"]] - first[row["target"].partition("/")[0]]
        for row in history
        if row["event"] == "first_light"
    ]


async def test_sigterm_in_the_middle_ends_in_order_and_the_next_start_goes_on(lab, fast):
    await lab.open_ends()
    await lab.simulate(scenario())
    lab.settings.write_text(settings(lab.base_url, fast))
    daemon = await lab.daemon(**environ())
    await lab.told("first_light", count=5)
    daemon.send_signal(signal.SIGTERM)
    await lab.until(lambda: daemon.returncode is not None, "the daemon to end", patience=5)
    assert daemon.returncode == 0
    before = await lab.history()
    status = await lab.call(
        "status", "--config", str(lab.settings), "--format", "json", **environ()
    )
    states = {t["target"]: t["state"] for t in json.loads(status.out)["targets"]}
    told = list(lab.slack.ids)

    again = await lab.daemon(**environ())
    await lab.told("available", count=20)
    history = await lab.history()
    owed = {row["id"] for row in history if row["notifications"]}
    await lab.until(lambda: owed <= set(lab.slack.ids) & set(lab.mail.ids), "both ends")
    again.send_signal(signal.SIGTERM)
    assert await again.wait() == 0

    assert history[: len(before)] == [
        row | {"notifications": after["notifications"]}
        for row, after in zip(before, history, strict=False)
    ]
    for target, state in states.items():
        later = [r for r in history[len(before) :] if r["target"] == target and r["from"]]
        assert not later or later[0]["from"] == state, (target, state, later[0])
    assert lab.slack.ids[: len(told)] == told
    for end in (lab.slack, lab.mail):
        assert len(end.ids) == len(set(end.ids))
    lights = [r["target"] for r in history if r["event"] == "first_light"]
    assert len(lights) == len(set(lights)) == 20


async def test_a_channel_that_is_down_gets_its_alerts_afterwards_in_order_and_holds_nobody_up(
    lab, fast
):
    await lab.open_ends()
    lab.slack.down = True
    await lab.simulate(scenario())
    lab.settings.write_text(settings(lab.base_url, fast))
    daemon = await lab.daemon(**environ())
    await lab.told("available", count=20)
    owed = [row["id"] for row in await lab.history() if row["notifications"]]
    await lab.until(lambda: set(owed) <= set(lab.mail.ids), "the mail, while slack is down")
    assert lab.slack.refused > 2
    assert not lab.slack.arrivals
    lab.slack.down = False
    await lab.until(lambda: set(owed) <= set(lab.slack.ids), "slack to get everything afterwards")
    # the order is each target's: another's message may come before one that had waited longer
    target = {row["id"]: row["target"] for row in await lab.history()}
    for one in set(target.values()):
        ids = [id_ for id_ in lab.slack.ids if target[id_] == one]
        assert ids == sorted(set(ids))
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0
