"""What `config show` and `config example` print."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from monitor.access.fields import format_duration
from monitor.access.target import Capability
from monitor.access.words import EventKind
from monitor.config.pools import PoolFile
from monitor.config.references import Secret
from monitor.config.settings import Settings


def example() -> str:
    """The commented example of a settings file; `config/access-monitor.toml` is the same text."""
    return resources.files("monitor.config").joinpath("example.toml").read_text(encoding="utf-8")


def show(settings: Settings) -> dict[str, Any]:
    """The settings as resolved, as JSON values; secrets by reference and fingerprint only."""
    named = [key for key in settings.keys if not settings.pool_of(key.name)]
    shown = {
        one.name: _plain(getattr(settings, one.name))
        for one in fields(settings)
        if one.name not in ("catalog", "keys") and not one.name.startswith("_")
    }
    for pool in shown["pools"]:
        pool.update(pool["secrets"])
    if settings.heartbeat.url is None:
        shown["heartbeat"] = None
    return {
        **shown.pop("monitor"),
        **shown,
        "keys": _plain(named),
        "rules": [
            {name: value for name, value in rule.items() if value} for rule in shown["rules"]
        ],
        "targets": [f"{key.name}/{one}" for key in named for one in key.watch],
    }


def _plain(value: Any) -> Any:
    match value:
        case Secret():
            return {"reference": value.reference, "fingerprint": value.fingerprint}
        case PoolFile():
            return {
                "secrets": value.reference,
                "keys": None if value.keys is None else len(value.keys),
            }
        case Capability() | Path():
            return str(value)
        case timedelta():
            return format_duration(value)
        case date():
            return value.isoformat()
        case frozenset():
            return [str(event) for event in EventKind if event in value]
        case tuple() | list():
            return [_plain(item) for item in value]
        case Mapping():
            return {name: _plain(item) for name, item in value.items()}
        case _ if is_dataclass(value):
            return {
                one.name: _plain(getattr(value, one.name))
                for one in fields(value)
                if one.name[0] != "_"
            }
        case _:
            return value
