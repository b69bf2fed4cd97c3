"""The settings' channels: their senders, their subscriptions, and their secrets."""

import sys

from monitor.access.databases import Server
from monitor.access.limits import Delivery
from monitor.access.masking import Redactor
from monitor.access.signatures import PREFIX
from monitor.access.words import DEFAULT_EVENTS, EventKind
from monitor.alerts.apprise_channel import AppriseChannel
from monitor.alerts.dispatcher import Subscription
from monitor.alerts.interfaces import DeliveryError, Sender
from monitor.alerts.render import Message
from monitor.alerts.url_secrets import url_secrets, whole_urls
from monitor.alerts.webhook_channel import WebhookChannel
from monitor.config import Settings
from monitor.config.channel_section import Channel, ChannelType

#: The name of the channel to the terminal.
CONSOLE = "console"


def redactor_of(settings: Settings) -> Redactor:
    """A redactor that hides every secret of the settings."""
    redactor = Redactor()
    learn(redactor, settings)
    return redactor


def learn(redactor: Redactor, settings: Settings) -> None:
    """Hide every secret of these settings, too; those of earlier settings stay hidden."""
    urls = [channel.url.reveal() for channel in settings.channels]
    if settings.heartbeat.url:
        urls.append(settings.heartbeat.url.reveal())
    keys = [key.secret.reveal() for key in settings.keys]
    if isinstance(settings.database, Server):
        urls.append(settings.database.reveal())
        keys += settings.database.passwords
    keys += [one.admin_key.reveal() for one in settings.organizations.values()]
    # with and without what all begin with
    signing = [one.reveal() for channel in settings.channels for one in channel.secrets]
    keys += [*signing, *(one.removeprefix(PREFIX) for one in signing)]
    redactor.learn(
        [*keys, *(part for url in urls for part in url_secrets(url))],
        [whole for url in urls for whole in whole_urls(url)],
    )


def senders_of(settings: Settings, redactor: Redactor) -> list[Sender]:
    """A sender for each channel, in the file's order; what they send and say is redacted."""
    return [_sender(channel, settings.delivery, redactor) for channel in settings.channels]


def _sender(channel: Channel, delivery: Delivery, redactor: Redactor) -> Sender:
    url, timeout, parallel = channel.url.reveal(), delivery.timeout, delivery.parallel
    if channel.type is ChannelType.APPRISE:
        return AppriseChannel(
            channel.name, url, timeout=timeout, parallel=parallel, redact=redactor.text
        )
    secrets = [secret.reveal() for secret in channel.secrets]
    return WebhookChannel(
        channel.name, url, secrets, timeout=timeout, parallel=parallel, redact=redactor.value
    )


def subscriptions_of(settings: Settings) -> list[Subscription]:
    """The channels and the events that each gets."""
    if not settings.channels:
        # Without channels events go to the terminal, which shows `baseline`, too.
        return [Subscription(CONSOLE, DEFAULT_EVENTS | {EventKind.BASELINE})]
    return [Subscription(c.name, c.events, c.targets) for c in settings.channels]


class Console(Sender):
    """The channel when none is configured: prints messages to standard output."""

    name = CONSOLE

    async def send(self, message: Message) -> None:
        """Print one message, its title first. Raises DeliveryError when the stream does not take it."""
        try:
            sys.stdout.write(f"\n== {message.title}\n{message.text}\n\n")
            sys.stdout.flush()
        except OSError as error:
            raise DeliveryError(f"standard output: {error.strerror or 'closed'}") from None
