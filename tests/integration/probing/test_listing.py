"""What a model list says: ids and shutdown dates, whatever else a server sends."""

import json
from datetime import date

import pytest

from monitor.probing.received import brief, listed


def body(*entries: object) -> bytes:
    return json.dumps({"object": "list", "data": entries}).encode()


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2026-12-11", date(2026, 12, 11)),
        (" 2026-12-11 ", date(2026, 12, 11)),
        ("2026-12-11T23:30:00-05:00", date(2026, 12, 12)),
        ("2026-12-11T23:30:00", date(2026, 12, 11)),
        (1796947200, date(2026, 12, 11)),
        (None, None),
        ("", None),
        ("soon", None),
        (True, None),
        (1e300, None),
        (float("nan"), None),
        ({"day": 1}, None),
    ],
)
def test_a_shutdown_date_is_a_day_or_none(sent: object, read: date | None) -> None:
    assert listed(body({"id": "o3", "shutdown_date": sent})) == {"o3": read}


@pytest.mark.parametrize(
    "answer",
    [b"", b"{", b"[]", b"3", b'{"data": 3}', b'{"data": [3, {"id": 4}, {}]}', b"[" * 100_000],
)
def test_what_is_no_list_says_nothing_and_stays_as_it_is(answer: bytes) -> None:
    assert listed(answer) == {}
    assert brief(answer) is answer


def test_a_brief_list_says_the_same_in_less() -> None:
    whole = body(
        {"id": "o3", "object": "model", "created": 1, "shutdown_date": "2026-12-11"},
        {"id": "gpt-5.5", "object": "model", "owned_by": "system", "shutdown_date": None},
    )
    short = brief(whole)
    assert listed(short) == listed(whole) == {"o3": date(2026, 12, 11), "gpt-5.5": None}
    assert len(short) < len(whole)
