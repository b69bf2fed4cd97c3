"""What a monitor asks of targets that are open, besides a full probe a day."""

import pytest

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
