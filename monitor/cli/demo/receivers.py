"""The demo's two ends: a webhook and a mail server, on this machine."""

import asyncio
import json
from collections.abc import Callable
from email import message_from_bytes
from email.header import decode_header, make_header
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

#: Bytes of one message; the daemon's are a few thousand.
_MOST = 1024 * 1024


class Receivers:
    """Takes notifications and calls `arrived` with the end's name and the title, as they arrive."""

    def __init__(self, arrived: Callable[[str, str], None]) -> None:
        self._arrived = arrived
        self.counts = {"webhook": 0, "mail": 0}

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_MOST)
        app.router.add_post("/hook", self._hook)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._mail = await asyncio.get_running_loop().create_server(
            lambda: SMTP(self, data_size_limit=_MOST, enable_SMTPUTF8=True), "127.0.0.1", 0
        )
        self.webhook_url = f"json://127.0.0.1:{self._runner.addresses[0][1]}/hook"
        port = self._mail.sockets[0].getsockname()[1]
        self.mail_url = (
            f"mailto://127.0.0.1:{port}?from=monitor@acme.example&to=ops@acme.example&mode=insecure"
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._mail.close()
        await self._runner.cleanup()

    async def _hook(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        self._count("webhook", str(body.get("title", "")))
        return web.Response()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, D102, N802 - aiosmtpd's name
        content: Any = envelope.content
        subject = message_from_bytes(content)["Subject"] or ""
        self._count("mail", str(make_header(decode_header(subject))))
        return "250 OK"

    def _count(self, end: str, title: str) -> None:
        self.counts[end] += 1
        self._arrived(end, title)
