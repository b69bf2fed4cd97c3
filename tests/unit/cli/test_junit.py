"""JUnit reports are such as pipelines read."""

from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from monitor.access.words import Effect
from monitor.cli.junit import Case, as_junit

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))
NOW = datetime(2026, 11, 20, 14, 5, tzinfo=UTC)


def case(effect: Effect, text: str = "text") -> Case:
    return Case(f"acme/{effect}:images", "openai", 1.25, effect, "a_code", "do <this> & that", text)


def test_each_effect_is_a_success_a_failure_or_an_error() -> None:
    report = as_junit("check", [case(effect) for effect in Effect], NOW)
    SCHEMA.validate(report)
    root = ET.fromstring(report)
    assert {name: root.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "5", "failures": "2", "errors": "2",
    }  # fmt: skip
    outcomes = {one.get("name"): [part.tag for part in one] for one in root.iter("testcase")}
    assert outcomes == {
        "acme/granted:images": [],
        "acme/gated:images": ["failure"],
        "acme/locked:images": ["failure"],
        "acme/blocked:images": ["error"],
        "acme/inconclusive:images": ["error"],
    }
    failure = root.find(".//failure")
    assert failure is not None
    assert (failure.get("message"), failure.get("type")) == ("do <this> & that", "a_code")


@pytest.mark.parametrize(
    "text", ["", "]]>", "\x00\x1b[31m\ufffe", "\ud800", "“ü” \U0001f600", "<!-- -->"], ids=repr
)
def test_whatever_a_server_says_the_report_is_xml(text: str) -> None:
    report = as_junit("check", [case(Effect.BLOCKED, text)], NOW)
    SCHEMA.validate(report.encode())
    assert (ET.fromstring(report.encode()).findtext(".//error") or "") == "".join(
        one for one in text if one.isprintable() and not "\ud800" <= one <= "\udfff"
    )


def test_a_report_without_targets_and_one_of_hours_are_valid() -> None:
    SCHEMA.validate(as_junit("wait", [], NOW))
    slow = Case("acme/a:images", "openai", 7_200_000.5, Effect.GATED)
    assert 'time="7200000.500"' in as_junit("wait", [slow], NOW)
    SCHEMA.validate(as_junit("wait", [slow], NOW))


def test_the_schema_refuses_what_is_no_report() -> None:
    report = as_junit("check", [case(Effect.GATED)], NOW)
    for wrong in (
        report.replace("failure", "refusal"),
        report.replace(' name="acme/gated:images"', ""),
        report.replace('time="1.250"', 'time="1e3"'),
        report.replace(' failures="1"', ""),
    ):
        assert wrong != report
        assert not SCHEMA.is_valid(wrong)
