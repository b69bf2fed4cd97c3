"""What `status` shows of a target's next probe."""

from datetime import UTC, datetime, timedelta

import pytest

from monitor.access.readable import next_probe_text
from monitor.access.words import Hold

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
    due = None if due_in is None else NOW + timedelta(seconds=due_in)
    assert next_probe_text(due, held_by, NOW) == shown
