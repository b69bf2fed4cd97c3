"""Which proxy a route goes through, by the environment."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_for(base_url: str) -> str | None:
    """The proxy that the environment names for this base URL, without credentials; None for none."""
    proxy = proxy_with_credentials(base_url)
    if proxy is None:
        return None
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def proxy_with_credentials(base_url: str) -> str | None:
    """The same, as it is used: not to be shown."""
    url = urlsplit(base_url)
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or (url.hostname and proxy_bypass(url.netloc.rpartition("@")[2])):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
