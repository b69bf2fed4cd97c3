"""Servers that leave no connection open, however their test ends."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

from aiohttp import web

from monitor.simulator.server import stop_listening

Handler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[int]:
    """Serve each connection with `handler` on a free port, and give the port.

    A connection is closed when its handler ends; that the client has gone ends it, too. At the end all
    handlers are cancelled and all connections closed: Python 3.11 leaves those open whose handler was
    cancelled. Raises what failed in a handler.
    """
    connections: list[tuple[asyncio.Task[None], asyncio.StreamWriter]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append((asyncio.create_task(serve(reader, writer)), writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        await stop_listening(server)
        tasks = [task for task, _ in connections]
        while connections:
            task, writer = connections.pop()
            task.cancel()
            await asyncio.wait([task])
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()
        for task in tasks:
            if not task.cancelled():
                task.result()


@asynccontextmanager
async def serving(
    app: web.Application, *, seconds: float = 0.1, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve an application on a free port, and give the port; at the end its handlers have `seconds`."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=seconds)
    await runner.setup()
    assert runner.server
    loop = asyncio.get_running_loop()
    server = await loop.create_server(runner.server, "127.0.0.1", 0, ssl=tls)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        await stop_listening(server)
        await runner.cleanup()
