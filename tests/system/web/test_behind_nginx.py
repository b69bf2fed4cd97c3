"""The page below a path of a real nginx, which buffers answers as it does unless told otherwise."""

import re
import shutil
import signal
from pathlib import Path

import httpx
import pytest
from pages import blocks
from playwright.async_api import expect

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

expect.set_options(timeout=60_000)

CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
master_process off;  # one process, which ends with what starts it
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    proxy_buffering on;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""
#: As little as can be, and what docs/running.md says. A browser that does not say where a form comes from
#: needs the latter: the name that it asked.
PLAIN = "location /monitor/ { proxy_pass http://127.0.0.1:8090/; }"
(DOCUMENTED,) = (block.text for block in blocks("docs/running.md", "nginx"))


@pytest.fixture
def nginx(site, port):
    """Starts nginx in front of the site. Returns the page's address below it."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("there is no nginx here: apt-get install nginx-light")

    async def start(location: str = PLAIN) -> str:
        folder, own = Path(site.lab.folder), port()
        file = folder / "nginx.conf"
        assert "http://127.0.0.1:8090/" in location
        location = location.replace("http://127.0.0.1:8090/", site.url)
        file.write_text(CONFIG.format(folder=folder, port=own, location=location))
        await site.lab.launch(
            program, "-e", "stderr", "-p", str(folder), "-c", str(file), log="nginx"
        )
        url = f"http://127.0.0.1:{own}/monitor/"

        async def answers() -> bool:
            async with httpx.AsyncClient(trust_env=False) as client:
                try:
                    return (await client.get(url)).status_code < 400
                except httpx.HTTPError:
                    return False

        await site.lab.until(answers, "nginx")
        return url

    return start


async def test_all_pages_and_the_live_update_work_below_a_path(
    site, viewer, nginx, pages, tokens, signed_in, target, opened
):
    viewer.expected = ["status of 404"]
    await site.watch(tokens=True)
    await site.serve()
    url = await nginx()
    page = await viewer.open(url)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    await expect(page).to_have_url(f"{url}login")
    await signed_in(page, tokens["write"])
    await expect(page).to_have_url(url)
    for name, path in pages.items():
        answer = await page.goto(url + path)
        assert answer.status == (404 if name == "not found" else 200), name
        assert await page.evaluate("[...document.styleSheets].length") == 1, name
    await page.goto(f"{url}nothing/here")
    await page.get_by_role("link", name="Back to the overview").click()
    await expect(page).to_have_url(url)
    await page.get_by_role("link", name=target).click()
    await page.get_by_role("button", name="Probe now").click()
    await expect(page.get_by_role("status").filter(has_text="probe:")).to_be_visible()
    await page.evaluate("window.untouched = true")
    await expect(page.locator("#stream")).to_contain_text("Live.")
    await site.lab.replay(opened)
    await expect(page.locator("h1")).to_have_text(f"{target} is available")
    assert await page.evaluate("window.untouched") is True
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_url(f"{url}login")
    assert [one for one in asked if not one.startswith(url)] == []


async def test_events_come_at_once_although_the_proxy_keeps_answers_back(site, nginx, opened):
    await site.watch()
    await site.serve()
    url = await nginx()
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
        client.stream("GET", f"{url}api/v1/events") as answer,
    ):
        lines = answer.aiter_lines()
        while await anext(lines) != ": connected":
            pass
        await site.lab.replay(opened)
        await site.lab.told("first_light")
        while not (await anext(lines)).startswith("event: "):
            pass


async def test_a_name_that_the_browser_trusts_less_signs_in_and_writes_too(
    site, viewer, nginx, tokens, signed_in, target, elsewhere
):
    await site.watch(tokens=True)
    await site.serve()
    url = (await nginx(DOCUMENTED)).replace("127.0.0.1", elsewhere)
    page = await viewer.open(url)
    await signed_in(page, tokens["write"])
    await page.get_by_role("link", name=target).click()
    async with page.expect_request("**/probe") as post:
        await page.get_by_role("button", name="Probe now").click()
    await expect(page.get_by_role("status").filter(has_text="probe:")).to_be_visible()
    assert "sec-fetch-site" not in await (await post.value).all_headers()


async def test_a_stop_behind_a_proxy_ends_the_streams_too(site, nginx):
    await site.watch()
    await site.serve()
    url = await nginx()
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
        client.stream("GET", f"{url}api/v1/events") as answer,
    ):
        lines = answer.aiter_lines()
        while await anext(lines) != ": connected":
            pass
        site.web.send_signal(signal.SIGTERM)
        assert not [line async for line in lines if re.match("event|data", line)]
    assert await site.web.wait() == 0
