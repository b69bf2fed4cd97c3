"""Entries of the settings' `[catalog.models.NAME]`, completed to whole models."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from monitor.access.fields import refuse
from monitor.access.words import Gate, Surface
from monitor.catalog.model import Model

#: The gate each surface usually has (FACTS of the gate's answers); chat and responses have one only
#: for some models, so an entry must say so.
USUAL_GATES: Mapping[Surface, Gate] = {
    Surface.IMAGES: Gate.MODEL,
    Surface.EDITS: Gate.MODEL,
    Surface.IMAGE_TOOL: Gate.MODEL,
    Surface.STREAM: Gate.STREAM,
    Surface.SUMMARY: Gate.SUMMARY,
}


def completed(entries: Any, known: Mapping[str, Model]) -> Any:
    """Each entry with what it leaves out: as the known model of its name has it, else as is usual."""
    if not isinstance(entries, dict):
        return entries
    return {
        name: _completed(name, entry, known.get(name)) if isinstance(entry, dict) else entry
        for name, entry in entries.items()
    }


def _completed(name: str, entry: dict[str, Any], known: Model | None) -> dict[str, Any]:
    if not name or name != name.strip() or not name.isprintable():
        text = "the name is empty or has blanks around it or control characters"
        raise refuse(text, below=(name,))
    if "name" in entry:
        raise refuse("unknown setting; the name is in the heading", below=(name, "name"))
    given = entry.get("surfaces")
    surfaces = [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
    if known:
        had = {one.name: getattr(known, one.name) for one in fields(known)}
        if given is not None:  # its gates at surfaces that the entry leaves out are gone with them
            had["gates"] = {one: gate for one, gate in known.gates.items() if one in surfaces}
        return {**had, **entry}
    gates = {one: USUAL_GATES[Surface(one)] for one in surfaces if one in USUAL_GATES}
    usual = {"gates": gates, "price": None, "shutdown": None, "checked": None}
    return {"name": name, **usual, "family": name, "source": "settings", **entry}
