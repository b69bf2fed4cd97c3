"""Where a database is: in a file of SQLite, or on a server of PostgreSQL."""

from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

#: What the address of a PostgreSQL begins with (libpq, 34.1.1.2 Connection URIs).
SCHEMES = ("postgresql://", "postgres://")


class Server:
    """A database of a PostgreSQL server. As text it is its address without user and password."""

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        """Take an address as libpq takes it. Raises ValueError when it is none."""
        if not url.startswith(SCHEMES):
            raise ValueError("no address of a PostgreSQL")
        urlsplit(url)  # raises ValueError for what is no address at all
        self._url = url

    def reveal(self) -> str:
        """The address, which may hold a password; for the connection that needs it, never for a text."""
        return self._url

    @property
    def password(self) -> str:
        """The password in the address; empty without one."""
        user_info = urlsplit(self._url).netloc.rpartition("@")[0]
        return unquote(user_info.partition(":")[2])

    def __str__(self) -> str:
        parts = urlsplit(self._url)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def __repr__(self) -> str:
        return f"Server({self})"

    def __eq__(self, other: object) -> bool:
        return self._url == other._url if isinstance(other, Server) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._url)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("an address that may hold a password is not pickled")


Database = Path | Server
