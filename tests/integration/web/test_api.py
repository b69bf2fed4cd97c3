"""The API: shapes, pages, ETags, errors, writes, and the stream."""

import asyncio
import json

import pytest
from pydantic import TypeAdapter

from monitor.access.words import EventKind, State
from monitor.web.http_api import DESCRIBED
from monitor.web.shapes import document

pytestmark = pytest.mark.anyio


async def test_every_answer_has_the_shape_that_is_described(world):
    acme = world.target()
    await world.watch(acme)
    await world.happened(acme, State.UNVERIFIED)
    client = await world.browse()
    for one in DESCRIBED:
        if one.method == "GET" and one.answer is not None and "{" not in one.path:
            answer = await client.get(f"/api/v1{one.path}", params={"name": acme.name})
            assert answer.status_code == 200, one.path
            TypeAdapter(one.answer).validate_python(answer.json())
            if known := getattr(one.answer, "__annotations__", None):
                assert set(answer.json()) == set(known), one.path


async def test_the_description_names_every_address(world):
    await world.watch(world.target())
    client = await world.browse()
    found = (await client.get("/api/v1/openapi.json")).json()
    assert found == json.loads(json.dumps(document(DESCRIBED)))
    assert found["openapi"] == "3.1.0"
    assert set(found["paths"]) == {one.path for one in DESCRIBED}


async def test_pages_of_targets_events_and_notifications_follow_one_another(world):
    targets = [world.target(f"acme-{n}") for n in range(7)]
    await world.watch(*targets)
    for target in targets:
        await world.happened(target, State.UNVERIFIED, channels=("ops",))
    client = await world.browse()
    names, after = [], ""
    for _ in range(4):
        page = (await client.get("/api/v1/status", params={"limit": 2, "after": after})).json()
        names += [one["target"] for one in page["targets"]]
        after = page["next"]
    assert after is None
    assert names == sorted(target.name for target in targets)
    for path, key in (("history", "events"), ("notifications", "notifications")):
        ids, before = [], None
        for _ in range(3):
            query = {"limit": 3} | ({"before": before} if before else {})
            page = (await client.get(f"/api/v1/{path}", params=query)).json()
            ids = [one["id"] for one in page[key]] + ids
            before = page["next"]
        assert before is None
        assert ids == sorted(set(ids))
        assert len(ids) == 7


async def test_who_has_the_answer_already_gets_304(world):
    await world.watch(world.target())
    client = await world.browse()
    first = await client.get("/api/v1/history")
    again = await client.get("/api/v1/history", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert not again.content
    await world.happened(world.targets[0], State.UNVERIFIED)
    changed = await client.get("/api/v1/history", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/status?state=open", "state is none of"),
        ("/status?limit=0", "limit must be a whole number"),
        ("/status?limit=501", "limit is at most 500"),
        ("/history?since=yesterday", "RFC 3339"),
        ("/history?since=2026-11-20T14:05:00", "RFC 3339"),
        ("/history?before=x", "before must be"),
        ("/history?since=0001-01-01T00:00:00%2B23:59", "RFC 3339"),
        ("/history?since=9999-12-31T23:59:59-23:59", "RFC 3339"),
        ("/notifications?state=lost", "state is none of"),
        ("/history?target=%00", "control character"),
    ],
)
async def test_what_cannot_be_meant_is_a_problem_that_says_so(world, path, said):
    await world.watch(world.target())
    answer = await (await world.browse()).get(f"/api/v1{path}")
    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("declarations", {"kind": "verified", "subject": "org-acmee"}, "did you mean"),
        ("declarations", {"kind": "maybe", "subject": "org-acme"}, "kind is none of verified"),
        (
            "declarations",
            {"kind": "verified", "subject": "org-acme", "at": "soon"},
            "at is no time",
        ),
        ("probes", {"target": "acme-prod/gpt-image-2:image"}, "no target is named"),
        ("probes", {}, "no target is named"),
        ("retries", {"ids": [99]}, "not dead: 99"),
        ("retries", {"ids": "all"}, "whole numbers"),
        ("retries", {"ids": None}, "whole numbers"),
        ("retries", {"id": 1}, 'did you mean "ids"?'),
        ("probes", {"target": "acme-prod/gpt-image-2:images", "when": "now"}, "known: target"),
        ("retries", {"ids": [True]}, "whole numbers"),
        ("retries", {"ids": [1.5]}, "whole numbers"),
        ("retries", [], "not a JSON object"),
    ],
)
async def test_a_write_that_cannot_be_meant_is_refused_with_the_nearest(
    world, tokens, path, body, said
):
    await world.watch(world.target())
    client = await world.browse(tokens["write"])
    answer = await client.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    assert await world.inbox() == []


async def test_a_write_answers_where_its_fate_is_told(world, tokens):
    await world.watch(world.target())
    client = await world.browse(tokens["write"])
    answer = await client.post("/api/v1/probes", json={"target": world.targets[0].name})
    assert answer.status_code == 202
    place = answer.headers["Location"]
    assert place == answer.json()["see"]
    fate = await client.get(str(answer.url.join(place)))
    assert fate.json()["state"] == "waiting"
    (item,) = await world.recorder.inbox()
    await world.recorder.settle_inbox([item.id])
    assert (await client.get(str(answer.url.join(place)))).json()["state"] == "taken"
    assert (await client.get("/api/v1/requests/99")).status_code == 404


class Stream:
    """What comes over an event stream."""

    def __init__(self, lines):
        self._lines = lines

    async def event(self):
        """The next event: its name, id and data."""
        found = {}
        async with asyncio.timeout(30):
            async for line in self._lines:
                if not line and "data" in found:
                    return found
                if not line:
                    found = {}
                name, _, value = line.partition(": ")
                found[name] = value
        pytest.fail("the stream ended")


async def test_the_stream_tells_what_is_recorded_and_resumes(world):
    acme, lab = world.target(), world.target("acme-lab")
    await world.watch(acme, lab)
    first = await world.happened(acme, State.UNVERIFIED)
    client = await world.browse()
    async with client.stream("GET", "/api/v1/events") as answer:
        assert answer.headers["X-Accel-Buffering"] == "no"
        lines = answer.aiter_lines()
        while await anext(lines) != ": connected":
            pass
        second = await world.happened(lab, State.AVAILABLE, kind=EventKind.AVAILABLE)
        told = await Stream(lines).event()
    assert told["id"] == str(second)
    assert told["event"] == "transition"
    data = json.loads(told["data"])
    assert (data["target"], data["to"]) == (lab.name, "available")
    third = await world.happened(acme, State.AVAILABLE, before=State.UNVERIFIED)
    async with client.stream(
        "GET", "/api/v1/events", headers={"Last-Event-ID": str(first)}
    ) as answer:
        stream = Stream(answer.aiter_lines())
        assert [(await stream.event())["id"] for _ in range(2)] == [str(second), str(third)]


async def test_streams_that_are_opened_at_once_are_told_each_event_once(world):
    acme = world.target()
    await world.watch(acme)
    client = await world.browse()
    count, opened, seen = 10, asyncio.Semaphore(0), []

    async def listen() -> None:
        async with client.stream("GET", "/api/v1/events") as answer:
            lines = answer.aiter_lines()
            while await anext(lines) != ": connected":
                pass
            opened.release()
            stream = Stream(lines)
            seen.append([(await stream.event())["id"] for _ in range(2)])

    async with asyncio.timeout(60), asyncio.TaskGroup() as all_of_them:
        for _ in range(count):
            all_of_them.create_task(listen())
        for _ in range(count):
            await opened.acquire()
        ids = [await world.happened(acme, State.UNVERIFIED)]
        ids.append(await world.happened(acme, State.AVAILABLE, before=State.UNVERIFIED))
    assert seen == [[str(one) for one in ids]] * count


async def test_who_was_away_too_long_is_told_to_read_anew(world, monkeypatch):
    monkeypatch.setattr("monitor.web.live_events._KEPT", 3)
    acme = world.target()
    await world.watch(acme)
    for _ in range(6):
        await world.happened(acme, State.UNVERIFIED)
    client = await world.browse()
    async with client.stream("GET", "/api/v1/events", headers={"Last-Event-ID": "1"}) as answer:
        stream = Stream(answer.aiter_lines())
        names = [(await stream.event())["event"] for _ in range(4)]
    assert names == ["transition"] * 3 + ["reset"]


async def test_streams_are_bounded(world, monkeypatch):
    monkeypatch.setattr("monitor.web.live_events.STREAMS_MOST", 1)
    await world.watch(world.target())
    client = await world.browse()
    async with client.stream("GET", "/api/v1/events"):
        assert (await client.get("/api/v1/events")).status_code == 503


async def test_a_stream_goes_on_when_another_database_is_in_its_place(world):
    acme = world.target()
    await world.watch(acme)
    for _ in range(3):
        await world.happened(acme, State.UNVERIFIED)
    client = await world.browse()
    async with client.stream("GET", "/api/v1/events", headers={"Last-Event-ID": "999"}) as answer:
        lines = answer.aiter_lines()
        while await anext(lines) != ": connected":
            pass
        await world.recorder.aclose()
        for path in world.folder.glob("monitor.db*"):
            path.unlink()
        world.recorder = None
        await world.watch(acme)
        assert await world.happened(acme, State.AVAILABLE) == 1
        stream = Stream(lines)
        assert (await stream.event())["event"] == "reset"
        second = await world.happened(acme, State.UNVERIFIED, before=State.AVAILABLE)
        assert (await stream.event())["id"] == str(second)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"ids": [1e999]}'),
        ("application/json", b'{"ids": ' + b"9" * 5000 + b"}"),
        ("application/json", b"[" * 60_000),
        ("application/json; charset=nothing", b"{}"),
        ("application/json; charset=utf-16", b"{}."),
    ],
)
async def test_a_body_that_is_no_json_is_said_to_be_none(world, tokens, kind, body):
    await world.watch(world.target())
    client = await world.browse(tokens["write"])
    answer = await client.post("/api/v1/retries", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert await world.inbox() == []


async def test_a_stream_that_resumes_at_nothing_known_begins_anew(world):
    acme = world.target()
    await world.watch(acme)
    first = await world.happened(acme, State.UNVERIFIED)
    client = await world.browse()
    async with client.stream(
        "GET", "/api/v1/events", headers={"Last-Event-ID": "9" * 5000}
    ) as answer:
        assert (await Stream(answer.aiter_lines()).event())["id"] == str(first)
