"""Delivery of one message by the real Apprise to real servers on this machine."""

import asyncio
import io
import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import apprise
import pytest
import structlog

from monitor import logs
from monitor.access.events import Event
from monitor.access.masking import Redactor
from monitor.alerts.apprise_channel import AppriseChannel, check_url
from monitor.alerts.interfaces import DeliveryError
from monitor.alerts.messages import Draft
from monitor.alerts.render import Message

pytestmark = pytest.mark.anyio

Make = Callable[..., Event]
SECRET = "sk-test-FAKE-hook-0001"
WEBHOOK = "https://hooks.slack.com/services/TFAKE0001/BFAKE0002/fakeFAKEfake0003"


@pytest.fixture
def message(light: Make) -> Message:
    facts = {"contract": "direct", "message": "<!channel> *é* & `x`"}
    return Draft([replace(light(facts=facts), id=123)], now=datetime.now(UTC)).message()


def channel(url: str, *, seconds: float = 10.0, parallel: int = 8) -> AppriseChannel:
    assert check_url(url) is None  # also loads Apprise, which is no part of a timed attempt
    return AppriseChannel("ops", url, timeout=timedelta(seconds=seconds), parallel=parallel)


async def failure(sender: AppriseChannel, message: Message) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await sender.send(message)
    return caught.value


async def test_a_webhook_gets_title_text_and_level(webhooks: Any, message: Message) -> None:
    hook = await webhooks()
    await channel(f"json://127.0.0.1:{hook.port}/in").send(message)
    (body,) = hook.received
    assert body["title"] == message.title
    assert body["message"] == message.text.rstrip()
    assert body["type"] == "success"


async def test_slack_gets_our_mrkdwn_as_it_is(
    webhooks: Any, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = await webhooks()
    # No Slack URL can name another host; the address is an attribute of Apprise's plugin.
    plugin = apprise.plugins.N_MGR["slack"]
    monkeypatch.setattr(plugin, "webhook_url", f"http://127.0.0.1:{hook.port}/services")
    await channel(WEBHOOK).send(message)
    (body,) = hook.received
    (attachment,) = body["attachments"]
    assert attachment["text"] == message.slack.rstrip()
    assert attachment["title"] == message.title
    assert body["mrkdwn"] is True
    assert "&lt;!channel&gt; *é* &amp; 'x'" in attachment["text"]
    assert "http" not in str(body.get("icon_url", ""))


async def test_mail_has_a_subject_and_both_alternatives(mailbox: Any, message: Message) -> None:
    await channel(mailbox.url()).send(message)
    (mail,) = mailbox.mails
    assert mail["Subject"] == message.title
    assert mail["To"].endswith("ops@acme.example")
    html, plain = mail.get_body(["html"]), mail.get_body(["plain"])
    assert html.get_content().splitlines() == message.html.splitlines()
    text = "\n".join(plain.get_content().splitlines())
    assert "Server said: <!channel> *é* & `x`" in text
    assert "What to do: Do not switch production yet" in text
    assert text.rstrip().endswith("[#123]")


async def test_a_wrong_mail_password_is_named_but_not_shown(mailbox: Any, message: Message) -> None:
    error = await failure(channel(mailbox.url(password=SECRET)), message)
    assert "535" in error.reason
    assert SECRET not in error.reason
    assert not error.ended
    assert mailbox.mails == []


async def test_a_refusal_is_named_without_the_secrets(webhooks: Any, message: Message) -> None:
    hook = await webhooks()
    hook.answers = [500]
    url = f"json://user:{SECRET}@127.0.0.1:{hook.port}/in/{SECRET}-path?+X-Auth={SECRET}-header"
    error = await failure(channel(url), message)
    assert "500" in error.reason
    assert "no_service" in error.reason
    assert SECRET not in error.reason
    assert len(error.reason) <= 300
    assert not error.ended
    assert hook.received == []


async def test_a_closed_port_is_named_without_the_secrets(message: Message) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        error = await failure(channel(f"json://127.0.0.1:{port}/{SECRET}"), message)
    assert "refused" in error.reason
    assert SECRET not in error.reason
    assert not error.ended


async def test_the_callers_redactor_has_the_last_word(webhooks: Any, message: Message) -> None:
    hook = await webhooks()
    hook.answers = [500]
    url = f"json://127.0.0.1:{hook.port}"
    sender = AppriseChannel(
        "ops", url, timeout=timedelta(seconds=10), redact=lambda s: s.replace("no_service", "X")
    )
    assert "no_service" not in (await failure(sender, message)).reason


async def test_a_failure_is_one_even_where_the_url_calls_it_optional(
    webhooks: Any, message: Message
) -> None:
    hook = await webhooks()
    hook.answers = [500, 200]
    await failure(channel(f"json://127.0.0.1:{hook.port}/?optional=yes&retry=3"), message)
    assert hook.answers == [200]  # and Apprise did not try again by itself


async def test_a_redirect_is_not_followed(webhooks: Any, message: Message) -> None:
    hook = await webhooks()
    hook.answers = [307]
    assert "307" in (await failure(channel(f"json://127.0.0.1:{hook.port}"), message)).reason


async def test_a_hanging_server_costs_the_timeout_and_one_thread(
    webhooks: Any, message: Message
) -> None:
    hook = await webhooks()
    hook.hangs.set()
    sender = channel(f"json://127.0.0.1:{hook.port}", seconds=0.3)
    error = await failure(sender, message)
    assert error.ended
    assert "0.3 s" in error.reason


async def test_an_attempt_that_has_not_come_back_keeps_the_channel_busy(
    webhooks: Any, message: Message
) -> None:
    hook = await webhooks()
    hook.hangs.set()
    sender = channel(f"json://127.0.0.1:{hook.port}", seconds=30, parallel=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(sender.send(message), 0.3)
    error = await failure(sender, message)
    assert "not come back" in error.reason
    assert not error.ended


@pytest.mark.parametrize(
    ("url", "most"),
    [("json://127.0.0.1:9", 8), (WEBHOOK, 1), ("mailtos://a:b@mail.example", 2)],
    ids=["no pace", "a pace of its own", "none that Apprise knows"],
)
async def test_a_service_gets_as_many_messages_at_once_as_its_pace_lets(
    url: str, most: int
) -> None:
    sender = channel(url)
    assert sender.parallel == 1
    await sender.message_limits()
    assert sender.parallel == most


async def test_a_url_that_cannot_be_loaded_is_said_without_showing_it(message: Message) -> None:
    for url in (f"slack://{SECRET}", f"nonsense://{SECRET}", SECRET, f"mailtos://{SECRET}@"):
        said = check_url(url)
        assert said
        assert SECRET not in said
    sender = AppriseChannel("ops", f"slack://{SECRET}", timeout=timedelta(seconds=10))
    assert (await failure(sender, message)).reason == "Apprise cannot load this URL"


async def test_apprise_writes_nothing_to_the_log(webhooks: Any, message: Message) -> None:
    hook = await webhooks()
    hook.answers = [500]
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign, assignment]
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        await failure(channel(f"json://127.0.0.1:{hook.port}/{SECRET}"), message)
        check_url(f"slack://{SECRET}")
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    names = {record.name.partition(".")[0] for record in records}
    assert not names & {"apprise", "urllib3", "requests"}


@pytest.mark.parametrize(
    ("limited", "wait"),
    [
        ({"headers": {"Retry-After": "7"}}, 7.0),
        ({"text": '{"ok": false, "parameters": {"retry_after": 35}}'}, 35.0),
        ({"headers": {"Retry-After": "999999999"}, "text": '{"retry_after": 999999}'}, 3600.0),
        ({"headers": {"Retry-After": "soon"}}, 0.0),
    ],
)
async def test_how_long_a_service_asks_to_wait_is_known(
    webhooks: Any, message: Message, limited: dict[str, Any], wait: float
) -> None:
    hook = await webhooks()
    hook.answers, hook.limited = [429, 500], limited
    sender = channel(f"json://127.0.0.1:{hook.port}")
    assert (await failure(sender, message)).wait == wait
    assert (await failure(sender, message)).wait == 0.0


async def test_the_reason_is_known_also_after_a_reload_set_up_the_log(message: Message) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        sender = channel(f"json://127.0.0.1:{nobody.getsockname()[1]}/in")
        before = await failure(sender, message)
        try:
            logs.configure(Redactor(), stream=io.StringIO())
            after = await failure(sender, message)
        finally:
            logging.getLogger().handlers[:] = []
            structlog.reset_defaults()
    assert "refused" in before.reason
    assert "refused" in after.reason
