"""What becomes of the settings: what a month costs, budgets that are too small, and models that end. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from monitor.access.fields import format_duration
from monitor.access.holds import UNKNOWN_PRICE, Need
from monitor.access.readable import many
from monitor.access.target import Capability
from monitor.access.words import Contract
from monitor.catalog import Catalog, Model, open_price
from monitor.config.problems import shown
from monitor.config.settings import Key, Pool, Route, Settings

#: Prices that must fit a key's day: one to see the light, one to confirm it, one that may be lost.
LEAST = Need.RECHECK.prices

_MONTH = timedelta(days=30)

#: Prices and dates that were not compared for longer than this may be wrong.
OLD = timedelta(days=90)


def price_of(catalog: Catalog, route: Route, capability: Capability) -> tuple[float, bool]:
    """US dollars that one full probe costs if the gate is open, and whether that is an estimate."""
    price = open_price(catalog, capability)
    estimated = price is None or route.contract is Contract.PROVIDER
    return (UNKNOWN_PRICE if price is None else price) * route.price, estimated


@dataclass(slots=True)
class _Kind:
    """Targets of one capability over one route, which cost the same."""

    example: str
    price: float
    estimated: bool
    every: timedelta
    targets: int = 0


def refusals(settings: Settings) -> Iterator[tuple[str, str]]:
    """The figures of `[budget]` with which a target can never be probed or confirmed, and why."""
    dearest = max(_kinds(settings), key=lambda kind: kind.price, default=None)
    if dearest is None:
        return
    wanted = LEAST * dearest.price
    for name, usd in (
        ("per_key_per_day", settings.budget.per_key_per_day),
        ("per_month", settings.budget.per_month),
    ):
        if wanted > usd + 1e-9:
            text = (
                f"{LEAST} probes of {dearest.example} cost {_about(dearest)}${wanted:.4f}: one to see it"
                f" open, one to confirm it, one that may be lost. ${usd:g} is never enough"
            )
            yield name, text


def budget_warnings(settings: Settings) -> Iterator[str]:
    """Settings that are legal but never reach a result, or only slowly, within the budget."""
    budget, kinds = settings.budget, _kinds(settings)
    waiting = sum(kind.price * kind.targets for kind in kinds) * LEAST
    targets = sum(kind.targets for kind in kinds)
    if waiting > budget.per_month:
        yield (
            f"[budget] per_month: ${budget.per_month:g} does not hold {LEAST} probes of each of the"
            f" {targets} targets (${waiting:.4f}): if many open at once, some are not confirmed before"
            " the next month"
        )
    least = settings.confirmation.confirmations
    for kind in kinds:
        if kind.price * (least + 1) > budget.per_key_per_day + 1e-9:
            yield (
                f"[confirmation] confirmations: {least} of {kind.example} cost"
                f" {_about(kind)}${kind.price * least:.4f}: with ${budget.per_key_per_day:g} a day that"
                " takes more than a day"
            )


def figure_warnings(settings: Settings) -> Iterator[str]:
    """Durations that end before what they bound has begun."""
    cadences = {"[cadence]": settings.cadence} | {
        f"pool {pool.name}: cadence": pool.cadence for pool in settings.pools
    }
    pairs = []
    for section, its in cadences.items():
        pairs += [
            (f"{section} eager", its.eager, "eager_for", its.eager_for, ": no probe is eager"),
            (f"{section} blocked", its.blocked, "blocked_most", its.blocked_most, ", which has no effect"),
        ]  # fmt: skip
    delivery = settings.delivery
    first, tries = delivery.retry_first, "[delivery] retry_first"
    pairs += [
        (tries, first, "give_up_after", delivery.give_up_after, ": nothing is tried twice"),
        (tries, first, "retry_most", delivery.retry_most, ", which is waited instead"),
    ]
    for place, value, bound, most, so in pairs:
        if value > most:
            yield (
                f"{place}: {format_duration(value)} is longer than {bound}"
                f" ({format_duration(most)}){so}"
            )


def month(settings: Settings) -> tuple[str, ...]:
    """What a month costs at most, and what it costs to watch all targets once they are open."""
    budget, keys, kinds = settings.budget, len(settings.keys), _kinds(settings)
    days = budget.per_key_per_day * keys * 31
    most = min(budget.per_month, days)
    rechecks = sum(kind.price * kind.targets * (_MONTH / kind.every) for kind in kinds)
    targets = sum(kind.targets for kind in kinds)
    about = "about " if any(kind.estimated for kind in kinds) else ""
    said = f"rechecks of {many(targets, 'target')}, if all are open: {about}${rechecks:.2f} a month"
    if rechecks > most:
        said += f"; the budget makes them {rechecks / most:.1f} times rarer" if most else ""
    at_most = (
        f"a month costs at most ${most:.2f} (${budget.per_key_per_day:g} a key and day for"
        f" {many(keys, 'key')}, ${budget.per_month:g} a month for all)"
    )
    return at_most, said


def _kinds(settings: Settings) -> list[_Kind]:
    kinds: dict[tuple[str, Capability, timedelta], _Kind] = {}
    for key in settings.keys:
        every = (settings.pool_of(key.name) or settings).cadence.full_probe
        for capability in key.watch:
            same = key.route, capability, every
            if same not in kinds:
                price, estimated = price_of(
                    settings.catalog, settings.routes[key.route], capability
                )
                kinds[same] = _Kind(f"{key.name}/{capability}", price, estimated, every)
            kinds[same].targets += 1
    return [kind for kind in kinds.values() if kind.price > 0]


def _about(kind: _Kind) -> str:
    return "about " if kind.estimated else ""


def model_warnings(
    keys: Sequence[Key | Pool],
    routes: Mapping[str, Route],
    catalog: Catalog,
    *,
    now: datetime,
    retiring: timedelta,
) -> list[str]:
    """Models that end, figures that are old, mappings that nobody knows; each once.

    A shutdown is worth a warning when it is within `retiring`.
    """
    watched = {
        capability.model: catalog.get(capability.model) for key in keys for capability in key.watch
    }
    known = {name: model for name, model in watched.items() if model}
    today = now.date()
    found = [
        *_ending(known, today, retiring),
        *_old(known, today),
        *_unmapped(keys, routes, catalog),
    ]
    return list(dict.fromkeys(found))


def _ending(known: Mapping[str, Model], today: date, retiring: timedelta) -> Iterator[str]:
    for name, model in known.items():
        if model.shutdown is None:
            continue
        if model.shutdown <= today:
            yield f"{name} was shut down on {model.shutdown}: it will not open any more"
        elif model.shutdown - today <= retiring:
            days = (model.shutdown - today).days
            yield (
                f"{name} will be shut down on {model.shutdown}, in {days} day{'s' * (days != 1)}:"
                " watch its successor"
            )


def _old(known: Mapping[str, Model], today: date) -> Iterator[str]:
    old = {
        name: model.checked
        for name, model in known.items()
        if model.checked and today - model.checked > OLD
    }
    if old:
        first = min(old.values())
        yield (
            f"the catalog is {(today - first).days} days old: what it says of {', '.join(sorted(old))}"
            f" was last compared on {first}; prices and shutdown dates may have changed since:"
            ' update access-monitor, or give your own under [catalog.models."…"] with checked = DATE'
        )


def _unmapped(
    keys: Sequence[Key | Pool], routes: Mapping[str, Route], catalog: Catalog
) -> Iterator[str]:
    for key in keys:
        if routes[key.route].contract is not Contract.PROVIDER:
            continue
        for capability in key.watch:
            if catalog.get(capability.model) is None:
                name = shown(capability.model)
                yield (
                    f"which model the provider behind {key.route} maps {name} to cannot be known: ask it,"
                    f" and say so under [catalog.models.{name}] with surfaces and price;"
                    " until then its probes are taken for costly"
                )
