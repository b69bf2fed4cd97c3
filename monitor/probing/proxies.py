"""Which proxy a route goes through, so that it can be logged."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_for(base_url: str) -> str | None:
    """The proxy that the environment names for this base URL, without credentials; None for none."""
    url = urlsplit(base_url)
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or (url.hostname and proxy_bypass(url.netloc.rpartition("@")[2])):
        return None
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
