"""Sending a probe and reading what came back."""

from monitor.probing.prober import Credentials, Prober, ping
from monitor.probing.proxies import proxy_for

__all__ = ["Credentials", "Prober", "ping", "proxy_for"]
