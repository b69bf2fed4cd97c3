"""What one message of a channel may hold, and how much of what happened goes into it. Pure."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

from monitor.alerts.messages import Detail, Draft, Message


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """What a channel takes: whether a message fits, measured as it is sent. By default everything does.

    `title` is the most characters of a title, where it has a limit of its own, `heads` is more headlines than
    can fit.
    """

    takes: Callable[[Message], bool] = lambda _: True
    title: int | None = None
    heads: int = sys.maxsize


#: Happenings that a message tells of at most, however much a service takes.
TOGETHER_MOST = 1_000

#: Tried in this order, the barest first of all: whatever the detail, each happening is named. The evidence
#: goes first, then most of what is shown in full.
_GROUP = (
    Detail(),
    Detail(evidence=False),
    Detail(evidence=False, full=5),
    Detail(evidence=False, full=1),
    Detail(evidence=False, full=1, steps=False, facts=False),
)
_BARE = Detail(full=0)
#: One alone loses the evidence first, then what to do, then the facts. A text message holds a headline at
#: most, and not always a whole one.
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
    """So many of the happenings share this message."""

    number: int
    message: Message


def first_of(draft: Draft, limits: MessageLimits) -> Fitted:
    """The message of the first happenings of a draft; it fits.

    There are as few messages as can be, about equally long, and each has as much detail as fits then. Where
    not even the barest message of one happening fits, it is sent: the service has the last word.
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
