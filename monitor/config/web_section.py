"""[web]: where the page listens, and who may read and write there."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, PlainValidator, WithJsonSchema

from monitor.access.fields import Flag, about, refuse, setting, text_of
from monitor.config import checks
from monitor.config.references import unresolved
from monitor.config.urls import is_loopback

#: Shorter tokens could be guessed.
TOKEN_LEAST = 16


class Right(StrEnum):
    """What a token is good for; whoever may write may read."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens; port 0 is any free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    @property
    def from_here(self) -> "Address":
        """Where this machine reaches a server that listens there."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens by this
        return Address(everywhere.get(self.host, self.host), self.port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def address(value: Any) -> Address:
    """`HOST:PORT`, with an IPv6 address in brackets."""
    host, colon, port = text_of(value).rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    good = bare and colon and port.isascii() and port.isdecimal() and int(port) < 65536
    if not good or (":" in bare and host == bare) or any(char.isspace() for char in bare):
        raise refuse('must be HOST:PORT, such as "127.0.0.1:8090" or "[::1]:8090"')
    return Address(bare, int(port))


def _page_url(value: Any) -> str:
    """Where people reach the page, with a slash at the end: addresses are added to it."""
    text = text_of(value)
    parts = urlsplit(text)
    plain = text.isascii() and text.isprintable() and not set(text) & set(' <>|"`?#@')
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise refuse('must be an address such as "https://monitor.example/"')
    return text.rstrip("/") + "/"


def _reference(value: Any) -> str:
    """A reference; `access-monitor web` follows it, and the daemon does not."""
    text = text_of(value)
    if unresolved(text).reference != text:
        raise refuse('must be a reference such as "env:WEB_TOKEN"', hidden=True)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class WebToken:
    """A token for the page and the API."""

    name: Annotated[
        checks.Name,
        AfterValidator(checks.new_name("token")),
        about("Unique; the log names it beside what is written with it"),
    ]
    secret: Annotated[
        str,
        PlainValidator(_reference),
        WithJsonSchema({"type": "string", "pattern": "^(env|file|credential):.+"}),
        about(f"The token by reference; it has {TOKEN_LEAST} characters or more"),
    ]
    right: Right = setting(Right.READ, "read, or write, which may also read")


@dataclass(frozen=True, slots=True)
class Web:
    """The page, its API and the metrics: `access-monitor web`."""

    listen: Annotated[
        Address,
        PlainValidator(address),
        WithJsonSchema({"type": "string", "pattern": r"^.+:\d{1,5}$"}),
    ] = setting(Address("127.0.0.1", 8090), "Where it listens, as HOST:PORT")
    tokens: tuple[WebToken, ...] = setting(
        (),
        "Who may read and write. Without tokens anybody who can connect may read, and nobody write",
    )
    url: (
        Annotated[
            str,
            PlainValidator(_page_url),
            WithJsonSchema({"type": "string", "pattern": "^https?://[^ ?#@]+$"}),
        ]
        | None
    ) = setting(None, "Where people reach the page: messages link to a target there")
    behind_proxy: Flag = setting(
        False,
        "A proxy in front decides who may read: then it also listens beyond this machine without tokens",
    )
