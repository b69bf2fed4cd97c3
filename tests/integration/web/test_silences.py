"""Silences on the page and in the API: shown where they matter, made, listed, ended."""

import html
import re

import pytest

from monitor.access.words import Reason, State

pytestmark = pytest.mark.anyio

SAME = {"Sec-Fetch-Site": "same-origin"}
GOOD = {"patterns": ["acme-prod"], "for": "2h", "reason": "moving"}


def text_of(page) -> str:
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", page.text)).split())


async def test_every_page_says_what_is_silenced_and_until_when(world):
    acme, lab = world.target(), world.target("acme-lab")
    await world.watch(acme, lab)
    await world.happened(acme, State.UNVERIFIED)
    one = await world.silence("acme-prod/*")
    client = await world.browse()
    until = f"{one.expires_at:%Y-%m-%d %H:%M}"
    for path in ("/", f"/target?name={acme.name}", "/notifications", "/propagation", "/silences"):
        page = await client.get(path)
        assert f"acme-prod/* until {until}" in text_of(page), path
    overview = (await client.get("/")).text
    rows = {
        row.group(1): row.group(0)
        for row in re.finditer(r"<tr>.*?name=([^\"]+)\".*?</tr>", overview, re.S)
    }
    assert len(rows) == 2
    assert sum("silenced until" in row for row in rows.values()) == 1
    assert "silenced until" in (await client.get(f"/target?name={acme.name}")).text
    assert "silenced until" not in (await client.get(f"/target?name={lab.name}")).text


async def test_without_silences_nothing_is_said_of_them(world):
    await world.watch(world.target())
    client = await world.browse()
    assert "Not told" not in (await client.get("/")).text
    page = await client.get("/silences")
    assert "<h1>Nothing is silenced</h1>" in page.text
    assert "Make a silence" not in page.text, "nobody may write"


async def test_what_was_silenced_says_by_which_silence(world):
    await world.watch(world.target())
    one = await world.silence("acme-prod/*")
    await world.happened(world.targets[0], State.LOCKED)
    client = await world.browse()
    page = await client.get("/notifications?state=silenced")
    assert f"silence {one.id}</a>" in page.text
    assert "1 silenced notifications" in page.text
    (row,) = (await client.get("/api/v1/notifications?state=silenced")).json()["notifications"]
    assert row["silence_id"] == one.id
    status = (await client.get("/api/v1/status")).json()
    assert [each["id"] for each in status["silences"]] == [one.id]
    assert status["notifications"]["silenced"] == 1


async def test_a_silence_is_made_and_ended_by_forms(world, tokens):
    await world.watch(world.target())
    client = await world.browse(tokens["write"])
    form = await client.get("/silences?pattern=acme-prod/gpt-image-2:images")
    assert 'value="acme-prod/gpt-image-2:images"' in form.text
    values = {"pattern": "acme-prod channel:ops", "for": "2h", "reason": "moving <b>"}
    answer = await client.post("/silences", data=values, headers=SAME)
    assert answer.status_code == 400, "the settings have no such channel"
    values["pattern"] = "acme-prod event:locked"
    answer = await client.post("/silences", data=values, headers=SAME)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("silences?")
    ((kind, payload),) = await world.inbox()
    assert kind == "silence"
    assert payload["patterns"] == ["acme-prod/*", "event:locked"]
    assert (payload["reason"], payload["by"]) == ("moving <b>", "writer")
    one = await world.silence("acme-prod/*")
    page = await client.get("/silences")
    assert f"End silence {one.id}" in page.text
    assert (
        await client.post("/end-silence", data={"id": str(one.id)}, headers=SAME)
    ).status_code == 303
    assert (await world.inbox())[-1] == ("end-silence", {"id": one.id, "by": "writer"})
    await world.recorder.silences.end(one, Reason.SILENCE_ENDED_BY_HAND)
    ended = await client.get("/silences")
    assert ">Ended</h2>" in ended.text
    assert "alice" in ended.text


async def test_a_silence_is_made_listed_and_ended_over_the_api(world, tokens):
    await world.watch(world.target())
    client = await world.browse(tokens["write"])
    answer = await client.post("/api/v1/silences", json=GOOD)
    assert answer.status_code == 202
    fate = await client.get(str(answer.url.join(answer.headers["Location"])))
    assert (fate.json()["kind"], fate.json()["state"]) == ("silence", "waiting")
    one = await world.silence("organization:org-acme")
    found = (await client.get("/api/v1/silences")).json()
    assert [each["id"] for each in found["silences"]] == [one.id]
    assert found["silences"][0]["patterns"] == ["organization:org-acme"]
    gone = await client.delete(f"/api/v1/silences/{one.id}")
    assert gone.status_code == 202
    fate = await client.get(str(gone.url.join(gone.headers["Location"])))
    assert (fate.json()["kind"], fate.json()["state"]) == ("end-silence", "waiting")
    assert (await client.delete("/api/v1/silences/99")).status_code == 404
    await world.recorder.silences.end(one, Reason.SILENCE_EXPIRED)
    assert (await client.delete(f"/api/v1/silences/{one.id}")).status_code == 404
    found = (await client.get("/api/v1/silences")).json()
    assert (found["silences"], [each["id"] for each in found["ended"]]) == ([], [one.id])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patterns": ["acme-prd"]}, 'did you mean "acme-prod"'),
        ({"patterns": ["channel:ops"]}, 'no channel is named "ops"'),
        ({"patterns": []}, "1 to 20 patterns"),
        ({"patterns": [1]}, "patterns are texts"),
        ({"patterns": {"a": 1}}, "patterns are texts"),
        ({"patterns": ["acme-prod/*"] * 500 + ["nobody"]}, None),
        ({"for": "soon"}, "for is no duration"),
        ({"for": "91d"}, "at most 90 days"),
        ({"for": None}, "for is no duration"),
        ({"reason": ""}, "needs a reason"),
        ({"reason": 7}, "reason is a text"),
        ({"reason": "x" * 201}, "1 to 200"),
    ],
)
async def test_what_cannot_be_silenced_is_refused_with_the_nearest(world, tokens, changes, said):
    await world.watch(world.target())
    client = await world.browse(tokens["write"])
    answer = await client.post("/api/v1/silences", json=GOOD | changes)
    if said is None:  # the same pattern many times is one
        assert answer.status_code == 202
        return
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    assert await world.inbox() == []


async def test_the_page_says_what_the_daemon_refused(world, tokens):
    await world.watch(world.target())
    client = await world.browse(tokens["write"])
    place = (
        await client.post("/silences", data={**GOOD, "pattern": "acme-prod"}, headers=SAME)
    ).headers["Location"]
    (item,) = await world.recorder.inbox()
    await world.recorder.settle_inbox(
        [item.id], '{"error": "200 silences are in force: end one first"}'
    )
    said = "silence: refused by the daemon: 200 silences are in force: end one first."
    assert said in (await client.get(f"/{place}")).text
