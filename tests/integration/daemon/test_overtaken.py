"""An answer that was overtaken: another that was asked for later came before it."""

import sqlite3
from contextlib import closing

import pytest

from monitor.access.observation import Diagnosis, Observation
from monitor.access.words import Code, ProbeKind
from monitor.daemon.probe import Probe

pytestmark = pytest.mark.anyio


async def test_an_answer_asked_for_before_the_last_one_is_recorded_and_moves_nothing(
    bench, key, simulated
):
    await bench.simulate(simulated("acme"))
    monitor = await bench.run(bench.settings(key("acme")))
    await bench.until(lambda: "unverified" in bench.events())
    (watch,) = monitor.watches
    code = Code.ACCESS_GRANTED

    def granted(asked_at: float) -> Probe:
        diagnosis = Diagnosis(code, code.owner, "a_test", status=200)
        return Probe(
            watch,
            ProbeKind.FULL,
            observation=Observation(200),
            diagnosis=diagnosis,
            asked_at=asked_at,
        )

    await monitor._pipeline.record(granted(watch.asked_at - 0.1))
    await monitor._recorder.queue.written()
    assert watch.memory.streak.effect == "gated"
    assert bench.events() == ["unverified"]
    with closing(sqlite3.connect(bench.folder / "monitor.db")) as database:
        runs = [row[0] for row in database.execute("SELECT diagnosis FROM runs ORDER BY id")]
    assert code in runs

    await monitor._pipeline.record(granted(watch.asked_at + 0.1))
    await bench.until(lambda: "first_light" in bench.events())
