"""The pages: what they answer, what they hide, how they go on when something is wrong."""

import asyncio
import re
import sqlite3
import threading
from datetime import timedelta

import pytest

from monitor.access.events import Event
from monitor.access.target import Capability
from monitor.access.words import Code, Contract, EventKind, Reason, State, Surface
from monitor.config import Pool
from monitor.config.references import PoolFile
from monitor.store import target_queries
from monitor.store.record_forms import as_json
from monitor.store.records import Change
from monitor.web import snapshots

pytestmark = pytest.mark.anyio

PAGES = (
    "/",
    "/propagation",
    "/notifications",
    "/silences",
    "/api",
    "/target?name={name}",
    "/evidence?name={name}",
)


def titles(html: str) -> tuple[str, str]:
    return re.search("<title>(.*?)</title>", html)[1], re.search("<h1>(.*?)</h1>", html)[1]


async def test_the_first_sentence_is_the_answer(world):
    acme, lab = world.target(), world.target("acme-lab")
    await world.watch(acme, lab, world.target("example", organization="org-example"))
    await world.happened(acme, State.AVAILABLE)
    await world.happened(
        lab, State.PROPAGATING, kind=EventKind.FIRST_LIGHT, before=State.UNVERIFIED
    )
    client = await world.browse()
    page = await client.get("/")
    title, heading = titles(page.text)
    assert re.fullmatch(r"1 of 3 targets are open; org-acme opens since \d\d:\d\d", heading)

    assert title == f"{heading} · access-monitor"


async def test_the_first_sentence_tells_of_no_opening_that_ended(world):
    acme, lab = world.target(), world.target("acme-lab")
    await world.watch(acme, lab)
    await world.happened(lab, State.PROPAGATING, ago=600)
    light, shut = EventKind.FIRST_LIGHT, EventKind.SHUT_AGAIN
    await world.happened(acme, State.PROPAGATING, kind=light, ago=300)
    await world.happened(acme, State.PROPAGATING, kind=shut, before=State.PROPAGATING, ago=120)
    client = await world.browse()
    _, heading = titles((await client.get("/")).text)
    assert heading == "None of 2 targets are open"


async def test_every_page_has_a_title_that_answers_and_no_address_from_the_root(world):
    acme = world.target()
    await world.watch(acme)
    await world.happened(acme, State.UNVERIFIED)
    client = await world.browse()
    for path in PAGES:
        page = await client.get(path.format(name=acme.name))
        assert page.status_code == 200, path
        assert all(titles(page.text)), path
        assert not re.search(r'(?:href|src|action)="(?:/|https?:)', page.text), path


async def test_a_target_is_found_by_search_state_and_organization_and_the_address_keeps_it(world):
    ours = [world.target(f"acme-{n:03}") for n in range(120)]
    await world.watch(*ours, world.target("example", organization="org-example"))
    await world.happened(ours[7], State.AVAILABLE, blocker=Code.QUOTA_EXHAUSTED)
    client = await world.browse()
    one = (await client.get("/?state=available")).text
    assert "acme-007/" in one
    assert "acme-008/" not in one
    assert "quota exhausted" in (await client.get("/?state=blocked")).text
    assert "acme-008/" not in (await client.get("/?q=EXAMPLE")).text
    first = (await client.get("/")).text
    assert "page 1 of 3, 121 targets" in first
    assert 'href="?page=2"' in first
    assert "acme-049" in first
    assert "acme-050" in (await client.get("/?page=2")).text
    assert "No target is like that" in (await client.get("/?q=nothing")).text


async def test_a_timeline_is_exact_and_says_so_in_words(world):
    acme = world.target()
    await world.watch(acme)
    await world.happened(acme, State.UNVERIFIED, ago=3 * 3600)
    await world.happened(acme, State.AVAILABLE, before=State.UNVERIFIED, ago=3600)
    client = await world.browse()
    page = (await client.get(f"/target?name={acme.name}")).text
    widths = dict(re.findall(r'<path class="s-(\w+)" d="M[\d.]+ \d+h([\d.]+)v', page))
    # three hours are drawn: nothing is known of the time before
    assert float(widths["unverified"]) == pytest.approx(667, abs=2)
    assert float(widths["available"]) == pytest.approx(333, abs=2)
    assert re.search(r'aria-label="[^"]*unverified from .* UTC, then available from ', page)


async def test_a_timeline_shows_a_target_that_starts_anew_as_unknown(world):
    acme = world.target()
    await world.watch(acme)
    await world.happened(acme, State.AVAILABLE, ago=3600)
    await world.watch(world.target(route="relay", contract=Contract.PROVIDER))
    client = await world.browse()
    page = (await client.get(f"/target?name={acme.name}")).text
    assert re.search(r'aria-label="available from .* UTC, then unknown from ', page)


async def test_a_young_timeline_is_empty_before_anything_was_recorded(world):
    acme = world.target()
    await world.watch(acme)
    started = Event(EventKind.STARTED, Reason.DAEMON_STARTED, world.clock() - timedelta(seconds=30))
    await world.recorder.write([Change(events=(started,))])
    await world.happened(acme, State.UNVERIFIED, ago=15)
    client = await world.browse()
    page = (await client.get(f"/target?name={acme.name}")).text
    drawn = dict(re.findall(r'<path class="s-(\w+)" d="M([\d.]+) \d+h', page))
    # the last minute is drawn, and half of it is before
    assert 0 < float(drawn["unknown"]) < float(drawn["unverified"])


async def test_a_timeline_shows_when_no_daemon_lived(world):
    acme = world.target()
    await world.watch(acme)
    await world.happened(acme, State.UNVERIFIED, ago=4 * 3600)
    client = await world.browse()
    address = f"/target?name={acme.name}"
    assert 'class="gap"' not in (await client.get(address)).text
    start, end = (world.clock() - timedelta(hours=hours) for hours in (2, 1))
    facts = {"down_since": as_json(start)}
    started = Event(EventKind.STARTED, Reason.DAEMON_STARTED, end, facts=facts)
    await world.recorder.write([Change(events=(started,))])
    # another address: the same page is given as of a second ago
    page = (await client.get(f"{address}&range=24h")).text
    ((x, width),) = re.findall(r'class="gap" d="M([\d.]+) 0h([\d.]+)v24H', page)
    # an hour of the four that are drawn, up to an hour ago
    assert (float(x), float(width)) == (pytest.approx(500, abs=2), pytest.approx(250, abs=2))


async def test_a_target_shows_who_was_told_and_what_to_do(world):
    acme = world.target()
    relay = world.target("relay", route="relay", contract=Contract.PROVIDER, organization=None)
    await world.watch(acme, relay)
    await world.happened(acme, State.UNVERIFIED)
    await world.happened(relay, State.AVAILABLE)
    client = await world.browse()
    page = (await client.get(f"/target?name={acme.name}")).text
    for words in (
        "ops pending",
        "req_1",
        "must be verified",
        "over each route",
        "provider",
        "120 ms",
    ):
        assert words in page
    # reading only: nothing to press
    assert "<form" not in page.partition("<main")[2]
    assert (await client.get("/target?name=acme-lab/none")).status_code == 404


async def test_a_target_that_left_the_settings_keeps_its_history(world):
    acme = world.target()
    await world.watch(acme)
    await world.happened(acme, State.UNVERIFIED)
    await world.watch(world.target("other"))
    page = await (await world.browse()).get(f"/target?name={acme.name}")
    assert page.status_code == 200
    assert "left the settings" in page.text
    assert "must be" not in page.text
    assert "gated" in page.text


async def test_only_the_content_is_sent_to_the_script(world):
    await world.watch(world.target())
    client = await world.browse()
    part = await client.get("/?fragment=1")
    assert "<html" not in part.text
    assert "<h1>" in part.text
    assert part.headers["X-Title"].endswith("access-monitor")


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>\u202e{{7*7}}&amp;'


async def test_words_of_servers_and_names_are_shown_as_words(world):
    key = 'acme"><b>x'
    acme = world.target(
        key, organization=HOSTILE, capability=Capability(f"m{HOSTILE}", Surface.CHAT)
    )
    await world.watch(acme)
    await world.happened(acme, State.UNVERIFIED, message=HOSTILE, channels=(HOSTILE,))
    client = await world.browse()
    hostile = {"q": HOSTILE, "name": acme.name, "pool": "<script>alert", "pattern": HOSTILE}
    for path in (*PAGES, "/<script>alert", "/notifications?state=pending"):
        page = await client.get(path.partition("?")[0], params=hostile)
        assert "<script>alert" not in page.text, path
        assert "<img" not in page.text, path
        assert "<b>x" not in page.text, path
        assert "{{49}}" not in page.text, path
        assert "\u202e" not in page.text, path


async def test_a_database_that_cannot_be_read_is_said_and_the_page_asks_again(world):
    client = await world.browse()
    page = await client.get("/")
    assert page.status_code == 503
    assert "there is no database yet" in page.text
    assert 'http-equiv="refresh"' in page.text
    assert (await client.get("/api/v1/status")).json()["status"] == 503
    await world.watch(world.target())
    assert (await client.get("/")).status_code == 200
    with sqlite3.connect(world.database) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    world_later = await world.browse()
    newer = await world_later.get("/")
    assert newer.status_code == 503
    assert "9999" in newer.text


async def test_a_daemon_that_is_gone_is_said(world):
    await world.watch(world.target())
    client = await world.browse()
    assert "Not current" not in (await client.get("/")).text
    await world.recorder.aclose()
    late = await world.browse()
    assert "Not current:</strong> the daemon is stopped since" in (await late.get("/")).text


async def test_errors_keep_the_way_back(world):
    await world.watch(world.target())
    client = await world.browse()
    for path, back in (("/nothing", "./"), ("/a/b/c", "../.././"), ("/target?name=x", "./")):
        page = await client.get(path)
        assert page.status_code == 404
        assert f'href="{back}"' in page.text
    # a browser takes an encoded slash for no folder
    assert 'href="./"' in (await client.get("/a%2fb")).text
    for name in ("..%2fpages.py", "a" * 300 + ".css", "%00.css", "page.css%00"):
        assert (await client.get(f"/static/{name}")).status_code == 404
    assert (await client.put("/")).status_code == 403


async def test_what_cannot_be_done_says_what_can(world, tokens):
    await world.watch(world.target())
    answer = await (await world.browse(tokens["write"])).put("/propagation")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET,HEAD"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"target=\xff"),
        ("application/x-www-form-urlencoded; charset=nothing", b"target=x"),
        ("multipart/form-data; boundary=b", b"x"),
        ("multipart/form-data", b"x"),
    ],
)
async def test_a_form_that_cannot_be_read_is_said(world, tokens, kind, body):
    await world.watch(world.target())
    client = await world.browse(tokens["write"])
    answer = await client.post("/probe", content=body, headers={"Content-Type": kind})
    assert answer.status_code in (400, 415)
    assert 'href="./"' in answer.text
    assert await world.inbox() == []


async def test_who_asks_for_a_page_meanwhile_gets_the_one_that_is_being_made(world, monkeypatch):
    """Else sixteen browsers would have one page made sixteen times at once."""
    await world.watch(world.target())
    made, go_on, read = [], threading.Event(), target_queries.timelines

    def held_back(*asked):
        made.append(asked)
        go_on.wait(30)
        return read(*asked)

    monkeypatch.setattr(target_queries, "timelines", held_back)
    monkeypatch.setattr(snapshots, "_FRESH", 600.0)  # one reading of the targets
    client = await world.browse()
    asked = [asyncio.create_task(client.get("/")) for _ in range(8)]
    while not made:
        await client.get("/static/icon.svg")
    for _ in range(20):  # the others are there, too
        await client.get("/static/icon.svg")
    go_on.set()
    assert len({answer.text for answer in await asyncio.gather(*asked)}) == len(made) == 1


async def test_a_page_that_is_made_once_is_given_to_nobody_who_may_less(world, tokens):
    acme = world.target()
    await world.watch(acme)
    await world.happened(acme, State.UNVERIFIED)
    client = await world.browse(tokens["write"])
    address = f"/target?name={acme.name}"
    first, again = await client.get(address), await client.get(address)
    assert first.text == again.text
    assert first.headers["Content-Type"] == again.headers["Content-Type"]
    assert "Probe now" in again.text
    reader = await client.get(address, headers={"Authorization": f"Bearer {tokens['read']}"})
    assert "Probe now" not in reader.text
    parts = [await client.get(f"{address}&fragment=1") for _ in range(2)]
    assert parts[0].headers["X-Title"] == parts[1].headers["X-Title"]
    assert "<html" not in parts[1].text


async def test_a_page_that_is_renewed_after_an_event_of_the_stream_shows_it(world):
    acme = world.target()
    await world.watch(acme)
    await world.happened(acme, State.UNVERIFIED)
    client = await world.browse()
    async with client.stream("GET", "/api/v1/events", timeout=30) as stream:
        lines = stream.aiter_lines()
        async for line in lines:
            if line.startswith(": connected"):
                break
        assert (
            "None of" in (await client.get("/")).text or "not open" in (await client.get("/")).text
        )
        await world.happened(acme, State.AVAILABLE, before=State.UNVERIFIED, ago=0)
        async for line in lines:
            if line.startswith("event: transition"):
                break
        assert "The target is open" in (await client.get("/")).text


async def test_an_organization_and_a_pool_of_one_name_keep_their_own_targets(world):
    world.pools = (Pool(name="bulk", secrets=PoolFile("file:bulk.keys", None), watch=()),)
    pooled = world.target("bulk-0000000a", organization=None)
    own = world.target("acme-prod", organization="bulk")
    await world.watch(own, pooled)
    await world.happened(own, State.AVAILABLE)
    await world.happened(pooled, State.LOCKED)
    client = await world.browse()
    page = (await client.get("/")).text
    assert "<h1>1 of 2 targets are open</h1>" in page
    assert "bulk <small>1 available</small>" in page
    assert "bulk: 1 locked" in page
    found = (await client.get("/?q=bulk")).text
    assert "bulk <small>1 available</small>" in found
    assert "bulk <small>1 locked</small>" in found
