"""The form of the settings file, and what `config schema`, `config show` and `config example` print."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from monitor.access.databases import Server
from monitor.access.fields import format_duration
from monitor.access.target import Capability
from monitor.access.words import EventKind
from monitor.config.references import PoolFile, Secret
from monitor.config.settings import File, Settings
from monitor.config.web_section import Address


@cache
def form() -> TypeAdapter[File]:
    """What reads a file; made when the first one is read."""
    return TypeAdapter(File)


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of the settings file, for editors, for docs/settings.md and for the errors."""
    made = form().json_schema(schema_generator=_FileSchema)
    sections = made["$defs"]
    words = {name: sections.pop(name)["enum"] for name in [*sections] if "enum" in sections[name]}
    # `openai` is built in and may leave its base URL out; known models may leave out everything.
    for section in ("Route", "Model"):
        del sections[section]["required"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_tidy(made, {f"#/$defs/{name}": enum for name, enum in words.items()}),
        "title": "access-monitor settings",
    }


def section_at(path: tuple[str | int, ...]) -> dict[str, Any]:
    """The settings, by name, of the section at a place of the file; none where there is no section."""
    node: dict[str, Any] = schema()
    for part in path:
        inside = node.get("properties", {}).get(part) or node.get("items")
        node = _referred(inside or _of_any_name(node))
    settings: dict[str, Any] = node.get("properties", {})
    return settings


def _of_any_name(node: dict[str, Any]) -> dict[str, Any]:
    patterns = node.get("patternProperties", {"": node.get("additionalProperties")})
    return next(iter(patterns.values())) or {}


def _referred(node: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    return schema()["$defs"][reference.rpartition("/")[2]] if reference else node


class _FileSchema(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """A default as the file writes it; a section's own defaults stand in the section."""
        if isinstance(dft, tuple):
            return [self.encode_default(one) for one in dft] or None
        if isinstance(dft, timedelta):
            return format_duration(dft)
        if isinstance(dft, Address):
            return str(dft)
        return None if is_dataclass(dft) else super().encode_default(dft)


def _tidy(node: Any, words: dict[str, list[str]]) -> Any:
    """Without what only says that it comes from Python: titles of fields, and null, which TOML lacks.

    The words of an enumeration stand where they can be written.
    """
    if isinstance(node, list):
        return [_tidy(item, words) for item in node]
    if not isinstance(node, dict):
        return node
    if (reference := node.get("$ref")) in words:
        node = {"enum": words[reference], **node}
        del node["$ref"]
    made = {
        key: _tidy(value, words)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
        and not (key == "default" and value is None)
        and key != "uniqueItems"  # a word that stands twice is no error
    }
    choices = [choice for choice in made.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del made["anyOf"]
        made = {**choices[0], **made}
    return made


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
        case Capability() | Path() | Server():
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
