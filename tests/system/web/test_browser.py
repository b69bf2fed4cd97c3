"""The page in a real Chromium: the walk of a person at night, and what stays true while they look."""

import re
import signal

import pytest
from playwright.async_api import expect

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

expect.set_options(timeout=60_000)


class Streams:
    """The event streams of a page: how many it began, and how many are open."""

    def __init__(self, page):
        self.begun, self.open = 0, 0
        page.on("request", lambda request: self._count(request, 1))
        for end in ("requestfailed", "requestfinished"):
            page.on(end, lambda request: self._count(request, -1))

    def _count(self, request, change):
        if request.url.endswith("/api/v1/events"):
            self.begun += change > 0
            self.open += change


def row(page, target):
    """A target's line on the overview."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=target))


#: A channel that is read, and the page's address in what it gets.
LINKED = """
[[channels]]
name = "slack"
url = "env:SLACK_URL"
[web]
url = "{url}"
"""


async def test_the_walk_of_a_person_at_night(site, viewer, tokens, signed_in, target):
    await site.lab.open_ends()
    await site.watch(tokens=True, more=LINKED.format(url=site.url))
    await site.serve()
    link = re.escape(f"{site.url}target?name=") + r"acme-prod[^\s\"\\|>]+"

    def alert() -> re.Match[str] | None:
        return re.search(link, "\n".join(one.text for one in site.lab.slack.arrivals))

    await site.lab.until(lambda: alert() is not None, "an alert with the target's address")
    page = await viewer.open(alert()[0])
    await expect(page).to_have_title("Sign in · access-monitor")
    await signed_in(page, tokens["read"])
    await expect(page.locator("h1")).to_have_text(f"{target} is unverified")
    await page.get_by_role("button", name="Sign out").click()
    await page.goto(site.url)
    await expect(page).to_have_title("Sign in · access-monitor")
    await signed_in(page, tokens["write"])
    # the answer is the first thing on the page, and in the tab
    await expect(page.locator("h1")).to_have_text(re.compile(r"\d of 6 targets are open"))
    await expect(page).to_have_title(re.compile(r"^\d of 6 targets are open.* · access-monitor$"))
    await page.get_by_role("link", name=target).click()
    await expect(page.locator("h1")).to_have_text(f"{target} is unverified")
    todo = page.get_by_role("region", name="What to do now")
    await expect(todo).to_contain_text("must be verified")
    await page.get_by_role("combobox", name="The verification of org-acme was").select_option(
        "verified"
    )
    await page.get_by_role("textbox", name="at", exact=True).fill("2 min ago")
    await page.get_by_role("button", name="Declare").click()
    await expect(page.get_by_role("status").filter(has_text="declare:")).to_be_visible()
    await expect(page.locator("h1")).to_have_text(f"{target} is propagating")
    ((by, subject),) = site.lab.ask(
        "SELECT json_extract(payload, '$.by'), json_extract(payload, '$.subject') FROM inbox"
    )
    assert (by, subject) == ("writer", "org-acme")
    await page.get_by_role("button", name="Probe now").click()
    await expect(page.get_by_role("status").filter(has_text="probe:")).to_be_visible()
    await page.get_by_role("link", name="The evidence bundle for support").click()
    await expect(page.get_by_role("region", name="The evidence bundle")).to_contain_text(target)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Markdown").click()
    assert (await download.value).suggested_filename.endswith(".md")
    await page.get_by_role("link", name="Back to the target").click()
    # what is in hand now need not wake anybody else
    await page.get_by_role("link", name="Silence this target").click()
    await expect(page.get_by_role("textbox", name="What")).to_have_value(target)
    await page.get_by_role("textbox", name="Reason").fill("alice is on it")
    await page.get_by_role("button", name="Silence", exact=True).click()
    await expect(page.get_by_role("region", name="Silences in force")).to_contain_text(
        "alice is on it"
    )
    await page.get_by_role("button", name="End silence 1").click()
    await expect(page.locator(".empty")).to_have_text("Nothing is silenced: every change is told.")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_title("Sign in · access-monitor")
    await page.go_back()
    await page.reload()
    await expect(page).to_have_title("Sign in · access-monitor")


async def test_a_link_on_another_site_leads_in_with_the_session_there_is(
    site, viewer, tokens, signed_in, target
):
    """A browser withholds the cookie from it: as from an alert in a web mail."""
    await site.watch(tokens=True)
    await site.serve()
    context = await viewer.context()
    for known in (False, True):
        other = await viewer.open("about:blank", context=context)
        await other.set_content(f'<a href="{site.url}target?name={target}">the alert</a>')
        await other.get_by_role("link", name="the alert").click()
        if not known:
            await expect(other).to_have_title("Sign in · access-monitor")
            await signed_in(other, tokens["read"])
        await expect(other.locator("h1")).to_have_text(f"{target} is unverified")


async def test_a_gate_opens_and_the_open_pages_say_so_without_being_loaded_again(
    site, viewer, target, opened
):
    await site.watch()
    await site.serve()
    context = await viewer.context()
    overview = await viewer.open(site.url, context=context)
    again = await viewer.open(site.url, context=context)
    one = await viewer.open(f"{site.url}target?name={target}", context=context)
    for page in (overview, again, one):
        await page.evaluate("window.untouched = true")
        await expect(page.locator("#stream")).to_have_text(
            re.compile(r"^Live\. Shown as of \d+ s ago\.$")
        )
    before = await overview.locator("h1").text_content()
    await expect(row(overview, target)).to_contain_text("unverified")
    # a reader in the middle of something: their place is kept
    link = overview.get_by_role("link", name=target)
    await link.focus()
    await site.lab.replay(opened)
    for page in (overview, again):
        await expect(row(page, target)).to_contain_text("available")
        await expect(page.locator("h1")).not_to_have_text(before)
        await expect(page).to_have_title(
            f"{await page.locator('h1').text_content()} · access-monitor"
        )
    await expect(one.locator("h1")).to_have_text(f"{target} is available")
    await expect(one).to_have_title(f"{target} is available · access-monitor")
    await expect(one.get_by_role("region", name="What happened").first).to_contain_text(
        "first light"
    )
    await expect(link).to_be_focused()
    for page in (overview, again, one):
        assert await page.evaluate("window.untouched") is True


async def test_a_web_process_that_is_gone_is_said_and_the_page_goes_on_when_it_is_back(
    site, viewer, target, opened
):
    viewer.expected = [
        "ERR_CONNECTION_REFUSED",
        "ERR_INCOMPLETE_CHUNKED_ENCODING",
        "ERR_CONNECTION_RESET",
    ]
    await site.watch()
    await site.serve()
    page = await viewer.open(site.url)
    await page.evaluate("window.untouched = true")
    said = page.locator("#stream")
    await expect(said).to_contain_text("Live.")
    site.web.send_signal(signal.SIGKILL)
    await site.web.wait()
    await expect(said).to_contain_text("The live stream is gone")
    await expect(said).to_contain_text("The last try to renew this failed.")
    age = int(re.search(r"as of (\d+) s ago", await said.text_content())[1])
    await site.lab.replay(opened)
    await site.reaches("available")
    await expect(row(page, target)).to_contain_text(
        "unverified"
    )  # what is shown is old, and says so:
    assert int(re.search(r"as of (\d+) s ago", await said.text_content())[1]) >= age
    await site.serve()
    await expect(said).to_have_text(re.compile(r"^Live\. Shown"))
    await expect(row(page, target)).to_contain_text("available")
    assert await page.evaluate("window.untouched") is True


async def test_a_hidden_tab_holds_no_stream_and_is_true_when_it_is_looked_at_again(
    site, viewer, target, opened
):
    await site.watch()
    await site.serve()
    page = await viewer.open("about:blank")
    streams = Streams(page)
    await page.goto(site.url)
    await expect(page.locator("#stream")).to_contain_text("Live.")
    assert (streams.begun, streams.open) == (1, 1)

    async def look(hidden):
        await page.evaluate(
            """hidden => {
                Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
                document.dispatchEvent(new Event("visibilitychange"));
            }""",
            hidden,
        )

    await look(True)
    await site.lab.until(lambda: streams.open == 0, "the stream to end")
    await site.lab.replay(opened)
    await site.reaches("available")
    assert (streams.begun, streams.open) == (1, 0)
    await look(False)
    await expect(row(page, target)).to_contain_text("available")
    assert (streams.begun, streams.open) == (2, 1)


async def test_what_somebody_types_is_not_lost_when_something_happens(
    site, viewer, tokens, signed_in, target, opened
):
    await site.watch(tokens=True)
    await site.serve()
    page = await viewer.open(f"{site.url}login")
    await signed_in(page, tokens["write"])
    await page.goto(f"{site.url}target?name={target}")
    await expect(page.locator("#stream")).to_contain_text("Live.")
    await page.get_by_role("textbox", name="at", exact=True).fill("14:05")
    await site.lab.replay(opened)
    await site.reaches("available")
    async with page.expect_event("console", lambda message: message.text == "an event came"):
        # a stream begins with what happens after it was opened
        await page.evaluate(
            """() => new Promise((opened) => {
                const events = new EventSource("api/v1/events");
                events.addEventListener("transition", () => console.log("an event came"));
                events.addEventListener("open", opened);
            })"""
        )
        await site.lab.replay(opened.replace('open = "always"', "locked = 0", 1))
    await expect(page.get_by_role("textbox", name="at", exact=True)).to_have_value("14:05")


async def said(page, kind: str) -> None:
    """Wait for the page to say that the request was handed over, or taken since: the daemon may be quick."""
    words = re.compile(rf"{kind}: (handed to|taken by) the daemon")
    await expect(page.get_by_text(words)).to_be_visible()


async def test_without_javascript_every_page_and_form_works(
    site, viewer, pages, tokens, signed_in, target
):
    viewer.expected = ["status of 404", "status of 403"]
    await site.watch(tokens=True)
    await site.serve()
    page = await viewer.open(site.url, java_script_enabled=False)
    await signed_in(page, "FAKE-wrong-token-0009")
    await expect(page.get_by_role("alert")).to_have_text("No such token.")
    await signed_in(page, tokens["write"])
    await expect(page.locator("h1")).to_have_text(re.compile("of 6 targets are open"))
    for name, path in pages.items():
        answer = await page.goto(site.url + path)
        assert answer.status == (404 if name == "not found" else 200), name
        await expect(page.locator("h1")).not_to_be_empty()
    await page.goto(site.url)
    await page.get_by_label("Search").fill("acme")
    await page.get_by_label("State").select_option("locked")
    await page.get_by_role("button", name="Show").click()
    await expect(page).to_have_url(re.compile(r"q=acme&state=locked"))
    await expect(page.get_by_role("link", name="acme-lab/")).to_be_visible()
    await expect(page.get_by_role("link", name=target)).to_have_count(0)
    await page.goto(f"{site.url}target?name={target}")
    await page.get_by_role("button", name="Probe now").click()
    await said(page, "probe")
    await page.get_by_role("button", name="Declare").click()
    await said(page, "declare")

    def dead() -> bool:
        return bool(site.lab.ask("SELECT 1 FROM notifications WHERE state = 'dead'"))

    await site.lab.until(dead, "a dead notification")
    await page.goto(f"{site.url}notifications?state=dead")
    await page.get_by_role("button", name=re.compile(r"Retry \d")).first.click()
    await said(page, "retry")
    await page.goto(f"{site.url}silences")
    await page.get_by_label("What").fill("acme-prod/*")
    await page.get_by_label("Reason").fill("moving")
    await page.get_by_role("button", name="Silence", exact=True).click()
    await said(page, "silence")
    kinds = {kind for (kind,) in site.lab.ask("SELECT kind FROM inbox")}
    assert kinds == {"probe", "declare", "retry", "silence"}


async def test_dark_is_dark_light_is_light_and_paper_is_white(site, viewer, target):
    await site.watch()
    await site.serve()

    async def colours(page):
        return await page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )

    light, dark = (
        ("rgb(255, 255, 255)", "rgb(27, 31, 36)"),
        ("rgb(20, 23, 27)", "rgb(230, 232, 235)"),
    )
    for scheme, expected in (("light", light), ("dark", dark)):
        page = await viewer.open(f"{site.url}target?name={target}", color_scheme=scheme)
        assert tuple(await colours(page)) == expected, scheme
        await page.emulate_media(media="print")
        assert tuple(await colours(page)) == light, scheme
        # nothing that cannot be pressed on paper, and no table that the screen would scroll
        for gone in ("header", "footer", ".ranges"):
            await expect(page.locator(gone).first).to_be_hidden()
        for kept in ("h1", ".as-of", ".timeline", "#events"):
            await expect(page.locator(kept).first).to_be_visible()
        assert await page.evaluate(
            """[...document.querySelectorAll(".scroll")].every(
                (one) => getComputedStyle(one).overflowX === "visible"
            )"""
        )
