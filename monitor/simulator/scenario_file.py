"""Scenarios from TOML, and what is wrong with one in words that a person can act on."""

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from monitor.simulator.faults import FAULTS
from monitor.simulator.refusals import REFUSALS
from monitor.simulator.scenario import OwnModels, Scenario, SimulatedKey, nearest
from monitor.simulator.simulated_models import BUILT_IN

_BUILT_IN_SCENARIOS = Path(__file__).parent / "scenarios"

#: Bytes of a scenario file. 10,000 keys make about 3 MB.
LARGEST = 16 * 1024 * 1024

#: What to give where pydantic's words are not those of TOML.
_ADVICE = {
    "missing": "add it",
    "string_type": "give a text in quotes",
    "string_too_short": "give a text that is not empty, or leave the key out",
    "int_type": "give a whole number",
    "float_type": "give a number",
    "date_type": "give a date",
    "too_short": "give at least one, or leave the key out",
    "tuple_type": "give a list",
    "frozen_set_type": "give a list",
    "dict_type": "give a table",
    "model_type": "give a table",
}


class ScenarioError(ValueError):
    """A scenario that cannot be played: `PLACE: WHAT WAS FOUND; WHAT TO DO`."""


def scenario_names() -> list[str]:
    """The built-in scenarios, in alphabetical order."""
    return sorted(path.stem for path in _BUILT_IN_SCENARIOS.glob("*.toml"))


def load_scenario(name_or_path: str | Path) -> Scenario:
    """Read a built-in scenario by name, or a file.

    Raises ScenarioError when there is none, it cannot be read, or it does not say what it must.
    """
    text, names = str(name_or_path), scenario_names()
    path = _BUILT_IN_SCENARIOS / f"{text}.toml" if text in names else Path(text)
    try:
        if path.stat().st_size > LARGEST:
            raise ScenarioError(f"{text}: the file is larger than 16 MiB; name a scenario file")
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ScenarioError(f"{text}: the file is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        advice = f"name a file or one of: {', '.join(names)}"
        raise ScenarioError(f"{text}: {error.strerror or 'cannot be read'}; {advice}") from None
    return parse_scenario(content)


def parse_scenario(text: str) -> Scenario:
    """Make a scenario from TOML text. Raises ScenarioError with the place, the value and what to do."""
    try:
        scenario = _read(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"scenario: not valid TOML: {error}; mend the syntax") from None
    except RecursionError:  # brackets within brackets, or what dotted keys make of one line
        raise ScenarioError("scenario: nested too deeply; nest less") from None
    _distinct(scenario.keys)
    return scenario


def _read(text: str) -> Scenario:
    raw = tomllib.loads(text)
    models = dict(BUILT_IN)
    known = {"models": models, "blocks": REFUSALS, "faults": FAULTS}
    try:
        OwnModels.model_validate(raw, context=known)
        return Scenario.model_validate({**raw, "models": models}, context=known)
    except ValidationError as error:
        raise _told(error.errors(include_url=False)[0], raw) from None


def _told(error: ErrorDetails, raw: dict[str, Any]) -> ScenarioError:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    loc = [part for part in error["loc"] if part != "[key]"]
    if "unknown" in context:
        loc.append(context["unknown"])
        found = "unknown key"
    elif kind == "missing":
        found = "missing"
    elif loc[-1] == "secret":
        found = "found a value that is not shown"
    else:
        found = f"found {value!s:.60}" if isinstance(value, date) else f"found {value!r:.60}"
    if kind in ("enum", "literal_error") and isinstance(value, str):
        advice = nearest(value, re.findall("'([^']*)'", context["expected"]))
    else:
        advice = _ADVICE.get(kind, error["msg"].replace("Input should", "it should"))
    return ScenarioError(f"{_place(loc, raw)}: {found}; {advice}")


def _place(loc: list[int | str], raw: dict[str, Any]) -> str:
    """`scenario.models[1].like`, or `keys.NAME.secret` where the key tells its name."""
    text = "scenario"
    if len(loc) > 2 and loc[0] == "keys" and (name := raw["keys"][loc[1]].get("name")):
        text, loc = f"keys.{name}", loc[2:]
    for part in loc:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            text += f".{part}" if re.fullmatch(r"[\w-]+", part) else f'."{part}"'
    return text


def _distinct(keys: tuple[SimulatedKey, ...]) -> None:
    for word in ("name", "secret"):
        numbers: dict[str, int] = {}
        for number, key in enumerate(keys, 1):
            first = numbers.setdefault(getattr(key, word), number)
            if first != number:
                raise ScenarioError(
                    f"keys.{key.name}.{word}: the same as in keys[{first}]; give each key its own"
                )
