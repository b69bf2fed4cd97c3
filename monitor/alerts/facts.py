"""The facts of an event: what a message needs that an event has no field for, as JSON values. Pure.

All are optional. The line of a message whose fact is missing or malformed is left out. `Facts` gives them as
text that is safe to show.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from monitor.access.events import Event
from monitor.access.fields import Number, Text, Whole, about
from monitor.access.target import split_capability
from monitor.access.words import Code, Contract, Gate, Owner, Staleness, State, Surface

#: Most characters of a server's answer in a message; the history has all of it.
WORDS_CAP = 300
TITLE_CAP = 120
#: Most characters of a capability and its key in a title: words and a number stand beside them.
_SUBJECT_CAP = 84
#: Most of a target's name in a command: the longest are shorter.
_COMMAND_CAP = 500
#: Most of the evidence bundle in a message; a Slack message has room for some 3,000 characters more.
BLOCK_CAP, BLOCK_LINES = 3000, 80

#: Text that a service acts upon or that people take for ours; a space in it prevents that: a mention of one
#: person or of all, a link behind other words, a picture, the id of a message.
_ACTIVE = re.compile(r"(?<![\w.])@(?=[\w*])|<(?=users/)|\](?=\()|\[(?=#\d)")


#: RFC 3339 in UTC.
Time = Annotated[Text, Field(json_schema_extra={"format": "date-time"})]
#: Seconds.
Seconds = Number


class ChangedTarget(TypedDict, total=False):
    """A target of which something else is true now than was last told."""

    target: Text
    told: State | None
    now: State
    told_blocker: Code | None
    blocker: Code | None


class SilencedMeanwhile(TypedDict):
    """A silence that keeps other events of the target from a channel."""

    silence: Whole
    until: Time


class TargetFacts(TypedDict, total=False):
    """The target, and the answer that led to the event; `webhook_event.EventData` tells of each.

    Key, model and surface are those of the target unless they are given.
    """

    organization: Text
    project: Text
    key: Text
    model: Text
    surface: Surface
    pool: Text
    contract: Contract
    status: Whole
    message: Text
    gate: Gate
    owner: Owner
    page: Text


@with_config(ConfigDict(extra="forbid"))  # nor may what stands in them have more
class Details(TypedDict, total=False):
    """What events of some kinds have besides."""

    lasted_s: Annotated[Seconds, about("Seconds of the previous state; for online, of the outage")]
    waited_s: Annotated[
        Seconds,
        about("Seconds of waiting for propagation; for stale, without anything conclusive"),
    ]
    declared_at: Annotated[Time, about("When the verification was completed, as a person declared")]
    refused_since: Annotated[
        Time,
        about("Since when a target that was granted is refused again; probes: those since then"),
    ]
    typical_wait_s: Annotated[
        Seconds, about("The median wait of openings of the same contract, in seconds")
    ]
    openings: Annotated[Whole, about("Of how many openings that is the median")]
    deadline_s: Annotated[Seconds, about("The deadline that passed, in seconds")]
    hint_at: Annotated[Time, about("When the next try after a rejection is useful")]
    sibling: Annotated[Text, about("The target whose opening moved this one to propagating")]
    blocker: Annotated[Code, about("What blocks, or blocked, the target")]
    blockers: Annotated[list[Code], about("What else blocks, or blocked, it")]
    probes: Annotated[Whole, about("Probes made in this wait")]
    request_ids: Annotated[list[Text], about("The last request ids, oldest first")]
    shutdown: Annotated[Text, about("The date on which the model is shut down")]
    spent_usd: Annotated[Number, about("US dollars spent")]
    budget_usd: Annotated[Number, about("US dollars of the budget")]
    doubted_usd: Annotated[Number, about("US dollars that may have been spent")]
    budget_scope: Annotated[Text, about("What the budget is for")]
    provider_open: Annotated[
        list[Text],
        about("Provider targets of the same model and surface that are open while this is shut"),
    ]
    direct_shut: Annotated[
        list[Text],
        about("Direct targets of the same model and surface that are shut while this opens"),
    ]
    routes: Annotated[list[Text], about("The routes concerned")]
    targets: Annotated[Whole, about("The number of targets concerned")]
    route_targets: Annotated[Whole, about("The number of targets on the route")]
    stale: Annotated[list[Text], about("The names of the stale targets; of many some")]
    staleness: Annotated[Staleness, about("target if others of the route are answered, else route")]
    every_s: Annotated[Seconds, about("Seconds between the probes that follow")]
    counts: Annotated[Mapping[str, Whole], about("Targets by state")]
    worker: Annotated[Text, about("The worker of a fleet that this is about")]
    others_online: Annotated[Whole, about("Workers that reach the routes, and take over")]
    since_last_start: Annotated[Mapping[str, Whole], about("Events by kind since the last start")]
    down_since: Annotated[Time, about("Since when no daemon had lived before this start")]
    silence: Annotated[Whole, about("The silence that ended")]
    why: Annotated[Text, about("The reason of that silence")]
    by: Annotated[Text, about("Who made it")]
    since: Annotated[Time, about("Since when it was in force")]
    ended_by: Annotated[Text, about("Who ended it, if it was ended by hand")]
    hidden: Annotated[Whole, about("Notifications that it hid")]
    hidden_kinds: Annotated[Mapping[str, Whole], about("These by kind of event")]
    changed: Annotated[
        list[ChangedTarget], about("Targets whose state or blocker is not what was last told; some")
    ]
    changed_targets: Annotated[Whole, about("The number of such targets")]
    unchanged_targets: Annotated[Whole, about("The number of the others with hidden changes")]


class EventFacts(TargetFacts, Details, total=False):
    """All of them, with those that a webhook is not sent."""

    evidence: Annotated[Text, about("The evidence bundle as Markdown, several lines")]
    rules: Annotated[list[Text], about("The rules that named the cause of an outage")]
    silenced: Annotated[
        Mapping[str, SilencedMeanwhile],
        about("By channel, the silence that keeps other events of the target from it"),
    ]
    hidden_before: Annotated[
        Mapping[str, list[Whole]],
        about("By channel, the ids of earlier events of the target that a silence hid from it"),
    ]


_FACTS = TypeAdapter(EventFacts)


class Facts:
    """The facts of one event, as they are told over a channel, or over any."""

    def __init__(self, event: Event, channel: str | None = None):
        self.event = event
        self._channel = channel
        self._values = sound(event)
        self.key = self.text("key")
        self.model = self.text("model")
        self.surface = self.text("surface")
        self.organization = self.text("organization")

    def text(self, key: str) -> str | None:
        """A name or a number as clean, short text."""
        return name(str(self._values.get(key, ""))) or None

    def words(self, key: str) -> str | None:
        """A server's words, clean and capped."""
        return clean(self._values.get(key, "")) or None

    def link(self, key: str) -> str:
        """An address that the monitor made: it has nothing that could end a link; empty for none."""
        value: str = self._values.get(key, "")
        safe = value.isascii() and not set(value) & set(' <>|"`')
        return value if safe and value.startswith(("https://", "http://")) else ""

    def block(self, key: str) -> str:
        """Several lines, each clean; at most `BLOCK_LINES` lines and `BLOCK_CAP` characters."""
        lines = [clean(line) for line in self._values.get(key, "")[: BLOCK_CAP * 2].splitlines()]
        block = "\n".join(lines[:BLOCK_LINES]).strip("\n")
        return block if len(block) <= BLOCK_CAP else block[: BLOCK_CAP - 1].rstrip() + "…"

    def number(self, key: str) -> float | None:
        """A finite number."""
        return self._values.get(key)

    def names(self, key: str, most: int = 5) -> tuple[str, ...]:
        """The last few of a list of names."""
        return tuple(name(item) for item in self._values.get(key, ())[-most:] if item)

    def counts(self, key: str) -> str | None:
        """A mapping of words to numbers as `3 available, 1 locked`, without zeros."""
        counts = self._values.get(key, {}).items()
        parts = [f"{count} {name(word)}" for word, count in counts if count]
        return ", ".join(parts[:20]) or None

    @property
    def changed(self) -> list[ChangedTarget]:
        """Some of the targets whose state or blocker is not what was last told."""
        some: list[ChangedTarget] = self._values.get("changed", [])
        return some

    @property
    def hidden_before(self) -> list[int]:
        """The numbers of the target's earlier events that a silence kept from this channel, or from any."""
        lists = self._of_channel("hidden_before", [])
        return sorted({id_ for ids in lists for id_ in ids if id_})

    @property
    def silenced_until(self) -> datetime | None:
        """Until when a silence keeps other events of the target from this channel, or from any."""
        found = [_time(one.get("until", "")) for one in self._of_channel("silenced", {})]
        return max((at for at in found if at), default=None)

    def _of_channel(self, key: str, none: Any) -> list[Any]:
        """What a fact has for this channel, or for each."""
        found = self._values.get(key, {})
        return list(found.values()) if self._channel is None else [found.get(self._channel, none)]

    def time(self, key: str) -> datetime | None:
        """An ISO 8601 time, aware."""
        return _time(self._values.get(key, ""))

    def day(self, key: str) -> date | None:
        """An ISO 8601 date."""
        try:
            return date.fromisoformat(self._values.get(key, "")[:10])
        except ValueError:
            return None

    @property
    def provider(self) -> bool:
        """True on a provider route."""
        return self._values.get("contract") == Contract.PROVIDER

    @property
    def access(self) -> str:
        """What opened or shut. Success over a provider route is never OpenAI access."""
        if self.provider:
            return "provider access"
        return "OpenAI access" if self._values.get("contract") == Contract.DIRECT else "access"

    @property
    def access_first(self) -> str:
        """`access` as the first words of a sentence."""
        return self.access[0].upper() + self.access[1:]

    @property
    def gate(self) -> Gate | None:
        """Which gate refused."""
        return self._values.get("gate") and Gate(self._values["gate"])

    @property
    def owner(self) -> Owner | None:
        """Whose problem it is."""
        return self._values.get("owner") and Owner(self._values["owner"])

    @property
    def blocker(self) -> Code | None:
        """The blocker: the fact, else the diagnosis."""
        value = self._values.get("blocker")
        return Code(value) if value else self.event.diagnosis

    @property
    def capability(self) -> str:
        """`MODEL on SURFACE`, as far as they are known."""
        if self.model and self.surface:
            return f"{self.model} on {self.surface}"
        return self.model or "the model"

    @property
    def subject(self) -> str:
        """The subject of a title: the capability and key, else the organization or route."""
        if self.model:
            return f"{self._short} ({self.key})" if self.key else self._short
        if self.organization or self.event.scope:
            return self.organization or name(self.event.scope or "")
        return f"route {name(self.event.route)}" if self.event.route else ""

    @property
    def _short(self) -> str:
        """The capability, its beginning left out where the key would find no room beside it."""
        model = _whole(str(self._values.get("model", "")))
        whole = f"{model}:{self.surface}" if self.surface else model
        room = _SUBJECT_CAP - len(self.key or "")
        return whole if len(whole) <= room else f"…{whole[1 - room :]}"

    @property
    def target(self) -> str:
        """The target's whole name, safe in prose and in a command; empty for none."""
        return _whole(self.event.target or "")

    @property
    def target_if_cut(self) -> str | None:
        """The target's whole name, if a title has less of it."""
        return self.target if self._short.startswith("…") else None

    @property
    def who(self) -> str:
        """The subject of a declaration, as `declare` takes it: the organization, else the key."""
        return self.organization or self.key or "ORGANIZATION"

    @property
    def declare_command(self) -> str:
        """The command that tells the monitor of a completed verification."""
        return f"`access-monitor declare verified {self.who}`"

    @property
    def evidence_command(self) -> str:
        """The command that prints the evidence for support."""
        return f"`access-monitor evidence {self.target or 'TARGET'}`"


def sound(event: Event) -> Mapping[str, Any]:
    """The facts of an event but for malformed ones; key, model and surface are the target's by default."""
    key, _, capability = (event.target or "").partition("/")
    model, surface = split_capability(capability)
    named = {"key": key, "model": model, "surface": surface}
    facts = dict(event.facts)
    try:
        _FACTS.validate_python(facts)
    except ValidationError as error:
        for wrong in error.errors(include_url=False):
            facts.pop(str(wrong["loc"][0]), None)
    return {name: value for name, value in named.items() if value} | facts


def _time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None


def moment(at: datetime) -> str:
    """A time in UTC, to the second, for people to read."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clean(text: str, cap: int = WORDS_CAP) -> str:
    """Words from outside on one line, capped, without control, bidirectional or invisible characters.

    The result mentions nobody and does not look like a message id of ours.
    """
    # Cut before looking at each character: a server may send megabytes.
    kept = text[: cap * 8]
    if not kept.isprintable():
        kept = "".join(
            " " if char.isspace() else char
            for char in kept
            if char.isspace() or unicodedata.category(char)[0] != "C"
        )
    folded = _ACTIVE.sub(r"\g<0> ", " ".join(kept.split()))
    return folded if len(folded) <= cap else folded[: cap - 1].rstrip() + "…"


def name(text: str) -> str:
    """A name from the settings, safe in prose: clean, and never a command."""
    return clean(text, 100).replace("`", "'")


def _whole(text: str) -> str:
    return clean(text, _COMMAND_CAP).replace("`", "'")


def title(text: str, tag: str = "", *, most: int = TITLE_CAP) -> str:
    """One line of at most `most` characters for a mail's Subject; a cut keeps `tag` at its end."""
    room = max(most - len(tag) - 1, 1) if tag else most
    return f"{clean(text, room)} {tag}".rstrip()
