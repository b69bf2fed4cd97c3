"""The fences of a database that several machines can reach: the rows that say who may write to it.

Its time is the server's: clocks of different machines are not compared.
"""

import os
import socket
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from monitor.access.databases import Server
from monitor.store import tables
from monitor.store.errors import BUSY_TIMEOUT, LockedError
from monitor.store.status_queries import FRESH

#: The number of the one daemon's fence; those of a fleet's workers are higher.
ONE = 1
#: Seconds after its last transaction in which a worker of a fleet counts as alive.
LEASE = 5

_MAKE = text("""
    INSERT INTO fences (id, epoch, sequence, seen_at) VALUES (1, 0, 0, clock_timestamp())
    ON CONFLICT DO NOTHING
""")
_ASK = text("""
    SELECT holder, extract(epoch FROM clock_timestamp() - seen_at) AS age
    FROM fences WHERE id = :id FOR UPDATE
""")
_HOLDERS = text("""
    SELECT id, holder, extract(epoch FROM clock_timestamp() - seen_at) AS age
    FROM fences WHERE holder IS NOT NULL ORDER BY id
""")
_WAIT = text(f"SELECT pg_sleep({LEASE})")
_TAKE = text("""
    UPDATE fences SET epoch = epoch + 1, sequence = 0, holder = :holder, seen_at = clock_timestamp()
    WHERE id = :id RETURNING epoch
""")
_TAKE_AWAY = text("UPDATE fences SET epoch = epoch + 1, holder = NULL")
# A process that stands still holds its rows. The server ends a transaction that lies idle, but not one of
# which it has read a part of what the client sends at once (`executemany`): it waits for the rest.
_CUT_OFF = text(f"""
    SELECT pg_terminate_backend(activity.pid) FROM fences
    JOIN pg_locks ON locktype = 'transactionid' AND granted AND transactionid = fences.xmax
    JOIN pg_stat_activity activity ON activity.pid = pg_locks.pid
    WHERE fences.id = :id AND usename = current_user AND wait_event_type = 'Client'
        AND xact_start < clock_timestamp() - interval '{LEASE} seconds'
""")  # noqa: S608 - a constant
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
    if any(age > LEASE and not is_dead(holder) for _, holder, age in connection.execute(_HOLDERS)):
        # perhaps the server was away, and they had no chance to be seen
        connection.execute(_WAIT)
    require_no_daemon(server, connection)
    for number, holder, age in connection.execute(_HOLDERS).all():
        if number != ONE:
            require_dead(server, "a worker of a fleet", holder, age, 2 * LEASE)


def require_no_daemon(server: Server, connection: Connection) -> None:
    """Raise LockedError while the one daemon lives; workers of a fleet may. As `require_free` else."""
    connection.execute(_MAKE)
    holder, age = connection.execute(_ASK, {"id": ONE}).one()
    require_dead(server, "another instance", holder, age, FRESH.total_seconds())


def require_dead(server: Server, who: str, holder: str | None, age: float, most: float) -> None:
    """Raise LockedError while the holder of a fence lives, or may live: `age` seconds of at most `most`."""
    if holder is None or age > most or is_dead(holder):
        return
    raise LockedError(
        f"{server}: {who} has this database ({place_of(holder)}, seen {age:.0f} s ago);"
        f" if it was killed, it can be taken over after {most:.0f} s"
    )


def end_others(server: Server, connection: Connection) -> None:
    """End the epochs of who is gone, or was taken for that: their transactions are refused from now on.

    Raises LockedError as `require_free` does.
    """
    require_free(server, connection)
    for number, *_ in connection.execute(_HOLDERS).all():
        cut_off(connection, number)
    connection.execute(_TAKE_AWAY)
    # it does not see what is spent meanwhile; the next fleet sums up anew
    connection.execute(tables.months.delete())


def take(connection: Connection, number: int) -> int:
    """Become the owner. Returns the epoch."""
    values = {"holder": own_name(), "id": number}
    return int(connection.execute(_TAKE, values).scalar_one())


def cut_off(connection: Connection, number: int) -> None:
    """Cut the connection of a holder whose transaction has waited for it longer than a lease."""
    connection.execute(_CUT_OFF, {"id": number})


def limit_waits(connection: Connection) -> None:
    """Bound what the server lets this transaction wait for others, and others for this one."""
    connection.execute(_LIMITS)


def own_name() -> str:
    """Who this process is, for `place_of` and `is_dead`."""
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
    """When a process was started, in ticks of its machine; empty where that cannot be read.

    Of one that has ended, and that its parent was not told of yet, it is no number.
    """
    with suppress(OSError):
        # the name, in parentheses, may hold anything (proc_pid_stat(5))
        about = Path(f"/proc/{process}/stat").read_text(errors="replace")
        words = about.rpartition(")")[2].split()
        return "ended" if words[0] in ("Z", "X") else words[19]
    return ""


def place_of(holder: str) -> str:
    """Machine and process of a holder, for people."""
    return holder.partition("/")[0]


def is_dead(holder: str) -> bool:
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
