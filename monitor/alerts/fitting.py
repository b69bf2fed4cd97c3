"""What one message of a channel may hold, and how much of what happened goes into it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from monitor.alerts.messages import Detail, Draft, Message


@dataclass(frozen=True, slots=True)
class Room:
    """What a channel takes: whether a message fits, measured as it is sent. By default everything does.

    `title` is the most characters of a title, where it has a limit of its own.
    """

    takes: Callable[[Message], bool] = lambda _: True
    title: int | None = None


#: Tried in this order: the evidence goes first, then what to do, then the facts.
_GROUP = (
    Detail(),
    Detail(evidence=False),
    Detail(evidence=False, steps=False),
    Detail(evidence=False, steps=False, facts=False),
    Detail(evidence=False, steps=False, facts=False, lead=False),
    Detail(evidence=False, steps=False, facts=False, lead=False, full=5),
)
#: A text message holds a headline at most, and not always a whole one.
_ONE = (
    *_GROUP[:5],
    *(
        Detail(evidence=False, steps=False, facts=False, lead=lead, title=most, less=False)
        for lead, most in ((True, 120), (False, 120), (False, 60), (False, 30))
    ),
)


@dataclass(frozen=True, slots=True)
class Fitted:
    """So many of the happenings share a message, in this detail."""

    number: int
    detail: Detail


def divide(draft: Draft, room: Room) -> list[Fitted]:
    """The messages that tell all of a draft, in its order; each fits.

    One message with less detail goes before several with more. Where not even the barest message of one
    happening fits, it is sent: the service has the last word.
    """
    parts: list[Fitted] = []
    start = 0
    while start < len(draft):
        parts.append(_next(draft, start, room))
        start += parts[-1].number
    return parts


def _next(draft: Draft, start: int, room: Room) -> Fitted:
    def takes(number: int, detail: Detail) -> bool:
        return room.takes(draft.message(detail, start, start + number))

    def found(number: int) -> Detail | None:
        ladder = (_titled(detail, room) for detail in (_GROUP if number > 1 else _ONE))
        return next((detail for detail in ladder if takes(number, detail)), None)

    left = len(draft) - start
    if detail := found(left):
        return Fitted(left, detail)
    fits, too_many, barest = 1, left, _titled(_GROUP[-1], room)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if takes(middle, barest):
            fits = middle
        else:
            too_many = middle
    return Fitted(fits, found(fits) or _titled(_ONE[-1], room))


def _titled(detail: Detail, room: Room) -> Detail:
    return detail if room.title is None else replace(detail, title=min(detail.title, room.title))
