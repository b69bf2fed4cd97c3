"""The settings file: schema, loading, secret references, errors a person can act on."""

from monitor.config.costs import month, price_of
from monitor.config.loading import default_from_environment, load
from monitor.config.locations import default_database, find, named_database
from monitor.config.presenting import example, show
from monitor.config.problems import Problem, SettingsError
from monitor.config.references import Secret
from monitor.config.schema import schema
from monitor.config.settings import Channel, Heartbeat, Key, Organization, Pool, Route, Settings

__all__ = [
    "Channel",
    "Heartbeat",
    "Key",
    "Organization",
    "Pool",
    "Problem",
    "Route",
    "Secret",
    "Settings",
    "SettingsError",
    "default_database",
    "default_from_environment",
    "example",
    "find",
    "load",
    "month",
    "named_database",
    "price_of",
    "schema",
    "show",
]
