"""What is kept of an answer: headers that matter, a capped body, an image made small, timings."""

import asyncio
import base64
import gzip
import json
import random
import struct
import zlib

import pytest

from monitor.access.diagnosis import diagnose
from monitor.access.observation import BODY_CAP, Image
from monitor.access.target import Capability
from monitor.access.words import Code, ProbeKind, Surface
from monitor.catalog import bill, builtin
from monitor.probing.received import LIST_CAP, listed

pytestmark = pytest.mark.anyio

SECRET = "sk-test-FAKE-acme-prod-0001"


async def test_the_headers_that_matter_are_kept_and_no_others(server, probe, http) -> None:
    server.answer = http(
        403,
        b"{}",
        X_Request_Id="req_1",
        X_RateLimit_Limit_Requests="5",
        OpenAI_Organization="user-acme",
        Retry_After="20",
        CF_Ray="8a",
        Content_Type="application/json",
        Set_Cookie="a=b",
        X_Other="no",
    )
    seen = await probe()
    assert seen.status == 403
    assert seen.body == b"{}"
    assert seen.headers == {
        "x-request-id": "req_1",
        "x-ratelimit-limit-requests": "5",
        "openai-organization": "user-acme",
        "retry-after": "20",
        "cf-ray": "8a",
        "content-type": "application/json",
    }


async def test_header_values_and_their_number_are_capped(server, probe, http) -> None:
    many = {f"X_RateLimit_{n}": "1" for n in range(100)}
    server.answer = http(200, b"{}", X_Request_Id="r" * 5_000, Server="a\tb", **many)
    seen = await probe()
    assert len(seen.headers["x-request-id"]) == 200
    assert seen.headers["server"] == "a b"
    assert len(seen.headers) == 40


def image_answer(picture: str) -> bytes:
    usage = {"input_tokens": 10, "output_tokens": 54}
    return json.dumps({"data": [{"b64_json": picture}], "usage": usage}).encode()


async def test_a_big_image_is_read_whole_and_kept_small(server, probe, http) -> None:
    server.answer = http(200, image_answer("iVBORw0KGgoAAAAN" + "A" * 3_000_000))
    seen = await probe()
    assert json.loads(seen.body)["data"] == [{"b64_json": "iVBORw0KGgoAAAAN"}]
    assert not seen.truncated
    target = Capability("gpt-image-2", Surface.IMAGES)
    assert bill(builtin(), target, seen.body) == pytest.approx((10 * 5 + 54 * 30) / 1e6)


PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 1440, 480) + bytes(30_000)
TINY = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 1, 1) + bytes(9)


@pytest.mark.parametrize(
    ("picture", "image"),
    [
        (PNG, Image("png", 1440, 480)),
        (TINY, Image("png", 1, 1)),
        (PNG[:12], Image("png", 0, 0)),
        (b"<html>" + b"no image " * 999, None),
    ],
)
async def test_the_size_of_an_image_is_read_before_it_is_made_small(
    server, probe, http, picture: bytes, image: Image | None
) -> None:
    text = base64.b64encode(picture).decode()
    for sent in (text, f"data:image/png;base64,{text}"):
        server.answer = http(200, image_answer(sent))
        assert (await probe()).image == image
    # escaped slashes, and lines as MIME breaks them
    lines = "\\r\\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    server.answer = http(200, b'{"data": [{"b64_json": "%b"}]}' % lines.encode())
    assert (await probe()).image == image
    server.answer = http(200, b'{"output": [{"result":"%b"}]}' % text.replace("/", "\\/").encode())
    seen = await probe(surface=Surface.IMAGE_TOOL)
    # what is a text stays whole: it may be a refusal
    assert (seen.image, len(seen.body) < 300) == (image, image is not None)


async def test_an_image_that_is_cut_has_its_size_and_a_refusal_has_no_image(
    server, probe, http
) -> None:
    text = base64.b64encode(PNG)
    server.answer = http(200, b'{"data": [{"b64_json": "' + text)
    assert (await probe()).image == Image("png", 1440, 480)
    server.answer = http(403, image_answer(text.decode()))
    assert (await probe()).image is None


async def test_the_header_of_an_image_alone_is_none(server, probe, http) -> None:
    server.answer = http(200, image_answer(base64.b64encode(PNG[:33]).decode()))
    assert (await probe()).image == Image("png", 0, 0)


async def test_an_image_whose_characters_are_escaped_as_numbers_is_one(server, probe, http) -> None:
    picture = base64.b64encode(PNG[:33] + b"\xfb\xef\xbe\xff\xff" * 20_000).decode()
    body = image_answer(picture).replace(b"+", b"\\u002B").replace(b"/", b"\\u002f")
    server.answer = http(200, body)
    seen = await probe()
    assert (seen.image, seen.truncated, len(seen.body) < 300) == (
        Image("png", 1440, 480),
        False,
        True,
    )
    assert diagnose(seen).code is Code.ACCESS_GRANTED


async def test_of_several_images_the_smallest_is_kept(server, probe, http) -> None:
    data = [{"b64_json": base64.b64encode(one).decode()} for one in (PNG, TINY, PNG)]
    server.answer = http(200, json.dumps({"data": data}).encode())
    assert (await probe()).image == Image("png", 1, 1)


async def test_the_routes_host_is_known_to_who_reads_a_link(server, probe) -> None:
    assert (await probe()).host == "127.0.0.1"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (
            "data:image/png;base64,iVBORw0KGgoAAAAN" + "A" * 999,
            "data:image/png;base64,iVBORw0KGgoAAAAN",
        ),
        ("iVBORw0KGgoAAAAN" + "AAAA\n" * 999, "iVBORw0KGgoAAAAN"),
        ("iVBORw0KGgo=", "iVBORw0KGgo="),
        ("words " * 500, "words " * 500),
    ],
)
async def test_only_strings_of_base64_are_cut(server, probe, http, sent: str, kept: str) -> None:
    body = {"output": [{"type": "image_generation_call", "result": sent}], "status": "completed"}
    server.answer = http(200, json.dumps(body).encode())
    seen = await probe(surface=Surface.IMAGE_TOOL)
    assert json.loads(seen.body)["output"][0]["result"] == kept


async def test_escaped_slashes_and_nested_json_stay_readable(server, probe, http) -> None:
    inner = '{"b64_json": "\\/9j\\/4AAQSkZJRgAB' + "AQ\\/A" * 900 + '"}'
    server.answer = http(200, json.dumps({"text": inner}).encode())
    seen = await probe()
    assert len(seen.body) < 200
    json.loads(json.loads(seen.body)["text"])
    server.answer = http(200, inner.encode())
    seen = await probe()
    assert len(json.loads(seen.body)["b64_json"]) == 16


@pytest.mark.parametrize(
    ("status", "surface"), [(200, Surface.RESPONSES), (403, Surface.IMAGES), (502, Surface.EDITS)]
)
async def test_a_long_text_is_capped_and_marked(server, probe, http, status, surface) -> None:
    server.answer = http(status, b"so it is " * 20_000)
    seen = await probe("gpt-5.1", surface)
    assert len(seen.body) == BODY_CAP
    assert seen.truncated
    assert seen.failure is None


async def test_an_endless_body_ends_at_the_cap(server, probe) -> None:
    async def forever(_request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            writer.write(b"so it is " * 1_000)
            await writer.drain()

    server.answer = forever
    seen = await probe("gpt-5.1", Surface.RESPONSES)
    assert (seen.status, len(seen.body), seen.truncated) == (200, BODY_CAP, True)
    assert seen.failure is None


async def test_an_endless_image_ends_at_its_own_cap(server, probe) -> None:
    async def forever(_request, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\n\r\n{"data": [{"b64_json": "')
        while True:
            writer.write(b"A" * 100_000)
            await writer.drain()

    server.answer = forever
    seen = await probe()
    assert seen.body == b'{"data": [{"b64_json": "' + b"A" * 16
    assert seen.truncated


def bare(body: bytes) -> bytes:
    """Packed as some servers take `deflate`: without the header of zlib."""
    return zlib.compress(body, wbits=-zlib.MAX_WBITS)


def twice(body: bytes) -> bytes:
    return gzip.compress(gzip.compress(body))


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("GZIP", gzip.compress),
        ("deflate", bare),
        ("gzip, gzip", twice),
        ("deflate, gzip", lambda body: gzip.compress(bare(body))),
    ],
)
async def test_a_body_that_is_compressed_regardless_is_read(
    server, probe, http, encoding, pack
) -> None:
    for body in (
        b'{"error": {}}',
        b'{"data": "%b"}' % random.Random(7).randbytes(20_000).hex(" ").encode(),
    ):
        server.answer = http(403, pack(body), Content_Encoding=encoding)
        seen = await probe()
        assert (seen.body, seen.truncated) == (body, False)


async def test_what_is_packed_and_is_nothing_ends_too(server, probe) -> None:
    async def pack(request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 Said\r\nContent-Encoding: gzip\r\n\r\n")
        packing = zlib.compressobj(wbits=31)
        writer.write(packing.flush(zlib.Z_FULL_FLUSH))
        nothing = b"\x00\x00\x00\xff\xff" * 10_000  # stored blocks without anything in them
        while not writer.is_closing():
            writer.write(nothing)
            await writer.drain()

    server.answer = pack
    seen = await probe(deadline=20.0)
    assert (seen.failure, seen.truncated, seen.body) == (None, True, b"")


async def test_an_answer_that_nobody_asked_for_answers_no_later_request(
    server, probe, http
) -> None:
    later = asyncio.Event()

    async def push(request, writer: asyncio.StreamWriter) -> None:
        writer.write(http(500, b"first"))
        await writer.drain()
        if len(server.requests) == 1:
            await later.wait()
            writer.write(http(403, b"another key's"))
            await writer.drain()

    server.answer = push
    assert (await probe()).body == b"first"
    later.set()
    (pushing,) = server.tasks
    await asyncio.wait([pushing], timeout=5)  # until the connection is closed
    assert (await probe()).body == b"first"


async def test_answers_that_are_read_together_are_bounded_together(server, probe) -> None:
    async def flood(_request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 Said\r\nContent-Type: application/json\r\n\r\n")
        writer.write(b'{"data": [{"b64_json": "')
        for _ in range(20 * 16):
            writer.write(b"A" * 64 * 1024)
            await writer.drain()

    server.answer = flood  # of 20 MiB each, and then it stands still
    probes = [asyncio.create_task(probe(deadline=20.0)) for _ in range(30)]
    ended = asyncio.as_completed(probes)
    for _ in range(16):
        seen = await next(ended)
        assert (seen.failure, seen.truncated) == (None, True)
    for task in probes:
        task.cancel()
    await asyncio.gather(*probes, return_exceptions=True)


async def test_a_bomb_is_expanded_no_further_than_the_cap(server, probe, http) -> None:
    nothing = b"0" * 100_000_000
    for encoding, packed in (
        ("gzip", gzip.compress(nothing)),
        ("deflate", bare(nothing)),
        ("gzip, gzip", twice(nothing)),
    ):
        server.answer = http(403, packed, Content_Encoding=encoding)
        seen = await probe()
        assert (len(seen.body), seen.truncated) == (BODY_CAP, True)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, br", "gzip, gzip, gzip"])
async def test_what_cannot_be_expanded_is_left_as_it_came(server, probe, http, encoding) -> None:
    for body in (b"plain", b'{"error": {"message": "not packed at all"}}', "pläin".encode()):
        server.answer = http(403, body, Content_Encoding=encoding)
        assert (await probe()).body == body


async def test_a_stream_is_read_to_its_end(server, probe) -> None:
    async def stream(_request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for frame in (b"data: 1\n\n", b"data: 2\n\n", b"data: [DONE]\n\n"):
            writer.write(b"%x\r\n%s\r\n" % (len(frame), frame))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    server.answer = stream
    seen = await probe("gpt-5.1", Surface.STREAM)
    assert seen.body == b"data: 1\n\ndata: 2\n\ndata: [DONE]\n\n"
    assert not seen.truncated
    assert server.requests[0].headers["accept"] == "text/event-stream"


async def test_interim_answers_are_passed_over(server, probe, http) -> None:
    server.answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + http(403, b"{}")
    assert (await probe()).status == 403


async def test_timings_tell_a_new_connection_from_a_used_one(server, probe) -> None:
    first, second = (await probe()).timings, (await probe()).timings
    assert first.reused is False
    assert first.connect is not None
    assert first.tls is None
    assert first.first_byte is not None
    assert 0 < first.connect <= first.first_byte <= first.total
    assert second.reused is True
    assert second.connect is None


def _list_of(count: int) -> bytes:
    entry = {"object": "model", "created": 1, "owned_by": "system" * 10}
    data = [{"id": f"m-{n}", "shutdown_date": "2026-12-11", **entry} for n in range(count)]
    return json.dumps({"object": "list", "data": data}).encode()


async def test_a_long_model_list_is_read_whole_and_kept_in_brief(server, probe, http) -> None:
    server.answer = http(200, _list_of(3000))
    seen = await probe(kind=ProbeKind.LISTING)
    assert len(listed(seen.body)) == 3000
    assert len(seen.body) < len(_list_of(3000)) / 2
    assert not seen.truncated


async def test_an_endless_model_list_is_cut_and_marked(server, probe, http) -> None:
    endless = _list_of(9000)
    assert len(endless) > LIST_CAP
    server.answer = http(200, endless)
    seen = await probe(kind=ProbeKind.LISTING)
    assert (len(seen.body), seen.truncated) == (BODY_CAP, True)


async def test_a_refusal_of_the_list_is_capped_like_any_other(server, probe, http) -> None:
    server.answer = http(403, _list_of(3000))
    seen = await probe(kind=ProbeKind.LISTING)
    assert (len(seen.body), seen.truncated) == (BODY_CAP, True)


@pytest.mark.parametrize("before", [0, 150, 185, 470, 490, 499, 1990, 64 * 1024 - 20])
async def test_an_echoed_key_is_nowhere_in_what_is_shown_whatever_cap_cuts_it(
    server, probe, http, before: int
) -> None:
    headers = {"X-Request-Id": "x" * min(before, 190) + SECRET, "Server": f"Bearer {SECRET}"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
    body = b"x" * (before - 1) + b" " + SECRET.encode() + b"y" * 70_000
    server.answer = b"HTTP/1.1 403 No\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    seen = await probe()
    assert seen.status == 403
    assert SECRET[:4] not in diagnose(seen).message
    assert SECRET[:4] not in repr(seen.headers)


async def test_no_part_of_a_key_is_left_where_a_long_header_is_cut(server, probe, http) -> None:
    escaped = f"%{ord(SECRET[0]):02x}{SECRET[1:]}"
    many = {f"X_RateLimit_{n}": "x" * n + f" {escaped}" * 1_500 for n in range(40)}
    server.answer = http(403, b"{}", **many)
    seen = await probe(deadline=20.0)
    assert (seen.failure, len(seen.headers)) == (None, 40)
    assert "%" not in repr(seen.headers)
    assert "acme" not in repr(seen.headers)
    plain = "answered by a server of acme's, " * 40
    server.answer = http(403, b"{}", Server=plain, X_Request_Id=SECRET)
    assert (await probe()).headers["server"] == plain[:200]
