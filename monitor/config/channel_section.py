"""[[channels]]: where notifications go."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo

from monitor.access.fields import about, refuse, setting
from monitor.access.signatures import signing_key
from monitor.access.words import DEFAULT_EVENTS, EventKind
from monitor.config import checks, urls
from monitor.config.checks import Name, SecretReference, Some
from monitor.config.problems import shown
from monitor.config.references import Secret


class ChannelType(StrEnum):
    """How a channel is told."""

    APPRISE = "apprise"
    WEBHOOK = "webhook"


def _url(value: Secret, info: ValidationInfo) -> Secret:
    kind, context = info.data.get("type"), checks.Context.of(info)
    if kind is ChannelType.WEBHOOK and context.secrets:
        urls.webhook_url(value, context)
    elif kind and context.secrets:  # a wrong type has an error of its own
        urls.channel_url(value)
    return value


def _secrets(value: tuple[Secret, ...], info: ValidationInfo) -> tuple[Secret, ...]:
    kind = info.data.get("type")
    if kind is ChannelType.WEBHOOK and not 1 <= len(value) <= 2:
        raise refuse("a webhook needs a secret, or two while they are rotated", hidden=True)
    if kind is ChannelType.APPRISE and value:
        raise refuse('only a channel of type = "webhook" is signed', hidden=True)
    if checks.Context.of(info).secrets:
        for place, secret in enumerate(value):
            try:
                signing_key(secret.reveal())
            except ValueError as error:
                text = f"what {shown(secret.reference)} names {error}"
                raise refuse(text, below=(place,)) from None
        if len({secret.reveal() for secret in value}) < len(value):
            raise refuse("is the same secret as the first: name the new one", below=(1,))
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Where notifications go."""

    name: Annotated[
        Name,
        AfterValidator(checks.new_name("channel")),
        about("Unique; shown instead of the URL"),
    ]
    type: ChannelType = setting(
        ChannelType.APPRISE,
        "apprise: messages for people; webhook: each event as JSON, signed, for programs",
    )
    url: Annotated[
        SecretReference,
        AfterValidator(_url),
        about(
            "Any Apprise URL (mailtos://…, https://hooks.slack.com/…, jsons://…), or the address that "
            "a webhook is posted to, by reference"
        ),
    ]
    secrets: Annotated[tuple[SecretReference, ...], AfterValidator(_secrets)] = setting(
        (),
        "Of a webhook: what signs it, by reference, as whsec_ and base64 of 24 to 64 bytes; "
        "two while they are rotated",
        validate_default=True,
    )
    events: Annotated[frozenset[EventKind], Field(min_length=1)] = setting(
        DEFAULT_EVENTS,
        "Which events are told. Default: all but baseline, started and stopping",
        json_schema_extra={"default": None},
    )
    targets: Annotated[
        tuple[Annotated[str, PlainValidator(checks.matches_a_target), Some], ...],
        Field(min_length=1),
    ] = setting(("*",), 'Patterns on the names of targets (KEY/MODEL:SURFACE), such as "acme-*/*"')
