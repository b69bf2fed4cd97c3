"""The long search for answers that break the diagnosis (tests/benchmarks), in small."""

import importlib.util
from pathlib import Path

PATH = Path(__file__).parents[2] / "benchmarks" / "fuzz_diagnosis.py"


def test_two_thousand_broken_answers_break_nothing():
    spec = importlib.util.spec_from_file_location("fuzz_diagnosis", PATH)
    assert spec is not None
    assert spec.loader is not None
    fuzz = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fuzz)
    outcome = fuzz.run(fuzz.own_seeds(), range(2_000), seed=20)
    assert outcome.violations == []
    assert len(outcome.times) == 2_000
    assert len(outcome.effects) == 5, "the seeds should reach every effect"
