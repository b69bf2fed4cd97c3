"""Answers as JSON: with an ETag, and errors as RFC 9457 has them."""

import hashlib
import json
from typing import Any

from aiohttp import web


def problem(status: int, why: str) -> web.Response:
    """An error as RFC 9457 has it."""
    body = {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": why,
    }
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return web.Response(
        text=json.dumps(body),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )


_TITLES = {
    400: "Bad request", 401: "Unauthorized", 403: "Forbidden", 404: "Not found", 405: "Method not allowed",
    413: "Too large", 421: "Misdirected", 429: "Too many requests", 500: "Internal error",
    503: "Not available",
}  # fmt: skip


def answer(request: web.Request, value: Any) -> web.Response:
    """JSON with an ETag: who has it already gets 304."""
    return answer_with(request, text_of(value).encode())


def text_of(value: Any) -> str:
    """A value as JSON, short."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def answer_with(request: web.Request, body: bytes) -> web.Response:
    """The same, of JSON that was made already."""
    tag = hashlib.sha256(body).hexdigest()[:32]
    response = web.Response(
        body=body,
        content_type="application/json",
        charset="utf-8",
        headers={"Cache-Control": "no-cache"},
    )
    response.etag = tag
    given = request.if_none_match
    if given and any(one.value in (tag, "*") for one in given):
        return web.Response(status=304, headers={"ETag": f'"{tag}"', "Cache-Control": "no-cache"})
    return response
