"""Who may read and write: every address without a token, with one that reads, and with one that writes."""

import re
from html import escape, unescape
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from aiohttp import web

from monitor.access.words import State
from monitor.config.web_section import Web, address
from monitor.web import http_api, pages
from monitor.web.web_server import StartError, require_allowed

pytestmark = pytest.mark.anyio

#: A body that each address takes.
BODIES = {
    "/declare": {"kind": "verified", "subject": "org-acme"},
    "/probe": {"target": "acme-prod/gpt-image-2:images"},
    "/retry": {},
    "/silences": {"pattern": "acme-prod", "for": "2h", "reason": "moving"},
    "/end-silence": {"id": "1"},
    "/api/v1/declarations": {"kind": "verified", "subject": "org-acme"},
    "/api/v1/probes": {"target": "acme-prod/gpt-image-2:images"},
    "/api/v1/retries": {},
    "/api/v1/silences": {"patterns": ["acme-prod"], "for": "2h", "reason": "moving"},
}
TARGET = "acme-prod/gpt-image-2:images"
README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- rights -->", "<!-- end of rights -->"
PUBLIC = ("/login", "/sign-out", "/static/{name}", "/healthz")
SAME = {"Sec-Fetch-Site": "same-origin"}


def addresses() -> list[tuple[str, str]]:
    """Every method and path that is served."""
    return [
        (route.method, route.path)
        for route in [*pages.routes(), *http_api.routes()]
        if isinstance(route, web.RouteDef)
    ]


def filled(path: str) -> str:
    """The address with what it needs to lead somewhere."""
    one = path.replace("{name}", "page.css").replace("{id}", "1")
    return f"{one}?name={TARGET}" if path.endswith(("/target", "/evidence")) else one


async def ask(client: httpx.AsyncClient, method: str, path: str, **headers: str) -> int:
    body = BODIES.get(path)
    more = {"json": body} if path.startswith("/api/") else {"data": body}
    async with client.stream(
        method, filled(path), headers=headers, **(more if method != "GET" else {})
    ) as answer:
        return answer.status_code


async def test_without_tokens_anybody_on_this_machine_may_read_and_nobody_write(world):
    await world.watch(world.target())
    client = await world.browse()
    for method, path in addresses():
        status = await ask(client, method, path, **SAME)
        if method == "GET" or path in PUBLIC:
            assert status in (200, 303, 403, 404), (method, path)
        else:
            assert status == 403, (method, path)
    assert await world.inbox() == []


async def test_with_tokens_an_unknown_visitor_sees_nothing_but_the_way_in(world):
    await world.watch(world.target())
    client = await world.browse("")
    for method, path in addresses():
        if path in PUBLIC:
            continue
        status = await ask(client, method, path, **SAME)
        assert status == (401 if path.startswith(("/api/", "/metrics")) else 303), (method, path)
    assert (await client.get("/")).headers["Location"] == "login"
    assert await world.inbox() == []


async def test_a_token_for_reading_reads_everything_and_writes_nothing(world, tokens):
    await world.watch(world.target())
    client = await world.browse(tokens["read"])
    for method, path in addresses():
        if path in PUBLIC:
            continue
        status = await ask(client, method, path)
        if method == "GET":
            assert status in (200, 404), (method, path)
        else:
            assert status == 403, (method, path)
    assert await world.inbox() == []


async def test_a_token_for_writing_writes_and_the_inbox_says_who_asked(world, tokens):
    await world.watch(world.target())
    await world.silence("acme-prod/*")
    client = await world.browse(tokens["write"])
    for method, path in addresses():
        if path in PUBLIC or method == "GET":
            continue
        assert await ask(client, method, path) in (202, 303, 400), (method, path)
    asked = await world.inbox()
    assert {kind for kind, _ in asked} >= {"declare", "probe", "retry", "silence", "end-silence"}
    assert {payload["by"] for _, payload in asked} == {"writer"}


async def test_the_table_of_rights_in_the_readme_is_what_every_address_answers(world, tokens):
    await world.watch(world.target())
    visitors = {
        "no tokens are set": await world.browse(),
        "without one": await world.browse(""),
        "read": await world.browse(tokens["read"]),
        "write": await world.browse(tokens["write"]),
    }
    lines = [f"| address | {' | '.join(visitors)} |", "| --- " * (len(visitors) + 1) + "|"]
    for method, path in sorted(addresses(), key=lambda one: (one[0] != "GET", one[1])):
        given = [str(await ask(client, method, path, **SAME)) for client in visitors.values()]
        lines.append(f"| `{method} {path}` | {' | '.join(given)} |")
    table = "\n".join(lines)
    found = README.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()
    assert found == table, f"put this between the marks in tests/README.md:\n{table}"


async def test_a_session_begins_with_a_token_and_ends(world, tokens, signed_in):
    await world.watch(world.target())
    client = await world.browse("")
    assert (await signed_in(client, "FAKE-wrong-token-0003")).status_code == 403
    answer = await signed_in(client, tokens["write"])
    assert answer.status_code == 303
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert tokens["write"] not in cookie
    assert (await client.get("/")).status_code == 200
    assert (await client.post("/probe", data=BODIES["/probe"], headers=SAME)).status_code == 303
    await client.post("/sign-out", headers=SAME)
    assert (await client.get("/")).status_code == 303


@pytest.mark.parametrize(
    ("asked", "title"),
    [("/target?name={name}", "{name} is"), ("/?q=acme&state=locked", "open"), ("/", "open")],
)
async def test_who_signs_in_sees_the_page_that_was_asked_for(world, tokens, asked, title):
    target = world.target()
    await world.watch(target)
    client = await world.browse("")
    asked = await client.get(asked.format(name=quote(target.name, safe="")))
    form = await client.get(asked.headers["Location"])
    place = unescape(re.search(r'name="to" value="([^"]*)"', form.text)[1])
    wrong = await client.post(
        "/login", data={"token": "FAKE-wrong-0003", "to": place}, headers=SAME
    )
    assert escape(place) in wrong.text, "a wrong token does not lose it"
    right = {"token": tokens["read"], "to": place}
    answer = await client.post("/login", data=right, headers=SAME)
    shown = await client.get(answer.headers["Location"])
    assert title.format(name=target.name) in re.search(r"<h1>(.*?)</h1>", shown.text)[1]
    assert ("locked" in place) == ("state=locked" in str(shown.url))


async def test_an_unknown_visitor_from_another_site_is_shown_nothing(world):
    target = world.target()
    await world.watch(target)
    client = await world.browse("")
    answer = await client.get("/target?name=x", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert "<h1>One moment</h1>" in answer.text
    assert '<meta http-equiv="refresh" content="0">' in answer.text
    assert target.name not in answer.text
    api = await client.get("/api/v1/status", headers={"Sec-Fetch-Site": "cross-site"})
    assert api.status_code == 401


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "\\\\evil",
        "target?name=a\r\nSet-Cookie: a=b", "target/../x", "é", "a" * 9 + "?" + "b" * 3000,
    ],
)  # fmt: skip
async def test_signing_in_leads_to_no_other_site(world, tokens, to):
    await world.watch(world.target())
    client = await world.browse("")
    given = {"token": tokens["read"], "to": to}
    answer = await client.post("/login", data=given, headers=SAME)
    assert (answer.status_code, answer.headers["Location"]) == (303, "./")


async def test_who_may_only_read_signs_out_too(world, tokens, signed_in):
    await world.watch(world.target())
    client = await world.browse("")
    await signed_in(client, tokens["read"])
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert (await client.post("/sign-out", headers=cross)).status_code == 403
    assert (await client.get("/")).status_code == 200
    assert (await client.post("/sign-out", headers=SAME)).headers["Location"] == "login"
    assert (await client.get("/")).status_code == 303


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
    ],
)
async def test_another_site_writes_nothing_with_our_cookie(
    world, tokens, signed_in, headers, status
):
    await world.watch(world.target())
    client = await world.browse("")
    await signed_in(client, tokens["write"])
    answer = await client.post("/probe", data=BODIES["/probe"], headers=headers)
    assert answer.status_code == status
    assert bool(await world.inbox()) == (status == 303)


async def test_an_older_browser_names_the_origin_that_was_asked(world, tokens, signed_in):
    await world.watch(world.target())
    client = await world.browse("")
    await signed_in(client, tokens["write"])
    origin = {"Origin": str(client.base_url).rstrip("/")}
    assert (await client.post("/probe", data=BODIES["/probe"], headers=origin)).status_code == 303


async def test_guessing_ends_after_ten_tries_for_right_tokens_too(world, tokens, signed_in):
    await world.watch(world.target())
    client = await world.browse("")
    for n in range(10):
        bad = {"Authorization": f"Bearer FAKE-guess-{n:012}"}
        assert (await client.get("/api/v1/status", headers=bad)).status_code == 401
    good = {"Authorization": f"Bearer {tokens['read']}"}
    assert (await client.get("/api/v1/status", headers=good)).status_code == 429
    assert (await signed_in(client, tokens["read"])).status_code == 429


async def test_another_name_for_this_machine_is_refused_without_tokens(world):
    await world.watch(world.target())
    client = await world.browse()
    rebound = {"Host": "evil.example:8090"}
    assert (await client.get("/", headers=rebound)).status_code == 421
    behind = await world.browse(behind_proxy=True)
    assert (await behind.get("/", headers={"Host": "monitor.example"})).status_code == 200


@pytest.mark.parametrize(
    ("listen", "section", "allowed"),
    [
        ("127.0.0.1:80", {}, True),
        ("[::1]:80", {}, True),
        ("localhost:80", {}, True),
        ("0.0.0.0:80", {}, False),
        ("192.0.2.1:80", {}, False),
        ("0.0.0.0:80", {"behind_proxy": True}, True),
    ],
)
def test_it_listens_elsewhere_only_with_tokens_or_behind_a_proxy(listen, section, allowed):
    if allowed:
        require_allowed(Web(**section), address(listen))
    else:
        with pytest.raises(StartError, match=r"add \[\[web.tokens\]\]"):
            require_allowed(Web(**section), address(listen))


async def test_every_answer_has_the_headers_that_bind_the_browser(world):
    await world.watch(world.target())
    await world.happened(world.targets[0], State.UNVERIFIED)
    client = await world.browse()
    for path in ("/", "/target?name=x", "/static/page.js", "/api/v1/status", "/nothing"):
        headers = (await client.get(path)).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


async def test_behind_a_proxy_guesses_are_counted_for_who_made_them(world, tokens):
    await world.watch(world.target())
    client = await world.browse("", behind_proxy=True)
    guesser = {"X-Forwarded-For": "192.0.2.7, 192.0.2.66"}
    for n in range(11):
        bad = {"Authorization": f"Bearer FAKE-guess-{n:012}"}
        status = (await client.get("/api/v1/status", headers=bad | guesser)).status_code
    assert status == 429
    good = {"Authorization": f"Bearer {tokens['read']}", "X-Forwarded-For": "192.0.2.66, 192.0.2.7"}
    assert (await client.get("/api/v1/status", headers=good)).status_code == 200


async def test_the_cookie_stays_below_the_path_of_the_page(world, tokens, signed_in):
    await world.watch(world.target())
    client = await world.browse("")
    answer = await signed_in(client, tokens["read"])
    assert "path" not in answer.headers["Set-Cookie"].lower()


async def test_what_browsers_ignore_of_an_origin_that_can_be_forged_is_not_sent_to_it(world):
    await world.watch(world.target())
    client = await world.browse(behind_proxy=True)
    for proto, sent in (("http", False), ("https", True)):
        named = {"Host": "monitor.example", "X-Forwarded-Proto": proto}
        headers = (await client.get("/", headers=named)).headers
        assert ("Cross-Origin-Opener-Policy" in headers) == sent
