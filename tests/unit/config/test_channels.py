"""Channels that are webhooks: what is read, shown and warned of."""

import json

from monitor.config import show
from monitor.config.channel_section import ChannelType

HOOK = """
[[keys]]
name = "acme-prod"
secret = "env:OPENAI_API_KEY"
watch = ["gpt-image-2"]

[[channels]]
name = "automation"
type = "webhook"
url = "env:{url}"
secrets = ["env:HOOK_SECRET", "env:HOOK_OLD"]
"""


def test_a_webhook_has_an_address_and_up_to_two_secrets(settings_of, environ, canary) -> None:
    settings = settings_of(HOOK.format(url="HOOK_URL"))
    (channel,) = settings.channels
    assert channel.type is ChannelType.WEBHOOK
    assert [one.reveal() for one in channel.secrets] == [
        environ["HOOK_SECRET"],
        environ["HOOK_OLD"],
    ]
    assert settings.warnings == ()
    shown = json.dumps(show(settings))
    assert '"env:HOOK_SECRET"' in shown
    assert canary not in shown
    assert environ["HOOK_SECRET"] not in shown + repr(settings)


def test_plain_http_to_another_machine_is_warned_of(settings_of, canary) -> None:
    (warning,) = settings_of(HOOK.format(url="HOOK_PLAIN")).warnings
    assert "plain http" in warning
    assert canary not in warning
