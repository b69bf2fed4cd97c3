"""Gates that open while daemons are killed, and what is owed: recorded once, told on every channel."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

#: What a gate that opens once, while it is probed, makes of its target.
SCRIPT = [("unknown", "unverified"), ("unverified", "propagating"), ("propagating", "available")]
#: Events that each opening tells on every channel; a neighbour's may be told beside them.
TELLS = {"unverified", "first_light", "available"}


@dataclass(frozen=True)
class Owed:
    """Transitions scripted and recorded; notifications owed, delivered, and told more than once."""

    scripted: int
    recorded: int
    owed: int
    delivered: int
    again: int

    @property
    def lost(self) -> int:
        return self.owed - self.delivered

    def __str__(self) -> str:
        return (
            f"{self.scripted} transitions scripted, {self.recorded} recorded,"
            f" {self.scripted - self.recorded} lost;"
            f" {self.owed} notifications owed, {self.delivered} delivered, {self.again} of them more than"
            f" once, {self.lost} lost"
        )


def scenario(keys: int, opens: dict[int, float]) -> str:
    """Which gates open, and when; they stay open."""
    parts = ['name = "crashes"']
    for n in range(keys):
        parts.append(
            f'[[keys]]\nname = "key-{n}"\nsecret = "sk-sim-FAKE-key-{n:04}"\n'
            f'organization = "org-{n // 2}"\n[keys.gate]'
        )
        if n in opens:
            parts.append(f"open = {opens[n]:.2f}")
    return "\n".join(parts)


def settings(database: str, base_url: str, fast: str, keys: int) -> str:
    parts = [
        f'[monitor]\ndatabase = "{database}"\nlog_format = "json"',
        f'[routes.sim]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 500.0',
        '[[channels]]\nname = "slack"\nurl = "env:SLACK_URL"',
        '[[channels]]\nname = "mail"\nurl = "env:MAIL_URL"',
        # crashes count what was reserved as spent, and there are many
        "[budget]\nper_key_per_day = 5.0\nper_month = 500.0",
    ]
    for n in range(keys):
        parts.append(
            f'[[keys]]\nname = "key-{n}"\nsecret = "env:KEY_{n}"\norganization = "org-{n // 2}"\n'
            f'route = "sim"\nwatch = ["gpt-5.1:summary"]'
        )
    return "\n".join(parts) + fast


def rows(lab: Any, query: str) -> list[tuple[Any, ...]]:
    found = lab.ask(query)
    assert found, "the database cannot be read"
    return found


async def all_told(lab: Any, keys: int) -> None:
    """Wait until every target is available and nothing waits to be delivered."""

    def all_open() -> bool:
        return rows(lab, "SELECT count(*) FROM targets WHERE state = 'available'")[0][0] == keys

    def none_waits() -> bool:
        return rows(lab, "SELECT count(*) FROM notifications WHERE state != 'delivered'")[0][0] == 0

    await lab.until(all_open, "all targets to be available", patience=180)
    await lab.until(none_waits, "all notifications to be delivered", patience=120)


def account(lab: Any, keys: int) -> Owed:
    """Compare what was scripted, what is recorded and what came to the ends; assert that they agree."""
    recorded = 0
    moves = rows(
        lab, "SELECT target, before, after FROM events WHERE after IS NOT NULL ORDER BY id"
    )
    for n in range(keys):
        path = [move[1:] for move in moves if move[0].startswith(f"key-{n}/")]
        assert path == SCRIPT, (n, path)
        recorded += len(path)
        told = Counter(
            e for (e,) in rows(lab, f"SELECT kind FROM events WHERE target LIKE 'key-{n}/%'")
        )
        assert {event: told[event] for event in TELLS} == dict.fromkeys(TELLS, 1), (n, told)
        assert set(told) <= TELLS | {"propagating"}
    owed = [id_ for (id_,) in rows(lab, "SELECT id FROM events WHERE target IS NOT NULL")]
    tries = {
        (channel, id_): attempts
        for channel, id_, attempts in rows(
            lab, "SELECT channel, event_id, attempts FROM notifications"
        )
    }
    ends = {"slack": Counter(lab.slack.ids), "mail": Counter(lab.mail.ids)}
    assert set(tries) == {(channel, id_) for channel in ends for id_ in owed}
    lost = [(channel, id_) for channel, id_ in tries if not ends[channel][id_]]
    again = 0
    for channel, got in ends.items():
        assert set(got) <= set(owed), "told without being recorded"
        for id_, times in got.items():
            again += times > 1
            assert times <= tries[channel, id_], "a duplicate without a send that was cut"
    return Owed(len(SCRIPT) * keys, recorded, len(tries), len(tries) - len(lost), again)
