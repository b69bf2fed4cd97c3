"""`export`: the targets by state, for other programs; keys by reference, never a secret."""

import csv
import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from monitor.access.words import State, Surface
from monitor.cli.common import ConfigOption, fail, load_settings, note, print_json

if TYPE_CHECKING:
    from monitor.config import Key, Settings
    from monitor.store.records import TargetStatus


#: LiteLLM's word for what a deployment does, by the surface that was probed; a list of models is none.
_MODES: Mapping[Surface, str] = {
    Surface.IMAGES: "image_generation",
    Surface.EDITS: "image_edit",
    Surface.IMAGE_TOOL: "responses",
    Surface.RESPONSES: "responses",
    Surface.SUMMARY: "responses",
    Surface.CHAT: "chat",
    Surface.STREAM: "chat",
}

_COLUMNS = (
    "target", "state", "since", "blocker", "last_probe_at", "key", "reference", "pool", "line", "fingerprint",
    "organization", "project", "route", "contract", "base_url", "model", "surface",
)  # fmt: skip

#: What a deployment's `model_info` has besides.
_INFO = (
    "state", "since", "last_probe_at", "route", "contract", "reference", "pool", "line", "fingerprint",
)  # fmt: skip

_StatesOption = Annotated[
    list[State] | None,
    typer.Option(
        "--state", help="Only these; may be given several times. Default: all; litellm: available."
    ),
]
_ModelsOption = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="M", help="Only these models; may be given several times."),
]


def export(
    *,
    models: _ModelsOption = None,
    states: _StatesOption = None,
    config: ConfigOption = None,
    output: Annotated[
        Literal["json", "csv", "litellm"],
        typer.Option("--format", help="litellm: a model_list for a LiteLLM proxy, as YAML."),
    ] = "json",
) -> None:
    """Print the targets by state, for other programs. Keys are named by reference; no secret is read.

    A key of a pool is named by the line of its file and by its fingerprint.
    """
    from monitor.config.problems import suggestion
    from monitor.store import status_queries

    settings, now = load_settings(config, reading=True), datetime.now(UTC)
    if states is None and output == "litellm":
        states = [State.AVAILABLE]
    status = status_queries.status(settings.database, now=now)
    watched = {
        one.model for keys in (settings.keys, settings.pools) for k in keys for one in k.watch
    }
    known = watched | {one.model for one in status.targets}
    for model in models or ():  # a program that reads this would take none for nothing open
        if model not in known:
            fail(f"--model {model!r}: no target is of this model; {suggestion(model, known)}")
    if old := status_queries.trouble(status.daemon, now):
        note(f"the states may be old: {old}")
    rows = [_row(one, settings) for one in status.targets]
    chosen = [
        row
        for row in rows
        if (not states or row["state"] in states) and (not models or row["model"] in models)
    ]
    if output == "json":
        print_json({"targets": chosen})
    elif output == "csv":
        written = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
        written.writeheader()
        written.writerows(chosen)
    else:
        # of all keys, whatever is open now: a name that changed its key would send one as another
        own = {key.secret.reference for key in settings.keys}
        _litellm([row for row in chosen if _usable(row, settings)], _variables(rows, own))


def _row(target: "TargetStatus", settings: "Settings") -> dict[str, Any]:
    from monitor.store.record_forms import as_json

    key, route = _key(target.key, settings), settings.routes.get(target.route)
    pool = settings.pool_of(target.key)
    mark = target.key.removeprefix(f"{pool.name}-") if pool else None
    row = as_json(target) | {
        "reference": pool.secrets.reference if pool else key and key.secret.reference,
        "pool": pool and pool.name,
        "line": pool.secrets.lines.get(mark or "") if pool else None,
        "fingerprint": f"sha256:{mark}" if mark else None,
        "base_url": route and route.base_url,
    }
    return {name: row[name] for name in _COLUMNS}


def _key(name: str, settings: "Settings") -> "Key | None":
    """The key of that name; None where the file no longer has it."""
    try:
        return settings.key(name)
    except KeyError:
        return None


def _usable(row: Mapping[str, Any], settings: "Settings") -> bool:
    """Whether requests with its key can be sent; says why not."""
    keys = settings.pool_of(row["key"]) or _key(row["key"], settings)
    if row["blocker"]:
        note(f"{row['target']} is left out: it is blocked, {row['blocker']}")
    elif keys is None or keys.route != row["route"] or not row["base_url"]:
        # without its own route its key would go to the address of another
        note(
            f"{row['target']} is left out: the settings no longer have its key on route"
            f" {row['route']}; the daemon has not read them yet"
        )
    else:
        return True
    return False


def _litellm(rows: Sequence[Mapping[str, Any]], variables: Mapping[str, str]) -> None:
    """Print a `model_list`, and say which variables it expects that are not the settings' own."""
    deployments: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for row in rows:
        if mode := _MODES.get(row["surface"]):
            deployments.setdefault((row["key"], row["model"], mode), row)
    lines = [
        line
        for (key, _, mode), row in deployments.items()
        for line in _yaml(_deployment(row, mode, variables[key]))
    ]
    print("\n".join(["model_list:", *lines] if lines else ["model_list: []"]))
    for row in {one["pool"] or one["key"]: one for one in deployments.values()}.values():
        if row["pool"]:
            note(
                f"{_plain(row['pool'])}_…: set them to the lines of {row['reference']} in `model_info`"
            )
        elif not _of_environment(row):
            note(f"{variables[row['key']]}: set it to what {row['reference']} names")


def _variables(rows: Sequence[Mapping[str, Any]], own: Iterable[str]) -> dict[str, str]:
    """By key the environment variable that holds it for LiteLLM: the settings' own, else one by its name.

    `own` are the references of the settings, whose variables are taken.
    """
    names = {row["key"]: _plain(row["key"]) for row in rows}
    times = Counter(names.values()) + Counter(one.removeprefix("env:") for one in own)
    found = {}
    for row in rows:
        key, name = row["key"], names[row["key"]]
        if _of_environment(row):
            found[key] = row["reference"].removeprefix("env:")
        elif times[name] == 1:
            found[key] = name
        else:  # "a-b" and "a.b"
            found[key] = f"{name}_{hashlib.sha256(key.encode()).hexdigest()[:8].upper()}"
    return found


def _of_environment(row: Mapping[str, Any]) -> bool:
    return (row["reference"] or "").startswith("env:")


def _plain(key: str) -> str:
    return f"ACCESS_MONITOR_KEY_{re.sub('[^A-Z0-9]', '_', key.upper())}"


def _deployment(row: Mapping[str, Any], mode: str, variable: str) -> dict[str, Any]:
    params = {
        # every route speaks OpenAI's own API
        "model": f"openai/{row['model']}",
        "api_base": row["base_url"],
        "api_key": f"os.environ/{variable}",
        "organization": row["organization"],
        "extra_headers": row["project"] and {"OpenAI-Project": row["project"]},
    }
    info = {"id": row["target"], "mode": mode, **{name: row[name] for name in _INFO}}
    return {
        "model_name": row["model"],
        "litellm_params": {name: value for name, value in params.items() if value},
        "model_info": {name: value for name, value in info.items() if value},
    }


def _yaml(deployment: Mapping[str, Any]) -> Iterator[str]:
    """Block style; each scalar is written as JSON, which YAML reads as it is but for escaped surrogates."""
    yield f"  - model_name: {_scalar(deployment['model_name'])}"
    for part in ("litellm_params", "model_info"):
        yield f"    {part}:"
        for name, value in deployment[part].items():
            yield f"      {name}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
