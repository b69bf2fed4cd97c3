"""What must not leave the process does not, in whatever form it comes."""

import base64
import io
import json
import logging
import re
from urllib.parse import quote

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from monitor.access.masking import HIDDEN, Redactor, mask_patterns
from monitor.logs import configure
from monitor.store.errors import UnavailableError

KEY = "canary+FAKE/key=0001"
REDACT = Redactor([KEY])


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        quote(KEY, safe=""),
        re.sub("%..", lambda escape: escape[0].lower(), quote(KEY, safe="")),
        base64.b64encode(KEY.encode()).decode(),
        base64.b64encode(f"x{KEY}".encode()).decode(),
        base64.b64encode(f"Bearer {KEY}".encode()).decode(),
        base64.urlsafe_b64encode(f"xy{KEY}".encode()).decode(),
        json.dumps(KEY).replace("/", "\\/")[1:-1],
        f"Authorization: Bearer {KEY}",
    ],
)
def test_a_secret_is_hidden_in_every_form(form):
    hidden = REDACT.text(f"before {form} after")
    assert KEY not in hidden
    assert form not in hidden
    assert HIDDEN in hidden


@pytest.mark.parametrize(
    "text",
    [
        "sk-proj-FAKEFAKEFAKEFAKE",
        "https://hooks.slack.com/services/T0/B0/FAKE",
        "whsec_FAKEFAKEFAKEFAKEFAKEFAKEFAKE0001+/=",
        "mailtos://user:hunter22@mail.example",
        "Bearer abcdefghijklmnop",
    ],
)
def test_what_looks_like_a_secret_is_hidden_too(text):
    hidden = Redactor().text(f"see {text} there")
    assert HIDDEN in hidden
    assert "FAKE" not in hidden
    assert "hunter22" not in hidden


def test_nested_values_are_searched_through():
    value = {"a": [KEY, {"b": (f"x{KEY}x",)}], KEY: 1, "n": 3, "none": None}
    assert KEY not in json.dumps(REDACT.value(value))
    assert REDACT.value(value)["n"] == 3


def test_secrets_that_overlap_or_touch_are_hidden_whole():
    redact = Redactor(["abcdefgh", "efghijkl", "cdefgh"])
    assert redact.text("1abcdefghijkl2") == f"1{HIDDEN}2"
    assert redact.text("1abcdefghabcdefgh2") == f"1{HIDDEN}{HIDDEN}2"
    assert redact.text("1abcdeg2") == "1abcdeg2"


def test_ten_thousand_secrets_that_end_alike_are_hidden_as_one_is():
    keys = [f"sk.FAKE.{n:05}.same-end" for n in range(10_000)]
    redact = Redactor(keys)
    assert redact.text(f"a {keys[7]} b {keys[9_999]}") == f"a {HIDDEN} b {HIDDEN}"
    assert redact.text("sk.FAKE") == "sk.FAKE"


def test_what_was_replaced_stays_hidden_and_the_oldest_of_very_many_goes(monkeypatch):
    redact = Redactor([KEY])
    assert redact.text("a key.FAKE.0001") == "a key.FAKE.0001"
    redact.learn(["key.FAKE.0001"])
    assert redact.text(f"{KEY} key.FAKE.0001") == f"{HIDDEN} {HIDDEN}"
    monkeypatch.setattr("monitor.access.masking._KNOWN_MOST", 2)
    redact.learn(["other/FAKE-0002"])
    assert redact.text("key.FAKE.0001 other/FAKE-0002") == f"{HIDDEN} {HIDDEN}"
    assert redact.text(KEY) == KEY


def test_keys_of_a_mapping_may_be_anything():
    assert Redactor([KEY]).value({(1, KEY): b"x", 2: None}) == {
        f"(1, '{HIDDEN}')": "b'x'",
        "2": None,
    }


@given(st.text("ab\u00f8 \n"), st.text("ab\u00f8 \n"))
def test_nothing_but_the_secret_goes(before, after):
    assert Redactor(["canary-1"]).text(f"{before}canary-1{after}") == before + HIDDEN + after


def test_what_looks_like_a_key_is_one_and_what_does_not_is_none():
    assert mask_patterns("sk-proj-FAKEFAKEFAKE") == HIDDEN
    for text in (
        "a desk-lamp, task-oriented",
        "keys begin with sk-proj-, sk-svcacct- or sk-service-",
    ):
        assert mask_patterns(text) == text


def test_short_values_do_not_hide_ordinary_words():
    assert Redactor(["to", "abc"]).text("to the abc") == "to the abc"


@pytest.fixture
def logged():
    stream = io.StringIO()
    configure(REDACT, log_format="json", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.getLogger().handlers[:] = []
    structlog.reset_defaults()


def test_a_log_line_is_redacted_last_also_in_its_traceback(logged):
    try:
        raise ValueError(f"the key {KEY} is wrong")
    except ValueError:
        structlog.get_logger().exception("failed", note=f"with {KEY}")
    (line,) = logged()
    assert KEY not in json.dumps(line)
    assert HIDDEN in line["exception"]
    assert line["event"] == "failed"


def test_the_libraries_logs_go_the_same_way(logged):
    logging.getLogger("some.library").warning("calling %s", f"https://api.example/?key={KEY}")
    logging.getLogger("httpx").info("HTTP Request: GET https://api.example/?key=abc")
    (line,) = logged()
    assert KEY not in json.dumps(line)


def test_a_servers_words_cannot_forge_a_line_or_paint_a_terminal(logged):
    structlog.get_logger().info("probe", message="a\n{}\x1b[31mred\u202e")
    (line,) = logged()
    assert line["message"] == "a\\n{}\\x1b[31mred\\u202e"


def test_what_the_database_refuses_is_said_in_a_sentence_without_a_traceback(logged):
    try:
        raise UnavailableError("the database refused it: disk I/O error")
    except UnavailableError as error:
        structlog.get_logger().exception("failed")
        structlog.get_logger().error("failed", exc_info=error)
    for line in logged():
        assert line["error"] == "the database refused it: disk I/O error"
        assert "exception" not in line


def test_a_tracebacks_lines_stand_behind_a_bar_and_paint_nothing(logged):
    try:
        raise ValueError("a\n2026-11-20 [info] forged\x1b[31m")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = logged()
    assert all(row.startswith("| ") for row in line["exception"].splitlines())
    assert line["exception"].endswith("| 2026-11-20 [info] forged\\x1b[31m")
