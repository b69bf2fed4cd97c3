"""A real Prometheus scrapes the page, and on an opening a real Alertmanager posts the rule's alert."""

import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from aiohttp import web

from .conftest import OPENED, READ, TARGET, free_port

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

DEPLOY = Path(__file__).parents[3] / "deploy"
NEEDED = ("prometheus", "promtool", "prometheus-alertmanager")
STATE = f'access_monitor_target_state{{target="{TARGET}"}} == 1'


@pytest.fixture
def tool() -> Callable[[str], str]:
    """Where a program of Debian's packages is; without them the test is skipped."""

    def found(name: str) -> str:
        place = shutil.which(name)
        if place is None:
            pytest.skip(f"no {name} here: apt-get install prometheus prometheus-alertmanager")
        return place

    return found


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Where Alertmanager may post, and the alerts that it posted."""
    posted: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        posted.extend((await request.json())["alerts"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/", posted
    await runner.cleanup()


class Watching:
    """A Prometheus on the shipped files, at a scrape a second, and an Alertmanager."""

    def __init__(self, lab: Any, tool: Callable[[str], str]) -> None:
        self._lab = lab
        self._tool = tool
        self._client = httpx.AsyncClient(trust_env=False, timeout=30)

    async def start(self, page: str, token: str, to: str) -> None:
        """Scrape the page at this address with the token, and post alerts to that one."""
        folder, alerts, asked = self._lab.folder, free_port(), free_port()
        self._url = f"http://127.0.0.1:{asked}/api/v1/"
        shutil.copy(DEPLOY / "prometheus" / "rules.yml", folder)
        (folder / "token").write_text(token)
        config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        (job,) = config["scrape_configs"]
        job["static_configs"] = [{"targets": [urlsplit(page).netloc]}]
        job["authorization"] = {"credentials_file": "token"}
        (one,) = config["alerting"]["alertmanagers"]
        one["static_configs"] = [{"targets": [f"127.0.0.1:{alerts}"]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        route = {
            "receiver": "here",
            "group_wait": "0s",
            "group_interval": "1s",
            "group_by": ["..."],
        }
        receivers = [{"name": "here", "webhook_configs": [{"url": to}]}]
        (folder / "alertmanager.yml").write_text(
            yaml.safe_dump({"route": route, "receivers": receivers})
        )
        await self._lab.launch(
            self._tool("prometheus-alertmanager"), f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/alerts", f"--web.listen-address=127.0.0.1:{alerts}",
            "--cluster.listen-address=", log="alertmanager",
        )  # fmt: skip
        await self._lab.launch(
            self._tool("prometheus"), f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/series", f"--web.listen-address=127.0.0.1:{asked}",
            log="prometheus",
        )  # fmt: skip

    async def get(self, path: str, **query: str) -> Any:
        """What Prometheus answers; None while it does not."""
        try:
            answer = await self._client.get(self._url + path, params=query)
        except httpx.TransportError:
            return None
        assert answer.status_code != 400, answer.text
        return answer.json()["data"] if answer.status_code == 200 else None

    async def series(self, query: str) -> list[dict[str, str]]:
        """The labels of what a query finds now."""
        found = await self.get("query", query=query)
        return [one["metric"] for one in found["result"]] if found else []

    async def sees(self, state: str) -> None:
        async def so() -> bool:
            return [one["state"] for one in await self.series(STATE)] == [state]

        await self._lab.until(so, f"Prometheus to see {TARGET} {state}")

    async def aclose(self) -> None:
        await self._client.aclose()


@pytest.fixture
async def watching(lab: Any, tool: Callable[[str], str]) -> AsyncIterator[Watching]:
    for name in NEEDED:
        tool(name)
    found = Watching(lab, tool)
    yield found
    await found.aclose()


async def test_an_opening_becomes_an_alert_that_is_posted(site, watching, receiver):
    address, posted = receiver
    await site.watch(tokens=True)
    await site.serve()
    await watching.start(site.url, READ, address)
    await watching.sees("unverified")
    await site.lab.replay(OPENED)
    await watching.sees("available")

    def alert(name: str) -> dict[str, Any] | None:
        return next((one for one in posted if one["labels"]["alertname"] == name), None)

    await site.lab.until(lambda: alert("AccessMonitorOpened") is not None, "the opening's alert")
    opened = alert("AccessMonitorOpened")
    assert opened["status"] == "firing"
    assert opened["labels"]["target"] == TARGET
    assert opened["labels"]["organization"] == "org-acme"
    assert opened["annotations"]["runbook"] == "docs/metrics.md#accessmonitoropened"
    # what else is true: acme-lab is locked, and nobody takes what the channels send
    for name in ("AccessMonitorLocked", "AccessMonitorUndeliverable"):
        await site.lab.until(lambda name=name: alert(name) is not None, name)
    # what was open all along never opened
    opened = {
        one["labels"].get("target")
        for one in posted
        if one["labels"]["alertname"] == "AccessMonitorOpened"
    }
    assert opened == {TARGET}

    # every rule is evaluated without an error, and whatever the dashboard asks is answered
    groups = (await watching.get("rules"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 20
    assert [rule["name"] for rule in rules if rule.get("lastError")] == []
    dashboard = json.loads((DEPLOY / "grafana" / "access-monitor.json").read_text())
    asked = [target["expr"] for one in dashboard["panels"] for target in one.get("targets", ())]
    assert len(asked) > 15
    for expression in asked:
        filled = expression.replace("$instance", ".*").replace("$__rate_interval", "1m")
        assert await watching.get("query", query=filled) is not None, expression
    shown = await watching.series("access_monitor_probes_total")
    assert {one["route"] for one in shown} == {"sim", "relay"}


async def test_promtool_has_nothing_to_say_of_the_metrics_and_the_rules(lab, site, tool):
    await site.watch()
    await site.serve()
    async with site.client() as client:
        for form in ({}, {"Accept": "application/openmetrics-text; version=1.0.0"}):
            answer = await client.get("/metrics", headers=form)
            assert answer.status_code == 200
        classic = (await client.get("/metrics")).content
    (lab.folder / "metrics.txt").write_bytes(classic)
    folder = DEPLOY / "prometheus"
    for command in (
        f"check metrics < {lab.folder}/metrics.txt",
        f"check config {folder}/prometheus.yml",
        f"check rules {folder}/rules.yml",
        f"test rules {folder}/rules_test.yml",
    ):
        process = await lab.launch("/bin/sh", "-c", f"{tool('promtool')} {command}", log="promtool")
        assert await process.wait() == 0, (lab.folder / "promtool.log").read_text()
    said = (lab.folder / "promtool.log").read_text()
    assert said.count("SUCCESS") >= 4
