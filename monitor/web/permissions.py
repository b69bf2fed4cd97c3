"""Who may read and who may write: tokens, browser sessions, the origin of writes, and a limit on tries."""

import hashlib
import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from monitor.config.web_section import Right

#: Seconds that a browser stays signed in.
SESSION_LASTS = 12 * 3600.0
#: Sessions at a time; the oldest gives way.
_SESSIONS_MOST = 1000
#: Wrong tokens from one address in this many seconds, after which none of its tokens is looked at.
TRIES_MOST, TRIES_WITHIN = 10, 60.0
#: Addresses whose tries are remembered.
_ADDRESSES_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: the name of the token, None for somebody without one; and what they may do."""

    name: str | None
    right: Right

    @property
    def may_write(self) -> bool:
        """Whether silences, declarations, retries and probes are taken from them."""
        return self.right is Right.WRITE


@dataclass(frozen=True, slots=True)
class HashedToken:
    """A token as the process keeps it."""

    name: str
    digest: bytes
    right: Right


def digest_of(token: str) -> bytes:
    """The hash under which a token is kept. Tokens are long and random, so a fast one is enough."""
    return hashlib.sha256(token.encode()).digest()


class RefusedError(Exception):
    """A request that is not carried out: the status of the answer, and why, for people."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class Permissions:
    """Knows the tokens and the sessions. Times are seconds of a clock that never steps."""

    def __init__(self, tokens: Sequence[HashedToken]) -> None:
        self._tokens = tokens
        self._sessions: OrderedDict[bytes, tuple[float, Visitor]] = OrderedDict()
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    @property
    def open_to_all(self) -> bool:
        """Without tokens anybody may read, and nobody write."""
        return not self._tokens

    def by_token(self, token: str, address: str, now: float) -> Visitor | None:
        """The holder of the token; None for a wrong one.

        Raises RefusedError (429) after too many wrong ones, for right tokens too: else guessing could go on.
        """
        wrong = self._wrong.get(address)
        while wrong and now - wrong[0] > TRIES_WITHIN:
            wrong.popleft()
        if wrong and len(wrong) >= TRIES_MOST:
            raise RefusedError(429, "too many wrong tokens: wait a minute")
        digest, found = digest_of(token), None
        for one in self._tokens:  # all of them, so that the time tells nothing
            if hmac.compare_digest(one.digest, digest):
                found = Visitor(one.name, one.right)
        if found is None:
            self._wrong.setdefault(address, deque(maxlen=TRIES_MOST)).append(now)
            if len(self._wrong) > _ADDRESSES_MOST:
                self._wrong.popitem(last=False)
        return found

    def sign_in(self, visitor: Visitor, now: float) -> str:
        """Begin a browser session. Returns the cookie's value, of which only the hash is kept."""
        value = secrets.token_urlsafe(32)
        self._sessions[digest_of(value)] = (now + SESSION_LASTS, visitor)
        if len(self._sessions) > _SESSIONS_MOST:
            self._sessions.popitem(last=False)
        return value

    def by_session(self, value: str, now: float) -> Visitor | None:
        """Whose session it is; None when it has ended."""
        until, visitor = self._sessions.get(digest_of(value), (now, None))
        return visitor if until > now else None

    def sign_out(self, value: str) -> None:
        """End a session."""
        self._sessions.pop(digest_of(value), None)


def same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a browser's write comes from our own page.

    Browsers say so in `Sec-Fetch-Site`; older ones name the `Origin`, which must be the host that was asked.
    """
    if site := headers.get("Sec-Fetch-Site"):
        return site == "same-origin"
    origin = urlsplit(headers.get("Origin", ""))
    return bool(origin.netloc) and origin.netloc == headers.get("Host")


def names_this_machine(host: str) -> bool:
    """Whether a Host header names this machine: a page elsewhere could lead its own name here."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    return name in ("localhost", "[::1]") or name.startswith("127.")
