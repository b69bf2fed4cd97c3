"""The fence of a database that several machines can reach: the row that says who may write to it.

Its time is the server's: clocks of different machines are not compared.
"""

import os
import socket
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from monitor.access.databases import Server
from monitor.store.errors import BUSY_TIMEOUT, LockedError
from monitor.store.liveness import FRESH

_MAKE = text("""
    INSERT INTO fences (id, epoch, sequence, seen_at) VALUES (1, 0, 0, clock_timestamp())
    ON CONFLICT DO NOTHING
""")
_ASK = text("""
    SELECT holder, extract(epoch FROM clock_timestamp() - seen_at) AS age
    FROM fences WHERE id = 1 FOR UPDATE
""")
_TAKE = text("""
    UPDATE fences SET epoch = epoch + 1, sequence = 0, holder = :holder, seen_at = clock_timestamp()
    WHERE id = 1 RETURNING epoch
""")
_ENTER = text("""
    UPDATE fences SET sequence = sequence + 1, seen_at = clock_timestamp()
    WHERE id = 1 AND epoch = :epoch RETURNING sequence
""")
_LEAVE = text("UPDATE fences SET holder = NULL WHERE id = 1 AND epoch = :epoch")
#: For this transaction: how long it waits for others, and how long it may lie idle when its client is gone.
_LIMITS = text(f"""
    SELECT set_config('lock_timeout', '{BUSY_TIMEOUT:.0f}s', true),
        set_config('idle_in_transaction_session_timeout', '30s', true)
""")


def require_free(server: Server, connection: Connection) -> None:
    """Raise LockedError while a daemon lives. Nobody else can take the fence until the transaction ends."""
    limit_waits(connection)
    if not inspect(connection).has_table("fences"):
        return
    connection.execute(_MAKE)
    holder, age = connection.execute(_ASK).one()
    if holder is None or age > FRESH.total_seconds() or _is_dead(holder):
        return
    raise LockedError(
        f"{server}: another instance has this database ({holder.partition('/')[0]}, seen {age:.0f} s ago);"
        f" if it was killed, it can be taken over after {FRESH.total_seconds():.0f} s"
    )


def take(connection: Connection) -> int:
    """Become the owner. Returns the epoch."""
    return int(connection.execute(_TAKE, {"holder": _own_name()}).scalar_one())


def take_away(connection: Connection) -> None:
    """End the epoch of who is gone, or was taken for that: its transactions are refused from now on."""
    connection.execute(_TAKE, {"holder": None})


def enter(connection: Connection, epoch: int | None) -> int | None:
    """Check the epoch, and count. Returns the number of the transaction; None when another is the owner."""
    limit_waits(connection)
    number: int | None = connection.execute(_ENTER, {"epoch": epoch}).scalar_one_or_none()
    return number


def leave(connection: Connection, epoch: int | None) -> None:
    """Let another have it at once."""
    connection.execute(_LEAVE, {"epoch": epoch})


def limit_waits(connection: Connection) -> None:
    """Bound what the server lets this transaction wait for others, and others for this one."""
    connection.execute(_LIMITS)


def _own_name() -> str:
    return f"{socket.gethostname()}, process {os.getpid()}/{_started(os.getpid())}/{_machine()}"


def _machine() -> str:
    """What tells this machine, since its start if that can be read, and this space of process numbers."""
    known = ""
    # a hardened service cannot read the first one
    for file in ("/proc/sys/kernel/random/boot_id", "/etc/machine-id"):
        with suppress(OSError):
            known = known or Path(file).read_text(encoding="ascii").strip()
    with suppress(OSError):
        return f"{known}:{Path('/proc/self/ns/pid').readlink()}" if known else ""
    return ""


def _started(process: int) -> str:
    """When a process was started, in ticks of its machine; empty where that cannot be read."""
    with suppress(OSError):
        # the name, in parentheses, may hold anything (proc_pid_stat(5))
        about = Path(f"/proc/{process}/stat").read_text(errors="replace")
        return about.rpartition(")")[2].split()[19]
    return ""


def _is_dead(holder: str) -> bool:
    """Whether the holder was a process of this machine and is gone; of others nothing is known."""
    name, _, rest = holder.partition("/")
    host, _, number = name.rpartition(", process ")
    started, _, machine = rest.partition("/")
    if host != socket.gethostname() or not machine or machine != _machine():
        return False
    if not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    # a later process may have got the number
    now = _started(int(number))
    return bool(started and now and started != now)
