"""What the service manager is told, by systemd's protocol: readiness, a status line, signs of life."""

import os
import socket
import time
from collections.abc import Mapping

import structlog

log = structlog.get_logger()


class ServiceManager:
    """The service manager that waits at `$NOTIFY_SOCKET`; without one every call does nothing.

    A manager that cannot be reached is logged once and raises nothing.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # "@" stands for the zero byte of an abstract socket; other forms (vsock:…) are for virtual machines.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._status = ""
        self._unreachable = False

    @property
    def there(self) -> bool:
        """Whether there is a service manager."""
        return self._address[:1] in ("/", "\0")

    def ready(self, status: str) -> None:
        """Settings, database and scheduler are up; also ends `reloading`."""
        self._status = status
        self._send("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """Send the status line, when it differs from the last one."""
        if status != self._status:
            self._status = status
            self._send(f"STATUS={status}")

    def alive(self) -> None:
        """Reset the watchdog's timer; called only while there is progress."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """The settings are being reloaded; `ready` must follow, whatever the outcome."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self) -> None:
        """The monitor is stopping."""
        self._send("STOPPING=1", "STATUS=stopping")

    def _send(self, *lines: str) -> None:
        if not self.there:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
                # Never wait: a manager that does not read must not block the loop.
                end.setblocking(False)
                end.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._unreachable:
                log.warning("service_manager_unreachable", error=str(error))
            self._unreachable = True
        else:
            self._unreachable = False
