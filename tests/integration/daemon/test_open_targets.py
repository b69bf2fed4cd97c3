"""What a monitor asks of targets that are open, besides a full probe a day."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from monitor.config.references import Secret
from monitor.store.inbox import submit

pytestmark = pytest.mark.anyio

OPEN = '[keys.gate]\nopen = "always"'


async def test_a_listing_that_is_answered_brings_the_full_probe_that_ends_a_listings_blocker(
    bench, key, simulated
):
    await bench.simulate(simulated("acme", OPEN))
    await bench.run(bench.settings(key("acme", "o3:chat")))
    await bench.until(lambda: "baseline" in bench.events())
    granted = bench.simulator.ledger.count(what="granted")
    refused = '[[keys.blocks]]\nwhat = "invalid_api_key"\nsurfaces = ["models"]\n'
    bench.replay(simulated("acme", OPEN, refused))
    # while listings are refused no full probe is paid for
    await bench.until(lambda: bench.simulator.ledger.count(what="invalid_api_key") >= 3)
    assert "blocked" in bench.events()
    assert bench.simulator.ledger.count(what="granted") == granted
    bench.replay(simulated("acme", OPEN))
    await bench.until(lambda: "unblocked" in bench.events())
    assert bench.simulator.ledger.count(what="granted") == granted + 1


@pytest.mark.parametrize("how", ["reload", "restart"])
@pytest.mark.parametrize("what", ["secret", "base_url"])
async def test_another_secret_or_server_is_sent_a_full_probe_soon(bench, key, simulated, how, what):
    await bench.simulate(simulated("acme", OPEN))
    settings = bench.settings(key("acme", "o3:chat"))
    monitor = await bench.run(settings)
    await bench.until(lambda: "baseline" in bench.events())
    bench.replay(simulated("acme") + simulated("other"))
    if what == "secret":
        (old,) = settings.keys
        new = replace(old, secret=Secret("sk-sim-FAKE-other-0001", "env:ACME"))
        settings = replace(settings, keys=(new,))
    else:
        url = bench.base_url.replace("127.0.0.1", "localhost")
        route = replace(settings.routes["sim"], base_url=url)
        settings = replace(settings, routes={**settings.routes, "sim": route})
    if how == "reload":
        await monitor.reload(settings, [bench.taker])
    else:
        await bench.stop()
        await bench.run(settings)
    await bench.until(lambda: "revoked" in bench.events())


async def test_a_restart_with_the_same_credentials_pays_for_no_full_probe(bench, key, simulated):
    await bench.simulate(simulated("acme", OPEN))
    settings = bench.settings(key("acme", "o3:chat"))
    await bench.run(settings)
    await bench.until(lambda: "baseline" in bench.events())
    await bench.stop()
    granted = bench.simulator.ledger.count(what="granted")
    listings = bench.simulator.ledger.count(surface="models")
    await bench.run(settings)
    await bench.until(lambda: bench.simulator.ledger.count(surface="models") > listings + 3)
    assert bench.simulator.ledger.count(what="granted") == granted


async def test_full_probes_of_images_that_a_person_asks_for_keep_the_gap(bench, key, simulated):
    names = ("one", "two", "three")
    await bench.simulate("".join(simulated(name, OPEN) for name in names))
    settings = bench.settings("".join(map(key, names)))
    gap = timedelta(seconds=2)
    cadence = replace(settings.cadence, listing=timedelta(hours=1), image_gap=gap)
    await bench.run(replace(settings, cadence=cadence))
    await bench.until(lambda: bench.events().count("baseline") == len(names))
    ledger = bench.simulator.ledger
    before = ledger.count(surface="images")
    for name in names:
        target = {"target": f"{name}/gpt-image-2:images", "by": "alice"}
        submit(bench.folder / "monitor.db", "probe", target, bench.now())
    await bench.until(lambda: ledger.count(surface="images") == before + len(names))
    asked = [one.elapsed for one in ledger.entries if one.surface == "images"][-len(names) :]
    # a probe may be slow to leave
    assert all(later - earlier > 1.5 for earlier, later in pairwise(asked))
