"""How the routes to a model answer and how fast: the queries of `status --routes`."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from monitor.access.words import Contract, ProbeKind
from monitor.store import tables
from monitor.store.connections import reading
from monitor.store.latencies import from_text, merged, percentile

_targets = tables.targets.c
_runs = tables.runs.c

#: Stands for no diagnosis; the run of a full probe always has one.
_NONE = "none"
#: Model, surface, route, contract.
_Place = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class AnswersOfOne:
    """The answers with one diagnosis: their number, and their latencies in milliseconds within 5 %."""

    count: int
    latency_median_ms: float | None
    latency_p95_ms: float | None


@dataclass(frozen=True, slots=True)
class RouteOfModel:
    """One model on one surface over one route: the targets of all its keys, and their answers.

    Latencies are milliseconds of answered full probes; connect, TLS and first byte are the slowest of the
    last known ones. `reused` and `fresh` count connections.
    """

    model: str
    surface: str
    route: str
    contract: Contract
    states: Mapping[str, int]
    answers: int
    latency_median_ms: float | None
    latency_p95_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    reused: int
    fresh: int
    by_diagnosis: Mapping[str, AnswersOfOne] = field(default_factory=dict)


def routes(path: Path, *, since: datetime) -> list[RouteOfModel]:
    """The active targets by model, surface and route, direct routes first.

    Counts the full probes of runs whose last answer came at `since` or later; a run that began
    before is counted whole. Raises StoreError when the database cannot be read.
    """
    place = (_targets.model, _targets.surface, _targets.route, _targets.contract)
    with reading(path) as connection:
        states = connection.execute(
            select(*place, _targets.state, func.count().label("targets"))
            .where(_targets.active)
            .group_by(*place, _targets.state)
            .order_by(_targets.model, _targets.surface, _targets.contract, _targets.route)
        ).all()
        # the run's own route: answers of a key's earlier route do not count for this one
        runs = connection.execute(
            select(tables.runs, _targets.model, _targets.surface, _targets.contract)
            .join_from(tables.runs, tables.targets)
            .where(
                _targets.active,
                _runs.kind == ProbeKind.FULL,
                _runs.last_at >= since,
                _runs.route == _targets.route,
            )
        ).all()
    of_place: dict[_Place, list[Any]] = {}
    for run in runs:
        of_place.setdefault((run.model, run.surface, run.route, run.contract), []).append(run)
    found: dict[_Place, Counter[str]] = {}
    for row in states:
        found.setdefault((row.model, row.surface, row.route, row.contract), Counter())[
            row.state
        ] += row.targets
    return [_compared(place, counted, of_place.get(place, [])) for place, counted in found.items()]


def _compared(place: _Place, states: Mapping[str, int], runs: list[Any]) -> RouteOfModel:
    model, surface, route, contract = place
    by_diagnosis: dict[str, list[Any]] = {}
    for run in runs:
        by_diagnosis.setdefault(run.diagnosis or _NONE, []).append(run)
    counted = {name: _of_one(several) for name, several in by_diagnosis.items()}
    answered = _of_one([run for run in runs if run.status is not None])
    return RouteOfModel(
        model=model,
        surface=surface,
        route=route,
        contract=Contract(contract),
        states=dict(states),
        answers=sum(run.answers for run in runs),
        latency_median_ms=answered.latency_median_ms,
        latency_p95_ms=answered.latency_p95_ms,
        connect_ms=_slowest(runs, "connect_ms"),
        tls_ms=_slowest(runs, "tls_ms"),
        first_byte_ms=_slowest(runs, "first_byte_ms"),
        reused=sum(run.reused for run in runs),
        fresh=sum(run.fresh for run in runs),
        by_diagnosis=dict(sorted(counted.items(), key=lambda item: -item[1].count)),
    )


def _of_one(runs: list[Any]) -> AnswersOfOne:
    counts = merged([from_text(run.latencies) for run in runs])
    return AnswersOfOne(
        sum(run.answers for run in runs), percentile(counts, 0.5), percentile(counts, 0.95)
    )


def _slowest(runs: list[Any], phase: str) -> float | None:
    return max((ms for run in runs if (ms := getattr(run, phase)) is not None), default=None)
