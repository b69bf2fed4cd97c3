"""The checks of URLs: where a secret may be sent, and whose contract that is."""

import ipaddress
import re
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import ValidationInfo

from monitor.access.fields import refuse, text_of
from monitor.access.words import Contract
from monitor.config.checks import Context
from monitor.config.problems import shown
from monitor.config.references import Secret

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]")


def channel_url(value: Secret) -> None:
    """A URL with a scheme; plain `mailto://` would send the mail account's password in clear."""
    url = value.reveal()
    what = f"what {shown(value.reference)} names"
    if not _SCHEME.match(url):
        raise refuse(
            f"{what} is no URL such as mailtos://… or https://hooks.slack.com/…", hidden=True
        )
    if url.lower().startswith("mailto://") and not _mail_stays_here(url):
        raise refuse(
            f"{what} is a mailto:// URL, which can send the password in clear: use mailtos:// …",
            hidden=True,
        )


def heartbeat_url(value: Secret, info: ValidationInfo) -> Secret:
    """A URL that can be called with GET."""
    if Context.of(info).secrets:
        _web_address(value, "https://hc-ping.com/…")
    return value


def webhook_url(value: Secret, context: Context) -> None:
    """A URL that can be posted to; plain http beyond this machine is warned of."""
    parts = _web_address(value, "https://receiver.example/events")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        context.warn(
            f"what {shown(value.reference)} names is plain http: whoever is on the way can read the events,"
            " though not change them, as they are signed"
        )


def _web_address(value: Secret, example: str) -> SplitResult:
    try:
        parts = urlsplit(value.reveal())
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise refuse(f"what {shown(value.reference)} names is no URL such as {example}", hidden=True)


def _mail_stays_here(url: str) -> bool:
    """True when a `mailto://` URL reaches this machine only; `smtp=` overrides its host."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    servers = [
        value
        for key, values in parse_qs(parts.query).items()
        if key.lower() == "smtp"
        for value in values
    ]
    return all(is_loopback(server) for server in [host or "", *servers])


def is_loopback(host: str) -> bool:
    """True for `localhost` and addresses of this machine's own interface."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_openai(base_url: str) -> bool:
    """True for OpenAI's own host and its regional ones (`eu.api.openai.com`); False for what is no URL."""
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:
        return False
    return f".{host}".endswith(".api.openai.com")


def base_url(value: Any) -> str:
    """A base URL that a secret may be sent to; without the slashes at its end."""
    text = text_of(value)
    if not text.isascii() or not text.isprintable() or any(char in ' \\"<>' for char in text):
        raise refuse("must be a URL: ASCII characters without whitespace, quotes or backslashes")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise refuse("is no URL: its host or port cannot be read") from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise refuse("must begin with https:// and a host, as in https://relay.example/v1")
    _only_host_and_path(parts, text)
    if parts.scheme == "http" and not is_loopback(host):
        raise refuse(
            "http:// would send the key in clear: use https:// (http is for this machine only)"
        )
    return text.rstrip("/")


def _only_host_and_path(parts: SplitResult, text: str) -> None:
    if "@" in parts.netloc:
        raise refuse(
            "must not hold a user name or password: the key is sent in a header", hidden=True
        )
    if "?" in text or "#" in text:
        raise refuse(
            "must not have a query or a fragment: paths such as /models are added to it",
            hidden=True,
        )


def usual_contract(route: dict[str, Any]) -> Contract:
    """Whose contract a route is when it does not say: success elsewhere is never OpenAI entitlement."""
    return Contract.DIRECT if is_openai(route["base_url"]) else Contract.PROVIDER


def contract(value: Contract, info: ValidationInfo) -> Contract:
    """Warn of `direct` at another host: it says that the host only forwards (an egress proxy, a stand-in)."""
    url = info.data.get("base_url")
    if url and value is Contract.DIRECT and not is_openai(url):
        Context.of(info).warn(
            f'a route is contract = "direct" at {url}, which is not OpenAI\'s own host: right only if'
            " it forwards to OpenAI under your own contract"
        )
    return value
