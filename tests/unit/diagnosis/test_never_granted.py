"""Refusals disguised as successes are never granted, and real successes always are.

The sentences, the disguises and the successes are in tests/benchmarks/disguises, where `make fuzz` combines
more of them. They come from what servers are known to send, never from the table of rules; half of them
were not shown to who wrote the rules.
"""

from itertools import islice

from disguises import combining

from monitor.access.words import Code, Effect

BOTH = combining.seen() + combining.held_out()
COMBINATIONS = 500


def test_five_hundred_combinations_are_what_they_are():
    found = combining.run(BOTH, range(COMBINATIONS))
    assert found.combinations == COMBINATIONS
    assert not found.faults, "\n".join(f"{fault}: {name}" for fault, _, name in found.faults[:20])


def test_five_hundred_combinations_hold_every_carrier_envelope_and_success():
    names = " ".join(combining.combination(BOTH, index).name for index in range(COMBINATIONS))
    parts = (*BOTH.refusals, *BOTH.wordings, *BOTH.carriers, *BOTH.envelopes, *BOTH.successes)
    missing = {getattr(part, "name", "") or part.id for part in parts} - set(names.split())
    assert missing == set()


def test_a_refusal_taken_for_a_success_or_for_another_verification_is_a_fault():
    refusals = (combining.disguised(BOTH, index, seed=1) for index in range(0, 30, 3))
    for case in islice(refusals, 10):
        assert case.fault(Code.ACCESS_GRANTED, Effect.GRANTED) == "granted"
        assert case.fault(Code.VERIFICATION_LOCKED, Effect.LOCKED) == "locked"
    success = combining.served(BOTH, 0, seed=1)
    assert success.fault(Code.UNRECOGNIZED, Effect.INCONCLUSIVE) == "a success not granted"
