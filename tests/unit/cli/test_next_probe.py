"""What `status` shows of a target's next probe."""

from datetime import UTC, datetime, timedelta

import pytest

from monitor.access.words import Contract, Hold, State, Surface
from monitor.cli.status import next_probe_text
from monitor.store.records import TargetStatus

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("due_in", "held_by", "shown"),
    [
        (None, None, "-"),
        (25, None, "in 25 s"),
        (-25, None, "due"),
        (40, Hold.BREAKER, "in 40 s (breaker)"),
        (-40, Hold.BREAKER, "breaker"),
        (900, Hold.BUDGET, "in 15 min (budget)"),
        (None, Hold.ANNOUNCED_LIMIT, "announced limit"),
    ],
)
def test_a_next_probe_is_never_in_the_past(due_in, held_by, shown):
    target = TargetStatus(
        target="acme/gpt-image-2:images", key="acme", organization=None, project=None,
        route="openai", contract=Contract.DIRECT, model="gpt-image-2", surface=Surface.IMAGES,
        state=State.UNVERIFIED, since=NOW, blocker=None, last_probe_at=None, last_diagnosis=None,
        next_probe_at=None if due_in is None else NOW + timedelta(seconds=due_in),
        spend_today_usd=0.0, held_by=held_by,
    )  # fmt: skip
    assert next_probe_text(target, NOW) == shown
