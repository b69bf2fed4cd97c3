"""Faults of hostile servers: bytes without end, no HTTP, echoes, hostile words."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import quote

from monitor.simulator.answers import Answer, Ending, encode, refused
from monitor.simulator.fault_context import FaultContext

#: Bytes of the nested answer.
NESTED = 10 * 1024 * 1024
#: Characters of the long-winded message.
LONG = 1024 * 1024

#: What a server may put into its words, for each place where they are shown: Slack, HTML, a terminal, a
#: log, a mail's header.
HOSTILE = (
    "<!channel> <http://evil.example|x> `*_<b>b</b><img src=x onerror=alert(1)>\x1b[31mred\x07\x9b2J"
    "\u202eltr\u2066\u200b\r\nBcc: all@evil.example\r\nforged: available\r\n\r\n"
)
#: A header cannot hold a line's end.
HOSTILE_ID = "req_<!here>`<b>x</b>\u00a0\u009b2J"


def _dripping(context: FaultContext) -> Answer:
    return context.changed(ending=Ending.DRIP, silence=context.fault.seconds)


def _endless(context: FaultContext) -> Answer:
    """Of the right kind and never whole: spaces before a JSON value may be as many as one likes."""
    return context.changed(ending=Ending.ENDLESS, body=b" " * 65536, frames=())


def _endless_headers(context: FaultContext) -> Answer:
    line = b"x-filler: " + b"f" * 4096 + b"\r\n"
    return context.changed(ending=Ending.FLOOD, before=b"HTTP/1.1 200 OK\r\n", body=line)


def _interim(context: FaultContext) -> Answer:
    """As it may be: the final answer follows."""
    hint = b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n"
    return context.changed(before=b"HTTP/1.1 100 Continue\r\n\r\n" + hint * 2)


def _endless_interim(context: FaultContext) -> Answer:
    return context.changed(ending=Ending.FLOOD, body=b"HTTP/1.1 100 Continue\r\n\r\n")


def _garbage(context: FaultContext) -> Answer:
    return context.changed(ending=Ending.RAW, body=b"220 mail.example ESMTP\r\n\x00\xff\r\n\r\n")


def _redirect(context: FaultContext) -> Answer:
    """A redirect: a client that follows it sends the key along."""
    return Answer(context.fault.what, 307, headers={"location": "/elsewhere/v1/models"})


def _nested(context: FaultContext) -> Answer:
    return context.changed(body=b"[" * (NESTED // 2) + b"]" * (NESTED // 2), frames=())


def _echo(context: FaultContext) -> Answer:
    """The key in body and headers: as it is, in base64, quoted for a URL."""
    secret = context.ask.secret or ""
    packed = b64encode(f"Bearer {secret}".encode()).decode()
    words = f"You sent Authorization: Bearer {secret} ({packed}, {quote(secret, safe='')}). "
    echoed = {
        "x-request-id": f"req-{secret}",
        "openai-organization": packed,
        "openai-project": quote(secret, safe=""),
        "server": "s" * 190 + secret,
        "x-echo": f"Bearer {secret}",
    }
    return _with_words(context, words, headers=echoed)


def _hostile(context: FaultContext) -> Answer:
    return _with_words(context, HOSTILE, headers={"x-request-id": HOSTILE_ID})


def _long_winded(context: FaultContext) -> Answer:
    return _with_words(context, "", "w" * LONG)


def _with_words(
    context: FaultContext,
    before: str,
    after: str = "",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Answer:
    """The same answer, with more words: around a refusal's own, else beside the payload."""
    answer = context.changed(headers={**context.answer.headers, **headers})
    if answer.refusal is not None:
        message = f"{before}{answer.refusal.message}{after}"
        said = refused(context.ask, context.key, replace(answer.refusal, message=message))
        return replace(answer, body=said.body)
    try:
        value = json.loads(answer.body)
    except ValueError:
        body = answer.body.replace(b"<title>", b"<title>" + before.encode() + after.encode())
        return replace(answer, body=body)
    return replace(answer, body=encode({"words": before + after, **value}))


#: What a scenario may do to a key under `faults`, beside what is in `faults` itself.
ABUSES: Mapping[str, Callable[[FaultContext], Answer]] = MappingProxyType(
    {
        "dripping": _dripping,
        "endless": _endless,
        "endless_headers": _endless_headers,
        "interim": _interim,
        "endless_interim": _endless_interim,
        "garbage": _garbage,
        "redirect": _redirect,
        "nested": _nested,
        "echo": _echo,
        "hostile": _hostile,
        "long_winded": _long_winded,
    }
)
