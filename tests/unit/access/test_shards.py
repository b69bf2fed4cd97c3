"""How workers share the shards: each has one owner, shares are equal, and nothing moves without need."""

from collections import Counter
from random import Random

import pytest

from monitor.access.target import SHARDS, balance, shard_of


def settled(owners, populated, workers, *, rounds=6):
    """Play beats of the workers in turn until nothing moves. Returns the number of moves."""
    moves = 0
    for _ in range(rounds):
        before = dict(owners)
        for me in workers:
            plan = balance(owners, populated, workers, me)
            for shard in plan.take:
                assert owners[shard] is None, "only free ones are taken"
                owners[shard] = me
            for shard in plan.hand_over:
                assert owners[shard] == me, "only own ones are handed over"
                owners[shard] = None
            moves += len(plan.take) + len(plan.hand_over)
        if owners == before:
            return moves
    raise AssertionError("it does not come to rest")


@pytest.mark.parametrize("seed", range(50))
def test_every_shard_has_a_worker_and_shares_differ_by_few(seed):
    random = Random(seed)
    populated = set(random.sample(range(SHARDS), random.randint(0, SHARDS)))
    workers = random.sample(range(2, 30), random.randint(1, 9))
    owners = {shard: random.choice([None, *workers]) for shard in range(SHARDS)}
    settled(owners, populated, workers)
    for those in (populated, set(owners) - populated):
        counts = Counter(owners[shard] for shard in those)
        assert None not in counts
        assert all(count <= -(-len(those) // len(workers)) for count in counts.values())


def test_a_worker_that_joins_gets_its_share_from_all_and_no_other_shard_moves():
    owners: dict[int, int | None] = dict.fromkeys(range(SHARDS))
    settled(owners, set(owners), [2, 3])
    before = dict(owners)
    moves = settled(owners, set(owners), [2, 3, 4])
    assert Counter(owners.values()) == {2: 22, 3: 22, 4: 20}
    assert moves == 2 * 20, "handed over once, taken once"
    assert all(owners[shard] in (before[shard], 4) for shard in owners)


def test_a_worker_that_may_take_none_hands_all_over():
    owners = dict.fromkeys(range(SHARDS), 2)
    plan = balance(owners, {1, 2, 3}, [3], 2)
    assert sorted(plan.hand_over) == list(range(SHARDS))
    assert not plan.take


def test_a_shard_depends_on_route_and_organization_only_and_the_shards_are_used_evenly():
    assert shard_of("openai", "org-acme") == shard_of("openai", "org-acme") == 59
    counts = Counter(shard_of("openai", f"org-{n}") for n in range(6400))
    assert set(counts) == set(range(SHARDS))
    assert max(counts.values()) < 150
