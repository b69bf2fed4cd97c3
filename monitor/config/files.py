"""Reading a file that a person named: bounded, and never waiting."""

import errno
import os
import stat
from pathlib import Path


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
