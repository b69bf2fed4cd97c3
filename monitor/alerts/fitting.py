"""How much one message of a channel may hold, and which events and details go into it. Pure."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

from monitor.alerts.messages import Detail, Draft, Message


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """The limits of a channel's messages. By default every message fits.

    `takes` tells whether a message fits, measured as it is sent. `title` is the most characters of a title,
    where titles have a limit of their own. `heads` is an upper bound of the headlines that fit.
    """

    takes: Callable[[Message], bool] = lambda _: True
    title: int | None = None
    heads: int = sys.maxsize


#: Most events in one message, even where a service takes more.
TOGETHER_MOST = 1_000

#: Details of a grouped message, tried in this order after `_BARE` has given the number of events. Each
#: names every event. The evidence is dropped first, then most of the events shown in full.
_GROUP = (
    Detail(),
    Detail(evidence=False),
    Detail(evidence=False, full=5),
    Detail(evidence=False, full=1),
    Detail(evidence=False, full=1, steps=False, facts=False),
)
_BARE = Detail(full=0)
#: Details of a message of one event: it loses the evidence first, then what to do, then the facts. An
#: SMS holds a headline at most, and not always a whole one.
_ONE = (
    Detail(),
    Detail(evidence=False),
    Detail(evidence=False, steps=False),
    Detail(evidence=False, steps=False, facts=False),
    Detail(evidence=False, steps=False, facts=False, lead=False),
    *(
        Detail(evidence=False, steps=False, facts=False, lead=lead, title=most, less=False)
        for lead, most in ((True, 120), (False, 120), (False, 60), (False, 30))
    ),
)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A message of the first `number` events."""

    number: int
    message: Message


def first_of(draft: Draft, limits: MessageLimits) -> Fitted:
    """A message that fits, of the first events of a draft.

    The number is chosen so that the draft needs as few messages as possible, about equally long; then each
    gets as much detail as fits. If not even the barest message of one event fits, it is returned all the
    same: the service decides.
    """

    def made(number: int, detail: Detail) -> Message:
        if limits.title is not None:
            detail = replace(detail, title=min(detail.title, limits.title))
        return draft.message(detail, 0, number)

    fits, too_many = 1, min(len(draft), limits.heads, TOGETHER_MOST) + 1
    middle = too_many - 1
    while too_many - fits > 1:
        if limits.takes(made(middle, _BARE)):
            fits = middle
        else:
            too_many = middle
        middle = (fits + too_many) // 2
    number = ceil(len(draft) / ceil(len(draft) / fits))
    ladder = (made(number, detail) for detail in (_GROUP if number > 1 else _ONE))
    found = next((message for message in ladder if limits.takes(message)), None)
    return Fitted(number, found or made(number, _BARE if number > 1 else _ONE[-1]))
