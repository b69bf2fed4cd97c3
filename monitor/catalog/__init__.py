"""What is known of models and surfaces, as data: endpoint, request, gate, price, shutdown date."""

from monitor.catalog.billing import bill, open_price
from monitor.catalog.known_models import Catalog, Model, Price, builtin
from monitor.catalog.requests import ProbeRequest, listing_request, probe_request

__all__ = [
    "Catalog",
    "Model",
    "Price",
    "ProbeRequest",
    "bill",
    "builtin",
    "listing_request",
    "open_price",
    "probe_request",
]
