"""Whatever the network and the server do, a probe ends with an observation that holds no secret."""

import asyncio
import socket
import struct

import pytest
from listening import listening
from mail_server import certificate, server_tls

from monitor.access.diagnosis import diagnose
from monitor.access.diagnosis.advice import advise_on
from monitor.access.observation import Failure
from monitor.access.target import Capability
from monitor.access.words import Code, Owner, ProbeKind, Surface
from monitor.catalog import builtin
from monitor.probing import Credentials, Prober

pytestmark = pytest.mark.anyio

SECRET = "sk-test-FAKE-acme-prod-0001"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_refused_connection_was_never_sent(probe) -> None:
    port = free_port()
    seen = await probe(base_url=f"http://127.0.0.1:{port}/v1")
    assert (seen.status, seen.failure, seen.sent) == (None, Failure.REFUSED, False)
    assert seen.failure_text == f"127.0.0.1 port {port} refused the connection"
    assert seen.timings.reused is None


@pytest.mark.parametrize("host", ["nothing.invalid", "a" * 70 + ".invalid"])
async def test_a_name_that_does_not_resolve_was_never_sent(probe, host: str) -> None:
    seen = await probe(base_url=f"http://{host}/v1")
    assert (seen.failure, seen.sent) == (Failure.NAME_RESOLUTION, False)
    assert "name" in seen.failure_text
    assert "Error" not in seen.failure_text


async def test_tls_to_a_plain_port_was_never_sent(server, probe) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ready\r\n")
        await reader.read()

    async with listening(greet) as port:
        seen = await probe(base_url=f"https://127.0.0.1:{port}/v1")
    assert (seen.failure, seen.sent) == (Failure.NO_TLS, False)
    assert seen.failure_text == f"127.0.0.1 port {port} speaks no TLS"
    assert seen.timings.connect is not None


@pytest.mark.parametrize(
    ("name", "days", "trusted", "words"),
    [
        ("localhost", 2, False, "is signed by itself"),
        ("localhost", -2, True, "has expired"),
        ("other.example", 2, True, "is for another name"),
    ],
)
async def test_a_certificate_that_does_not_fit_says_what_is_wrong_with_it(
    tmp_path, monkeypatch, name, days, trusted, words
) -> None:
    file = certificate(tmp_path, name, days)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    prober = Prober(catalog=builtin())
    async with await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=server_tls(file)
    ) as there:
        port = there.sockets[0].getsockname()[1]
        credentials = Credentials(secret=SECRET, base_url=f"https://localhost:{port}/v1")
        seen = await prober.probe(credentials, Capability("o3", Surface.CHAT), ProbeKind.FULL)
    await prober.aclose()
    assert (seen.failure, seen.sent) == (Failure.CERTIFICATE, False)
    assert seen.failure_text.startswith(f"the certificate of localhost {words}")
    found = diagnose(seen)
    assert (found.code, found.owner) == (Code.NETWORK_ERROR, Owner.ROUTE)
    advice = advise_on(found)
    assert "SSL_CERT_FILE" in advice.advice
    assert seen.failure_text in advice.meaning


async def test_a_connection_that_hangs_is_told_from_an_answer_that_does() -> None:
    # a queue of nobody's: what comes after the first connections gets no answer at all
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        others = [socket.socket() for _ in range(3)]
        for other in others:
            other.setblocking(False)
            other.connect_ex(("127.0.0.1", port))
        prober = Prober(catalog=builtin())
        credentials = Credentials(secret=SECRET, base_url=f"http://127.0.0.1:{port}/v1")
        target = Capability("o3", Surface.CHAT)
        seen = await prober.probe(credentials, target, ProbeKind.FULL, deadline=0.2)
        await prober.aclose()
        for other in others:
            other.close()
    assert (seen.failure, seen.sent) == (Failure.CONNECT_TIMEOUT, False)
    assert seen.failure_text == f"no connection to 127.0.0.1 port {port} within 0.2 s"


async def test_a_reset_after_the_request_may_still_be_billed(server, probe) -> None:
    async def reset(_request, writer: asyncio.StreamWriter) -> None:
        linger = struct.pack("ii", 1, 0)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        raise ConnectionError

    server.answer = reset
    seen = await probe()
    assert (seen.status, seen.failure, seen.sent) == (None, Failure.CUT, True)


async def hang_up(_request, _writer: asyncio.StreamWriter) -> None:
    raise ConnectionError


async def test_a_server_that_hangs_up_without_an_answer_cut_it(server, probe) -> None:
    server.answer = hang_up
    seen = await probe()
    assert (seen.status, seen.failure, seen.sent) == (None, Failure.CUT, True)


async def test_a_body_cut_short_keeps_what_came(server, probe) -> None:
    async def cut(_request, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 403 No\r\nX-Request-Id: req_1\r\nContent-Length: 99\r\n\r\n{"err')
        await writer.drain()
        raise ConnectionError

    server.answer = cut
    seen = await probe()
    assert (seen.status, seen.failure, seen.sent) == (403, Failure.CUT, True)
    assert (seen.body, seen.truncated) == (b'{"err', True)
    assert seen.headers == {"x-request-id": "req_1"}


@pytest.mark.parametrize(
    "garbage",
    [
        b"220 mail.example ready\r\n\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
        b"HTTP/1.1 abc No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_a_protocol_failure(server, probe, garbage: bytes) -> None:
    server.answer = garbage
    seen = await probe()
    assert (seen.status, seen.failure, seen.sent) == (None, Failure.PROTOCOL, True)


@pytest.mark.parametrize(
    "head",
    [
        b"X-Request-Id: " + b"r" * 150_000 + b"\r\n",
        b"".join(b"X-%d: acme\r\n" % number for number in range(300)),
    ],
)
async def test_headers_that_are_too_long_or_too_many_are_told_as_such(server, probe, head) -> None:
    server.answer = b"HTTP/1.1 403 No\r\n" + head + b"Content-Length: 2\r\n\r\n{}"
    seen = await probe()
    assert (seen.status, seen.failure, seen.sent) == (None, Failure.HEADERS, True)
    found = diagnose(seen)
    assert (found.code, found.owner) == (Code.NETWORK_ERROR, Owner.ROUTE)
    advice = advise_on(found)
    assert "headers" in advice.meaning
    assert "no API" not in advice.advice


async def test_a_silent_server_ends_at_the_deadline(server, probe) -> None:
    async def silent(_request, _writer) -> None:
        await asyncio.Event().wait()

    server.answer = silent
    seen = await probe(deadline=0.3)
    assert (seen.status, seen.failure, seen.sent) == (None, Failure.TIMEOUT, True)
    assert seen.failure_text == "no whole answer within 0.3 s"
    assert seen.timings.total >= 300


async def test_a_dripping_body_ends_at_the_deadline(server, probe) -> None:
    async def drip(_request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.001)  # the drip itself

    server.answer = drip
    seen = await probe(deadline=0.3)
    assert (seen.status, seen.failure, seen.truncated) == (200, Failure.TIMEOUT, True)
    assert seen.body.startswith(b"..")


async def test_endless_interim_answers_end_at_the_deadline(server, probe) -> None:
    async def hints(_request, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await writer.drain()

    server.answer = hints
    seen = await probe(deadline=0.3)
    assert (seen.status, seen.failure) == (None, Failure.TIMEOUT)


@pytest.mark.parametrize("secret", [SECRET + "\nX: y", SECRET + "\u00e9", SECRET + "\x00"])
async def test_a_key_that_cannot_be_sent_is_nowhere_in_the_failure(server, prober, secret) -> None:
    credentials = Credentials(secret=secret, base_url=server.base_url)
    seen = await prober.probe(credentials, Capability("o3", Surface.CHAT), ProbeKind.FULL)
    assert (seen.failure, seen.sent) == (Failure.PROTOCOL, False)
    assert SECRET not in repr(seen)
    assert server.requests == []


async def test_a_proxy_that_refuses_is_named_and_got_no_request_of_ours(
    server, http, monkeypatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("NO_PROXY", "")
    server.answer = http(407)
    prober = Prober(catalog=builtin())
    credentials = Credentials(secret=SECRET, base_url="https://api.example/v1")
    seen = await prober.probe(credentials, Capability("o3", Surface.CHAT), ProbeKind.FULL)
    await prober.aclose()
    assert (seen.status, seen.failure, seen.sent) == (None, Failure.PROXY, False)
    assert [request.method for request in server.requests] == ["CONNECT"]
    assert SECRET not in repr(server.requests)


async def test_no_more_than_the_limit_are_in_flight_and_none_fails_for_want_of_a_slot(
    server, http
) -> None:
    active, peak, full = 0, 0, asyncio.Event()

    async def count(_request, writer: asyncio.StreamWriter) -> None:
        nonlocal active, peak
        active += 1
        peak = max(peak, active)
        if active == 3:
            full.set()
        await full.wait()
        active -= 1
        writer.write(http(200, b"{}"))

    server.answer = count
    prober = Prober(catalog=builtin(), limit_in_flight=3)
    credentials = Credentials(secret=SECRET, base_url=server.base_url)
    target = Capability("o3", Surface.CHAT)
    answers = await asyncio.gather(
        *(prober.probe(credentials, target, ProbeKind.FULL) for _ in range(30))
    )
    await prober.aclose()
    assert [seen.status for seen in answers] == [200] * 30
    assert peak == 3


async def test_a_cancelled_probe_is_cancelled_and_frees_its_slot(server, http) -> None:
    arrived = asyncio.Event()

    async def silent(_request, _writer) -> None:
        arrived.set()
        await asyncio.Event().wait()

    server.answer = silent
    prober = Prober(catalog=builtin(), limit_in_flight=1)
    credentials = Credentials(secret=SECRET, base_url=server.base_url)
    target = Capability("o3", Surface.CHAT)
    task = asyncio.create_task(prober.probe(credentials, target, ProbeKind.FULL))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.answer = http(200, b"{}")
    assert (await prober.probe(credentials, target, ProbeKind.FULL)).status == 200
    await prober.aclose()
