"""A proxy before a PostgreSQL, which cuts a connection when the client says a word."""

import asyncio
import threading
from pathlib import Path


class CuttingProxy:
    """Passes all on until it is to cut: then the server may hear what was said, and nobody its answer."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
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
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.1))
        self._loop.close()

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
