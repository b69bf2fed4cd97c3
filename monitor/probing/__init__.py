"""Sending a probe and reading what came back."""

from monitor.probing.prober import Prober, ping, reachable
from monitor.probing.transport import UnusableError, proxy_for
from monitor.probing.writing import Credentials

__all__ = ["Credentials", "Prober", "UnusableError", "ping", "proxy_for", "reachable"]
