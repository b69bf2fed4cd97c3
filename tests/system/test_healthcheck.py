"""`healthcheck` beside a daemon and a page as processes: what it says, and what it does without."""

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


async def healthcheck(lab, *more):
    ended = await lab.call("healthcheck", "--config", str(lab.settings), *more)
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


@pytest.mark.smoke
async def test_the_page_is_0_while_it_can_read_the_database_and_1_with_the_reason_otherwise(
    lab, fast
):
    await lab.simulate(SCENARIO)
    lab.settings.write_text(settings(lab.base_url, fast))
    page, url = await lab.page()
    listen = url.removeprefix("http://").rstrip("/")
    # whatever else the file says, and without the secret of its token
    lab.settings.write_text(
        f'{settings(lab.base_url, fast)}\n[web]\nlisten = "{listen}"\ncolour = "red"\n'
        '[[web.tokens]]\nname = "a"\nsecret = "env:NOT_SET"\n'
    )

    async def asked(*words):
        ended = await lab.call("healthcheck", "--web", "--config", str(lab.settings), *words)
        assert ended.err == ""
        return ended.status, ended.out

    status, said = await asked()
    assert status == 1
    assert f"unhealthy: the page at {url} answers with status 503: " in said
    assert "there is no database yet" in said

    lab.settings.write_text(lab.settings.read_text().partition("\n[web]")[0])
    await lab.daemon(ACME_KEY="sk-sim-FAKE-acme-0001")
    await lab.told("unverified")
    status, said = await asked("--listen", listen)
    assert (status, said) == (0, f"ok: the page answers at {url} and can read its database\n")

    simulator = lab.base_url.removeprefix("http://").removesuffix("/v1")
    status, said = await asked("--listen", simulator)
    assert (status, "is not the page: status 404" in said) == (1, True), said

    page.send_signal(signal.SIGTERM)
    assert await page.wait() == 0
    status, said = await asked("--listen", listen)
    assert (status, "does not answer" in said) == (1, True), said


@pytest.mark.parametrize("text", ["[monitor", "\x00", None])
async def test_without_a_readable_file_it_is_1_and_no_other_status(lab, text):
    if text is not None:
        lab.settings.write_text(text)
    for more in ((), ("--web",)):
        status, said = await healthcheck(lab, *more)
        assert status == 1
        assert "access-monitor.toml: 1 problem" in said


async def test_an_address_alone_and_one_that_cannot_be_are_wrong_usage(lab):
    for words in (("--listen", "127.0.0.1:8090"), ("--web", "--listen", "8090")):
        assert (await lab.call("healthcheck", *words)).status == 2
