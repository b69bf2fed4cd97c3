"""A waiting target is told of its opening, whatever was lost before, and whoever else spends."""

from datetime import UTC, datetime

import pytest

from monitor.access.target import Capability
from monitor.access.words import Surface
from monitor.catalog import builtin, open_price

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

IMAGE = Capability("gpt-image-2", Surface.IMAGES)
#: Reserved where no price is known.
UNKNOWN = 0.02
#: Seconds between two probes, here and by default: an hour is so many times shorter.
INTERVAL, USUAL = 0.5, 25.0
#: What the trouble is, and for how long of its time.
TROUBLES = ("server_error", "edge_forbidden", "timeout", "bad_gateway", "overloaded", "cut")


def prices() -> list[float]:
    """What one probe costs: each price of the catalog, and that of a model it does not know."""
    catalog = builtin()
    every = {
        open_price(catalog, Capability(name, surface)) or UNKNOWN
        for name, model in catalog.models.items()
        for surface in model.surfaces
        if surface is not Surface.MODELS
    }
    return sorted(every | {UNKNOWN})


def figures(fast: str) -> str:
    return (
        fast.replace('eager = "300ms"', f'eager = "{INTERVAL * 1000:.0f}ms"')
        .replace('inconclusive = "300ms"', f'inconclusive = "{INTERVAL * 1000:.0f}ms"')
        .replace("[cadence]", f'[cadence]\ntrial = "{INTERVAL * 60 / USUAL * 1000:.0f}ms"')
    )


async def test_after_an_hour_of_trouble_the_first_light_comes_within_two_intervals(
    lab, fast, torture, fault
):
    costs = prices() if torture else [*prices()[::3], UNKNOWN, max(prices())]
    hour = 3600 * INTERVAL / USUAL if torture else 24.0
    each = hour / len(TROUBLES)
    shut, trouble = ['name = "shut"'], ['name = "trouble"']
    settings = ['[monitor]\ndatabase = "sqlite:///monitor.db"\nlog_format = "json"']
    keys = []
    for number, price in enumerate(costs):
        name = f"k{number}"
        its = f'[[keys]]\nname = "{name}"\nsecret = "sk-sim-FAKE-{name}-0001"'
        shut.append(its)
        trouble.append(f"{its}\n[keys.gate]\nopen = {hour}")
        for at, what in enumerate(TROUBLES):
            seconds = "seconds = 0.6\n" if what == "timeout" else ""
            # listings as well: no surfaces are named
            trouble.append(
                f'[[keys.faults]]\nwhat = "{what}"\nbetween = [[{at * each}, {(at + 1) * each}]]\n{seconds}'
            )
        lab.environ[name.upper()] = f"sk-sim-FAKE-{name}-0001"
        factor = price / open_price(builtin(), IMAGE)
        settings.append(
            f'[routes.{name}]\nbase_url = "BASE"\ncontract = "direct"\nrate = 500.0\nprice = {factor}'
        )
        keys.append(
            f'[[keys]]\nname = "{name}"\nsecret = "env:{name.upper()}"\nroute = "{name}"\n'
            f'organization = "org-{name}"\nwatch = ["{IMAGE.model}"]'
        )
    await lab.simulate("\n".join(shut))
    text = "\n".join([*settings, *keys]).replace("BASE", lab.base_url)
    lab.settings.write_text(text + figures(fast))
    await lab.daemon()
    await lab.told("unverified", count=len(costs))
    await lab.replay("\n".join(trouble))
    well = datetime.now(UTC).timestamp() + hour
    await lab.until(lambda: datetime.now(UTC).timestamp() > well, "the hour", hour + 10)
    await lab.told("first_light", count=len(costs))
    waits, blind = [], 0
    log = (await lab.ledger())["log"]
    for number in range(len(costs)):
        mine = [entry for entry in log if entry["key"] == f"k{number}"]
        first = next(entry["at"] for entry in mine if entry["what"] == "granted")
        waits.append(datetime.fromisoformat(first).timestamp() - well)
        blind += any(e["surface"] == "models" and e["status"] >= 403 for e in mine)
    assert blind  # else nothing was shown
    fault(
        f"{len(costs)} prices, {hour:.0f} s (an hour, scaled) of {', '.join(TROUBLES)}, listings too",
        "then the gate opens",
        f"first light within two intervals ({2 * INTERVAL:g} s)",
        f"after {min(waits):.2f} to {max(waits):.2f} s; {blind} were probed by listings meanwhile",
    )
    # a second for a busy machine
    assert max(waits) <= 2 * INTERVAL + 1.0


async def test_what_rechecks_would_use_up_is_kept_for_the_target_that_waits(lab, fast, fault):
    shut, opened, keys = ['name = "shut"'], ['name = "opened"'], []
    for number in range(7):
        name = f"k{number}"
        its = f'[[keys]]\nname = "{name}"\nsecret = "sk-sim-FAKE-{name}-0001"'
        gate = '\n[keys.gate]\nopen = "always"'
        shut.append(its + gate * (number < 6))
        opened.append(its + gate)
        lab.environ[name.upper()] = f"sk-sim-FAKE-{name}-0001"
        keys.append(
            f'[[keys]]\nname = "{name}"\nsecret = "env:{name.upper()}"\nroute = "sim"\n'
            f'organization = "org-{name}"\nwatch = ["{IMAGE.model}"]'
        )
    price = open_price(builtin(), IMAGE)
    # two answers settle each, and what is left would be gone after a few seconds of rechecks
    most = 7 * 2 * price + 5 * price
    await lab.simulate("\n".join(shut))
    lab.settings.write_text(
        '[monitor]\ndatabase = "sqlite:///monitor.db"\nlog_format = "json"\n'
        f'[routes.sim]\nbase_url = "{lab.base_url}"\ncontract = "direct"\nrate = 500.0\n'
        + "\n".join(keys)
        + fast.replace('listing = "2s"', 'listing = "500ms"\nfull_probe = "500ms"')
        + f"[budget]\nper_month = {most}\n"
    )
    await lab.daemon()
    await lab.told("baseline", count=6)
    await lab.told("unverified")

    async def rechecked() -> bool:
        """What 60 rechecks would cost is far more than the month has."""
        counts = (await lab.totals())["counts"]
        return sum(row["count"] for row in counts if row["surface"] == "models") >= 60

    await lab.until(rechecked, "60 times an interval of the open ones")
    await lab.replay("\n".join(opened))
    await lab.told("available")
    told = [row["event"] for row in await lab.history() if (row["target"] or "").startswith("k6/")]
    assert told == ["unverified", "first_light", "available"]
    billed = (await lab.totals())["billed_usd"]
    assert billed <= most
    fault(
        "six open targets, rechecked every 500 ms, and one that opens later",
        f"a month of ${most:.4f}",
        "the one that waited is told",
        f"${billed:.4f} billed",
    )
