"""A daemon on a PostgreSQL that goes away while a gate opens, and comes back."""

import signal

import httpx
import pytest
from watched import scenario, secrets, settings

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

PASSWORD = "FAKE-database-password-0001"
KEYS = ("key-0", "key-1", "key-2")
PAGES = (
    "", "target?name=key-0/gpt-image-2:images", "propagation", "notifications", "silences", "metrics",
    "api/v1/status", "api/v1/history", "api/v1/routes", "api/v1/propagation", "api/v1/notifications",
)  # fmt: skip


async def test_what_opens_while_the_server_is_away_is_told_once_and_no_text_has_its_password(
    lab, fast, fault
):
    await lab.open_ends()
    await lab.simulate(scenario(dict.fromkeys(KEYS, "")))
    named = lab.start_server()
    lab.environ["DATABASE_URL"] = lab.server.url().replace("monitor@", f"monitor:{PASSWORD}@")
    lab.environ |= secrets(KEYS)
    text = settings(lab.base_url, KEYS, database=named, channels=["slack"], watch="gpt-image-2")
    lab.settings.write_text(text + fast)
    config = ["--config", str(lab.settings)]
    daemon = await lab.daemon()
    await lab.told("unverified", count=len(KEYS))
    page, address = await lab.page()
    said = []
    for round_ in range(1, 3):
        lab.server.stop(signal.SIGQUIT)  # as if it had been killed
        await lab.until(
            lambda times=round_: len(lab.logged("database_refuses")) >= times, "it to be noticed"
        )
        if round_ == 1:
            await lab.replay(scenario(dict.fromkeys(KEYS, 'open = "always"')))
        for command in ("status", "healthcheck", "history"):
            answer = await lab.call(command, *config)
            said.append(answer.out + answer.err)
            assert answer.status == 1, answer
            assert "Traceback" not in said[-1]
        async with httpx.AsyncClient(base_url=address, trust_env=False) as browser:
            seen = {path: await browser.get(path) for path in PAGES}
        assert {path: one.status_code for path, one in seen.items()} == dict.fromkeys(PAGES, 503)
        said += [one.text for one in seen.values()]
        lab.server.start()
        await lab.until(
            lambda times=round_: len(lab.logged("database_accepts_again")) >= times, "it to go on"
        )
    await lab.told("available", count=len(KEYS))
    async with httpx.AsyncClient(base_url=address, trust_env=False) as browser:
        seen = {path: await browser.get(path) for path in PAGES}
    assert {path: one.status_code for path, one in seen.items()} == dict.fromkeys(PAGES, 200)
    said += [one.text for one in seen.values()]
    assert 'state="available"} 1' in seen["metrics"].text
    page.send_signal(signal.SIGTERM)
    assert await page.wait() == 0
    said.append((lab.folder / "web.log").read_text())
    for command in ("status", "healthcheck", "history", "config show", "config check"):
        answer = await lab.call(*command.split(), *config)
        said.append(answer.out + answer.err)
        assert answer.status == 0, answer
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0

    moves = [(row["target"], row["to"]) for row in await lab.history() if row["to"]]
    assert sorted(moves) == sorted(
        (f"{key}/gpt-image-2:images", state)
        for key in KEYS
        for state in ("unverified", "propagating", "available")
    )
    texts = [*said, (lab.folder / "run.log").read_text(), *(one.text for one in lab.slack.arrivals)]
    assert not [text for text in texts if PASSWORD in text]
    owed = {id_ for (id_,) in lab.ask("SELECT event_id FROM notifications")}
    assert owed == set(lab.slack.ids)
    fault(
        "the PostgreSQL server killed and started again while gates open", 2,
        "what was learned is written when it is back; each transition is recorded and told once",
        f"{len(moves)} transitions scripted and recorded, {len(owed)} events told,"
        f" {len(lab.slack.ids) - len(set(lab.slack.ids))} twice",
    )  # fmt: skip
