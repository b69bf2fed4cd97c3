"""The metrics: what each is called and means, and their samples from one reading of the database.

The names follow the conventions of Prometheus: base units, `_total` of what only grows, `_timestamp_seconds`
of times. A gauge of 0 or 1 stands for each state, as a state set has it.
"""

import platform
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from monitor import __version__
from monitor.access.target import pool_name_of
from monitor.access.words import State
from monitor.config import Settings
from monitor.store.status_queries import Figures, trouble
from monitor.store.tally import Histogram, Tally

_PREFIX = "access_monitor_"
#: Targets that have series of their own: seven each, and one more while they are blocked.
TARGETS_MOST = 5_000
#: Series of any other metric; histograms have one for each route and step only.
SERIES_MOST = 5_000


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: its name without the common prefix, its labels, its kind and its meaning."""

    short: str
    labels: tuple[str, ...]
    kind: str
    meaning: str

    @property
    def name(self) -> str:
        """The whole name, as rules and dashboards write it."""
        return _PREFIX + self.short

    @property
    def base(self) -> str:
        """The name as the families of the library have it: without what its kind appends."""
        return self.name.removesuffix({"counter": "_total", "info": "_info"}.get(self.kind, ""))


def _family(short: str, labels: str, kind: str, meaning: str) -> Family:
    return Family(short, tuple(labels.split()), kind, meaning)


#: All of them, in the order in which they are scraped.
FAMILIES = (
    _family("target_state", "target state", "gauge",
            "1 for the state that the target is in, 0 for the four others"),
    _family("target_info", "target key pool organization project route contract model surface", "info",
            "What the target is; join it by `target`"),
    _family("target_state_changed_timestamp_seconds", "target", "gauge",
            "When the target came into its state"),
    _family("target_blocked", "target blocker", "gauge",
            "1 while something other than the gate blocks the target; there is no series while nothing does"),
    _family("targets", "pool organization route model state", "gauge",
            "Targets in each state; `pool` is empty for named keys"),
    _family("targets_left_out", "reason", "gauge",
            "Targets without series of their own: those of pools that were not asked for (`pool`), and those"
            " above the bound (`limit`)"),
    _family("series_left_out", "metric", "gauge",
            "Series of other metrics above the bound; there is none while all are shown"),
    _family("probes_total", "route diagnosis", "counter",
            "Probes that ended, by what their answers mean; `none` is a listing that found nothing wrong"),
    _family("probe_duration_seconds", "route step", "histogram",
            "How long probes took, by step: `connect`, `tls`, `first_byte`, `total`"),
    _family("probe_lateness_seconds", "", "histogram", "How long after their time probes began"),
    _family("notifications_total", "channel result", "counter",
            "Notifications by result: `delivered`, `failed` (an attempt; it is tried again), `dead`,"
            " `silenced`"),
    _family("outbox_pending", "channel", "gauge", "Notifications that are not delivered yet"),
    _family("outbox_dead", "channel", "gauge", "Notifications that were given up and wait for a retry"),
    _family("outbox_oldest_timestamp_seconds", "", "gauge",
            "When the oldest pending notification was made; there is no series while none is pending"),
    _family("spent_usd_total", "key", "counter",
            "What was spent since the database began; the keys of a pool together, under its name"),
    _family("budget_usd", "", "gauge", "The month's budget"),
    _family("budget_remaining_usd", "", "gauge",
            "What is neither spent nor held of the month's budget (UTC)"),
    _family("key_budget_remaining_usd", "key", "gauge",
            "What is neither spent nor held of a named key's budget of today (UTC)"),
    _family("database_refusing", "", "gauge",
            "1 while the daemon says that the database refuses results, and keeps them in memory"),
    _family("healthy", "", "gauge",
            "1 while the daemon makes progress, as `healthcheck` judges; in a fleet, while each living worker"
            " does"),
    _family("last_progress_timestamp_seconds", "", "gauge",
            "When the daemon last noted that it lives: every 15 s, unless the database refuses"),
    _family("config_last_reload_successful", "", "gauge",
            "0 from a reload that was refused until one that was not, or a start; in a fleet, of any living"
            " worker"),
    _family("worker_up", "worker", "gauge",
            "1 for a worker of a fleet that lives, 0 for an hour after one is gone; none without a fleet"),
    _family("worker_shards", "worker", "gauge", "Shards that the worker has"),
    _family("worker_seen_seconds", "worker", "gauge", "Seconds since the worker's last transaction"),
    _family("model_shutdown_timestamp_seconds", "model", "gauge",
            "When a model that is watched is shut down, where the catalog knows it"),
    _family("build_info", "version python", "info", "The version of the page's process"),
)  # fmt: skip

#: The values of a family's labels, and the value of the sample.
_Row = tuple[Sequence[str], float]
#: The samples of families, by their short names.
_Rows = dict[str, Sequence[_Row]]


def exposition(figures: Figures, settings: Settings, accept: str) -> tuple[bytes, str]:
    """The metrics in the form that `accept` asks for, and that form's content type."""
    encode, form = choose_encoder(accept)
    return encode(Reading(figures, settings)), form


class Reading(Collector):
    """One reading of the database as metrics."""

    def __init__(self, figures: Figures, settings: Settings) -> None:
        self._figures = figures
        self._settings = settings
        self._tally = Tally()
        for status in figures.statuses:
            self._tally.add(Tally.of(status))

    def collect(self) -> Iterator[Metric]:
        """Every family, those without samples included."""
        all_rows = self._counts() | self._deliveries() | self._money() | self._health()
        all_rows["series_left_out"] = [
            ((_PREFIX + short,), len(rows) - SERIES_MOST)
            for short, rows in all_rows.items()
            if len(rows) > SERIES_MOST
        ]
        shown = {short: rows[:SERIES_MOST] for short, rows in all_rows.items()} | self._targets()
        for family in FAMILIES:
            if family.kind == "histogram":
                yield self._histogram(family)
                continue
            metric = Metric(family.base, _plain(family.meaning), family.kind)
            for values, value in shown[family.short]:
                metric.add_sample(family.name, dict(zip(family.labels, values, strict=True)), value)
            yield metric

    def _targets(self) -> _Rows:
        """What is shown of each target: bounded by the targets, not by the series."""
        shown = self._figures.targets[:TARGETS_MOST]
        return {
            "target_state": [
                ((one.name, state), float(one.state == state)) for _, one in shown for state in State
            ],
            "target_info": [
                (
                    (
                        one.name, one.key, pool, one.organization or "", one.project or "", one.route,
                        one.contract, one.model, one.surface,
                    ),
                    1.0,
                )
                for pool, one in shown
            ],
            "target_state_changed_timestamp_seconds": [
                ((one.name,), one.since.timestamp()) for _, one in shown
            ],
            "target_blocked": [
                ((one.name, one.blocker), 1.0) for _, one in shown if one.blocker
            ],
        }  # fmt: skip

    def _counts(self) -> _Rows:
        counts, named = self._figures.counts, len(self._figures.targets)
        total = sum(sum(by_state.values()) for by_state in counts.values())
        known = self._settings.catalog.models
        shutdowns = {model: known[model].shutdown for *_, model in counts if model in known}
        return {
            "targets": [
                ((*where, state), by_state.get(state, 0))
                for where, by_state in sorted(counts.items())
                for state in State
            ],
            "targets_left_out": [
                (("pool",), total - named),
                (("limit",), max(named - TARGETS_MOST, 0)),
            ],
            "model_shutdown_timestamp_seconds": [
                ((model,), datetime.combine(day, time(), UTC).timestamp())
                for model, day in sorted(shutdowns.items())
                if day
            ],
        }

    def _deliveries(self) -> _Rows:
        figures, tally = self._figures, self._tally
        channels = sorted(
            {channel.name for channel in self._settings.channels}
            | {*figures.pending, *figures.dead, *tally.notifications}
        )
        return {
            "probes_total": _nested(tally.probes),
            "notifications_total": _nested(tally.notifications),
            "outbox_pending": [((name,), figures.pending.get(name, 0)) for name in channels],
            "outbox_dead": [((name,), figures.dead.get(name, 0)) for name in channels],
            "outbox_oldest_timestamp_seconds": _time(figures.oldest),
        }

    def _money(self) -> _Rows:
        figures, budget = self._figures, self._settings.budget
        pools = {pool.name for pool in self._settings.pools}
        spent: defaultdict[str, float] = defaultdict(float)
        for key, usd in figures.spent.items():
            spent[pool_name_of(key, pools) or key] += usd
        today, day = figures.money.today, budget.per_key_per_day
        return {
            "spent_usd_total": [((key,), usd) for key, usd in sorted(spent.items())],
            "budget_usd": _single(budget.per_month),
            "budget_remaining_usd": _single(max(budget.per_month - figures.money.month, 0.0)),
            "key_budget_remaining_usd": [
                ((key,), max(day - today.get(key, 0.0), 0.0))
                for key in sorted({target.key for pool, target in figures.targets if not pool})
            ],
        }

    def _health(self) -> _Rows:
        figures, daemons = self._figures, self._figures.daemons
        taken = all(one.status.get("settings_taken", True) for one in daemons)
        well = all(trouble(one, figures.at) is None for one in daemons or (None,))
        return {
            "database_refusing": _single(figures.refusing),
            "healthy": _single(well),
            "last_progress_timestamp_seconds": _time(daemons[0].progress_at if daemons else None),
            "config_last_reload_successful": _single(taken),
            "worker_up": [((one.name,), float(not one.gone)) for one in figures.workers],
            "worker_shards": [((one.name,), one.shards) for one in figures.workers],
            "worker_seen_seconds": [((one.name,), one.seen_s) for one in figures.workers],
            "build_info": [((__version__, platform.python_version()), 1.0)],
        }

    def _histogram(self, family: Family) -> Metric:
        made = HistogramMetricFamily(family.base, _plain(family.meaning), labels=family.labels)
        its: list[tuple[tuple[str, ...], Histogram]] = [((), self._tally.lateness)]
        if family.labels:
            its = [
                ((route, step), one)
                for route, steps in sorted(self._tally.durations.items())
                for step, one in sorted(steps.items())
            ]
        for values, one in its:
            buckets = zip((*map(str, one.bounds), "+Inf"), one.cumulative(), strict=True)
            made.add_metric(values, list(buckets), one.total)
        return made


def _plain(meaning: str) -> str:
    """The meaning without the marks that the pages need."""
    return meaning.replace("`", "")


def _single(value: float) -> list[_Row]:
    return [((), float(value))]


def _nested(counts: Mapping[str, Mapping[str, int]]) -> list[_Row]:
    return [
        ((name, word), count)
        for name, by_word in sorted(counts.items())
        for word, count in sorted(by_word.items())
    ]


def _time(at: datetime | None) -> list[_Row]:
    return [((), at.timestamp())] if at else []
