"""How long a server asks to wait, from headers or words."""

import pytest

from monitor.access.words import Code


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "20"}, 20.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "467"}, 0.467),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "172800"}, 172_800.0),
        (
            {
                "retry-after": "Fri, 20 Nov 2026 08:01:00 GMT",
                "date": "Fri, 20 Nov 2026 08:00:00 GMT",
            },
            60.0,
        ),
        ({"retry-after": "Fri, 20 Nov 2026 08:01:00 GMT"}, None),
        (
            {
                "retry-after": "Fri, 20 Nov 2026 07:00:00 GMT",
                "date": "Fri, 20 Nov 2026 08:00:00 GMT",
            },
            None,
        ),
        (
            {"retry-after": "Fri, 20 Nov 2026 08:01:00", "date": "Fri, 20 Nov 2026 08:00:00 GMT"},
            None,
        ),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "259200"}, 259_200.0),
        ({"retry-after": "31536000"}, 31 * 86_400.0),
        ({"retry-after": "31708800"}, None),
        ({"retry-after": "3600, 3600"}, 3_600.0),
        ({"retry-after": "20,3600, 5"}, 3_600.0),
        ({"retry-after": "20, 99999999999"}, 20.0),
        ({"retry-after": "20, -1"}, 20.0),
        ({"retry-after-ms": "500, 1500"}, 1.5),
        ({"retry-after": "20, soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "99999999999999999999999999"}, None),
        ({"retry-after": "later", "date": "now"}, None),
        ({}, None),
    ],
)
def test_headers_are_read(read_answer, error_body, headers, seconds):
    found = read_answer(429, error_body("Slow down."), headers)
    assert found.code is Code.RATE_LIMITED
    assert found.retry_after == seconds


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Please try again in 1.574s.", 1.574),
        ("Please try again in 467ms.", 0.467),
        ("Please retry after 20 seconds.", 20.0),
        ("Try again in 6m0s.", 360.0),
        ("try again in 1h2m3.5s", 3_723.5),
        ("Try again in 1 minute and 30 seconds", 90.0),
        ("(reset after 5s)", 5.0),
        ("请 30 秒后重试", 30.0),
        ("请在 2 分钟后重试", 120.0),
        ("Please wait 83652 seconds before retrying.", 83_652.0),
        ("Quota will be replenished in 00:30:02.", 1_802.0),
        ("Please wait 3 of 5.", None),
        ("The cache waited 3 seconds.", None),
        ("Quota was replenished at 00:30:02.", None),
        ("Please try again in a while.", None),
        ("Please try again in 20 apples.", None),
        ("Please try again in 99999999s.", None),
        ("Please try again later.", None),
    ],
)
def test_words_are_read(read_answer, error_body, words, seconds):
    found = read_answer(429, error_body(f"Too many requests. {words}"))
    assert found.retry_after == (None if seconds is None else pytest.approx(seconds))


def test_headers_count_more_than_words(read_answer, error_body):
    found = read_answer(429, error_body("Please retry after 20 seconds."), {"retry-after": "3"})
    assert found.retry_after == 3.0
