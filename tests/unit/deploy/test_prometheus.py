"""The rules, their tests, the dashboard and the documentation speak of the same metrics."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pages import ROOT, anchors, read

from monitor.web.metric_families import FAMILIES

FOLDER = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "access-monitor.json").read_text())
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
TESTS = yaml.safe_load((FOLDER / "rules_test.yml").read_text())["tests"]
_NAME = re.compile(r"access_monitor[\w:]*")


def series() -> dict[str, set[str]]:
    """Each name under which samples are scraped or recorded, with the labels that they may have."""
    found: dict[str, set[str]] = {}
    for family in FAMILIES:
        endings = {"_bucket", "_sum", "_count"} if family.kind == "histogram" else {""}
        for ending in endings:
            found[family.name + ending] = {*family.labels, *(["le"] if ending == "_bucket" else [])}
    return found


RECORDED = {rule["record"] for rule in RULES if "record" in rule}


def panels() -> Iterator[dict[str, Any]]:
    for panel in DASHBOARD["panels"]:
        yield panel
        yield from panel.get("panels", ())


def expressions() -> list[str]:
    shown = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    return [*(rule["expr"] for rule in RULES), *shown]


def test_every_metric_that_rules_tests_and_dashboard_name_is_scraped_or_recorded():
    given = [
        one["series"] for test in TESTS for one in test["input_series"]
    ] + [json.dumps(DASHBOARD["templating"])]  # fmt: skip
    named = {name for text in [*expressions(), *given] for name in _NAME.findall(text)}
    assert len(named) > 20
    assert named - series().keys() - RECORDED == set()


def test_every_label_that_a_matcher_names_is_one_of_its_metric():
    known = series()
    for text in [
        *expressions(),
        *(one["series"] for test in TESTS for one in test["input_series"]),
    ]:
        for name, matchers in re.findall(r"(access_monitor_\w+)\{([^}]*)\}", text):
            labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', "", matchers)))
            assert labels - known.get(name, labels) <= {"instance", "job"}, (name, labels)


def test_every_recorded_figure_is_used():
    used = {name for text in expressions() for name in _NAME.findall(text)}
    assert RECORDED - used == set()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda one: one["alert"])
def test_every_alert_says_how_bad_it_is_and_has_a_runbook_and_a_test(alert):
    assert alert["labels"]["severity"] in ("info", "warning", "critical")
    notes = alert["annotations"]
    assert notes["summary"]
    assert notes["description"]
    page, _, anchor = notes["runbook"].partition("#")
    assert page == "docs/metrics.md"
    assert anchor == alert["alert"].lower()
    assert anchor in anchors(page)
    tested = [
        one
        for test in TESTS
        for one in test.get("alert_rule_test", ())
        if one["alertname"] == alert["alert"]
    ]
    assert any(one.get("exp_alerts") for one in tested), "it fires"
    if alert["alert"] != "AccessMonitorPageDown":
        assert any(not one.get("exp_alerts") for one in tested), "and not always"


def test_every_runbook_is_of_an_alert():
    part = read("docs/metrics.md").partition("## Runbooks")[2]
    headings = re.findall(r"^### (.*)$", part, re.MULTILINE)
    assert sorted(headings) == sorted(alert["alert"] for alert in ALERTS)


def test_every_metric_is_in_the_documentation():
    text = read("docs/metrics.md")
    assert [one.name for one in FAMILIES if f"| `{one.name}` |" not in text] == []


def test_the_dashboard_asks_the_data_source_that_is_chosen():
    (chosen,) = (one for one in DASHBOARD["templating"]["list"] if one["type"] == "datasource")
    assert chosen["query"] == "prometheus"
    asking = [one for one in panels() if one["type"] != "row"]
    asking += [target for one in asking for target in one["targets"]]
    asking += [one for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    assert len(asking) > 20
    assert {one["datasource"]["uid"] for one in asking} == {"${" + chosen["name"] + "}"}


def test_the_dashboard_has_its_five_rows_and_says_what_each_panel_shows():
    shown = list(panels())
    rows = [one["title"] for one in shown if one["type"] == "row"]
    assert rows == ["Overview", "Propagation", "Probes", "Delivery", "Spend"]
    assert all(one["title"] for one in shown)
    assert len({one["id"] for one in shown}) == len(shown)
    places = {tuple(one["gridPos"].values()) for one in shown}
    assert len(places) == len(shown)


def test_the_scrape_configuration_is_of_the_job_that_the_rules_know():
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    (down,) = (one for one in ALERTS if one["alert"] == "AccessMonitorPageDown")
    assert f'job="{job["job_name"]}"' in down["expr"]
    assert job["metrics_path"] == "/metrics"
