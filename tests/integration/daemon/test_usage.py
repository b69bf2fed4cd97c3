"""Whatever a server claims to have used: the answer is recorded, the bill bounded, the next probe on time."""

import asyncio
import json
import re
import socket
import struct
import zlib
from base64 import b64encode

import pytest
import structlog
from listening import listening
from quick_time import FACTOR
from stored import runs_of

from monitor.config import load

pytestmark = pytest.mark.anyio

PER_KEY = 0.05
GATED = {
    "error": {
        "message": "Your organization must be verified to use the model `gpt-image-2`.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
}


def png(width=1440, height=480) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


class Relay:
    """A server of images that refuses first, and then claims what it likes."""

    def __init__(self, usage: str) -> None:
        image = b64encode(png()).decode()
        images = json.dumps([{"b64_json": image}])
        self._granted = f'{{"created": 1, "data": {images}, "usage": {usage}}}'.encode()
        self.asked: list[tuple[str, float]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if length := re.search(rb"(?i)content-length: (\d+)", head):
                await reader.readexactly(int(length[1]))
            listing = head.startswith(b"GET")
            self.asked.append(("list" if listing else "full", asyncio.get_running_loop().time()))
            first = [kind for kind, _ in self.asked].count("full") == 1
            status, body = (200, self._granted) if not first else (403, json.dumps(GATED).encode())
            if listing:
                status, body = 200, b'{"object": "list", "data": []}'
            writer.write(
                b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (status, len(body), body)
            )


@pytest.fixture
def relayed(bench):
    """Starts a monitor on a server of this usage."""

    async def begin(usage: str):
        relay = Relay(usage)
        port = await bench._stack.enter_async_context(listening(relay.serve))
        path = bench.folder / "access-monitor.toml"
        path.write_text(
            '[monitor]\ndatabase = "sqlite:///monitor.db"\n'
            f'[routes.relay]\nbase_url = "http://127.0.0.1:{port}/v1"\nrate = 500.0\n'
            '[[keys]]\nname = "acme"\nsecret = "env:ACME"\nroute = "relay"\nwatch = ["gpt-image-2"]\n'
            '[cadence]\neager = "200ms"\nsettling = "600ms"\nimage_gap = "1ms"\n'
            f'[confirmation]\nconfirmation_span = "500ms"\n[budget]\nper_key_per_day = {PER_KEY}\n'
        )
        monitor = await bench.run(load(path, {"ACME": "sk-relay-FAKE-0001"}))
        return relay, monitor

    return begin


def usage(tokens: str) -> str:
    return f'{{"input_tokens": {tokens}, "output_tokens": {tokens}, "total_tokens": {tokens}}}'


@pytest.mark.parametrize(
    ("tokens", "bounded"),
    [
        ("1000000000", True),
        ("1" + "0" * 320, True),
        ("0", False),
        ("-1000000000", False),
        ("NaN", False),
        ("Infinity", False),
        ("1e400", False),
        ('"1000000000"', False),
        ("[1000000000]", False),
        ("true", False),
    ],
    ids=lambda value: str(value)[:12],
)
async def test_whatever_usage_claims_is_recorded_and_bounded_and_the_next_probe_is_on_time(
    bench, relayed, tokens, bounded
):
    relay, _ = await relayed(usage(tokens))
    await bench.until(lambda: "first_light" in bench.events())
    granted = [at for kind, at in relay.asked if kind == "full"][1]
    await bench.until(lambda: relay.asked[-1][1] > granted)
    following = next(at for _, at in relay.asked if at > granted)
    assert following - granted < 0.6 + 2.0 * FACTOR  # settling, and a busy machine
    if bounded:
        await bench.until(lambda: "budget" in bench.events())
        assert bench.spent() == pytest.approx(PER_KEY)
    else:
        await bench.until(lambda: "available" in bench.events())
        assert 0 < bench.spent() <= PER_KEY
    await bench.stop()
    assert bench.events().count("budget") == bounded
    (run,) = [
        run
        for run in runs_of(bench.folder / "monitor.db", "acme/gpt-image-2:images", "full")
        if run.diagnosis == "access_granted"
    ]
    assert run.status == 200


async def test_an_answer_that_cannot_be_evaluated_is_recorded_in_doubt_and_asked_again_on_time(
    bench, relayed
):
    relay, monitor = await relayed(usage("5"))
    monitor._pipeline._cache = None  # whatever goes wrong: here nobody reads the answer
    with structlog.testing.capture_logs() as logs:
        await bench.until(
            lambda: sum(entry["event"] == "answer_not_evaluated" for entry in logs) > 2
        )
    (watch,) = monitor.watches
    assert watch.memory.last_full == "unrecognized"
    assert bench.held() >= watch.price
    assert bench.spent() == 0
    gaps = [b - a for (_, a), (_, b) in zip(relay.asked, relay.asked[1:], strict=False)]
    assert max(gaps) < 2.0 * FACTOR


async def test_a_probe_that_is_cancelled_before_it_left_is_not_in_doubt(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    with socket.socket() as full:  # a queue of nobody's: no connection is made
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        others = [socket.socket() for _ in range(3)]
        for other in others:
            other.setblocking(False)
            other.connect_ex(address)
        route = f'[routes.slow]\nbase_url = "http://127.0.0.1:{address[1]}/v1"\n'
        acme = key("acme").replace('route = "sim"', 'route = "slow"')
        await bench.run(bench.settings(acme + route))
        await bench.until(lambda: bench.held() > 0)
        await bench.stop()
        for other in others:
            other.close()
    assert bench.held() == 0
