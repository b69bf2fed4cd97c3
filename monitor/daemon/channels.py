"""The settings' channels as things that send, and what must be hidden of them."""

from collections.abc import Iterator

from monitor.alerts.apprise_channel import Channel
from monitor.alerts.url_secrets import url_secrets
from monitor.config import Settings
from monitor.daemon.redaction import Redactor


def redactor_of(*settings: Settings) -> Redactor:
    """Hides every secret of the settings: of several, of those before and after a reload."""
    return Redactor(secret for one in settings for secret in _secrets(one))


def senders_of(settings: Settings) -> list[Channel]:
    """A sender for each channel, in the order of the file."""
    redactor = redactor_of(settings)
    return [
        Channel(
            channel.name,
            channel.url.reveal(),
            timeout=settings.delivery.timeout,
            redact=redactor.text,
        )
        for channel in settings.channels
    ]


def _secrets(settings: Settings) -> Iterator[str]:
    for key in settings.keys:
        yield key.secret.reveal()
    for organization in settings.organizations.values():
        yield organization.admin_key.reveal()
    if settings.heartbeat:
        yield from url_secrets(settings.heartbeat.url.reveal())
    for channel in settings.channels:
        yield from url_secrets(channel.url.reveal())
