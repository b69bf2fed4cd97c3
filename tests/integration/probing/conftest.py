"""A server that answers as told, byte by byte, and remembers what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest

from monitor.access.observation import Observation
from monitor.access.target import Capability
from monitor.access.words import ProbeKind, Surface
from monitor.catalog import builtin
from monitor.probing import Credentials, Prober

SECRET = "sk-test-FAKE-acme-prod-0001"


@dataclass
class Request:
    """One request as the server saw it; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer: TypeAlias = bytes | Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Answers every request with `answer`; `requests` are those received, in order."""

    answer: Answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self.tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ")
                pairs = (line.split(": ", 1) for line in head[1:] if line)
                headers = {name.lower(): value for name, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                request = Request(method, path, headers, body)
                self.requests.append(request)
                if isinstance(self.answer, bytes):
                    writer.write(self.answer)
                else:
                    await self.answer(request, writer)
                await writer.drain()
        writer.close()


def http(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer with a content length and these headers (`_` stands for `-`)."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture(name="http")
def http_fixture() -> Callable[..., bytes]:
    """`http(status, body, **headers)` makes an answer."""
    return http


@pytest.fixture
async def server(anyio_backend: str) -> AsyncIterator[Server]:
    """A server on a free loopback port."""
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    yield server
    listening.close()
    for task in server.tasks:
        task.cancel()
    await asyncio.gather(*server.tasks, return_exceptions=True)


@pytest.fixture
async def prober(anyio_backend: str) -> AsyncIterator[Prober]:
    """A prober over the built-in catalog."""
    prober = Prober(catalog=builtin())
    yield prober
    await prober.aclose()


@pytest.fixture
def credentials(server: Server) -> Credentials:
    """A key of the server's route, with organization and project."""
    return Credentials(
        secret=SECRET, organization="org-acme", project="proj_acme", base_url=server.base_url
    )


Probing: TypeAlias = Callable[..., Awaitable[Observation]]


@pytest.fixture
def probe(prober: Prober, credentials: Credentials) -> Probing:
    """`await probe(model, surface, kind, base_url=…, deadline=…)`; by default gpt-image-2 on images."""

    async def probing(
        model: str = "gpt-image-2",
        surface: Surface = Surface.IMAGES,
        kind: ProbeKind = ProbeKind.FULL,
        base_url: str = credentials.base_url,
        deadline: float | None = None,
    ) -> Observation:
        sent = Credentials(
            secret=SECRET, organization="org-acme", project="proj_acme", base_url=base_url
        )
        seen = await prober.probe(sent, Capability(model, surface), kind, deadline=deadline)
        assert SECRET not in repr(seen)
        return seen

    return probing
