"""Messages: what a person reads about events, and how many and how much of them one message holds. Pure.

A message is made from events alone. Values that an event has no field for are in its `facts.EventFacts`.
"""

import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from math import ceil
from typing import Any

from monitor.access.events import Event
from monitor.access.readable import duration, many
from monitor.access.wait_times import under
from monitor.access.words import Code, EventKind, State
from monitor.alerts.facts import TITLE_CAP, Facts, clean, moment, name, title
from monitor.alerts.render import Level, Message, Wording
from monitor.alerts.wording import changed_targets, wording

#: Most events that one message shows in full; each of the others is named in one line.
FULL_MOST = 20
#: Most facts with lines of their own; the others go into one closing line.
ROWS_MOST = 4

#: Seconds after which a message says how late it is, and what is true by now.
_LATE_S = 60

#: Silenced events that a message names.
_NAMED_MOST = 5

_WORST_FIRST: tuple[Level, ...] = ("failure", "warning", "success", "info")
_BAD: tuple[Level, ...] = ("failure", "warning")

#: The order of events in a grouped title: the awaited ones come first.
_NEWS_FIRST = (
    EventKind.AVAILABLE,
    EventKind.FIRST_LIGHT,
    EventKind.UNPROVEN,
    EventKind.SHUT_AGAIN,
    EventKind.REVOKED,
    EventKind.LOCKED,
    EventKind.OVERDUE,
    EventKind.BLOCKED,
)

#: Events whose text begins with the wait.
_SAY_THE_WAIT = (EventKind.OVERDUE, EventKind.FIRST_LIGHT, EventKind.STALE)


#: How a message calls the fields of a `Wording` that it leaves out; the evidence has a command of its own.
_CALLED = {"lead": "what it means", "rows": "details", "steps": "what to do"}
_NOTHING = Wording("", "info", "")


@dataclass(frozen=True, slots=True)
class Detail:
    """How much detail a message shows. The defaults show everything."""

    #: fields of a `Wording` that are left out
    without: tuple[str, ...] = ()
    #: events of a group that are shown in full; the others are named
    full: int = FULL_MOST
    title: int = TITLE_CAP
    #: whether the message says what is left out
    less: bool = True


class Draft:
    """Events that may share a message, in the order given, prepared once for messages of several lengths.

    `summary`, the state of a pool as a whole, stands above them. The message is for `channel`, or for any.
    `state` returns that of a target, by name: a late message of another one says it. Raises ValueError when
    there are no events.
    """

    def __init__(
        self,
        items: Sequence[Event],
        *,
        now: datetime,
        summary: str | None = None,
        channel: str | None = None,
        state: Callable[[str], State | None] = lambda _: None,
    ):
        if not items:
            raise ValueError("nothing to tell")
        self._items = [_Item(event, now, channel, state(event.target or "")) for event in items]
        self._head = clean(summary or "")

    def __len__(self) -> int:
        return len(self._items)

    def message(self, detail: Detail = Detail(), number: int | None = None) -> Message:
        """The message of the first `number` events, or of all; of many the worst are shown in full."""
        items = self._items[:number]
        first = items[0].brief
        grouped = len(items) > 1
        if grouped:
            heading = title(_grouped_title(items), most=detail.title)
            full = _in_full(items, detail.full)
        else:
            heading = title(first.title, first.tag, most=detail.title)
            full = items
        shown = set(full)
        named = [item for item in items if item not in shown]
        parts = _once([item.whole for item in full])
        nothing: dict[str, Any] = {field: getattr(_NOTHING, field) for field in detail.without}
        return Message(
            heading,
            min((item.brief.level for item in items), key=_WORST_FIRST.index),
            [replace(part, **nothing) for part in parts],
            tags="" if grouped else first.tag,
            grouped=grouped,
            rest=f"And {len(named)} more: {_counted(named)}." if named and full else "",
            named=[f"{item.brief.title} {item.brief.tag}" for item in named],
            less=_less(items, parts, detail.without) if detail.less else "",
            head=self._head,
            events=[item.event for item in items],
        )


#: Most events in one message, even where a service takes more.
TOGETHER_MOST = 1_000

#: What a message leaves out, in this order: the evidence, what to do, the facts, what it means.
_EVIDENCE = ("evidence",)
_STEPS = (*_EVIDENCE, "steps")
_FACTS = (*_STEPS, "rows", "closing", "link")
_LEAD = (*_FACTS, "lead")

#: Details of a grouped message, tried in this order after `_BARE` has given the number of events. Each
#: names every event.
_GROUP = (
    Detail(),
    Detail(_EVIDENCE),
    Detail(_EVIDENCE, full=5),
    Detail(_EVIDENCE, full=1),
    Detail(_FACTS, full=1),
)
_BARE = Detail(full=0)
#: Details of a message of one event. An SMS holds a headline at most, and not always a whole one.
_ONE = (
    *(Detail(without) for without in ((), _EVIDENCE, _STEPS, _FACTS, _LEAD)),
    Detail(_FACTS, less=False),
    *(Detail(_LEAD, title=most, less=False) for most in (120, 60, 30)),
)


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """The limits of a channel's messages. By default every message fits.

    `takes` tells whether a message fits, measured as it is sent. `title` is the most characters of a title,
    where titles have a limit of their own. `heads` is an upper bound of the headlines that fit.
    """

    takes: Callable[[Message], bool] = lambda _: True
    title: int | None = None
    heads: int = sys.maxsize


def first_of(draft: Draft, limits: MessageLimits) -> tuple[int, Message]:
    """How many of the first events of a draft share a message that fits, and the message.

    The number is chosen so that the draft needs as few messages as possible, about equally long; then each
    gets as much detail as fits. If not even the barest message of one event fits, it is returned all the
    same: the service decides.
    """

    def made(number: int, detail: Detail) -> Message:
        if limits.title is not None:
            detail = replace(detail, title=min(detail.title, limits.title))
        return draft.message(detail, number)

    def too_many(number: int) -> bool:
        return not limits.takes(made(number, _BARE))

    most = min(len(draft), limits.heads, TOGETHER_MOST)
    if most > 1 and too_many(most):
        most = 1 + bisect_left(range(2, most), True, key=too_many)
    number = ceil(len(draft) / ceil(len(draft) / most))
    ladder = (made(number, detail) for detail in (_GROUP if number > 1 else _ONE))
    found = next((message for message in ladder if limits.takes(message)), None)
    return number, found or made(number, _BARE if number > 1 else _ONE[-1])


@dataclass(eq=False)
class _Item:
    """One event of a draft, and what a message says of it, made when it is needed."""

    event: Event
    now: datetime
    channel: str | None
    state: State | None

    @cached_property
    def _facts(self) -> Facts:
        return Facts(self.event, self.channel)

    @cached_property
    def brief(self) -> Wording:
        """Without rows, closing line and evidence."""
        words = wording(self._facts)
        return replace(words, title=clean(words.title), tag=f"[#{self.event.id}]")

    @cached_property
    def whole(self) -> Wording:
        """With all details."""
        matter = _matter(self._facts)
        late = (self.now - self.event.at).total_seconds() >= _LATE_S
        if late and self.state and self.state is not self.event.after:
            matter.insert(0, ("By the last answer", str(self.state)))
        more = [f"{label}: {value}" for label, value in matter[ROWS_MOST:]]
        return replace(
            self.brief,
            rows=tuple(matter[:ROWS_MOST]),
            closing=" · ".join([*more, *_rest(self._facts, self.now)]),
            link=self._facts.link("page"),
            evidence=self._facts.block("evidence"),
        )


def _in_full(items: Sequence[_Item], most: int) -> Sequence[_Item]:
    """The items shown in full, in order: at most `most`, of the worst and the first of each kind.

    Events of one kind have much the same text.
    """
    if len(items) <= most:
        return items
    seen: set[EventKind] = set()
    ranked: list[tuple[int, int]] = []
    for place, item in enumerate(items):
        level, kind = item.brief.level, item.event.kind
        if level in _BAD or kind not in seen:
            ranked.append((_WORST_FIRST.index(level), place))
        seen.add(kind)
    return [items[place] for place in sorted(place for _, place in sorted(ranked)[:most])]


def _less(items: Sequence[_Item], parts: Sequence[Wording], without: Sequence[str]) -> str:
    """A line that says what the parts lose, and which command shows it; empty if nothing."""
    lost = {field for field in without if any(getattr(part, field) for part in parts)}
    of = (Facts(items[0].event).target if len(items) == 1 else "") or "TARGET"
    said = []
    if rest := [words for field, words in _CALLED.items() if field in lost]:
        said.append(f"{', '.join(rest)} (`access-monitor history {of}`)")
    if "evidence" in lost:
        said.append(f"the evidence (`access-monitor evidence {of}`)")
    return f"Left out: {', '.join(said)}." if said else ""


def _matter(facts: Facts) -> list[tuple[str, str]]:
    """The facts that matter for a decision, the most important first. The title has the key and the model."""
    event = facts.event
    lasted, unchanged = facts.number("lasted_s"), facts.number("unchanged_targets")
    hint, until = facts.time("hint_at"), facts.silenced_until
    status, words = facts.text("status"), facts.words("message")
    said = ": ".join(part for part in (status, words) if part) if words else None
    route = f"{name(event.route)} (the provider's contract)" if event.route else None
    nobody = event.kind is EventKind.OFFLINE or event.diagnosis is Code.NETWORK_ERROR
    rows = (
        ("Target", facts.target_if_cut),
        ("Cause" if nobody else "Server said", said),
        ("Changed", changed_targets(facts)),
        (
            "Unchanged",
            f"{many(unchanged, 'target')}, as it was told here last" if unchanged else None,
        ),
        ("Reason", facts.words("why")),
        ("Not told", _hidden_before(facts)),
        ("Silenced", f"other events of this target, until {moment(until)}" if until else None),
        ("Next try not before", moment(hint) if hint else None),
        *_waited(facts),
        (
            f"Was {event.before} for",
            duration(lasted) if event.before and lasted is not None else None,
        ),
        ("Organization", facts.organization),
        ("Route", route if facts.provider else None),
        ("Pool", facts.text("pool")),
        ("Silent", _stale(facts)),
        ("Targets", facts.counts("counts")),
        ("Since the last start", facts.counts("since_last_start")),
    )
    return [(label, value) for label, value in rows if value]


def _stale(facts: Facts) -> str | None:
    """The targets without a conclusive answer; of many, some."""
    names, of = facts.names("stale", 10), facts.number("targets") or 0
    more = f" and {int(of) - len(names)} more" if of > len(names) else ""
    return ", ".join(names) + more if names else None


def _hidden_before(facts: Facts) -> str | None:
    """Earlier events of the target that a silence kept from whoever reads this; of many the last."""
    ids = facts.hidden_before
    if not ids:
        return None
    were = "change of this target was" if len(ids) == 1 else "changes of this target were"
    named = ", ".join(f"#{id_}" for id_ in ids[-_NAMED_MOST:])
    last = "the last: " if len(ids) > _NAMED_MOST else ""
    return f"{len(ids)} earlier {were} silenced ({last}{named})"


def _rest(facts: Facts, now: datetime) -> list[str]:
    """The parts of the closing line, for support and filters; the time comes first."""
    event = facts.event
    diagnosis = str(event.diagnosis) if event.diagnosis else None
    if diagnosis and facts.gate:
        diagnosis += f" ({facts.gate} gate)"
    status, declared = facts.text("status"), facts.time("declared_at")
    told = event.kind in (EventKind.OVERDUE, EventKind.PROPAGATING)
    ids = dict.fromkeys((*facts.names("request_ids"), name(event.request_id or "")))
    named = [one for one in ids if one]
    requests = f"request{'s' if len(named) > 1 else ''} {', '.join(named)}" if named else None
    project = facts.text("project")
    parts = (
        _at(event.at, now),
        f"{event.before or 'new'} → {event.after}" if event.after else None,
        diagnosis,
        f"status {status}" if status and not facts.words("message") else None,
        f"declared {moment(declared)}" if declared and not told else None,
        f"project {project}" if project else None,
        f"route {name(event.route)}" if event.route and not facts.provider else None,
        requests,
    )
    return [part for part in parts if part]


def _waited(facts: Facts) -> list[tuple[str, str]]:
    """How long the wait has been, compared with earlier openings on routes of the same contract."""
    waited = facts.number("waited_s")
    typical, openings = facts.number("typical_wait_s"), facts.number("openings")
    said = waited is None or facts.event.kind in _SAY_THE_WAIT
    parts = [] if waited is None or said else [duration(waited)]
    if typical is not None and openings:
        whose = "openings over provider routes" if facts.provider else "openings"
        parts.append(
            f"half of your {whose} took under {duration(under(typical))}"
            f" ({many(openings, 'opening')})"
        )
    return [("For comparison" if said else "Waited", "; ".join(parts))]


def _at(at: datetime, now: datetime) -> str:
    """When it happened, and how long before the message if that was delayed."""
    late = (now - at).total_seconds()
    return f"{moment(at)}, {duration(late)} before this message" if late >= _LATE_S else moment(at)


def _once(parts: Sequence[Wording]) -> list[Wording]:
    """The parts, with equal steps shown once: twenty targets of an organization need the same advice."""
    seen: set[tuple[str, ...]] = set()
    out = []
    for part in parts:
        out.append(replace(part, steps=()) if part.steps in seen else part)
        seen.add(part.steps)
    return out


def _counted(items: Sequence[_Item]) -> str:
    counts = Counter(item.event.kind for item in items)
    ordered = [*(kind for kind in _NEWS_FIRST if kind in counts), *counts]
    return ", ".join(f"{counts[kind]} {kind.replace('_', ' ')}" for kind in dict.fromkeys(ordered))


def _grouped_title(items: Sequence[_Item]) -> str:
    scopes = {item.event.scope for item in items}
    scope = scopes.pop() if len(scopes) == 1 else None
    of = f", {name(scope)}" if scope else ""
    return f"{len(items)} changes{of}: {_counted(items)}"
