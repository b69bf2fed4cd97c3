"""Faults of the network between the daemon and its channels: each message comes, late, and nobody waits."""

import asyncio
import re
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(200)]

#: Bytes of memory the daemon may have used at most, whatever was sent to it.
MEMORY = 240 * 1024 * 1024

Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\n"
NESTED = b"[" * (5 * 1024 * 1024) + b"]" * (5 * 1024 * 1024)


def sending(first: bytes, again: bytes = b"", pause: float = 0.0, *, request: bool = True) -> Serve:
    """Reads a request, sends something, and then something without end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if request:
            await reader.readuntil(b"\r\n\r\n")
        writer.write(first)
        while again:
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(pause)
        await writer.drain()

    return serve


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        pass


WEB: dict[str, Serve] = {
    "reset": reset,
    "silent": silent,
    "garbage": sending(b"220 mail.example ESMTP\r\n\x00\xff\r\n"),
    "dripping-head": sending(HEAD + b"x-filler: ", b".", 0.02),
    "dripping-body": sending(HEAD + b"content-length: 90000\r\n\r\n", b".", 0.02),
    "endless-body": sending(b"HTTP/1.1 500 No\r\n\r\n", b" " * 65536),
    "endless-headers": sending(HEAD, b"x-filler: 1\r\n" * 100),
    "endless-interim": sending(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "redirect": sending(
        b"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"
    ),
    "nested": sending(b"HTTP/1.1 500 No\r\ncontent-length: %d\r\n\r\n%b" % (len(NESTED), NESTED)),
}
MAIL: dict[str, Serve] = {
    "mail-reset": reset,
    "mail-silent": silent,
    "mail-garbage": sending(b"HTTP/1.1 400 Bad Request\r\n\r\n", request=False),
    "mail-dripping": sending(b"220-", b".", 0.02, request=False),
    "mail-endless": sending(b"", b"220-mail.example\r\n" * 100, request=False),
    "mail-long-line": sending(b"220 ", b"m" * 65536, request=False),
    "mail-busy": sending(b"421 mail.example busy\r\n", request=False),
}
#: No HTTP and no mail: a certificate, a name, a proxy.
OTHERS = ("expired", "wrong-name", "refused", "proxied", "unresolved")


async def hook(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A webhook that takes everything."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    await reader.readexactly(int(length[1]) if length else 0)
    writer.write(HEAD + b"content-length: 2\r\nconnection: close\r\n\r\nok")
    await writer.drain()


async def wants_a_password(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()


async def forward(
    port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, connect: bool = False
) -> None:
    """To the server that works; `connect` for what came to a proxy."""
    if connect:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    there, here = await asyncio.open_connection("127.0.0.1", port)

    async def pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()

    both = [asyncio.create_task(pour(*way)) for way in ((reader, here), (there, writer))]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    here.close()


class Front:
    """A server with a fault that passes after so many connections."""

    def __init__(self, fault: Serve, good: Serve, times: int) -> None:
        self.met = 0
        self.port = 0
        self.times = times
        self._fault, self._good = fault, good
        self._server: asyncio.Server | None = None

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        if self._server:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met += 1
        serve = self._fault if self.met <= self.times else self._good
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()


@pytest.fixture
def times(torture) -> int:
    """Connections that meet a fault before it passes."""
    return 5 if torture else 2


@pytest.fixture
async def front(anyio_backend: str, times: int) -> AsyncIterator[Callable[..., Awaitable[Front]]]:
    made: list[Front] = []

    async def begin(fault: Serve, good: Serve = hook, tls: ssl.SSLContext | None = None) -> Front:
        made.append(Front(fault, good, times))
        await made[-1].open(tls)
        return made[-1]

    yield begin
    for one in made:
        one.close()


def settings(base_url: str, names: list[str], fast: str) -> str:
    parts = [
        '[monitor]\ndatabase = "sqlite:///monitor.db"\nlog_format = "json"',
        f'[routes.sim]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 500.0',
        '[[keys]]\nname = "gated"\nsecret = "env:KEY"\nroute = "sim"\nwatch = ["gpt-image-2"]',
    ]
    parts += [
        f'[[channels]]\nname = "{name}"\nurl = "env:{name.upper().replace("-", "_")}"'
        for name in names
    ]
    # a busy machine may need longer for an attempt that works
    return "\n".join(parts) + fast + 'timeout = "4s"\n'


def process(pid: int) -> dict[str, str]:
    """What the system knows of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t") for line in lines if ":\t" in line)


async def test_a_message_comes_when_the_fault_has_passed_and_nobody_waits_for_it(
    lab, fast, front, certified, fault, times
):
    await lab.open_ends()
    await lab.simulate('name = "one"\n[[keys]]\nname = "gated"\nsecret = "sk-sim-FAKE-gated-0001"')
    urls: dict[str, str] = {}
    fronts = {name: await front(serve) for name, serve in WEB.items()}
    for name, one in fronts.items():
        urls[name] = f"json://127.0.0.1:{one.port}/{name}"
    for name, serve in MAIL.items():
        one = fronts[name] = await front(serve, partial(forward, lab.mail.port))
        urls[name] = lab.mail.url().replace(f":{lab.mail.port}", f":{one.port}")
    tls = {name: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for name in ("expired", "wrong-name")}
    good = certified("localhost")
    tls["expired"].load_cert_chain(certified("localhost", -1))
    tls["wrong-name"].load_cert_chain(certified("wrong.example"))
    for name, context in tls.items():
        urls[name] = f"jsons://localhost:{(await front(hook, hook, context)).port}/"
    behind = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    behind.load_cert_chain(certified("hook.example"))
    webhook = await front(hook, hook, behind)
    proxy = await front(wants_a_password, partial(forward, webhook.port, connect=True))
    refused = await front(hook)
    refused.close()
    healthy = await front(hook)
    urls |= {
        "refused": f"json://127.0.0.1:{refused.port}/",
        "proxied": "jsons://hook.example/proxied",
        "unresolved": "json://nothing.invalid/",
        "healthy": f"json://127.0.0.1:{healthy.port}/",
    }
    trusted = lab.folder / "trusted.crt"
    trusted.write_bytes(b"".join(pem.read_bytes() for pem in lab.folder.glob("*.pem")))
    lab.environ |= {name.upper().replace("-", "_"): url for name, url in urls.items()}
    lab.environ |= {
        "KEY": "sk-sim-FAKE-gated-0001",
        "HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}",
        "NO_PROXY": "127.0.0.1,localhost",
        "REQUESTS_CA_BUNDLE": str(trusted),
    }
    lab.settings.write_text(settings(lab.base_url, list(urls), fast))
    daemon = await lab.daemon()
    tried: dict[str, str] = {}

    def states() -> dict[str, str]:
        return dict(
            lab.ask(
                "SELECT channel, state FROM notifications JOIN events"
                " ON events.id = event_id WHERE kind = 'unverified'"
            )
        )

    await lab.until(
        lambda: states().get("healthy") == "delivered", "the channel without a fault", patience=15
    )

    def failed(*names: str) -> bool:
        errors = "SELECT channel, last_error FROM notifications WHERE last_error IS NOT NULL"
        for channel, error in lab.ask(errors):
            tried.setdefault(channel, error)
        return set(names) <= set(tried)

    await lab.until(
        partial(failed, "expired", "wrong-name", "refused", "unresolved"), "the others to fail"
    )
    for context in tls.values():
        context.load_cert_chain(good)
    await refused.open()

    def all_told() -> bool:
        failed()
        now = states()
        return all(now[name] == "delivered" for name in urls if name != "unresolved")

    await lab.until(all_told, "every channel whose fault has passed", patience=90)
    assert states()["unresolved"] == "pending"
    figures = process(daemon.pid)
    most, threads = 1024 * int(figures["VmHWM"].split()[0]), int(figures["Threads"])
    daemon.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(daemon.wait(), 6) == 0
    log = (lab.folder / "run.log").read_text()
    assert "Traceback" not in log
    assert most < MEMORY
    assert threads < 20, "threads of attempts that never came back"
    for name in (*WEB, *MAIL, *OTHERS):
        seen = "pending, with the reason" if name == "unresolved" else "delivered afterwards"
        seen += f"; the daemon's peak: {most // 1024**2} MiB" if name == "endless-body" else ""
        often = times if name in fronts or name == "proxied" else "until mended"
        fault(f"a channel: {name.replace('-', ' ')}", often, "retried, and holds up nobody", seen)
    assert set(WEB) | set(MAIL) <= {name for name, one in fronts.items() if one.met > times}
    assert not any("\n" in reason or "FAKE" in reason for reason in tried.values())
    assert "expired" in tried["expired"]
    assert "Hostname mismatch" in tried["wrong-name"]
    assert "Failed to resolve" in tried["unresolved"]
