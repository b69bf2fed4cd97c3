"""Calling a dead man's switch, on a real server."""

from contextlib import AsyncExitStack

import pytest
from listening import listening

from monitor.probing import ping

pytestmark = pytest.mark.anyio


@pytest.fixture
async def served():
    """Starts a server that answers with the given bytes, or never; gives its URL and what it read."""
    heads = []

    async def serve(answer):
        async def talk(reader, writer):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            if answer is None:
                await reader.read()  # until the client gives up
            else:
                writer.write(answer)
                await writer.drain()

        port = await stack.enter_async_context(listening(talk))
        return f"http://127.0.0.1:{port}/FAKE-0001", heads

    async with AsyncExitStack() as stack:
        yield serve


def answer(status):
    return b"HTTP/1.1 %s\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:1/\r\n\r\n" % status


async def test_a_call_that_was_taken_has_nothing_to_say(served):
    url, heads = await served(answer(b"200 OK"))
    assert await ping(f"{url}/start") is None
    assert heads[0].startswith(b"GET /FAKE-0001/start HTTP/1.1\r\n")
    assert b"authorization" not in heads[0].lower()


@pytest.mark.parametrize("status", [b"302 Found", b"404 Not Found", b"503 Unavailable"])
async def test_any_other_answer_is_not_taken_and_no_redirect_is_followed(served, status):
    url, heads = await served(answer(status))
    assert await ping(url) == f"answered {status[:3].decode()}"
    assert len(heads) == 1


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:99999", "socks5://127.0.0.1:1", "http://[::1"])
async def test_a_proxy_that_is_none_is_told_too(monkeypatch, proxy):
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "")
    assert (await ping("http://hc.example/FAKE-0001")).startswith("could not be reached (")


async def test_a_server_that_never_answers_is_left_in_time(served):
    url, _ = await served(None)
    assert await ping(url, seconds=0.2) == "no answer within 0.2 s"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/FAKE-0001", "http://[::FAKE-0001/", "http://\x00FAKE-0001/"]
)
async def test_what_cannot_be_reached_is_said_without_the_url(url):
    said = await ping(url)
    assert said.startswith("could not be reached")
    assert "FAKE" not in said
