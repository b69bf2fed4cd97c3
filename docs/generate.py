"""Fills the tables of docs/ that are made from the program: `make docs`.

Each table stands between two comments of its page. A test compares them with what is made here.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import resources
from math import floor, log10
from pathlib import Path
from typing import Any

from monitor.access.diagnosis.advice import advise
from monitor.access.diagnosis.rules import Rule, read_rules
from monitor.access.target import Capability
from monitor.access.words import Code, Gate, Surface
from monitor.alerts import webhook_event
from monitor.catalog import Catalog, builtin
from monitor.catalog.billing import open_price
from monitor.catalog.known_models import Model
from monitor.config import schema
from monitor.web.metric_families import FAMILIES

HERE = Path(__file__).parent

#: The sections of a settings file as a person writes them, and how each is headed.
SECTIONS: Mapping[str, str] = {
    "monitor": "[monitor]",
    "routes": "[routes.NAME]",
    "keys": "[[keys]]",
    "pools": "[[pools]]",
    "organizations": '[organizations."ORG"]',
    "rules": "[[rules]]",
    "channels": "[[channels]]",
    "cadence": "[cadence]",
    "confirmation": "[confirmation]",
    "deadlines": "[deadlines]",
    "budget": "[budget]",
    "delivery": "[delivery]",
    "heartbeat": "[heartbeat]",
    "web": "[web]",
    "web.tokens": "[[web.tokens]]",
    "fleet": "[fleet]",
    "catalog": '[catalog.models."MODEL"]',
}


def settings() -> str:
    """A heading and a table for each section, from the JSON Schema of the settings file."""
    made = schema()
    parts = [_section(made, name, heading) for name, heading in SECTIONS.items()]
    return "\n\n".join(parts)


def models(catalog: Catalog) -> str:
    """Each model of the catalog as a row, in the catalog's order.

    The open probe is what one granted full probe of the usual surface costs; a refused one is free.
    """
    head = ("model", "usual surface", "surfaces", "gate", "open probe", "shutdown")
    return _table(head, (_model(catalog, model) for model in catalog.models.values()))


def codes() -> str:
    """Each diagnosis with its effect, its usual owner, and the advice that `check` prints."""
    head = ("diagnosis", "effect", "owner", "what it means", "what to do", "waiting helps")
    return _table(head, map(_code, Code))


def rules() -> str:
    """Each built-in rule in the order in which they are tried, with its meaning and its reason."""
    text = resources.files("monitor.access.diagnosis").joinpath("rules.toml").read_text("utf-8")
    rows = [_rule(number, rule) for number, rule in enumerate(read_rules(text), start=1)]
    return _table(("#", "rule", "means", "why it exists", "reads"), rows)


def metrics() -> str:
    """Each metric with its kind, its labels and its meaning, in the order in which they are scraped."""
    head = ("metric", "kind", "labels", "meaning")
    rows = (
        (f"`{one.name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels), one.meaning)
        for one in FAMILIES
    )
    return _table(head, rows)


def webhook(name: str) -> str:
    """The fields of a definition of the webhook's JSON Schema, which has their forms."""
    fields = webhook_event.schema()["$defs"][name]["properties"]
    rows = ((f"`{field}`", about["description"]) for field, about in fields.items())
    return _table(("field", "meaning"), rows)


def webhook_schema() -> str:
    """The JSON Schema of what a webhook is sent."""
    return json.dumps(webhook_event.schema(), indent=2) + "\n"


#: Whole files that are made.
FILES: Mapping[str, Callable[[], str]] = {"webhook.schema.json": webhook_schema}

#: Which page has which table, and what makes it.
TABLES: Mapping[tuple[str, str], Callable[[], str]] = {
    ("settings.md", "settings"): settings,
    ("catalog.md", "models"): lambda: models(builtin()),
    ("diagnosis.md", "codes"): codes,
    ("diagnosis.md", "rules"): rules,
    ("metrics.md", "metrics"): metrics,
    ("webhook.md", "event"): lambda: webhook("EventData"),
    ("webhook.md", "details"): lambda: webhook("Details"),
}


def marks(name: str) -> tuple[str, str]:
    """The comments that stand around a table."""
    return f"<!-- {name}: made by `make docs` -->", f"<!-- end of {name} -->"


def table_of(text: str, name: str) -> str:
    """The table of that name as a page has it. Raises ValueError when its comments are not there once."""
    begin, end = marks(name)
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the page must have {begin} and {end} once each")
    return text.partition(begin)[2].partition(end)[0].strip("\n")


def fill() -> Iterator[str]:
    """Write each file, and each table to its page; yields the pages that changed."""
    for name, make in FILES.items():
        path, new = HERE / name, make()
        if not path.exists() or path.read_text(encoding="utf-8") != new:
            path.write_text(new, encoding="utf-8")
            yield f"docs/{name}"
    for (page, name), make in TABLES.items():
        path = HERE / page
        text = path.read_text(encoding="utf-8")
        old, new = table_of(text, name), make()
        if old != new:
            begin, end = marks(name)
            before, after = text.partition(begin)[0], text.partition(end)[2]
            path.write_text(f"{before}{begin}\n{new}\n{end}{after}", encoding="utf-8")
            yield f"docs/{page}"


def _section(made: Mapping[str, Any], name: str, heading: str) -> str:
    known, (outer, *inner) = made["$defs"], name.split(".")
    whole = made["properties"][outer]
    if inner:  # a section of a section
        whole = _referred(whole, known)["properties"][inner[0]]
    section = _referred(whole, known)
    if name == "catalog":
        section = known["Model"]
    fields = section["properties"]
    rows = []
    for field, about in fields.items():
        if field == "price" and "$ref" in about:
            inner = _referred(about, known)["properties"]
            rows += [(f"`price.{kind}`", *_field(one, needed=False)) for kind, one in inner.items()]
            continue
        rows.append((f"`{field}`", *_field(about, needed=field in section.get("required", ()))))
    said = [section] if "$ref" in whole else [section, whole]  # a list, or a table by names
    about = " ".join(f"{one['description'].rstrip('.')}." for one in said)
    return f"### `{heading}`\n\n{about}\n\n" + _table(
        ("setting", "form", "default", "meaning"), rows
    )


def _referred(node: Any, known: Mapping[str, Any]) -> Any:
    """The definition that a property names, directly, as a list's items, or by a pattern of names."""
    while "$ref" not in node:
        node = node.get("items") or node.get("additionalProperties") or node["patternProperties"]
        if "$ref" not in node:  # patterns of names
            (node,) = node.values()
    return known[node["$ref"].rpartition("/")[2]]


def _field(about: Mapping[str, Any], *, needed: bool) -> tuple[str, ...]:
    default = about.get("default")
    said = "needed" if needed else "" if default is None or default == {} else f"`{_toml(default)}`"
    meaning = about.get("description", "").replace("|", "\\|")
    return _form(about), said, re.sub(r"docs/((\w+\.md)#[\w-]+)", r"[\2](\1)", meaning)


def _form(about: Mapping[str, Any]) -> str:
    """What is written after the equals sign."""
    if about.get("type") == "array":
        return f"list of {_form(about['items'])}s"
    pattern = about.get("pattern", "")
    if "ms)" in pattern:
        return "duration"
    if pattern.endswith("):.+"):
        return "reference"
    if "enum" in about:
        return "word"
    if about.get("format") in ("date", "date-time"):
        return {"date": "date", "date-time": "date and time"}[about["format"]]
    kinds = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "true or false",
    }
    return kinds.get(about.get("type", ""), "table")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _model(catalog: Catalog, model: Model) -> Iterator[str]:
    surfaces: Sequence[Surface] = [
        s for s in model.surfaces if s is not Surface.MODELS
    ] or model.surfaces
    yield f"`{model.name}`"
    yield f"`{surfaces[0]}`"
    yield ", ".join(surfaces)
    yield _gates(model, surfaces)
    yield _dollars(open_price(catalog, Capability(model.name, surfaces[0])))
    yield str(model.shutdown or "-")


def _gates(model: Model, surfaces: Sequence[Surface]) -> str:
    """The gates by name, with the surfaces each refuses unless it is all of them."""
    parts = []
    for gate in Gate:
        refused = [surface for surface in surfaces if model.gates.get(surface) is gate]
        if refused == list(surfaces):
            return str(gate)
        if refused:
            parts.append(f"{gate} ({', '.join(refused)})" if refused != [str(gate)] else str(gate))
    return ", ".join(parts) or "none"


def _dollars(price: float | None) -> str:
    if not price:
        return "not known" if price is None else "$0"
    return f"${price:.{1 - floor(log10(price))}f}"  # two digits that matter


def _code(code: Code) -> tuple[str, ...]:
    known = advise(code, None, code.owner)
    waits = "yes" if known.waiting_helps else "no"
    return f"`{code}`", str(code.effect), str(code.owner), known.meaning, known.advice, waits


def _rule(number: int, rule: Rule) -> tuple[str, ...]:
    what = "the message" if rule.phrases else "code, type or reason"
    return str(number), f"`{rule.id}`", f"`{rule.means}`", rule.why.replace("|", "\\|"), what


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *map(list, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    changed = list(fill())
    sys.stdout.write(
        "".join(f"{page} changed\n" for page in changed) or "docs/ is as the program is\n"
    )
