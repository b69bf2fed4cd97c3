"""Scenarios from TOML, strictly: a word that is not known is an error, never ignored."""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from difflib import get_close_matches
from importlib import resources
from math import inf, isfinite
from pathlib import Path

from monitor.simulator.faults import FAULTS
from monitor.simulator.refusals import REFUSALS
from monitor.simulator.scenario import (
    ALLOW_LIST,
    ALWAYS,
    BASES,
    DENY_LIST,
    DIRECT,
    NEVER,
    TODAY,
    Admin,
    Block,
    Fault,
    Matching,
    Scenario,
    ScenarioError,
    SimulatedGate,
    SimulatedKey,
    Timeline,
)
from monitor.simulator.simulated_models import BUILT_IN, SimulatedModel, SimulatedSurface
from monitor.simulator.toml_table import TomlTable

#: Bytes of a scenario file. 10,000 keys make about 3 MB.
LARGEST = 16 * 1024 * 1024

#: Beyond it a whole number is a mistake, and Python cannot make every one a float.
_LARGEST_NUMBER = 10**12

#: The longest delay or silence a fault may state, in seconds: waits are bounded.
LONGEST_FAULT = 600.0


def scenario_names() -> list[str]:
    """The built-in scenarios, in alphabetical order."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in resources.files("monitor.simulator").joinpath("scenarios").iterdir()
        if entry.name.endswith(".toml")
    )


def load_scenario(name_or_path: str | Path) -> Scenario:
    """Read a built-in scenario by name, or a file.

    Raises ScenarioError when there is none, it cannot be read, or it does not say what it must.
    """
    text = str(name_or_path)
    if text in scenario_names():
        source = resources.files("monitor.simulator").joinpath("scenarios", f"{text}.toml")
        return parse_scenario(source.read_text(encoding="utf-8"))
    path = Path(name_or_path)
    try:
        if path.stat().st_size > LARGEST:
            raise ScenarioError(text, "the file is larger than 16 MiB", "name a scenario file")
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ScenarioError(text, "the file is not UTF-8 text", "save it as UTF-8") from None
    except OSError as error:
        known = ", ".join(scenario_names())
        reason = error.strerror or "cannot be read"
        raise ScenarioError(text, reason, f"name a file or one of: {known}") from None
    return parse_scenario(content)


def parse_scenario(text: str) -> Scenario:
    """Make a scenario from TOML text. Raises ScenarioError with the place, the value and what to do."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError("scenario", f"not valid TOML: {error}", "mend the syntax") from None
    top = TomlTable("scenario", raw)
    models = _models(top)
    scenario = Scenario(
        name=top.take("name", str),
        about=top.take("about", str, ""),
        time_scale=_time_scale(top),
        seed=top.take("seed", int, 0),
        today=top.take("today", date, TODAY),
        models=models,
        keys=tuple(_key(table, models) for table in top.tables("keys")),
        admins=tuple(_admin(table) for table in top.tables("admins")),
    )
    top.finish()
    _distinct(scenario.keys)
    return scenario


def _models(top: TomlTable) -> Mapping[str, SimulatedModel]:
    models = dict(BUILT_IN)
    for table in top.tables("models"):
        name, like = table.take("name", str), table.take("like", str)
        if like not in models:
            raise table.wrong("like", like, f"name one of: {', '.join(sorted(models))}")
        shutdown = table.maybe("shutdown", date)
        models[name] = replace(models[like], name=name, snapshot=name, shutdown=shutdown)
        table.finish()
    return models


def _key(table: TomlTable, models: Mapping[str, SimulatedModel]) -> SimulatedKey:
    name = table.take("name", str)
    table.place = f"keys.{name}"
    secret = table.take("secret", str)
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise table.wrong("secret", secret, "give printable ASCII without spaces")
    contract = table.take("contract", str, DIRECT)
    if contract not in BASES:
        raise table.wrong("contract", contract, f"give one of: {', '.join(BASES)}")
    base = table.take("base", str, BASES[contract])
    if not base.startswith("/") or base.endswith("/"):
        raise table.wrong("base", base, "give a path such as /relay/v1")
    rate = table.maybe("images_per_minute", int)
    if rate is not None and rate < 1:
        raise table.wrong("images_per_minute", rate, "give a whole number from 1")
    capabilities = table.table("capabilities")
    key = SimulatedKey(
        name=name,
        secret=secret,
        organization=table.take("organization", str, f"org-{name}"),
        slug=table.take("slug", str, f"user-{name}"),
        projects=tuple(table.strings("projects")) or (f"proj_{name}",),
        contract=contract,
        base=base,
        gate=_gate(table.table("gate")),
        capabilities={
            _capability(capabilities, text, models): _gate(capabilities.table(text))
            for text in capabilities.items()
        },
        blocks=tuple(_block(item, models) for item in table.tables("blocks")),
        faults=tuple(_fault(item, models) for item in table.tables("faults")),
        unlisted=frozenset(table.strings("unlisted")),
        images_per_minute=rate,
    )
    table.finish()
    return key


def _admin(table: TomlTable) -> Admin:
    mode = table.maybe("mode", str)
    if mode not in (None, ALLOW_LIST, DENY_LIST):
        raise table.wrong("mode", mode, f"give one of: {ALLOW_LIST}, {DENY_LIST}")
    admin = Admin(
        secret=table.take("secret", str),
        organization=table.take("organization", str),
        mode=mode,
        models=tuple(table.strings("models")),
        images_per_minute=table.take("images_per_minute", int, 5),
    )
    table.finish()
    return admin


def _capability(
    table: TomlTable, text: str, models: Mapping[str, SimulatedModel]
) -> tuple[str, SimulatedSurface | None]:
    model, _, surface = text.rpartition(":")
    if text in models:
        return text, None
    if model not in models:
        near = get_close_matches(model or text, models, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ScenarioError(
            f'{table.place}."{text}"', "unknown model", f"{hint}Or add it under [[models]]"
        )
    if surface not in set(SimulatedSurface) - {SimulatedSurface.MODELS}:
        known = ", ".join(sorted(set(SimulatedSurface) - {SimulatedSurface.MODELS}))
        raise ScenarioError(f'{table.place}."{text}"', "unknown surface", f"give one of: {known}")
    return model, SimulatedSurface(surface)


def _gate(table: TomlTable) -> SimulatedGate:
    gate = SimulatedGate(
        open=_timeline(table, "open", NEVER),
        locked=_timeline(table, "locked", NEVER),
        answers_as=table.maybe("answers_as", str),
    )
    table.finish()
    return gate


def _timeline(table: TomlTable, name: str, default: Timeline) -> Timeline:
    """`"always"`, `"never"`, a number of seconds from which on, or a list of intervals."""
    value = table.raw(name)
    if value is None:
        return default
    advice = (
        'give "always", "never", the second it begins, or intervals such as [[9, 10], [12, inf]]'
    )
    if value in ("always", "never"):
        return ALWAYS if value == "always" else NEVER
    spans = [[value, inf]] if _is_number(value) else value
    if not isinstance(spans, list):
        raise table.wrong(name, value, advice)
    last = 0.0
    for span in spans:
        if not (isinstance(span, list) and len(span) == 2 and all(map(_is_number, span))):
            raise table.wrong(name, value, advice)
        if not last <= span[0] < span[1] or not isfinite(span[0]):
            raise table.wrong(name, value, "give intervals from 0 on, in ascending order")
        last = span[1]
    return Timeline(tuple((float(begin), float(end)) for begin, end in spans))


def _is_number(value: object) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < _LARGEST_NUMBER)


def _matching(table: TomlTable, models: Mapping[str, SimulatedModel]) -> Matching:
    surfaces = table.strings("surfaces")
    for surface in surfaces:
        if surface not in set(SimulatedSurface):
            raise table.wrong("surfaces", surface, f"give some of: {', '.join(SimulatedSurface)}")
    names = table.strings("models")
    for model in names:
        if model not in models:
            raise table.wrong("models", model, "name known models, or add it under [[models]]")
    return Matching(
        between=_timeline(table, "between", ALWAYS),
        models=frozenset(names),
        surfaces=frozenset(map(SimulatedSurface, surfaces)),
    )


def _what(table: TomlTable, known: Mapping[str, object]) -> str:
    what = table.take("what", str)
    if what not in known:
        raise table.wrong("what", what, f"give one of: {', '.join(sorted(known))}")
    return what


def _block(table: TomlTable, models: Mapping[str, SimulatedModel]) -> Block:
    block = Block(_what(table, REFUSALS), _matching(table, models))
    table.finish()
    return block


def _fault(table: TomlTable, models: Mapping[str, SimulatedModel]) -> Fault:
    first = table.maybe("first", int)
    if first is not None and first < 1:
        raise table.wrong("first", first, "give a whole number from 1")
    probability = table.take("probability", float, 1.0)
    if not 0 <= probability <= 1:
        raise table.wrong("probability", probability, "give a number from 0 to 1")
    retry_after = table.maybe("retry_after", float)
    for name, value in (("retry_after", retry_after), ("seconds", table.maybe("seconds", float))):
        if value is not None and not 0 <= value <= LONGEST_FAULT:
            raise table.wrong(name, value, f"give seconds from 0 to {LONGEST_FAULT:g}")
    fault = Fault(
        what=_what(table, FAULTS),
        when=_matching(table, models),
        first=first,
        probability=probability,
        seconds=1.0 if value is None else value,
        retry_after=retry_after,
    )
    table.finish()
    return fault


def _time_scale(table: TomlTable) -> float:
    value = table.take("time_scale", float, 1.0)
    if not 0.001 <= value <= 1_000_000:
        raise table.wrong("time_scale", value, "give a number from 0.001 to 1000000")
    return value


def _distinct(keys: tuple[SimulatedKey, ...]) -> None:
    names: set[str] = set()
    secrets: dict[str, str] = {}
    for key in keys:
        if key.name in names:
            raise ScenarioError(f"keys.{key.name}", "the name is used twice", "rename one of them")
        names.add(key.name)
        other = secrets.setdefault(key.secret, key.name)
        if other != key.name:
            raise ScenarioError(
                f"keys.{key.name}.secret",
                f"the secret is that of {other}",
                "give each key its own",
            )
