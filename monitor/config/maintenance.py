"""Warnings for a person: models that end, an old catalog, unknown mappings. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from monitor.access.words import Contract
from monitor.catalog import Catalog, Model
from monitor.config.problems import shown
from monitor.config.settings import Key, Pool, Route

#: Prices and dates that were not compared for longer than this may be wrong.
OLD = timedelta(days=90)


def warnings(
    keys: Sequence[Key | Pool],
    routes: Mapping[str, Route],
    catalog: Catalog,
    *,
    now: datetime,
    retiring: timedelta,
) -> list[str]:
    """Everything worth a warning, each once; `retiring` is how long before a shutdown it is one."""
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
                    f" and say so under [catalog.models.{name}] with surfaces, family and price;"
                    " until then its probes are taken for costly"
                )
