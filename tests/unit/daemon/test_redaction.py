"""What must not leave the process does not, in whatever form it comes."""

import base64
import io
import json
import logging
from urllib.parse import quote

import pytest
import structlog

from monitor.daemon.logs import configure
from monitor.daemon.redaction import HIDDEN, Redactor

KEY = "canary+FAKE/key=0001"
REDACT = Redactor([KEY])


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        quote(KEY, safe=""),
        base64.b64encode(KEY.encode()).decode(),
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
