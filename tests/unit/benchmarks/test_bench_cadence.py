"""The benchmark of the cadence, small: that it measures what it says."""

import importlib
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
MODULES = ("bench_cadence", "best_schedule", "policies", "reference")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark's main module; it is a script, with its modules beside it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("bench_cadence")


def test_a_small_run_holds_all_claims(bench, capsys):
    result = bench.compare(openings=300, seed=7, cell=20.0)
    bench.show(result, 300, 7)
    assert [holds for holds, _ in bench.claims(result)] == [True] * 3
    assert "300 simulated openings, seed 7" in capsys.readouterr().out
    assert result.ratio > 1.0
    assert result.rows["loop"].missed > 80


def test_the_reference_distribution_is_the_one_that_is_stated(bench):
    opened_by = sys.modules["reference"].opened_by
    assert opened_by(15 * 60) == pytest.approx(0.45)
    assert opened_by(45 * 60) == pytest.approx(0.855)
    assert opened_by(4 * 3600) == pytest.approx(0.90, abs=1e-4)
    assert opened_by(math.sqrt(4 * 48) * 3600) == pytest.approx(0.94, abs=1e-4)
    assert opened_by(48 * 3600) == pytest.approx(0.98)
    assert opened_by(72 * 3600) == pytest.approx(0.98)


def test_the_best_schedule_is_best_and_near_what_the_density_promises(bench):
    cells = sys.modules["best_schedule"].Cells(60.0)
    ends = cells.best(30.0)
    probes, delay = cells.expected(ends)
    assert probes == pytest.approx(30.0, rel=0.02)
    assert delay == pytest.approx(cells.by_density(probes), rel=0.1)
    # no probe moved by a cell is better at the price that the schedule was made for
    price = 20.0
    ends = cells.best_at_price(price)

    def cost(of):
        probes, delay = cells.expected(of)
        return probes * price + delay * cells.opened[-1]

    least = cost(ends)
    for i in range(0, len(ends) - 1, 7):
        for step in (-1, 1):
            moved = sorted({*ends[:i], ends[i] + step, *ends[i + 1 :]})
            assert cost(moved) >= least - 1e-9
        assert cost(ends[:i] + ends[i + 1 :]) >= least - 1e-9


def test_a_policy_counts_probes_before_the_opening_and_the_delay_after_it(bench):
    policies = sys.modules["policies"]
    assert policies.copied_loop(90.0, 0) == policies.Outcome(30.0, 2, 1)
    assert policies.copied_loop(1141.0, 0) == policies.Outcome(None, 20, 0)
    assert policies.copied_loop(None, 0) == policies.Outcome(None, 20, 0)
    minute = policies.every(60, seed=1)
    assert minute(None, 0).before == 72 * 60
    outcome = minute(3600.0, 0)
    assert 0 <= outcome.delay <= 60
    assert outcome.before == 60
