"""Every message fits its service: the real plugins, and stand-ins that refuse as the services do.

Apprise's plugins have fixed hosts; `point` sets the attribute that holds the address.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import apprise
import pytest
from aiohttp import web
from listening import serving

from monitor.access.events import Event
from monitor.access.limits import Delivery
from monitor.access.words import Code, EventKind, Reason, State
from monitor.alerts.apprise_channel import AppriseChannel, check_url
from monitor.alerts.dispatcher import Dispatcher

pytestmark = pytest.mark.anyio

#: A channel's URL for each, with tokens of the right form.
URLS = {
    "discord": "discord://000000000000000000/" + "F" * 68,
    "telegram": "tgram://123456789:FAKEfakeFAKEfakeFAKEfakeFAKEfakeFAK/1000",
    "pushover": "pover://" + "u" * 30 + "@" + "a" * 30,
    "slack": "https://hooks.slack.com/services/TFAKE0001/BFAKE0002/fakeFAKEfake0003",
    "ntfy": "ntfy://acme-alerts",
}
_TELEGRAM_TAGS = {"b", "strong", "i", "em", "u", "ins", "s", "code", "pre", "a", "blockquote"}


class Services:
    """All five on one port: what each took, and how often each refused."""

    def __init__(self) -> None:
        self.taken: dict[str, list[str]] = {name: [] for name in URLS}
        self.refused: dict[str, list[str]] = {name: [] for name in URLS}

    def add_to(self, app: web.Application) -> None:
        for path, handle in (
            ("/discord/{rest:.*}", self.discord),
            ("/telegram{rest:.*}", self.telegram),
            ("/pushover", self.pushover),
            ("/slack/{rest:.*}", self.slack),
            ("/ntfy", self.ntfy),
        ):
            app.router.add_post(path, handle)

    def point(self, patch: pytest.MonkeyPatch, port: int) -> None:
        base = f"http://127.0.0.1:{port}"
        plugins = apprise.plugins.N_MGR
        patch.setattr(plugins["discord"], "notify_url", f"{base}/discord")
        patch.setattr(plugins["tgram"], "notify_url", f"{base}/telegram")
        patch.setattr(plugins["pover"], "notify_url", f"{base}/pushover")
        patch.setattr(plugins["slack"], "webhook_url", f"{base}/slack")
        patch.setattr(plugins["ntfy"], "cloud_notify_url", f"{base}/ntfy")
        for name in ("discord", "tgram", "pover", "slack", "ntfy"):
            # they wait between two messages; a test need not
            patch.setattr(plugins[name], "request_rate_per_sec", 0)

    async def discord(self, request: web.Request) -> web.Response:
        content = (await request.json())["content"]
        errors = {"content": {"_errors": [{"message": "Must be 2000 or fewer in length."}]}}
        refusal = {"code": 50035, "errors": errors, "message": "Invalid Form Body"}
        return self._answer("discord", content, refusal if len(content) > 2000 else None, 204)

    async def telegram(self, request: web.Request) -> web.Response:
        sent = await request.json()
        shown = _Shown()
        if sent["parse_mode"] == "HTML":
            shown.feed(sent["text"])
        else:
            shown.text = sent["text"]
        why = "message is too long" if len(shown.text) > 4096 else shown.wrong
        refusal = {"ok": False, "error_code": 400, "description": f"Bad Request: {why}"}
        return self._answer("telegram", shown.text, refusal if why else None, also={"ok": True})

    async def pushover(self, request: web.Request) -> web.Response:
        form = await request.post()
        title, text = str(form["title"]), str(form["message"])
        long = [
            f"{what} is too long"
            for what, value, most in (("title", title, 250), ("message", text, 1024))
            if len(value) > most
        ]
        refusal = {"status": 0, "errors": long}
        return self._answer("pushover", f"{title}\n{text}", refusal if long else None)

    async def slack(self, request: web.Request) -> web.Response:
        (attachment,) = (await request.json())["attachments"]
        blocks = attachment.get("blocks", [])
        texts = [block["text"]["text"] for block in blocks if "text" in block]
        if any(len(text) > 3000 for text in texts):
            self.refused["slack"].append("invalid_blocks")
            return web.Response(status=400, text="invalid_blocks")
        text = "\n".join([attachment.get("title", ""), attachment.get("text", ""), *texts])
        if len(text) > 40_000:
            self.refused["slack"].append("msg_too_long")
            return web.Response(status=400, text="msg_too_long")
        self.taken["slack"].append(text)
        return web.Response(text="ok")

    async def ntfy(self, request: web.Request) -> web.Response:
        body = await request.read()
        if len(body) > 8192:
            refusal = {"code": 41303, "http": 413, "error": "request entity too large: JSON body"}
            return self._answer("ntfy", "", refusal, 413)
        try:
            fields = json.loads(body)
        except ValueError:
            fields = {"message": "x" * 5000}  # a file
        # A server without a store for files, which is the default where one runs it oneself.
        refusal = {"code": 40014, "http": 400, "error": "invalid request: attachments not allowed"}
        text = f"{fields.get('title')}\n{fields['message']}"
        return self._answer(
            "ntfy", text, refusal if len(fields["message"].encode()) > 4096 else None
        )

    def _answer(
        self,
        name: str,
        text: str,
        refusal: dict[str, Any] | None,
        status: int = 200,
        also: dict[str, Any] | None = None,
    ) -> web.Response:
        if refusal:
            self.refused[name].append(json.dumps(refusal))
            return web.json_response(refusal, status=status if status >= 400 else 400)
        self.taken[name].append(text)
        return web.json_response(also or {"status": 1}, status=status)


class _Shown(HTMLParser):
    """What Telegram makes of its HTML: it counts what is shown, and refuses tags that it does not know."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.wrong = "", ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in _TELEGRAM_TAGS:
            self.wrong = f'can\'t parse entities: Unsupported start tag "{tag}"'

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
async def services(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Services]:
    stand_ins = Services()
    app = web.Application()
    stand_ins.add_to(app)
    async with serving(app) as port:
        stand_ins.point(monkeypatch, port)
        yield stand_ins


#: What makes a message long, and what grows when it is escaped.
_LONG = {
    "organization": "org-" + "<acme&sons>" * 8,
    "project": "proj_" + "acme" * 20,
    "key": "acme-prod-" + "eu" * 20,
    "model": "gpt-image-2-" + "preview-" * 6,
    "surface": "images",
    "contract": "direct",
    "status": 403,
    "message": "Your organization <b>must</b> be & verified \u2192 \u8bf7\u9a8c\u8bc1 \U0001f600 "
    * 9,
    "gate": "model",
    "waited_s": 7_530,
    "lasted_s": 7_500,
    "declared_at": "2026-11-20T14:05:00+00:00",
    "hint_at": "2026-11-21T14:05:00+00:00",
    "typical_wait_s": 1_011.5,
    "openings": 12,
    "probes": 171,
    "request_ids": [f"req_FAKE_{n:032}" for n in range(5)],
    "provider_open": [f"relay-{n}/gpt-image-2:images" for n in range(5)],
    "evidence": "| `2026-11-20T14:05:00Z` | 403 | `verification_required` | \u2192 <x> & |\n" * 80,
    "targets": 7,
    "routes": ["openai", "relay"],
    "spent_usd": 0.0496,
    "budget_usd": 0.05,
    "shutdown": "2026-12-01",
}


def _event(kind: EventKind, scope: str | None, number: int = 0) -> Event:
    return Event(
        kind,
        Reason.GATED,
        datetime.now(UTC),
        target=f"acme-{number}/gpt-image-2:images",
        scope=scope,
        route="openai",
        before=State.UNVERIFIED,
        after=State.PROPAGATING,
        diagnosis=Code.VERIFICATION_REQUIRED,
        request_id="req_FAKE_0009",
        facts=_LONG,
    )


def _channel(name: str, url: str, redact: Callable[[str], str] = str) -> AppriseChannel:
    assert check_url(url) is None
    return AppriseChannel(name, url, timeout=timedelta(seconds=10), redact=redact)


async def _deliver(outbox: Any, channel: AppriseChannel) -> None:
    delivery = Delivery(
        group_within=timedelta(),
        retry_first=timedelta(milliseconds=10),
        timeout=timedelta(seconds=10),
    )
    dispatcher = Dispatcher(outbox, [channel], delivery, now=outbox.time, spread=lambda: 0.0)
    task = asyncio.create_task(dispatcher.run())
    await outbox.until(lambda: "pending" not in outbox.states())
    task.cancel()
    await asyncio.wait([task], timeout=20)


@pytest.mark.parametrize("name", URLS)
async def test_each_event_is_delivered_alone_within_the_limits(
    services: Services, outbox: Any, name: str
) -> None:
    for event in EventKind:
        outbox.add(name, _event(event, f"org-{event}"))
    await _deliver(outbox, _channel(name, URLS[name]))
    assert services.refused[name] == []
    assert set(outbox.states()) == {"delivered"}
    assert _ids(services.taken[name]) == _recorded(outbox)
    assert len(services.taken[name]) == len(EventKind)
    whole, named = "The evidence, for support", "access-monitor evidence acme-0/gpt-image-2:images"
    assert all(whole in text or named in text for text in services.taken[name])


@pytest.mark.parametrize("name", URLS)
@pytest.mark.parametrize("times", [1, 20])
async def test_all_events_are_delivered_together_within_the_limits(
    services: Services, outbox: Any, name: str, times: int
) -> None:
    for number in range(times):
        for event in EventKind:
            outbox.add(name, _event(event, "org-acme", number))
    await _deliver(outbox, _channel(name, URLS[name]))
    assert services.refused[name] == []
    assert set(outbox.states()) == {"delivered"}
    assert sorted(_ids(services.taken[name])) == _recorded(outbox)
    assert {row.attempts for row in outbox.rows.values()} == {1}


@pytest.mark.parametrize("name", URLS)
async def test_each_opening_of_a_pool_is_named_within_the_limits(
    services: Services, outbox: Any, name: str
) -> None:
    keys = [f"pool-a-{n * 0x9E3779B1 % 2**32:08x}" for n in range(1, 159)]
    for key in keys:
        light = _event(EventKind.FIRST_LIGHT, "pool pool-a")
        named = {"key": key, "model": "gpt-image-2", "surface": "images", "pool": "pool-a"}
        outbox.add(
            name, replace(light, target=f"{key}/gpt-image-2:images", facts={**_LONG, **named})
        )
    await _deliver(outbox, _channel(name, URLS[name]))
    assert services.refused[name] == []
    told = "".join(services.taken[name]).replace("\\", "")
    named_keys = re.findall(r"First light: gpt-image-2:images \((\S+?)\)", told)
    assert sorted(named_keys) == sorted(keys)
    assert sorted(_ids(services.taken[name])) == _recorded(outbox)
    most = {"slack": 1, "telegram": 3, "ntfy": 3, "discord": 6, "pushover": 11}[name]
    assert len(services.taken[name]) <= most


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("slack", "blocks=yes"),
        ("discord", "overflow=split"),
        ("discord", "overflow=truncate"),
        ("telegram", "format=markdown"),
        ("pushover", "format=html"),
        ("pushover", "overflow=split"),
    ],
)
async def test_what_a_url_asks_for_changes_nothing_of_it(
    services: Services, outbox: Any, name: str, option: str
) -> None:
    for event in EventKind:
        outbox.add(name, _event(event, f"org-{event}"))
        outbox.add(name, _event(event, "org-acme"))
    url = URLS[name]
    await _deliver(outbox, _channel(name, f"{url}{'&' if '?' in url else '?'}{option}"))
    assert services.refused[name] == []
    assert set(outbox.states()) == {"delivered"}
    assert set(_ids(services.taken[name])) == set(_recorded(outbox))
    assert {row.attempts for row in outbox.rows.values()} == {1}


async def test_what_the_redactor_makes_longer_fits_as_well(services: Services, outbox: Any) -> None:
    for event in EventKind:
        outbox.add("pushover", _event(event, f"org-{event}"))
    hidden = _channel("pushover", URLS["pushover"], lambda text: text.replace("e", "[hidden]"))
    await _deliver(outbox, hidden)
    assert services.refused["pushover"] == []
    assert set(outbox.states()) == {"delivered"}
    assert "[hidden]" in services.taken["pushover"][0]


def _ids(texts: list[str]) -> list[int]:
    """The ids in the order in which they were told, each once."""
    found = (int(id_) for text in texts for id_ in re.findall(r"\[#(\d+)\\?\]", text))
    return list(dict.fromkeys(found))


def _recorded(outbox: Any) -> list[int]:
    return [row.event.id for row in outbox.rows.values()]
