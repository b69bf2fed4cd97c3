"""Declarations that a running monitor takes, and the records that openings leave."""

from datetime import timedelta

import pytest
from quick_time import FACTOR

from monitor.access.wait_times import Began
from monitor.access.words import DeclarationKind
from monitor.store.inbox import submit, submit_declaration
from monitor.store.queries import propagation

pytestmark = pytest.mark.anyio

TARGET = "acme/gpt-image-2:images"


def declare(bench, kind="verified", subject="org-acme", ago=600):
    now = bench.now()
    at = now - timedelta(seconds=ago)
    submit_declaration(bench.folder / "monitor.db", DeclarationKind(kind), subject, at, now)
    return at


async def test_a_declaration_is_noticed_within_2_s_probed_at_once_and_recorded(
    bench, key, simulated
):
    await bench.simulate(simulated("acme", "[keys.gate]\nopen = 12"))
    settings = bench.settings(key("acme"))
    await bench.run(settings)
    await bench.until(lambda: bench.events(TARGET) == ["unverified"])
    told = bench.now()
    at = declare(bench)
    await bench.until(lambda: "propagating" in bench.events(TARGET))
    (event,) = [h for h in bench.history() if h.kind == "propagating"]
    assert event.reason == "verified_declared"
    # a beat, and a second of a busy machine
    assert event.at - told < timedelta(seconds=1 + FACTOR)
    await bench.until(lambda: "available" in bench.events(TARGET))
    (opening,) = propagation(bench.folder / "monitor.db", now=bench.now())
    assert (opening.began, opening.declared_at, opening.flickers) == (Began.DECLARED, at, 0)
    assert opening.probes >= 2
    assert opening.cost_usd == pytest.approx(bench.simulator.ledger.billed(), abs=1e-6)
    assert opening.wait_s > 600


async def test_a_declaration_left_while_nothing_ran_is_taken_at_the_start_and_probed_soon(
    bench, key, simulated
):
    await bench.simulate(simulated("acme"))
    settings = bench.settings(key("acme"))
    await bench.run(settings)
    await bench.until(lambda: bench.events(TARGET) == ["unverified"])
    await bench.stop()
    seen = bench.simulator.ledger.count(what="gated")
    declare(bench, "rejected")
    await bench.run(settings)
    assert bench.events(TARGET) == ["unverified", "locked"]
    # the next one would be in six hours
    await bench.until(lambda: bench.simulator.ledger.count(what="gated") >= seen + 1)


async def test_a_malformed_request_does_not_hold_up_the_next_one(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    await bench.run(bench.settings(key("acme")))
    await bench.until(lambda: bench.events(TARGET) == ["unverified"])
    submit(bench.folder / "monitor.db", "declare", {"kind": "maybe"}, bench.now())
    declare(bench)
    declare(bench, "cleared")
    await bench.until(lambda: bench.events(TARGET) == ["unverified", "propagating", "unverified"])


async def test_the_third_opening_lets_messages_compare(bench, key, simulated):
    names = ("acme", "other", "third")
    await bench.simulate("".join(simulated(name, "[keys.gate]\nopen = 12") for name in names)
                         + simulated("late"))  # fmt: skip
    monitor = await bench.run(bench.settings("".join(key(name) for name in (*names, "late"))))
    await bench.until(lambda: bench.events().count("unverified") == 4)
    declare(bench)
    await bench.until(lambda: bench.events().count("available") == 3)
    await monitor._compare()
    declare(bench, ago=300)
    await bench.until(lambda: bench.events("late/gpt-image-2:images").count("propagating") == 2)
    facts = bench.history()[-1].facts
    assert facts["openings"] == 3
    assert 600 < facts["typical_wait_s"] < 660
