"""Faults of the network between the daemon and the API: each is inconclusive, bounded, and passes."""

import asyncio
import signal
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

HURRIED = Path(__file__).with_name("hurried.py")
#: Bytes of memory the daemon may have used at most, whatever was sent to it.
MEMORY = 220 * 1024 * 1024

#: Fault of the simulator: what is watched, and what an answer with it means.
SPOILT = {
    "reset": ("gpt-5.1:responses", "network_error"),
    "cut": ("gpt-image-2", "network_error"),
    "timeout": ("gpt-5.1:responses", "network_error"),
    "dripping": ("gpt-5.1:responses", "network_error"),
    "endless": ("gpt-5.1:responses", "unrecognized"),
    "endless_headers": ("gpt-5.1:responses", "network_error"),
    "endless_interim": ("gpt-5.1:responses", "network_error"),
    "garbage": ("gpt-5.1:responses", "network_error"),
    "redirect": ("gpt-5.1:responses", "edge_error"),
    "broken_json": ("gpt-5.1:responses", "unrecognized"),
    "nested": ("gpt-image-2", "unrecognized"),
    "bad_gateway": ("gpt-5.1:responses", "edge_error"),
}


def key(name: str, route: str, watch: str = "gpt-5.1:responses") -> str:
    return (
        f'[[keys]]\nname = "{name}"\nsecret = "env:KEY_{name.upper()}"\nroute = "{route}"\n'
        f'watch = ["{watch}"]'
    )


def route(name: str, url: str, contract: str = "provider") -> str:
    return f'[routes.{name}]\nbase_url = "{url}"\ncontract = "{contract}"\nrate = 500.0'


def settings(parts: list[str], fast: str) -> str:
    head = (
        '[monitor]\ndatabase = "sqlite:///monitor.db"\nlog_format = "json"\n'
        "[budget]\nper_key_per_day = 5.0\nper_month = 500.0"
    )
    return "\n".join([head, *parts]) + fast


def scenario(faults: dict[str, str]) -> str:
    """A key for each fault (by its name), open all the time, and one without."""
    parts = ['name = "faults"']
    for name, fault in faults.items():
        parts.append(f'[[keys]]\nname = "{name}"\nsecret = "sk-sim-FAKE-{name}-0001"')
        parts.append('gate.open = "always"')
        if fault:
            parts.append(f"[[keys.faults]]\n{fault}\nseconds = 3")
    return "\n".join(parts)


def secrets(names) -> dict[str, str]:
    return {f"KEY_{name.upper()}": f"sk-sim-FAKE-{name}-0001" for name in names}


async def hurried(lab):
    return await lab.launch(sys.executable, str(HURRIED), "run", "--config", str(lab.settings))


def targets(lab) -> dict[str, tuple[str, str | None]]:
    """Each key's state and last diagnosis."""
    rows = lab.ask("SELECT key, state, last_diagnosis FROM targets WHERE active")
    return {name: (state, diagnosis) for name, state, diagnosis in rows}


def peak(process) -> int:
    """The most memory a process has had, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return 1024 * int(next(s.split()[1] for s in status.splitlines() if s.startswith("VmHWM")))


async def test_whatever_a_server_sends_is_inconclusive_bounded_and_passes(
    lab, fast, fault, torture
):
    times = 8 if torture else 4
    faults = {name: f'what = "{name}"\nfirst = {times}' for name in SPOILT}
    await lab.simulate(scenario({**faults, "healthy": ""}))
    lab.environ |= secrets([*SPOILT, "healthy"])
    parts = [route("sim", lab.base_url, "direct"), key("healthy", "sim")]
    parts += [key(name, "sim", watch) for name, (watch, _) in SPOILT.items()]
    lab.settings.write_text(settings(parts, fast.replace('listing = "2s"', 'listing = "300ms"')))
    daemon = await hurried(lab)
    beside = 0

    async def past() -> bool:
        """Every fault has struck often enough, and every target is open since."""
        nonlocal beside
        now = targets(lab)
        counts = Counter((e["key"], e["what"]) for e in (await lab.ledger())["log"])
        if not all(counts[name, name] >= times for name in SPOILT):
            beside = sum(count for (name, _), count in counts.items() if name == "healthy")
        return len(now) > len(SPOILT) and all(state == "available" for state, _ in now.values())

    await lab.until(past, "every target to be available once its fault has passed", patience=90)
    most = peak(daemon)
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0
    seen: dict[str, set] = {name: set() for name in SPOILT}
    for name, diagnosis in lab.ask(
        "SELECT key, diagnosis FROM runs JOIN targets ON targets.id = target_id"
    ):
        if name in seen:
            seen[name].add(diagnosis)
    for name, (_, meaning) in SPOILT.items():
        assert meaning in seen[name], (name, seen[name])
        assert seen[name] <= {meaning, None, "access_granted"}, (name, seen[name])
    assert beside > 10, "the healthy target is probed meanwhile"
    history = await lab.history()
    changes = {(row["from"], row["to"]) for row in history if row["to"]}
    assert changes == {("unknown", "available")}
    paths = {entry["path"] for entry in (await lab.ledger())["log"]}
    assert not any("elsewhere" in path for path in paths), "a redirect was followed"
    assert most < MEMORY
    for name, (_, meaning) in SPOILT.items():
        fault(f"the API: {name.replace('_', ' ')}", times, "inconclusive, bounded, passes",
              f"{meaning}; available afterwards")  # fmt: skip


class Relay:
    """A way to a server that can be shut, or swallow everything; it notes when somebody came."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.to = port
        self.tls = tls
        self.silent = False
        self.came: list[float] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Refuse from here on, and cut what is open."""
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Cut what is open."""
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.came.append(asyncio.get_running_loop().time())
        with suppress(ConnectionError, asyncio.CancelledError):
            if self.silent:
                await reader.read()
            else:
                there, here = await asyncio.open_connection("127.0.0.1", self.to)
                await asyncio.wait(
                    [
                        asyncio.create_task(_pour(reader, here)),
                        asyncio.create_task(_pour(there, writer)),
                    ],
                    return_when=asyncio.FIRST_COMPLETED,
                )
                here.close()
        writer.close()
        self._open.discard(writer)


@pytest.fixture
async def relay(anyio_backend: str) -> AsyncIterator[Callable[..., Awaitable[Relay]]]:
    """Opens a relay to a port; it is shut with the test."""
    made: list[Relay] = []

    async def begin(port: int, tls: ssl.SSLContext | None = None) -> Relay:
        made.append(Relay(port, tls))
        await made[-1].open()
        return made[-1]

    yield begin
    for one in made:
        one.shut()


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()


async def test_a_route_that_cannot_be_reached_is_a_network_error_until_it_can(
    lab, fast, relay, certified, fault, request, torture
):
    await lab.simulate(scenario({"healthy": ""}))
    port = int(lab.base_url.removesuffix("/v1").rpartition(":")[2])
    good, wrong = (certified(name) for name in ("localhost", "wrong.example"))
    old = certified("localhost", -1)
    trusted = lab.folder / "trusted.crt"
    trusted.write_bytes(b"".join(pem.read_bytes() for pem in (good, wrong, old)))

    def tls(pem: Path) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context

    ways = {
        "refused": await relay(port),
        "black_hole": await relay(port),
        "expired": await relay(port, tls(old)),
        "wrong_name": await relay(port, tls(wrong)),
        "no_tls": await relay(port),
    }

    async def in_the_way() -> None:
        ways["refused"].shut()
        ways["expired"].tls.load_cert_chain(old)
        ways["wrong_name"].tls.load_cert_chain(wrong)
        ways["no_tls"].shut()
        ways["no_tls"].tls = None
        await ways["no_tls"].open()
        for way in ways.values():
            way.cut()

    async def mended() -> None:
        await ways["refused"].open()
        ways["black_hole"].silent = False
        for name in ("expired", "wrong_name"):
            ways[name].tls.load_cert_chain(good)
        ways["no_tls"].shut()
        ways["no_tls"].tls = tls(good)
        await ways["no_tls"].open()

    ways["black_hole"].silent = True
    await in_the_way()
    scheme = {"expired": "https", "wrong_name": "https", "no_tls": "https"}
    urls = {
        name: f"{scheme.get(name, 'http')}://localhost:{way.port}/v1" for name, way in ways.items()
    }
    urls |= {"unresolved": "https://nothing.invalid/v1", "proxied": "https://api.example/v1"}
    # a proxy that wants a password, for the one host that is not named here
    proxy = await asyncio.start_server(_wants_a_password, "127.0.0.1", 0)
    request.addfinalizer(proxy.close)
    lab.environ |= {
        "HTTPS_PROXY": f"http://proxy:FAKE-password@127.0.0.1:{proxy.sockets[0].getsockname()[1]}",
        "NO_PROXY": "localhost,127.0.0.1,nothing.invalid",
        "SSL_CERT_FILE": str(trusted),
    }
    lab.environ |= {
        f"KEY_{name.upper()}": "sk-sim-FAKE-healthy-0001" for name in [*urls, "healthy"]
    }
    parts = [route("sim", lab.base_url, "direct"), key("healthy", "sim")]
    for name, url in urls.items():
        parts += [route(name, url, "direct"), key(name, name)]
    lab.settings.write_text(settings(parts, fast))
    daemon = await hurried(lab)
    failing = set(urls)

    def all_failed() -> bool:
        now = targets(lab)
        return len(now) > len(urls) and all(now[name][1] == "network_error" for name in failing)

    await lab.until(all_failed, "every route but one to fail")
    await lab.told("baseline")
    log = (lab.folder / "run.log").read_text()
    assert "FAKE-password" not in log
    assert {row["event"] for row in await lab.history()} <= {"started", "baseline"}

    def all_open() -> bool:
        now = targets(lab)
        return all(now[name][0] == "available" and now[name][1] != "network_error" for name in ways)

    # what is in the way is mended while it runs, and comes again; but for the hole, in which a free
    # probe waits for half a minute
    await mended()
    await lab.until(all_open, "the mended routes to answer", patience=60)
    times = 3 if torture else 1
    failing.remove("black_hole")
    for _ in range(times - 1):
        await in_the_way()
        await lab.until(all_failed, "every route but one to fail again")
        await mended()
        await lab.until(all_open, "the mended routes to answer again", patience=60)
    assert {row["event"] for row in await lab.history()} == {"started", "baseline"}
    now = targets(lab)
    assert {now[name][0] for name in ("unresolved", "proxied")} == {"unknown"}
    assert peak(daemon) < MEMORY
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0
    for name in urls:
        seen = "network_error; available once mended" if name in ways else "network_error"
        often = times if name in ways and name in failing else 1
        fault(
            f"the API: {name.replace('_', ' ')}", often, "inconclusive, and nobody is woken", seen
        )


async def _wants_a_password(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"CONNECT api.example:443 ")
        writer.write(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        await writer.drain()
    writer.close()


@pytest.mark.parametrize("how", ["refused", "black hole"])
async def test_the_own_network_down_is_one_event_and_the_targets_return_spread(
    lab, fast, relay, fault, how
):
    await lab.open_ends()
    names = [f"k{n}" for n in range(60)]
    gated = scenario(dict.fromkeys(names, "")).replace('"always"', '"never"')
    await lab.simulate(gated)
    port = int(lab.base_url.removesuffix("/v1").rpartition(":")[2])
    ways = [await relay(port), await relay(port)]
    lab.environ |= secrets(names)
    urls = [f"http://127.0.0.1:{way.port}/v1" for way in ways]
    parts = [
        route("one", urls[0], "direct"), route("two", urls[1], "provider"),
        '[[channels]]\nname = "slack"\nurl = "env:SLACK_URL"\nevents = ["offline", "online", "stale"]',
        *(key(name, ("one", "two")[n % 2], "gpt-5.1:summary") for n, name in enumerate(names)),
    ]  # fmt: skip
    lab.settings.write_text(settings(parts, fast.replace('"300ms"', '"4s"')))
    daemon = await hurried(lab)
    await lab.told("unverified", count=len(names))
    for way in ways:
        way.shut()
        if how == "black hole":
            way.silent = True
            await way.open()
    await lab.told("offline")
    await asyncio.sleep(5)  # the outage itself
    answered = len((await lab.ledger())["log"])
    for way in ways:
        way.silent = False
        if how == "refused":
            await way.open()
        else:
            way.cut()
    await lab.told("online")

    async def all_back() -> bool:
        log = (await lab.ledger())["log"][answered:]
        return {entry["key"] for entry in log if entry["surface"] == "summary"} == set(names)

    await lab.until(all_back, "every target to be probed again")
    log = (await lab.ledger())["log"][answered:]
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0
    first: dict[str, float] = {}
    # model lists are no probes: they go one after the other, at their route's pace
    for entry in [one for one in log if one["surface"] == "summary"]:
        first.setdefault(entry["key"], datetime.fromisoformat(entry["at"]).timestamp())
    began = min(first.values())
    quarters = Counter(int((at - began) / 0.5) for at in first.values())
    events = [row["event"] for row in await lab.history()]
    assert (events.count("offline"), events.count("online"), events.count("stale")) == (1, 1, 0)
    assert set(events) == {"started", "unverified", "offline", "online", "stopping"}
    assert len(lab.slack.ids) == 2
    assert max(quarters.values()) <= len(names) / 3, "a stampede"
    spread = max(first.values()) - began
    fault(f"all routes down at once: {how}", len(names), "one event, and targets return spread",
          f"offline and online once; {len(names)} targets back over {spread:.1f} s, at most"
          f" {max(quarters.values())} within half a second")  # fmt: skip
