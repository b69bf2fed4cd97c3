"""The bundle that support asks for, made of what is recorded: pure, from a target's record to JSON values.

`evidence_text.markdown` writes it as text. No secret goes in: of the key there are its reference and
its fingerprint, and who prints it redacts once more.
"""

import platform
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from monitor import __version__
from monitor.access.target import Capability
from monitor.access.words import Code, Effect
from monitor.catalog import Catalog, probe_request
from monitor.config import Route
from monitor.store.records import Run
from monitor.store.target_queries import TargetRecord

#: Other possible owners of the problem, and the diagnoses that would show them.
_OTHERS: tuple[tuple[str, str, tuple[Code, ...]], ...] = (
    ("key", "the key, or the organization it acts for", (
        Code.INVALID_CREDENTIALS, Code.ACCOUNT_DEACTIVATED, Code.ORGANIZATION_MISMATCH,
        Code.MISSING_SCOPE)),
    ("project", "the project's own limits", (Code.PROJECT_DENIED,)),
    ("billing", "credit, billing, or the usage tier", (Code.QUOTA_EXHAUSTED, Code.TIER_UNSUPPORTED)),
    ("model", "a model that is gone or misspelt", (Code.MODEL_UNAVAILABLE,)),
    ("request", "the endpoint or the request itself", (
        Code.WRONG_ENDPOINT, Code.BAD_REQUEST, Code.MODERATION_BLOCKED)),
    ("rate limit", "a rate limit", (Code.RATE_LIMITED,)),
    ("network", "the network, or the region the request comes from", (
        Code.NETWORK_ERROR, Code.REGION_BLOCKED)),
    ("provider", "an outage, or an edge before the API", (Code.SERVER_ERROR, Code.EDGE_ERROR)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProjectRules:
    """What an organization's admin key reads of a project, for one model.

    `permissions` is `{"mode", "model_ids"}`, None where the project has none or they could not be read;
    `limit` the model's row, None where there is none. `problem` says what could not be read.
    """

    project: str
    permissions: Mapping[str, Any] | None = None
    limit: Mapping[str, Any] | None = None
    problem: str = ""

    def allows(self, catalog: Catalog, model: str) -> bool:
        """Whether the permissions let the project use the model; True without any."""
        if self.permissions is None:
            return True
        named = any(catalog.same_model(model, id_) for id_ in self.permissions["model_ids"])
        return named is (self.permissions["mode"] != "deny_list")


@dataclass(frozen=True, slots=True)
class Asked:
    """How the target is asked, beside what is recorded; `fingerprint` is None when it is not known.

    `rules` is what the organization's admin key read just now; None when it was not asked.
    """

    route: Route
    catalog: Catalog
    reference: str
    fingerprint: str | None
    rules: ProjectRules | None = None


def bundle(known: TargetRecord, asked: Asked, now: datetime) -> dict[str, Any]:
    """Everything, as JSON values; times are RFC 3339 in UTC. `now` is when it was composed."""
    status, memory = known.status, known.memory
    model = asked.catalog.get(status.model)
    headers = known.runs[-1].headers if known.runs else {}
    return {
        "made_at": _at(now),
        "target": status.target,
        "organization": status.organization,
        "project": status.project,
        "key": {
            "name": status.key,
            "reference": asked.reference,
            "fingerprint": asked.fingerprint,
        },
        "route": {
            "name": status.route,
            "base_url": asked.route.base_url,
            "contract": str(status.contract),
        },
        "model": status.model,
        "surface": str(status.surface),
        "request": _request(known, asked),
        "shutdown": model.shutdown.isoformat() if model and model.shutdown else None,
        "state": {
            "state": str(status.state),
            "since": _at(status.since),
            "declared_at": _at(memory.declared_at),
            "first_light_at": _at(memory.first_light_at),
            "gated_seen": memory.gated_seen,
            "blocker": status.blocker and str(status.blocker),
            "last_probe_at": _at(status.last_probe_at),
            "last_diagnosis": status.last_diagnosis and str(status.last_diagnosis),
            "last_full_at": _at(memory.last_full_at),
            "last_full_diagnosis": memory.last_full and str(memory.last_full),
        },
        "declarations": [
            {"kind": str(one.kind), "subject": one.subject, "at": _at(one.at), "source": one.source}
            for one in known.declarations
        ],
        "answers": {
            "since": _at(known.start),
            "since_what": "declaration" if memory.declared_at else "state",
            "count": sum(run.count for run in known.runs),
            "older_runs_left_out": known.runs_left_out,
            "runs": [_run(run, known.start) for run in known.runs],
        },
        "rate_limits": {
            name: value
            for name, value in headers.items()
            if name.startswith(("x-ratelimit-", "retry-after"))
        },
        "headers": {
            name: value
            for name, value in headers.items()
            if name.startswith("openai-") or name in ("cf-ray", "server", "x-should-retry")
        },
        "identity": _identity(known.identity),
        "project_rules": _rules(known, asked, now),
        "ruled_out": [_weighed(asked, known, _other(known, *other)) for other in _OTHERS],
        "beside": [
            {
                "target": one.status.target,
                "state": str(one.status.state),
                "last_diagnosis": one.status.last_diagnosis and str(one.status.last_diagnosis),
                "last_granted_at": _at(one.at),
                "request_id": one.request_id,
            }
            for one in known.beside
        ],
        "versions": {
            "access-monitor": __version__,
            "python": platform.python_version(),
            "httpx": version("httpx"),
            "sqlite": sqlite3.sqlite_version,
            "system": f"{platform.system()} {platform.machine()}",
            "openai-version": headers.get("openai-version"),
            "catalog": model.checked.isoformat() if model and model.checked else None,
        },
    }


def _request(known: TargetRecord, asked: Asked) -> dict[str, Any]:
    probe = probe_request(asked.catalog, Capability(known.status.model, known.status.surface))
    return {
        "method": probe.method,
        "url": asked.route.base_url + probe.path,
        "json": dict(probe.json) if probe.json else None,
        "multipart": [part.name for part in probe.multipart or ()] or None,
    }


def _run(run: Run, start: datetime) -> dict[str, Any]:
    requests = zip(run.request_ids, run.request_times, strict=True)
    return {
        "first_at": _at(run.first_at),
        "last_at": _at(run.last_at),
        "began_before": run.first_at < start,
        "count": run.count,
        "status": run.status,
        "diagnosis": run.diagnosis and str(run.diagnosis),
        "gate": run.gate and str(run.gate),
        "message": run.message,
        "requests": [{"id": id_, "at": _at(at), "status": run.status} for id_, at in requests],
        "latency_median_ms": round(run.latency_median_ms, 1),
        "latency_p95_ms": round(run.latency_p95_ms, 1),
        "connect_ms": _rounded(run.connect_ms),
        "tls_ms": _rounded(run.tls_ms),
        "first_byte_ms": _rounded(run.first_byte_ms),
        "new_connections": run.fresh,
        "reused_connections": run.reused,
    }


def _identity(run: Run | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "at": _at(run.last_at),
        "status": run.status,
        "request_id": run.request_ids[-1] if run.request_ids else None,
    }


def _other(known: TargetRecord, owner: str, what: str, codes: tuple[Code, ...]) -> dict[str, Any]:
    """Whether something else was the cause: ruled out by answers of the gate and none, or none later."""
    seen: Counter[str] = Counter()
    seen_at = gate_at = None
    gate_count = 0
    for run in known.runs:
        if run.diagnosis in codes:
            seen[str(run.diagnosis)] += run.count
            seen_at = max(seen_at or run.last_at, run.last_at)
        elif run.diagnosis and run.diagnosis.effect in (Effect.GATED, Effect.LOCKED):
            gate_count += run.count
            gate_at = max(gate_at or run.last_at, run.last_at)
    counted = ", ".join(f"{code} {count}" for code, count in seen.items())
    if gate_at is None:
        out, why = False, "no answer has told of the gate yet"
    elif not seen:
        out, why = True, f"none of the answers said so; {gate_count} came from the gate"
    elif gate_at > (seen_at or gate_at):
        out, why = True, f"seen ({counted}), but the gate answered after it, last at {_at(gate_at)}"
    else:
        out, why = False, f"seen ({counted}), last at {_at(seen_at)}"
    beside = None
    if owner in ("key", "billing"):
        # another target of the same key that was granted since: the key works and has credit
        its = (one for one in known.beside if one.status.key == known.status.key)
        beside = next((one for one in its if one.at and one.at >= known.start), None)
    if owner == "key" and known.identity:
        why += f"; GET /models with the same headers succeeded at {_at(known.identity.last_at)}"
    if beside:
        why += f"; another target of the key was granted at {_at(beside.at)}"
    elif out and owner == "billing" and known.status.surface.makes_images:
        out, why = (
            False,
            f"{why}, but whether credit is checked before the gate is not known of images",
        )
    return {
        "owner": owner,
        "what": what,
        "seen": dict(seen),
        "ruled_out": out,
        "because": why,
        "granted_beside": beside.status.target if beside else None,
    }


def _rules(known: TargetRecord, asked: Asked, now: datetime) -> dict[str, Any] | None:
    rules = asked.rules
    if rules is None:
        return None
    return {
        "at": _at(now),
        "project": rules.project,
        "problem": rules.problem or None,
        "model_permissions": dict(rules.permissions) if rules.permissions else None,
        "allows": None if rules.problem else rules.allows(asked.catalog, known.status.model),
        "rate_limits": dict(rules.limit) if rules.limit else None,
    }


def _weighed(asked: Asked, known: TargetRecord, other: dict[str, Any]) -> dict[str, Any]:
    """The same in the light of what the admin key read: the project's own rules may be the cause."""
    rules = asked.rules
    if rules is None or rules.problem:
        return other
    if other["owner"] == "project":
        if not rules.allows(asked.catalog, known.status.model):
            why = "the project's model permissions leave the model out"
            return other | {"ruled_out": False, "because": why}
        why = f"{other['because']}; the project's model permissions allow the model"
        return other | {"because": why}
    none = (rules.limit or {}).get("max_images_per_1_minute") == 0
    if other["owner"] == "rate limit" and known.status.surface.makes_images and none:
        why = "the project's limit for images of the model is zero"
        return other | {"ruled_out": False, "because": why}
    return other


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)


def _at(at: datetime | None) -> str | None:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at else None
