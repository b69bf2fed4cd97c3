"""Secrets by reference, single and in pools, and reading the files that they and the settings are in.

Files are bounded, and nothing that is said of one shows what is in it.
"""

import errno
import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from monitor.access.databases import SCHEMES, Server
from monitor.access.masking import SHORTEST
from monitor.access.target import POOL_DIGITS
from monitor.config.problems import shown

#: Bytes of a secret's file that are read; a longer file is no secret.
FILE_CAP = 64 * 1024

#: Lines and bytes of a pool's file; what is larger is another file than was meant.
POOL_LINES_MOST = 20_000
POOL_CAP = 4 * 1024 * 1024
#: Lines of it that one error or warning names.
_NAMED_MOST = 5

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CREDENTIAL = re.compile(r"[A-Za-z0-9._@-]+")
_FORMS = '"env:NAME", "file:PATH" or "credential:NAME"'


class Secret:
    """A value that is shown nowhere by accident: only `reveal()` gives it.

    `reference` is what the settings say (`env:NAME`). It cannot be pickled; copies are the thing itself.
    """

    __slots__ = ("_value", "reference")

    reference: str

    def __init__(self, value: str, reference: str) -> None:
        self._value = value
        self.reference = reference

    def reveal(self) -> str:
        """The value itself; for the request that needs it, never for a text."""
        return self._value

    @property
    def fingerprint(self) -> str:
        """Tells two secrets apart without showing them: `sha256:` and eight hexadecimal digits."""
        return f"sha256:{hashlib.sha256(self._value.encode()).hexdigest()[:8]}"

    def __repr__(self) -> str:
        return f"Secret({self.reference}, {self.fingerprint})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return (self._value, self.reference) == (other._value, other.reference)

    def __hash__(self) -> int:
        return hash((self._value, self.reference))

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled")


class UnresolvedError(ValueError):
    """A reference that cannot be resolved; the text never holds the value."""


def resolve(reference: str, environ: Mapping[str, str], folder: Path) -> tuple[Secret, str | None]:
    """Read the secret a reference names; beside it a warning, or None.

    `folder` is what a relative `file:` path starts from: the settings file's own.

    Raises:
        UnresolvedError: when it is no reference, what it names is not there, or is no usable value.

    """
    kind, colon, name = reference.partition(":")
    warning = None
    if kind == "env" and colon:
        text = _from_environment(name, environ)
    else:
        data, warning = read_reference(reference, environ, folder, FILE_CAP)
        # Latin-1 decodes anything; what is not ASCII is refused below without being shown.
        text = data.decode("latin-1")
    return Secret(_usable(text, f"what {shown(reference)} names"), reference), warning


def read_reference(
    reference: str, environ: Mapping[str, str], folder: Path, most: int
) -> tuple[bytes, str | None]:
    """The bytes, at most so many, of the file that a reference names; beside them a warning, or None.

    Raises:
        UnresolvedError: when it is no reference to a file, or the file cannot be read.

    """
    kind, colon, name = reference.partition(":")
    if kind == "file" and colon and not name.startswith("//"):
        if not name or "\0" in name:
            raise UnresolvedError("file: wants the path of a file")
        return _from_file(folder / name, most)
    if kind == "credential" and colon:
        return _from_file(_credential(name, environ), most)[0], None
    raise UnresolvedError(
        f"is not a reference, and a secret has no place in this file: write {_FORMS} "
        "(if it was a real secret, replace it: it has been in a file in clear)"
    )


#: What is said of a database that is neither.
NO_DATABASE = (
    "must be an SQLite file, as in sqlite:////var/lib/access-monitor/access-monitor.db,"
    " or a PostgreSQL: env:DATABASE_URL"
)


def is_reference(text: str) -> bool:
    """Whether a text has the form of a reference."""
    return text.partition(":")[0] in ("env", "file", "credential") and ":" in text


def names_server(text: str) -> bool:
    """Whether a setting names a PostgreSQL, by its address or by reference."""
    return is_reference(text) or text.startswith(SCHEMES)


def server_at(named: str, environ: Mapping[str, str], folder: Path) -> tuple[Server, str | None]:
    """The PostgreSQL at an address without a password, or at one that a reference names; beside it a warning.

    Raises:
        ValueError: with what is wrong, never with the address.

    """
    address, what, warning = named, "it", None
    if is_reference(named):
        secret, warning = resolve(named, environ, folder)
        address, what = secret.reveal(), f"what {shown(named)} names"
    try:
        server = Server(address)
    except ValueError as error:
        raise ValueError(f"must be a PostgreSQL: {what} {error}") from None
    if server.passwords and address is named:
        raise ValueError(
            "has a password, which has no place here: put the address into a variable, and name that:"
            " env:DATABASE_URL (if it was a real one, replace it: others may have seen it)"
        )
    return server, warning


def unresolved(reference: str) -> Secret:
    """A secret that was not looked for: its reference, when it has the form of one, and no value."""
    kind, _, name = reference.partition(":")
    known = kind in ("env", "file", "credential") and name and not shown(name).startswith("(")
    return Secret("", reference if known else "unresolved")


def resolved(secret: Secret, environ: Mapping[str, str], folder: Path) -> Secret | None:
    """The secret with its value, looked for now if it was not before; None when it is not there."""
    if secret.reveal():
        return secret
    try:
        return resolve(secret.reference, environ, folder)[0]
    except UnresolvedError:
        return None


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    if not _VARIABLE.fullmatch(name):
        raise UnresolvedError(
            "env: wants the name of an environment variable, as in env:OPENAI_API_KEY"
        )
    if name not in environ:
        raise UnresolvedError(
            f"the environment variable {shown(name)} is not set: set it where the monitor starts"
        )
    return environ[name]


def _credential(name: str, environ: Mapping[str, str]) -> Path:
    if not _CREDENTIAL.fullmatch(name) or name in (".", ".."):
        raise UnresolvedError("credential: wants the name of a service credential, without a path")
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise UnresolvedError(
            "$CREDENTIALS_DIRECTORY is not set: the service manager sets it for a unit with"
            " LoadCredential=NAME:PATH"
        )
    return Path(folder) / name


def _from_file(path: Path, most: int) -> tuple[bytes, str | None]:
    """The file's bytes, and a warning when every user of the machine can read it."""
    where = shown(str(path))
    try:
        data, mode = read_file(path, most)
    except UnreadableError as error:
        raise UnresolvedError(f"cannot read {where}: {error}") from None
    warning = None
    if mode & stat.S_IROTH:
        bits = f"{mode:04o}"
        warning = f"{where} holds a secret and every user can read it (mode {bits}): chmod o-r"
    return data, warning


def _usable(text: str, what: str) -> str:
    """The value without the whitespace around it; whatever could not be sent in a header is refused.

    httpx raises errors whose text contains the key when it holds a newline or is not ASCII.
    """
    text = text.strip()
    if not text:
        raise UnresolvedError(f"{what} is empty")
    if fault := fault_of(text):
        raise UnresolvedError(f"{what} {fault}")
    return text


def fault_of(text: str) -> str | None:
    """What is wrong with a secret's value, never showing it; None when it can be sent, and hidden."""
    if not text.isascii():
        return "holds a character that is not ASCII: copy it again"
    if len(text.split()) > 1:
        return "holds whitespace or a line break inside: it must be one word"
    if not text.isprintable():
        return "holds a control character: copy it again"
    if text[0] in "\"'`" and text[0] == text[-1]:
        return "has quotes around it: remove them"
    if len(text) < SHORTEST:
        return (
            f"is shorter than {SHORTEST} characters, and could not be hidden where a server repeats it"
            " (one that wants no key takes any longer word)"
        )
    return None


class UnreadableError(Exception):
    """The file cannot be used; the text says why, and holds nothing of what is in it."""


def read_file(path: Path, most: int) -> tuple[bytes, int]:
    """The bytes and the permission bits of a regular file of at most `most` bytes.

    Raises:
        UnreadableError: when it is not there, may not be read, is no regular file or is larger.

    """
    try:
        # Not blocking: opening a pipe would wait for a writer that may never come.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise UnreadableError("not a regular file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(most + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        hint = "; let this user read it" if isinstance(error, PermissionError) else ""
        raise UnreadableError(os.strerror(error.errno or errno.EIO) + hint) from None
    if len(data) > most:
        raise UnreadableError(f"larger than {most // 1024} KiB: is it the right file?")
    return data, stat.S_IMODE(mode)


@dataclass(frozen=True, slots=True)
class PoolFile:
    """The keys of a pool's file, one a line, each once, in the file's order; None where it was not read.

    They go by the beginning of their fingerprints: the last part of their names.
    """

    reference: str
    keys: Mapping[str, Secret] | None = field(repr=False)
    #: the number of each key's first line, by the same
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)

    def named(self, pool: str) -> Iterator[tuple[str, Secret]]:
        """Each key with its name."""
        for mark, secret in (self.keys or {}).items():
            yield f"{pool}-{mark}", secret


def read_pool(
    reference: str, environ: Mapping[str, str], folder: Path
) -> tuple[PoolFile, list[str]]:
    """Read the file that a reference names; beside it warnings.

    Blank lines and lines that begin with `#` are skipped.

    Raises:
        UnresolvedError: when it is no reference to a file, or what it names is not there, too large,
            without a key, or holds a line that cannot be one. It names lines, never what is in them.

    """
    data, warning = read_reference(reference, environ, folder, POOL_CAP)
    warnings = [warning] if warning else []
    what = f"what {shown(reference)} names"
    lines = data.removeprefix(b"\xef\xbb\xbf").rstrip(b"\n").split(b"\n")
    if len(lines) > POOL_LINES_MOST:
        raise UnresolvedError(f"{what} has {len(lines)} lines; at most {POOL_LINES_MOST} are read")
    first: dict[str, int] = {}
    faults: list[str] = []
    again: list[str] = []
    for number, line in enumerate(lines, 1):
        # Latin-1 decodes anything; what is not ASCII is refused without being shown.
        text = line.decode("latin-1").strip()
        if not text or text[0] == "#":
            continue
        if fault := fault_of(text):
            faults.append(f"line {number} {fault}")
        elif first.setdefault(text, number) != number:
            again.append(f"line {number} is line {first[text]}")
    if faults:
        raise UnresolvedError(f"{what}: {_few(faults)}")
    if not first:
        raise UnresolvedError(f"{what} holds no key: write one a line")
    if again:
        warnings.append(f"{what} holds a key more than once, which is one key: {_few(again)}")
    marks = _marks(first)
    keys = {mark: Secret(text, reference) for text, mark in zip(first, marks, strict=True)}
    return PoolFile(reference, keys, dict(zip(marks, first.values(), strict=True))), warnings


def _marks(keys: Iterable[str]) -> list[str]:
    """The beginning of each key's fingerprint.

    Where two begin alike both get more of it, so that no name ever passes from one key to another,
    whatever the order of the lines.
    """
    prints = [hashlib.sha256(key.encode()).hexdigest() for key in keys]
    lengths = dict.fromkeys(prints, POOL_DIGITS)
    while True:
        taken = Counter(one[:length] for one, length in lengths.items())
        alike = [one for one, length in lengths.items() if taken[one[:length]] > 1]
        if not alike:
            return [one[:length] for one, length in lengths.items()]
        for one in alike:
            lengths[one] += 4


def _few(texts: Sequence[str]) -> str:
    more = len(texts) - _NAMED_MOST
    return "; ".join(texts[:_NAMED_MOST]) + (f"; and {more} more" if more > 0 else "")
