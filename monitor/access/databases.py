"""Where a database is: in a file of SQLite, or on a server of PostgreSQL."""

import re
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

#: What the address of a PostgreSQL begins with (libpq, 34.1.1.2 Connection URIs).
SCHEMES = ("postgresql://", "postgres://")
#: Signs that end a user and password in some readers and not in others, if they are not encoded.
_AMBIGUOUS = re.compile(r"[/?#\[\]\s]|%(?![0-9A-Fa-f]{2})")


class Server:
    """A database of a PostgreSQL server. As text it is its address without user, password and parameters."""

    __slots__ = ("_text", "_url", "passwords")

    def __init__(self, url: str) -> None:
        """Take an address as libpq takes it. Raises ValueError, with what is wrong, when it is none.

        A password whose signs are not encoded is refused: libpq would take it, and another reader would
        take a part of it for the host.
        """
        scheme = next((one for one in SCHEMES if url.startswith(one)), None)
        if scheme is None:
            raise ValueError("is no postgresql://USER@HOST/NAME")
        user_info, at, _ = url.removeprefix(scheme).rpartition("@")
        if at and _AMBIGUOUS.search(user_info):
            raise ValueError(
                "has a sign in its user or password that must be encoded, as %2F for /"
            )
        try:
            parts = urlsplit(url)
        except ValueError:
            raise ValueError("is no postgresql://USER@HOST/NAME") from None
        asked = parse_qs(parts.query)
        self._url = url
        self._text = f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"
        #: all that is in the address; none may be shown
        self.passwords = tuple(
            word
            for word in (
                unquote(user_info.partition(":")[2]),
                *asked.get("password", ()),
                *asked.get("sslpassword", ()),
            )
            if word
        )

    def reveal(self) -> str:
        """The address, which may hold a password; for the connection that needs it, never for a text."""
        return self._url

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Server({self})"

    def __eq__(self, other: object) -> bool:
        return self._url == other._url if isinstance(other, Server) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._url)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("an address that may hold a password is not pickled")


Database = Path | Server
