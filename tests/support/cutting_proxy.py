"""A proxy before a PostgreSQL, which cuts a connection when the client says a word."""

import asyncio
import threading
from pathlib import Path

from listening import listening


class CuttingProxy:
    """Passes all on until it is to cut: then the server may hear what was said, and nobody its answer."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=[self._run()], daemon=True)
        self.port = 0
        #: what the client says when it is cut off, once; and whether the server hears it before
        self.word: bytes | None = None
        self.heard = True
        #: how often it cut
        self.cuts = 0
        self._thread.start()
        self._ready.wait(10)

    def close(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    async def _run(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with listening(self._serve) as self.port:
            self._ready.set()
            await self._over.wait()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_unix_connection(self._socket)
        back = asyncio.create_task(self._pass_back(server, to_client))
        try:
            while data := await client.read(65536):
                if self.word and self.word in data:
                    self.word = None
                    self.cuts += 1
                    back.cancel()
                    await asyncio.wait([back])
                    if self.heard:
                        to_server.write(data)
                        await server.read(65536)  # its answer, which goes nowhere
                    break
                to_server.write(data)
        except OSError:
            pass
        finally:
            back.cancel()
            to_client.transport.abort()
            to_server.close()

    async def _pass_back(
        self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        while data := await server.read(65536):
            to_client.write(data)
        to_client.close()
