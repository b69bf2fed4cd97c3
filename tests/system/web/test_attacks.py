"""What attackers send: broken addresses and bodies, slow clients, and as many streams as they can."""

import asyncio
import random
import re
import signal
import socket
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from playwright.async_api import expect

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

PATHS = (
    "/", "/target", "/evidence", "/propagation", "/notifications", "/silences", "/api", "/login",
    "/healthz", "/static/page.css", "/declare", "/probe", "/retry", "/silence", "/sign-out", "/metrics",
    "/api/v1/status", "/api/v1/history", "/api/v1/propagation", "/api/v1/routes",
    "/api/v1/notifications", "/api/v1/target", "/api/v1/evidence", "/api/v1/silences",
    "/api/v1/requests/1", "/api/v1/openapi.json", "/api/v1/events", "/api/v1/declarations",
    "/api/v1/probes", "/api/v1/retries", "/api/v2/status",
)  # fmt: skip
#: Parts of paths, of queries and of headers that programs stumble over.
NASTY = (
    b"", b"0", b"-1", b"1", b"1e999", b"9" * 15, b"9" * 16, b"9" * 30, b"9" * 5000, b"0x10", b"1.5",
    b"\xd9\xa3", b"NaN", b"null", b"true", b"[]", b"{}", b"\x00", b"\n", b"\r\n\r\n", b"\xff\xfe",
    b"\xed\xa0\x80", b"%", b"%zz", b"..", b"../" * 20, b"..\\", b"/etc/passwd", b"." * 300,
    b"a" * 300 + b".css", b"a" * 5000, b"*", b"?", b"[", b"[a-", b"a/b:c", b"'; DROP TABLE targets; --",
    b"<script>alert(1)</script>", b"{{7*7}}", b"${7*7}", b"\xe2\x80\xae",
    b"acme-prod/gpt-image-2:images", b"org-acme", b"verified", b"available", b"blocked", b"dead", b"7d",
    b"2h", b"2026-11-20T14:05:00Z", b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59",
    b"2026-02-30T00:00:00Z", b"0000-00-00", b"24:00", b"99999999999999 days ago",
    b"1 " + b"\xe2\x81\xb0",
)  # fmt: skip
WRONG = (
    "//", "/.", "/..", "/%00", "/%2e%2e/", "*", "x", "http://evil.example/", "/%", "/;", "/api//v1/status",
)  # fmt: skip
NAMES = (
    "q", "state", "organization", "pool", "range", "page", "name", "before", "after", "limit", "since",
    "target", "said", "fragment", "format", "kind", "subject", "at", "id", "ids", "channel", "pattern",
    "patterns", "for", "reason", "ended",
)  # fmt: skip
WRITING = (
    "login", "sign-out", "declare", "probe", "retry", "silence", "declarations", "probes", "retries",
    "silences",
)  # fmt: skip
METHODS = (
    "GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO",
)  # fmt: skip
BODIES = (
    b"", b"{", b"[]", b"null", b"1e999", b"NaN", b'"x"', b'{"ids": [1e999]}', b'{"ids": [NaN]}',
    b'{"ids": [true]}', b'{"ids": [1.5]}', b'{"ids": ["1"]}', b'{"ids": {}}', b'{"ids": [[1]]}',
    b'{"ids": [99999999999999999999]}', b'{"ids": [-1]}', b'{"ids": 1}',
    b'{"ids": ' + b"9" * 5000 + b"}", b'{"target": "\\ud800"}', b'{"target": {}}', b'{"target": null}',
    b'{"target": "\\u0000"}', b'{"kind": "verified", "subject": "\\ud800"}',
    b'{"kind": ["verified"], "subject": 1}', b'{"kind": "verified", "subject": "org-acme", "at": 1e999}',
    b'{"kind": "verified", "subject": "org-acme", "at": "0001-01-01T00:00:00+23:59"}',
    b'{"kind": "verified", "subject": "org-acme", "at": "9999-12-31T23:59:59-23:59"}',
    b'{"kind": "verified", "subject": "org-acme", "at": "99999999999999 days ago"}',
    b'{"kind": "verified", "subject": "org-acme", "at": "\\ud800"}', b"[" * 60_000, b'{"a":' * 10_000,
    b"\xff\xfe{}", b"\xed\xa0\x80", b"a=1&a=2&target=%ff%00", b"kind=verified&subject=%ed%a0%80",
    b"id=1e999", b"id=" + b"9" * 5000, b"&" * 2000, b"target=" + b"a" * 60_000, b"x" * 70_000,
    b"--b\r\nContent-Disposition: form-data; name=\"target\"\r\n\r\nx\r\n--b--\r\n", b"--b\r\n",
    b"--b\r\nContent-Disposition: x\r\n\r\n",
    b"--b\r\nContent-Disposition: form-data; name=\"target\"; filename=\"x\"\r\n\r\nx\r\n--b--\r\n",
    (b"--b\r\nContent-Disposition: form-data; name=\"target\"\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n=\r\n--b--\r\n"),
)  # fmt: skip
TYPES = (
    "application/json", "application/json; charset=utf-16", "application/json; charset=nothing",
    "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=nothing",
    "multipart/form-data", "multipart/form-data; boundary=b",
    "multipart/form-data; boundary=" + "b" * 200, "text/plain", "", ";;;",
)  # fmt: skip
HEADERS = (
    "If-None-Match", "Last-Event-ID", "Cookie", "Range", "Accept-Encoding", "Content-Encoding",
    "X-Forwarded-For", "X-Forwarded-Proto", "Origin", "Sec-Fetch-Site", "If-Modified-Since",
    "Transfer-Encoding", "Accept",
)  # fmt: skip


def broken(chance: random.Random, token: str) -> tuple[str, bytes]:
    """One request, as bytes, of which something is broken; and its path."""
    path = chance.choice(PATHS)
    roll = chance.random()
    if roll < 0.15:
        path = f"{path.rstrip('/')}/{quote_from_bytes(chance.choice(NASTY), safe='/.%')}"
    elif roll < 0.25:
        path = f"/static/{quote_from_bytes(chance.choice(NASTY), safe='./%')}"
    elif roll < 0.3:
        path = f"/api/v1/requests/{quote_from_bytes(chance.choice(NASTY), safe='')}"
    elif roll < 0.4:
        path = chance.choice(WRONG)
    address = path
    if chance.random() < 0.7:
        parts = (
            f"{chance.choice(NAMES)}={quote_from_bytes(chance.choice(NASTY), safe='')}"
            for _ in range(chance.randrange(1, 4))
        )
        address += "?" + chance.choice("&;").join(parts)
    writes = path.strip("/").rpartition("/")[2] in WRITING
    method = chance.choice(METHODS) if chance.random() < 0.2 else "POST" if writes else "GET"
    lines = [f"{method} {address} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
    lines += [f"Authorization: Bearer {token}", "Sec-Fetch-Site: same-origin"]
    if chance.random() < 0.3:
        value = chance.choice(NASTY).decode("latin-1").translate({0: None, 10: None, 13: None})
        lines.append(f"{chance.choice(HEADERS)}: {value}")
    body = b""
    if method not in ("GET", "HEAD", "TRACE"):
        body = chance.choice(BODIES)
        usual = TYPES[0] if body[:1] in b"[{" else TYPES[3]
        kind = chance.choice(TYPES) if chance.random() < 0.4 else usual
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return path, "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def answer(
    port: int, request: bytes, *, stream: bool = False, sender: str = "127.0.0.1"
) -> bytes:
    """What comes back, to its end; of a stream, its head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(sender, 0))
    try:
        writer.write(request)
        if stream:
            return await reader.readuntil(b"\r\n\r\n")
        return await reader.read()
    except (ConnectionError, asyncio.IncompleteReadError):
        return b""  # too much was sent: it is refused and cut
    finally:
        writer.close()


async def test_nothing_that_is_sent_is_a_defect(site, tokens):
    await site.watch(tokens=True)
    await site.serve()
    chance = random.Random(14)
    found: list[str] = []
    statuses: dict[int, int] = {}
    slowest = 0.0

    async def send(count: int) -> None:
        nonlocal slowest
        for _ in range(count):
            path, request = broken(chance, tokens["write"])
            # who guesses tokens is shut out for a minute, by address
            sender = f"127.0.{chance.randrange(1, 200)}.1" if path == "/login" else "127.0.0.1"
            began = time.monotonic()
            back = await asyncio.wait_for(
                answer(site.port, request, stream=path == "/api/v1/events", sender=sender), 30
            )
            slowest = max(slowest, time.monotonic() - began)
            status = int(back.split(b" ", 2)[1]) if back else 0
            statuses[status] = statuses.get(status, 0) + 1
            if status >= 500 or b"Traceback" in back:
                found.append(f"{status}: {request[:300]!r}")

    await asyncio.gather(*(send(500) for _ in range(8)))
    print(f"4000 requests: {dict(sorted(statuses.items()))}; the slowest took {slowest:.2f} s")
    log = (site.lab.folder / "web.log").read_text()
    errors = [
        line[:2000] for line in log.splitlines() if "request_failed" in line or "Traceback" in line
    ]
    assert found == []
    assert errors == []
    assert site.web.returncode is None
    # it reached the inside: something was understood, something was not, something was handed over
    assert {200, 202, 303, 400, 404, 405} <= set(statuses)


def memory(pid: int) -> float:
    """Megabytes that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


def connections(pid: int) -> int:
    """Open files of a process: each connection is one."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def slowest_of(client, count: int = 20) -> float:
    """Seconds of the slowest of some requests, one after the other."""
    slowest = 0.0
    for n in range(count):
        began = time.monotonic()
        answer = await client.get(("/", "/api/v1/status", "/propagation", "/static/page.js")[n % 4])
        assert answer.status_code == 200
        slowest = max(slowest, time.monotonic() - began)
    return slowest


#: Answers that nobody reads: more than the kernel keeps.
UNREAD = b"GET /static/page.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 2000
HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
BODY = (
    b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 9999\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\ntoken="
)


async def test_slow_clients_hold_up_nobody_and_lose_their_connections(site):
    await site.watch()
    await site.serve()
    loop, slow = asyncio.get_running_loop(), []
    async with site.client() as client:
        await slowest_of(client)
        files, before = connections(site.web.pid), memory(site.web.pid)

        async def connect(first: bytes) -> None:
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.setblocking(False)
            slow.append(one)
            await loop.sock_connect(one, ("127.0.0.1", site.port))
            try:
                one.send(first)  # as much as it takes at once
            except OSError:
                pytest.fail("the connection was not taken")

        async def drip() -> None:
            while True:
                for one in slow:
                    with suppress(OSError):  # its buffer is full, or it was cut
                        one.send(b"a")
                await asyncio.sleep(0.2)

        try:
            for first in (UNREAD, HEAD, BODY):
                for _ in range(60):
                    await connect(first)
            dripping = asyncio.create_task(drip())
            await site.lab.until(
                lambda: connections(site.web.pid) >= files + 180, "all to be connected"
            )
            slowest = await slowest_of(client, 40)
            grown = memory(site.web.pid) - before
            print(
                f"180 slow clients: the slowest answer {slowest:.2f} s, {grown:.1f} MB more memory"
            )
            assert slowest < 1
            assert grown < 40
            await site.lab.until(
                lambda: connections(site.web.pid) <= files + 1, "the slow ones to be cut"
            )
            assert await slowest_of(client) < 1
        finally:
            dripping.cancel()
            for one in slow:
                one.close()


async def test_streams_are_bounded_and_a_stop_ends_them_all(site, opened):
    await site.watch()
    await site.serve()
    before = memory(site.web.pid)
    head = b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    streams = []
    for _ in range(256):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(head)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await reader.readuntil(b": connected")
        streams.append((reader, writer))
    refused = await answer(site.port, head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert refused.startswith(b"HTTP/1.1 503")
    async with site.client() as client:
        slowest = await slowest_of(client)
        await site.lab.replay(opened)
        told = await asyncio.gather(*(reader.readuntil(b"event: ") for reader, _ in streams))
        assert len(told) == 256
        grown = memory(site.web.pid) - before
        assert slowest < 1
        assert grown < 40
    began = time.monotonic()
    site.web.send_signal(signal.SIGTERM)
    await asyncio.gather(*(reader.read() for reader, _ in streams))
    ended = time.monotonic() - began
    assert await site.web.wait() == 0
    gone = time.monotonic() - began
    for _, writer in streams:
        writer.close()
    print(
        f"256 streams: the slowest answer {slowest:.2f} s, {grown:.1f} MB more memory;"
        f" after SIGTERM all ended in {ended:.2f} s, the process in {gone:.2f} s"
    )
    # a second is promised; a loaded machine may take longer
    assert gone < 5


HOSTILE = '"><script>window.hurt=1</script><img src=x onerror=window.hurt=1><b id=hurt>{{7*7}}'
#: Places of the database whose words come from elsewhere.
PLACES = (
    "runs SET message = ?",
    "events SET request_id = ?",
    "notifications SET channel = ? || id, last_error = ?",
)


async def test_hostile_text_is_text_in_a_browser(site, viewer, target):
    viewer.expected = ["status of 404"]
    await site.watch()
    site.daemon.send_signal(signal.SIGTERM)
    assert await site.daemon.wait() == 0
    with closing(sqlite3.connect(site.database)) as database, database:
        # the name of a target has its key and model in it, and events follow it
        named = f"acme-prod/{HOSTILE}:images"
        for place in PLACES:
            database.execute(f"UPDATE {place}", [HOSTILE] * place.count("?"))
        values = {"organization": HOSTILE, "project": HOSTILE, "model": HOSTILE, "name": named}
        settings = ", ".join(f"{column} = :{column}" for column in values)
        database.execute(
            f"UPDATE targets SET {settings} WHERE name = :old", values | {"old": target}
        )
        database.execute("UPDATE events SET target = ? WHERE target = ?", (named, target))
    await site.serve()
    page = await viewer.open("about:blank")
    hostile, name = (quote_from_bytes(text.encode(), safe="") for text in (HOSTILE, named))
    shown = 0
    for path in (
        "", f"target?name={name}", f"evidence?name={name}", "notifications", "propagation",
        f"?q={hostile}", f"?organization={hostile}", f"?pool={hostile}", f"target?name={hostile}",
        f"evidence?name={hostile}", f"notifications?state={hostile}", hostile, f"?said={hostile}#{hostile}",
    ):  # fmt: skip
        await page.goto(site.url + path)
        if await page.locator("[data-live]").count():
            await expect(page.locator("#stream")).to_contain_text("Live.")  # the script has run
        assert await page.evaluate("window.hurt === undefined"), path
        assert await page.locator("#hurt, main img, main script").count() == 0, path
        shown += (await page.locator("main").text_content()).count("<script>window.hurt=1</script>")
    assert shown > 10  # it is all there, as text
