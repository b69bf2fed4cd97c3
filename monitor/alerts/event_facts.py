"""The facts of an event: what a message needs that an event has no field for, as JSON values.

All are optional. The line of a message whose fact is missing or malformed is left out.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from monitor.access.fields import Number, Text, Whole, about
from monitor.access.words import Code, Contract, Gate, Owner, Staleness, State, Surface

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
    """The target, and the answer that led to the event."""

    organization: Annotated[Text, about("The organization of the target's key")]
    project: Annotated[Text, about("The project of the target's key")]
    key: Annotated[Text, about("The name of the key; default: the target's")]
    model: Annotated[Text, about("The model; default: the target's")]
    surface: Annotated[Surface, about("The surface; default: the target's")]
    pool: Annotated[Text, about("The pool that the key belongs to")]
    contract: Annotated[
        Contract, about("direct or provider: success over a provider route is never OpenAI access")
    ]
    status: Annotated[Whole, about("The HTTP status of the answer")]
    message: Annotated[Text, about("The server's own words; the cause where nothing answered")]
    gate: Annotated[Gate, about("Which gate refused")]
    owner: Annotated[Owner, about("Who owns the problem")]
    page: Annotated[Text, about("The address of the target's page")]


class Details(TypedDict, total=False):
    """What events of some kinds have besides."""

    lasted_s: Annotated[Seconds, about("Seconds of the previous state; for online, of the outage")]
    waited_s: Annotated[
        Seconds,
        about("Seconds of waiting for propagation; for stale, without anything conclusive"),
    ]
    declared_at: Annotated[Time, about("When the verification was completed, as a person declared")]
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
    stale: Annotated[list[Text], about("The names of the stale targets, unless all are")]
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
