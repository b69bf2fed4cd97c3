"""The sections of figures, made from the domain's dataclasses.

A new field there is a new setting here; add its meaning to the table below (a test checks it).
"""

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field, create_model

from monitor.access.limits import Budget, Cadence, Confirmation, Deadlines, Delivery
from monitor.config import checks
from monitor.config.durations import format_duration
from monitor.config.fields import Count, Dollars, Duration, Strict


def _form(limits: type[Any], doc: str, about: Mapping[str, str]) -> type[Strict]:
    """A section with the fields and the defaults of one of the domain's dataclasses."""
    defaults = limits()
    form: dict[str, Any] = {}
    for field in fields(limits):
        default = getattr(defaults, field.name)
        kind: Any = {timedelta: Duration, int: Count, float: Dollars}.get(type(default))
        as_written = default
        if isinstance(default, timedelta):
            as_written = format_duration(default)
        elif isinstance(default, tuple):
            kind, default = (
                Annotated[list[Duration], AfterValidator(checks.increasing)],
                list(default),
            )
            as_written = [format_duration(one) for one in default]
        # pydantic would write a duration as ISO 8601, which the file does not read.
        extra = {"default": as_written}
        about_it = about.get(field.name)
        form[field.name] = (kind, Field(default, description=about_it, json_schema_extra=extra))
    return create_model(f"{limits.__name__}Section", __base__=Strict, __doc__=doc, **form)


#: The sections by their names in the file.
FIGURES: Mapping[str, type[Strict]] = {
    "cadence": _form(
        Cadence,
        "How often a target is probed, by situation.",
        {
            "eager": "Gated, soon after the first probe, a declaration, a sibling's opening or a relapse",
            "eager_for": "How long the eager interval lasts",
            "propagating": "Propagating after that",
            "propagating_until": "How long propagating holds; then propagating_late",
            "propagating_late": "Propagating for longer than propagating_until",
            "unverified": "Unverified after that",
            "unverified_until": "How long unverified holds; then unverified_late",
            "unverified_late": "Unverified for longer than unverified_until",
            "settling": "Granted, and being confirmed",
            "deciding": "Available, and the last full answer was not granted",
            "listing": "Available: between two listings, which cost nothing and tell of the key only",
            "full_probe": "Available: between two full probes, which prove access and cost their price",
            "locked": "Locked",
            "blocked": "Blocked by something other than the gate",
            "blocked_most": "An invalid key or a deactivated account doubles from blocked up to this",
            "retired": "Past the model's shutdown date",
            "inconclusive": "First wait after an inconclusive answer; doubles up to the situation's interval",
            "image_gap": "Between two probes of images of one organization",
            "image_gap_limited": "The same after a 429",
            "image_gap_limited_for": "How long image_gap_limited holds",
            "trial": "Between two probes over a route that refuses everybody",
        },
    ),
    "confirmation": _form(
        Confirmation,
        "How many answers, over what time, make a state.",
        {
            "confirmations": "Granted answers that make a target available",
            "confirmation_span": "The time they must span",
            "relapse_confirmations": "Gated or locked answers in a row that end an opening",
            "relapse_within": "A relapse later than this after the opening counts as a revocation",
            "locked_confirmations": "Locked answers in a row that make a target locked",
            "unlock_confirmations": "Gated answers in a row that end being locked by an answer",
            "blocker_confirmations": "Answers with the same blocker before it is told",
            "unproven_confirmations": "Answers without the word asked for before they are told",
        },
    ),
    "deadlines": _form(
        Deadlines,
        "When it is told that something has not happened.",
        {
            "overdue": "Propagating for this long, each told once; an empty list for never",
            "give_up_after": "Propagating with gated answers for this long: unverified again",
            "stale": "Nothing conclusive for this long, and for three intervals",
            "retiring": "This long before a model's shutdown",
        },
    ),
    "budget": _form(
        Budget,
        "The most that may be spent, in US dollars; days and months are UTC.",
        {
            "per_key_per_day": "For each key and day",
            "per_month": "For all keys together, each month",
        },
    ),
    "delivery": _form(
        Delivery,
        "How notifications are delivered and retried.",
        {
            "group_within": "Later changes of one organization share a message; first lights wait a quarter",
            "retry_first": "First wait after a failed delivery; grows to eight times this, then doubles",
            "retry_most": "The longest wait between two attempts",
            "give_up_after": "A notification that is not delivered within this time is listed as dead",
            "timeout": "One attempt at one service",
            "parallel": "Messages sent to one channel at once; fewer by mail and where a service sets a pace",
        },
    ),
}
