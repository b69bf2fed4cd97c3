"""The form of the settings file, as pydantic reads it and as the JSON Schema says it."""

from dataclasses import is_dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from monitor.access.fields import format_duration
from monitor.config.settings import File


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
