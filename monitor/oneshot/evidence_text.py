"""The evidence bundle as Markdown, to paste into a ticket: pure, from the JSON form to text.

What came from outside stands in code spans: nothing in it is formatted, linked or mentions anybody.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_ANSWERS = ("First", "Last", "Times", "Status", "Diagnosis", "The server's words")
_REQUESTS = ("Request id", "At", "Status")
#: Models of a project's permissions that are named.
_NAMES = 30
_PROVIDER = (
    "This is a provider's route: the provider has to answer for it, OpenAI cannot see it.",
)
_BESIDE = ("Target", "State", "Last answer", "Last granted", "Request id")


def markdown(made: Mapping[str, Any]) -> str:
    """What `evidence_bundle.bundle` made, as one Markdown document that ends with a line's end."""
    parts = [
        f"# Access evidence: {_code(made['target'])}",
        _summary(made),
        *(_PROVIDER if made["route"]["contract"] == "provider" else ()),
        "## Who asks for what",
        _table(("", ""), _identity(made)),
        "## State",
        _table(("", ""), _state(made)),
        *_answers(made),
        "## Rate-limit headers of the last answer",
        _pairs(made["rate_limits"]) or "None were sent: early refusals carry few headers.",
        *_section("Other headers of the last answer", _pairs(made["headers"])),
        *_section("What the project may use, by the organization's admin key", _rules(made)),
        "## What was ruled out",
        "\n".join(_other(other) for other in made["ruled_out"]),
        *_beside(made),
        "## Versions",
        _pairs({name: value for name, value in made["versions"].items() if value}),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(made: Mapping[str, Any]) -> str:
    answers = made["answers"]
    since, count = answers["since"], answers["count"]
    granted = sum(r["count"] for r in answers["runs"] if r["diagnosis"] == "access_granted")
    if answers["since_what"] == "declaration":
        text = f"Since {since}, when the verification was declared as completed, {count} probes were answered"
    else:
        text = f"Since {since} the target is {made['state']['state']}; {count} probes were answered since"
    text = f"Composed {made['made_at']}. {text}, {granted} of them granted."
    whole = any(run["began_before"] for run in answers["runs"])
    return text + (" The first run began before and is counted whole." if whole else "")


def _identity(made: Mapping[str, Any]) -> list[tuple[str, str]]:
    request, key, route = made["request"], made["key"], made["route"]
    print_of = f", fingerprint {_code(key['fingerprint'])}" if key["fingerprint"] else ""
    rows = [
        ("Organization", _code(made["organization"]) or "the key's own"),
        ("Project", _code(made["project"]) or "the key's own"),
        ("Key", f"{_code(key['name'])}, kept as {_code(key['reference'])}{print_of}"),
        ("Route", f"{_code(route['name'])} ({route['contract']})"),
        ("Model", _code(made["model"])),
        ("Surface", _code(made["surface"])),
        ("Endpoint", _code(f"{request['method']} {request['url']}")),
    ]
    if request["json"]:
        rows.append(("Request", _code(json.dumps(request["json"], ensure_ascii=False))))
    if request["multipart"]:
        rows.append(("Request", "multipart: " + ", ".join(map(_code, request["multipart"]))))
    if made["identity"]:
        found = made["identity"]
        id_ = f", request {_code(found['request_id'])}" if found["request_id"] else ""
        rows.append(("Key seen alive", f"GET /models: {found['status']} at {found['at']}{id_}"))
    if made["shutdown"]:
        rows.append(("Model's shutdown", made["shutdown"]))
    return rows


def _state(made: Mapping[str, Any]) -> list[tuple[str, str]]:
    state = made["state"]
    rows = [
        ("State", f"{state['state']} since {state['since']}"),
        ("Verification declared", state["declared_at"]),
        ("First granted answer of this opening", state["first_light_at"]),
        ("Refused by the gate before", "yes" if state["gated_seen"] else "no"),
        ("In the way besides", state["blocker"]),
        ("Last answer", _last_answer(state)),
    ]
    rows += [
        ("Declared", f"{one['kind']} for {_code(one['subject'])} at {one['at']} ({one['source']})")
        for one in made["declarations"]
    ]
    return [(label, text) for label, text in rows if text]


def _last_answer(state: Mapping[str, Any]) -> str:
    """A list of models that came as it should says nothing of the gate: then the last full probe's."""
    last = "last" if state["last_diagnosis"] else "last_full"
    at = state["last_probe_at" if last == "last" else "last_full_at"]
    return f"{state[f'{last}_diagnosis'] or '-'} at {at or '-'}"


def _answers(made: Mapping[str, Any]) -> list[str]:
    answers = made["answers"]
    runs = answers["runs"]
    parts = [f"## Answers since {answers['since']}"]
    if not runs:
        return [*parts, "None yet."]
    if answers["older_runs_left_out"]:
        parts.append(f"{answers['older_runs_left_out']} older runs of answers are left out.")
    rows = [
        (
            run["first_at"],
            run["last_at"],
            str(run["count"]),
            str(run["status"] or "-"),
            f"{run['diagnosis']}" + (f" ({run['gate']})" if run["gate"] else ""),
            _code(run["message"]) or "-",
        )
        for run in runs
    ]
    parts.append(_table(_ANSWERS, rows))
    asked = [request for run in runs for request in run["requests"]]
    parts += ["### Requests", "The last ones of each run of equal answers, oldest first."]
    ids = [(_code(r["id"]), r["at"], str(r["status"] or "-")) for r in asked]
    parts.append(_table(_REQUESTS, ids) if ids else "No answer carried a request id.")
    last = runs[-1]
    took = [
        f"{name} {last[field]:g} ms"
        for name, field in (
            ("connect", "connect_ms"),
            ("TLS", "tls_ms"),
            ("first byte", "first_byte_ms"),
            ("median", "latency_median_ms"),
            ("95th percentile", "latency_p95_ms"),
        )
        if last[field] is not None
    ]
    connections = f"{last['new_connections']} new and {last['reused_connections']} reused"
    parts.append(f"Timings of the last run: {', '.join(took)}; {connections} connections.")
    return parts


def _other(other: Mapping[str, Any]) -> str:
    word = "Ruled out" if other["ruled_out"] else "Not ruled out"
    beside = f" ({_code(other['granted_beside'])})" if other["granted_beside"] else ""
    because = other["because"][:1].upper() + other["because"][1:]
    return f"- {word}: {other['what']}. {because}{beside}."


def _rules(made: Mapping[str, Any]) -> str:
    rules = made["project_rules"]
    if rules is None:
        return ""
    asked = f"{_code(rules['project'])}, asked at {rules['at']}"
    if rules["problem"]:
        return f"{asked}: could not be read: {_code(rules['problem'])}"
    policy, limits = rules["model_permissions"], rules["rate_limits"]
    ids = policy["model_ids"] if policy else []
    names = ", ".join(map(_code, ids[:_NAMES])) + (
        f", and {len(ids) - _NAMES} more" if len(ids) > _NAMES else ""
    )
    return "\n".join((
        f"- {asked}: {'may' if rules['allows'] else 'may not'} use {_code(made['model'])}",
        f"- Model permissions: {_code(policy['mode'])} {names}"
        if policy else "- No model permissions are set",
        f"- Rate limits: {_code(json.dumps(limits, ensure_ascii=False))}"
        if limits else "- No row of rate limits names the model",
    ))  # fmt: skip


def _beside(made: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            _code(one["target"]),
            one["state"],
            one["last_diagnosis"] or "-",
            one["last_granted_at"] or "-",
            _code(one["request_id"]) or "-",
        )
        for one in made["beside"]
    ]
    return _section(
        "Other targets of the organization on this route", _table(_BESIDE, rows) if rows else ""
    )


def _section(title: str, text: str) -> list[str]:
    return [f"## {title}", text] if text else []


def _pairs(values: Mapping[str, str]) -> str:
    return "\n".join(f"- {_code(name)}: {_code(value)}" for name, value in values.items())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(text: str | None) -> str:
    """A code span that nothing in the text can end, also in a table; empty for nothing."""
    if not text:
        return ""
    flat = "".join(c if c.isprintable() else " " for c in text)
    return f"`{flat.replace('`', chr(39)).replace('|', chr(0xA6))}`"
