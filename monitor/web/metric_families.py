"""The metrics: what each is called and means, and their samples from one reading of the database.

The names follow the conventions of Prometheus: base units, `_total` of what only grows, `_timestamp_seconds`
of times. A gauge of 0 or 1 stands for each state, as a state set has it.
"""

import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from monitor import __version__
from monitor.access.target import pool_name_of
from monitor.access.words import State
from monitor.config import Settings
from monitor.store.status_queries import Figures, TargetRow, trouble
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
    _family("healthy", "", "gauge", "1 while the daemon makes progress, as `healthcheck` judges"),
    _family("last_progress_timestamp_seconds", "", "gauge",
            "When the daemon last noted that it lives: every 15 s, unless the database refuses"),
    _family("config_last_reload_successful", "", "gauge",
            "0 from a reload that was refused until one that was not, or a start"),
    _family("worker_up", "worker", "gauge",
            "1 for a worker of a fleet that lives, 0 for an hour after one is gone; none without a fleet"),
    _family("worker_shards", "worker", "gauge", "Shards that the worker has"),
    _family("worker_seen_seconds", "worker", "gauge", "Seconds since the worker's last transaction"),
    _family("model_shutdown_timestamp_seconds", "model", "gauge",
            "When a model that is watched is shut down, where the catalog knows it"),
    _family("build_info", "version python", "info", "The version of the page's process"),
)  # fmt: skip
_BY_SHORT = {family.short: family for family in FAMILIES}

#: The values of a family's labels, and the value of the sample.
_Row = tuple[Sequence[str], float]


def exposition(figures: Figures, settings: Settings, accept: str) -> tuple[bytes, str]:
    """The metrics in the form that `accept` asks for, and that form's content type."""
    encode, form = choose_encoder(accept)
    registry = CollectorRegistry()
    registry.register(Reading(figures, settings))
    return encode(registry), form


class Reading(Collector):
    """One reading of the database as metrics."""

    def __init__(self, figures: Figures, settings: Settings) -> None:
        self._figures = figures
        self._settings = settings
        self._pools = {pool.name for pool in settings.pools}
        self._tally = Tally()
        for status in figures.statuses:
            self._tally.add(Tally.of(status))
        self._rows: dict[str, Sequence[_Row]] = {}
        self._left_out: dict[str, int] = {}

    def describe(self) -> Iterable[Metric]:
        """Nothing: the library would read everything to find out."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every family, those without samples included."""
        self._take_targets()
        self._take_deliveries()
        self._take_money()
        self._take_health()
        self._put("series_left_out", [((name,), many) for name, many in self._left_out.items()])
        for family in FAMILIES:
            if family.kind == "histogram":
                yield self._histogram(family)
                continue
            metric = Metric(family.base, _plain(family.meaning), family.kind)
            for values, value in self._rows.get(family.short, ()):
                metric.add_sample(family.name, dict(zip(family.labels, values, strict=True)), value)
            yield metric

    def _put(self, short: str, rows: Sequence[_Row]) -> None:
        """Keep the samples of a family, a bounded number."""
        if len(rows) > SERIES_MOST:
            self._left_out[_BY_SHORT[short].name] = len(rows) - SERIES_MOST
        self._rows[short] = rows[:SERIES_MOST]

    def _take_targets(self) -> None:
        counts, named = self._figures.counts, self._figures.targets
        self._put(
            "targets",
            [
                ((*where, state), by_state.get(state, 0))
                for where, by_state in sorted(counts.items())
                for state in State
            ],
        )
        shown = named[:TARGETS_MOST]
        self._put_targets(shown)
        total = sum(sum(by_state.values()) for by_state in counts.values())
        left_out = {"pool": total - len(named), "limit": len(named) - len(shown)}
        self._put("targets_left_out", [((why,), many) for why, many in left_out.items()])
        shutdowns = []
        for model in sorted({model for *_, model in counts}):
            known = self._settings.catalog.models.get(model)
            if known and known.shutdown:
                at = datetime.combine(known.shutdown, time(), UTC)
                shutdowns.append(((model,), at.timestamp()))
        self._put("model_shutdown_timestamp_seconds", shutdowns)

    def _put_targets(self, shown: Sequence[tuple[str, TargetRow]]) -> None:
        states, about, changed, blocked = [], [], [], []
        for pool, target in shown:
            name = target.name
            states += [((name, state), float(target.state == state)) for state in State]
            what = (
                target.key, pool, target.organization or "", target.project or "", target.route,
                target.contract, target.model, target.surface,
            )  # fmt: skip
            about.append(((name, *what), 1.0))
            changed.append(((name,), target.since.timestamp()))
            if target.blocker:
                blocked.append(((name, target.blocker), 1.0))
        for short, rows in (
            ("target_state", states),
            ("target_info", about),
            ("target_state_changed_timestamp_seconds", changed),
            ("target_blocked", blocked),
        ):
            self._rows[short] = rows  # bounded by the targets

    def _take_deliveries(self) -> None:
        figures, tally = self._figures, self._tally
        channels = sorted(
            {channel.name for channel in self._settings.channels}
            | {*figures.pending, *figures.dead, *tally.notifications}
        )
        self._put("probes_total", _nested(tally.probes))
        self._put("notifications_total", _nested(tally.notifications))
        for short, counts in (("outbox_pending", figures.pending), ("outbox_dead", figures.dead)):
            self._put(short, [((name,), counts.get(name, 0)) for name in channels])
        self._put("outbox_oldest_timestamp_seconds", _time(figures.oldest))

    def _take_money(self) -> None:
        figures, budget = self._figures, self._settings.budget
        spent: defaultdict[str, float] = defaultdict(float)
        for key, usd in figures.spent.items():
            spent[pool_name_of(key, self._pools) or key] += usd
        self._put("spent_usd_total", [((key,), usd) for key, usd in sorted(spent.items())])
        self._put("budget_usd", [((), budget.per_month)])
        self._put("budget_remaining_usd", [((), max(budget.per_month - figures.money.month, 0.0))])
        keys = {target.key for pool, target in figures.targets if not pool}
        day = budget.per_key_per_day
        self._put(
            "key_budget_remaining_usd",
            [((key,), max(day - figures.money.today.get(key, 0.0), 0.0)) for key in sorted(keys)],
        )

    def _take_health(self) -> None:
        daemon = self._figures.daemon
        self._put("database_refusing", [((), float(self._figures.refusing))])
        self._put("healthy", [((), float(trouble(daemon, self._figures.at) is None))])
        self._put("last_progress_timestamp_seconds", _time(daemon.progress_at if daemon else None))
        taken = daemon.status.get("settings_taken", True) if daemon else True
        self._put("config_last_reload_successful", [((), float(bool(taken)))])
        workers = self._figures.workers
        self._put("worker_up", [((one.name,), float(not one.gone)) for one in workers])
        self._put("worker_shards", [((one.name,), one.shards) for one in workers])
        self._put("worker_seen_seconds", [((one.name,), one.seen_s) for one in workers])
        self._put("build_info", [((__version__, platform.python_version()), 1.0)])

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


def _nested(counts: Mapping[str, Mapping[str, int]]) -> list[_Row]:
    return [
        ((name, word), count)
        for name, by_word in sorted(counts.items())
        for word, count in sorted(by_word.items())
    ]


def _time(at: datetime | None) -> list[_Row]:
    return [((), at.timestamp())] if at else []
