"""`healthcheck` beside a daemon as a process: what it says, and what it does without."""

import signal

import pytest

pytestmark = pytest.mark.anyio

SCENARIO = """
name = "one"
about = "one key that stays shut"
[[keys]]
name = "acme"
secret = "sk-sim-FAKE-acme-0001"
organization = "org-acme"
"""


def settings(base_url: str, fast: str) -> str:
    return f"""
[monitor]
database = "sqlite:///monitor.db"
[routes.sim]
base_url = "{base_url}"
contract = "direct"
[[keys]]
name = "acme"
secret = "env:ACME_KEY"
route = "sim"
watch = ["gpt-image-2"]
{fast}"""


async def healthcheck(lab):
    ended = await lab.call("healthcheck", "--config", str(lab.settings))
    assert ended.err == ""
    return ended.status, ended.out


@pytest.mark.smoke
async def test_it_is_0_beside_a_daemon_that_moves_and_1_with_the_reason_otherwise(lab, fast):
    await lab.simulate(SCENARIO)
    lab.settings.write_text(settings(lab.base_url, fast))
    status, said = await healthcheck(lab)
    assert (status, said.startswith("unhealthy: ")) == (1, True)
    assert "there is no database yet" in said

    daemon = await lab.daemon(ACME_KEY="sk-sim-FAKE-acme-0001")
    await lab.told("unverified")
    # the daemon's own key is not in this command's environment: it needs no secrets
    status, said = await healthcheck(lab)
    assert (status, said.startswith(f"ok: the daemon makes progress (process {daemon.pid}, ")) == (
        0,
        True,
    ), said

    lab.settings.write_text('colour = "red"\n' + settings(lab.base_url, fast))
    status, said = await healthcheck(lab)
    assert status == 0, said  # a file that the daemon does not use is not its illness

    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0
    status, said = await healthcheck(lab)
    assert status == 1
    assert "unhealthy: the daemon is stopped since " in said
    assert f"process {daemon.pid}, " in said


@pytest.mark.parametrize("text", ["[monitor", "\x00", None])
async def test_without_a_readable_file_it_is_1_and_no_other_status(lab, text):
    if text is not None:
        lab.settings.write_text(text)
    status, said = await healthcheck(lab)
    assert status == 1
    assert "access-monitor.toml: 1 problem" in said
