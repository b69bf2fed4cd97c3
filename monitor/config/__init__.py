"""The settings file: schema, loading, secret references, errors a person can act on."""

from monitor.config.loading import (
    default_database,
    default_from_environment,
    find,
    load,
    named_database,
    named_listen,
)
from monitor.config.outlook import month, price_of
from monitor.config.problems import SettingsError
from monitor.config.references import Secret, server_at
from monitor.config.schema import example, schema, show
from monitor.config.settings import Key, Pool, Route, Settings

__all__ = [
    "Key",
    "Pool",
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
    "named_listen",
    "price_of",
    "schema",
    "server_at",
    "show",
]
