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
    """So many of the happenings share this message, which is in this detail."""

    number: int
    detail: Detail
    message: Message


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
    def made(number: int, detail: Detail) -> Fitted:
        detail = _titled(detail, room)
        return Fitted(number, detail, draft.message(detail, start, start + number))

    def found(number: int) -> Fitted | None:
        ladder = (made(number, detail) for detail in (_GROUP if number > 1 else _ONE))
        return next((one for one in ladder if room.takes(one.message)), None)

    left = len(draft) - start
    if one := found(left):
        return one
    fits, too_many = 1, left
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if room.takes(made(middle, _GROUP[-1]).message):
            fits = middle
        else:
            too_many = middle
    return found(fits) or made(fits, _ONE[-1])


def _titled(detail: Detail, room: Room) -> Detail:
    return detail if room.title is None else replace(detail, title=min(detail.title, room.title))
