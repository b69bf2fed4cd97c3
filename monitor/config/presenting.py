"""What `config show`, `config schema` and `config example` print."""

from dataclasses import fields
from datetime import timedelta
from importlib import resources
from typing import Any

from monitor.access.words import EventKind
from monitor.config.durations import format_duration
from monitor.config.references import Secret
from monitor.config.schema import File
from monitor.config.settings import Settings


def example() -> str:
    """The commented example of a settings file; `config/access-monitor.toml` is the same text."""
    return resources.files("monitor.config").joinpath("example.toml").read_text(encoding="utf-8")


def schema() -> dict[str, Any]:
    """The JSON Schema of the settings file, for editors."""
    made = _tidy(File.model_json_schema())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "access-monitor settings",
        **made,
    }


def _tidy(node: Any) -> Any:
    """Without what only says that it comes from Python: titles of fields, and null, which TOML lacks."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {
        key: _tidy(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
        and not (key == "default" and value is None)
    }
    choices = [choice for choice in made.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del made["anyOf"]
        made = {**choices[0], **made}
    return made


def show(settings: Settings) -> dict[str, Any]:
    """The settings as resolved, as JSON values; secrets by reference and fingerprint only."""
    return {
        "source": str(settings.source) if settings.source else None,
        "database": str(settings.database),
        "log_format": settings.log_format,
        "log_level": settings.log_level.lower(),
        "routes": {
            route.name: {
                "base_url": route.base_url,
                "contract": str(route.contract),
                "price": route.price,
                "rate": route.rate,
                "timeout": format_duration(route.timeout) if route.timeout else None,
            }
            for route in settings.routes.values()
        },
        "keys": [
            {
                "name": key.name,
                "secret": _secret(key.secret),
                "organization": key.organization,
                "project": key.project,
                "route": key.route,
                "watch": [str(capability) for capability in key.capabilities],
                "verified_at": key.verified_at.isoformat() if key.verified_at else None,
                "log_every": key.log_every,
            }
            for key in settings.keys
            if not key.pool
        ],
        "pools": [
            {
                "name": pool.name,
                "secrets": pool.secrets,
                "keys": pool.keys,
                "organization": pool.organization,
                "project": pool.project,
                "route": pool.route,
                "watch": [str(capability) for capability in pool.capabilities],
                "channels": list(pool.channels),
                "cadence": _limits(pool.cadence),
                "log_every": pool.log_every,
            }
            for pool in settings.pools.values()
        ],
        "organizations": {
            one.id: {"admin_key": _secret(one.admin_key), "route": one.route}
            for one in settings.organizations.values()
        },
        "rules": [
            {"diagnosis": str(rule.diagnosis)}
            | {name: getattr(rule, name) for name in rule.tells()}
            for rule in settings.rules
        ],
        "channels": [
            {
                "name": channel.name,
                "url": _secret(channel.url),
                "events": [str(event) for event in EventKind if event in channel.events],
                "targets": list(channel.targets),
            }
            for channel in settings.channels
        ],
        **{
            section: _limits(getattr(settings, section))
            for section in ("cadence", "confirmation", "deadlines", "budget", "delivery")
        },
        "heartbeat": settings.heartbeat
        and {
            "url": _secret(settings.heartbeat.url),
            "every": format_duration(settings.heartbeat.every),
        },
        "targets": [
            target.name for target in settings.targets() if not settings.key(target.key).pool
        ],
        "warnings": list(settings.warnings),
    }


def _secret(secret: Secret) -> dict[str, str]:
    return {"reference": secret.reference, "fingerprint": secret.fingerprint}


def _limits(limits: Any) -> dict[str, Any]:
    return {field.name: _plain(getattr(limits, field.name)) for field in fields(limits)}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return format_duration(value) if isinstance(value, timedelta) else value
