"""The stand-in's HTTP server: reads, decides, applies faults, records, sends."""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from aiohttp import web

from monitor.simulator.answers import Answer, Ending, encode, refused, retry_after
from monitor.simulator.asking import LONGEST_NAME, Ask, read
from monitor.simulator.faults import FaultInjector
from monitor.simulator.ledger import AnswerKind, Ledger
from monitor.simulator.refusals import bad_parameter
from monitor.simulator.responder import Responder
from monitor.simulator.scenario import Scenario
from monitor.simulator.scenario_file import ScenarioError, parse_scenario

#: Bytes of a request. A probe has a few hundred, an edit's picture a few thousand.
LARGEST_REQUEST = 8 * 1024 * 1024

#: Seconds within which a request must have arrived.
READ_TIMEOUT = 30.0


class _Play:
    """One run of a scenario: its responder, its faults, and when it began."""

    def __init__(self, scenario: Scenario, clock: Callable[[], float]) -> None:
        self.scenario = scenario
        self.clock = clock
        self.responder = Responder(scenario)
        self.fault_injector = FaultInjector(scenario)
        self.began = clock()

    def now(self) -> float:
        """Seconds of scenario time."""
        return (self.clock() - self.began) * self.scenario.time_scale


class Simulator:
    """A server that plays a scenario on `/v1`, and on the base path of each relay.

    `GET /sim/ledger` tells what it answered and billed (`?totals=1` without the log, `?since=N` only what
    came after entry N); `POST /sim/scenario` replaces the scenario, whose time then starts over.
    """

    def __init__(self, scenario: Scenario, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._play = _Play(scenario, clock)
        self._server: web.Server | None = None
        self._listening: asyncio.Server | None = None
        self._stopping = asyncio.Event()
        self._began = self._clock()
        #: `http://host:port` while it runs; a relay's base URL is this and the key's `base`.
        self.origin = ""
        #: What was answered and billed since this object was made, over all its scenarios.
        self.ledger = Ledger()

    @property
    def scenario(self) -> Scenario:
        """The scenario that is played."""
        return self._play.scenario

    @property
    def elapsed(self) -> float:
        """Seconds of scenario time since the scenario began."""
        return self._play.now()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, begin the scenario, and return the direct base URL. Raises OSError if it cannot."""
        self._stopping.clear()
        loop = asyncio.get_running_loop()
        request = partial(web.BaseRequest, loop=loop, client_max_size=LARGEST_REQUEST)
        self._server = web.Server(self._handle, request_factory=request, access_log=None)
        self._listening = await loop.create_server(self._server, host, port, backlog=1024)
        bound = self._listening.sockets[0].getsockname()
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        self.origin = f"http://{shown}:{bound[1]}"
        self._began = self._clock()
        self.replace(self.scenario)
        return f"{self.origin}/v1"

    async def stop(self) -> None:
        """Cut what is still held, and close. Does nothing when it does not run."""
        self._stopping.set()
        if self._listening is not None and self._server is not None:
            await stop_listening(self._listening)
            self._listening = None
            self._server.pre_shutdown()
            await self._server.shutdown(1.0)

    def replace(self, scenario: Scenario) -> None:
        """Play this scenario from its beginning; the ledger goes on."""
        self._play = _Play(scenario, self._clock)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/sim/"):
            return await self._control(request)
        play = self._play
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                ask = await read(request, play.responder.bases)
        except web.HTTPRequestEntityTooLarge:
            return self._unread(request, 413, "The request is too large.")
        except TimeoutError:
            return self._unread(request, 408, "The request took too long.")
        except ConnectionError:
            # The client disconnected before its request ended: nobody reads this.
            return web.Response()
        at = play.now()
        answer = play.responder.answer(ask, at)
        key = play.responder.key_of(ask)
        if key is not None and key.base == ask.base:
            answer = play.fault_injector.apply(key, ask, answer, at)
        if answer.delay:
            await self._pause(answer.delay / play.scenario.time_scale)
        if answer.retry_after is not None:
            answer.headers |= retry_after(answer.retry_after / play.scenario.time_scale)
        self._record(play, ask, answer)
        if answer.before and request.transport is not None:
            request.transport.write(answer.before)
        if answer.ending is Ending.COMPLETE and not answer.frames:
            return web.Response(
                status=answer.status,
                body=answer.body,
                headers=answer.headers,
                content_type=answer.content_type,
            )
        pause = partial(self._pause, answer.silence / play.scenario.time_scale)
        if answer.ending is Ending.SILENCE:
            await pause()
        if answer.ending in (Ending.RAW, Ending.FLOOD):
            return await _send_raw(request, answer, self._stopping)
        return await _send(request, answer, pause, self._stopping)

    def _unread(self, request: web.BaseRequest, status: int, message: str) -> web.Response:
        """The answer to a request that was not read to its end."""
        ask = Ask(request.method, "", request.path[:LONGEST_NAME], None, None, None)
        answer = refused(ask, None, bad_parameter(message, status=status))
        self._record(self._play, ask, answer)
        response = web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        response.force_close()
        return response

    def _record(self, play: _Play, ask: Ask, answer: Answer) -> None:
        key, model = play.responder.key_of(ask), ask.model
        kind = AnswerKind(
            key=key.name if key else "(unknown)",
            # Names that a client invents must not fill the totals.
            model=model if not model or play.responder.model_of(model) else "(unknown)",
            surface=ask.surface or "",
            status=answer.status,
            what=answer.what,
        )
        self.ledger.record(
            kind,
            elapsed=self._clock() - self._began,
            path=ask.path,
            charges=answer.charges,
            request_id=answer.headers.get("x-request-id") if answer.status else None,
        )

    async def _pause(self, seconds: float) -> None:
        """Wait, at most until the server stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _control(self, request: web.BaseRequest) -> web.Response:
        match request.method, request.path:
            case "GET", "/sim/ledger":
                value = self.ledger.totals()
                since = request.query.get("since", "0")
                if not since.isascii() or not since.isdigit() or len(since) > 15:
                    return _json(400, {"error": "since: give the number of an entry"})
                if "totals" not in request.query:
                    value["log"] = [entry.to_json() for entry in self.ledger.since(int(since))]
                return _json(200, value)
            case "POST", "/sim/scenario":
                try:
                    self.replace(parse_scenario((await request.read()).decode()))
                except ScenarioError as error:
                    return _json(400, {"error": str(error)})
                except UnicodeDecodeError:
                    return _json(400, {"error": "scenario: not UTF-8 text; save it as UTF-8"})
                except web.HTTPRequestEntityTooLarge:
                    return _json(413, {"error": "scenario: larger than 8 MiB; make it smaller"})
                return _json(200, {"scenario": self.scenario.name})
            case _:
                return _json(404, {"error": "known: GET /sim/ledger, POST /sim/scenario"})


async def stop_listening(server: asyncio.Server) -> None:
    """Close a listening server. Whom it has accepted is connected when this returns.

    Python 3.11 leaves a connection open that is accepted just before its server is closed.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    for _ in range(2):  # turns of the loop from accepting a connection to its protocol
        await asyncio.sleep(0)
    server.close()


async def serve(scenario: Scenario, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Play a scenario until cancelled; `on_ready` is told the direct base URL. Raises OSError."""
    simulator = Simulator(scenario)
    base_url = await simulator.start(host, port)
    try:
        on_ready(base_url)
        await asyncio.Event().wait()
    finally:
        await simulator.stop()


async def _send_raw(
    request: web.BaseRequest, answer: Answer, stopping: asyncio.Event
) -> web.StreamResponse:
    """Send what is no HTTP, and hang up."""
    transport = request.transport
    assert transport is not None  # noqa: S101 - it is there until the request was answered
    transport.write(answer.body)
    while answer.ending is Ending.FLOOD and not (transport.is_closing() or stopping.is_set()):
        if not transport.get_write_buffer_size():
            transport.write(answer.body * 16)
        await asyncio.sleep(0.001)  # not faster than it can be sent
    transport.close()
    return web.Response()


async def _send(
    request: web.BaseRequest,
    answer: Answer,
    pause: Callable[[], Awaitable[None]],
    stopping: asyncio.Event,
) -> web.StreamResponse:
    """Send an answer that is a stream, or that does not end well; `pause` is between two drips."""
    if answer.ending in (Ending.RESET, Ending.SILENCE):
        _abort(request)
        return web.Response()
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_type = "text/event-stream" if answer.frames else answer.content_type
    frames = answer.frames
    cut = answer.ending is Ending.CUT
    if answer.ending is Ending.DRIP:
        whole = b"".join(frames) or answer.body
        frames = tuple(whole[at : at + 1] for at in range(len(whole)))
    elif not frames:
        if answer.ending is not Ending.ENDLESS:
            response.content_length = len(answer.body)
        frames = (answer.body,)
    # The client may disconnect after the first event, when it has what it needs.
    with suppress(ConnectionError):
        await response.prepare(request)
        for frame in frames[: max(1, len(frames) // 2)] if cut else frames:
            await response.write(frame[: len(frame) // 2] if cut and not answer.frames else frame)
            if answer.ending is Ending.DRIP:
                await pause()
        while answer.ending is Ending.ENDLESS and not stopping.is_set():
            await response.write(answer.body)
        if not cut:
            await response.write_eof()
    if cut:
        _abort(request)
    return response


def _abort(request: web.BaseRequest) -> None:
    """Reset the connection: with no time to linger the kernel sends RST instead of FIN."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _json(status: int, value: object) -> web.Response:
    return web.Response(status=status, body=encode(value), content_type="application/json")
