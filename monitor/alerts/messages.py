"""Messages: what a person reads when something happened. Pure.

A message is made from happenings alone. What a happening itself does not hold comes in its `facts`, as
JSON values; a missing or malformed fact leaves its line out. The keys:

| key | value |
| --- | --- |
| `organization`, `project`, `key`, `model`, `surface` | names; the last three are else read off the target |
| `pool` | the pool that the key belongs to |
| `contract` | `direct` or `provider`: success over a provider route is never called OpenAI access |
| `lasted_s` | seconds the previous state lasted; for `online` the outage |
| `waited_s` | seconds of waiting for propagation; for `stale` the silence |
| `declared_at` | ISO time of the completed verification, as a person told |
| `typical_wait_s`, `openings` | half of so many openings of the same contract took no longer, in seconds |
| `deadline_s` | the deadline that passed, in seconds |
| `hint_at` | ISO time of the next useful try after a rejection |
| `sibling` | the target whose opening let this one hope |
| `status`, `message` | the answer's status, and the server's own words |
| `gate` | `model`, `stream` or `summary` |
| `owner` | whose problem it is |
| `blocker` | the diagnosis code that stands, or stood, in the way |
| `probes` | probes made in this wait |
| `evidence` | the evidence bundle as Markdown, several lines |
| `request_ids` | the last ones, oldest first; beside the happening's own `request_id` |
| `shutdown` | ISO date on which the model is shut down |
| `spent_usd`, `budget_usd`, `budget_scope` | dollars, and of what: `key acme-prod today`, `month` |
| `provider_open` | provider targets of the same model and surface that are open while this one is shut |
| `direct_shut` | direct targets of the same model and surface that are shut while this provider's opens |
| `routes` | names of routes |
| `targets` | how many targets it concerns |
| `route_targets`, `silent` | of how many on the route; names of the silent ones, where these are not all |
| `silence` | `target` where others of the route are answered, else `route` |
| `every_s` | seconds between the probes that go on |
| `blockers` | the codes that stand, or stood, in the way beside `blocker` |
| `counts` | targets by state |
| `since_last_start` | events by kind since the last start |
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor.access.happening import Happening
from monitor.access.propagation import under
from monitor.access.words import EventKind
from monitor.alerts import render
from monitor.alerts.clean import clean, duration, name, title
from monitor.alerts.facts import Facts, moment
from monitor.alerts.wording import Level, Wording, wording

#: So many happenings of one message are shown in full; the rest are counted.
FULL_MOST = 20

_WORST_FIRST: tuple[Level, ...] = ("failure", "warning", "success", "info")

#: In a grouped title the news that somebody waits for come first.
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


@dataclass(frozen=True, slots=True)
class Told:
    """A happening and its id in the history."""

    id: int
    happening: Happening


@dataclass(frozen=True, slots=True)
class Message:
    """One message in every format. Every id stands as `[#123]` in the last line of each.

    `title` is one line of at most 120 characters, plain. `slack` is mrkdwn, escaped, without the title.
    `level` is Apprise's word for how bad it is.
    """

    title: str
    text: str
    html: str
    slack: str
    level: Level


def compose(items: Sequence[Told], *, now: datetime, summary: str | None = None) -> Message:
    """One message for one happening, or a grouped one for several, in the order given.

    `summary` stands above them: how a pool stands as a whole. Of many then the worst are shown in full,
    else the first. Raises ValueError when there is nothing to tell.
    """
    if not items:
        raise ValueError("nothing to tell")
    head = clean(summary or "")
    parts = [_part(item, now) for item in items]
    tags = " ".join(part.tag for part in parts)
    if len(parts) == 1:
        heading = title(parts[0].words.title, parts[0].tag)
        shown = render.Page(parts=parts, rest="", tags=tags, grouped=False, head=head)
    else:
        heading = title(_grouped_title(items))
        full = _in_full(parts, worst=bool(head))
        over = [item for place, item in enumerate(items) if place not in full]
        rest = f"And {len(over)} more: {_counted(over)}." if over else ""
        shown = render.Page(
            parts=_once([parts[place] for place in full]),
            rest=rest,
            tags=tags,
            grouped=True,
            head=head,
        )
    levels = {part.words.level for part in parts}
    return Message(
        title=heading,
        text=render.text(shown),
        html=render.html(shown),
        slack=render.slack(shown),
        level=next(level for level in _WORST_FIRST if level in levels),
    )


def _in_full(parts: Sequence[render.Part], *, worst: bool) -> list[int]:
    """Which parts are shown in full, in their order: the first, or the worst."""
    places = list(range(len(parts)))
    if worst:
        places.sort(key=lambda place: _WORST_FIRST.index(parts[place].words.level))
    return sorted(places[:FULL_MOST])


def _part(item: Told, now: datetime) -> render.Part:
    facts = Facts(item.happening)
    return render.Part(
        f"[#{item.id}]", wording(facts), tuple(_rows(facts, now)), facts.block("evidence")
    )


def _rows(facts: Facts, now: datetime) -> list[tuple[str, str]]:
    happening = facts.happening
    change = f"{happening.before or 'new'} → {happening.after}" if happening.after else None
    lasted, waited = facts.number("lasted_s"), facts.number("waited_s")
    whose = " (the provider's contract)" if facts.provider else ""
    declared, hint = facts.time("declared_at"), facts.time("hint_at")
    status, words = facts.text("status"), facts.words("message")
    said = ": ".join(part for part in (status, words) if part)
    ids = dict.fromkeys((*facts.names("request_ids"), name(happening.request_id or "")))
    diagnosis = str(happening.diagnosis) if happening.diagnosis else None
    if diagnosis and facts.gate:
        diagnosis += f" ({facts.gate} gate)"
    rows = (
        ("Change", change),
        ("Organization", facts.organization),
        ("Project", facts.text("project")),
        ("Key", facts.key),
        ("Pool", facts.text("pool")),
        ("Model", facts.model),
        ("Surface", facts.surface),
        ("Route", f"{name(happening.route)}{whose}" if happening.route else None),
        ("Routes", ", ".join(facts.names("routes", 20))),
        (f"Was {happening.before} for", _lasted(lasted) if happening.before else None),
        ("Waited", _lasted(waited)),
        ("For comparison", _comparison(facts)),
        ("Declared verified", moment(declared) if declared else None),
        ("Next try not before", moment(hint) if hint else None),
        ("Diagnosis", diagnosis),
        ("Owner", facts.text("owner")),
        ("Server said", said),
        ("Request id", ", ".join(one for one in ids if one)),
        ("Targets", facts.counts("counts")),
        ("Since the last start", facts.counts("since_last_start")),
        ("At", _at(happening.at, now)),
    )
    return [(label, value) for label, value in rows if value]


def _comparison(facts: Facts) -> str | None:
    """How the wait compares with the openings there were on routes of the same contract."""
    typical, openings = facts.number("typical_wait_s"), facts.number("openings")
    if typical is None or not openings:
        return None
    whose = "openings over provider routes" if facts.provider else "openings"
    return f"half of your {whose} took under {duration(under(typical))} ({int(openings)} openings)"


def _lasted(seconds: float | None) -> str | None:
    return duration(seconds) if seconds is not None else None


def _at(at: datetime, now: datetime) -> str:
    """When it happened; how long ago, too, for a message that was held up."""
    late = (now - at).total_seconds()
    return f"{moment(at)}, {duration(late)} before this message" if late >= 60 else moment(at)


def _once(parts: Sequence[render.Part]) -> list[render.Part]:
    """Twenty targets of one organization need the same advice once, not twenty times."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    out = []
    for part in parts:
        advice = (part.words.meaning, part.words.steps)
        if advice in seen:
            words = part.words
            part = render.Part(  # noqa: PLW2901
                part.tag, Wording(words.title, words.level, words.lead), part.rows
            )
        seen.add(advice)
        out.append(part)
    return out


def _counted(items: Sequence[Told]) -> str:
    counts = Counter(item.happening.event for item in items)
    ordered = sorted(counts, key=lambda event: (event not in _NEWS_FIRST, _rank(event)))
    return ", ".join(f"{counts[event]} {str(event).replace('_', ' ')}" for event in ordered)


def _rank(event: EventKind) -> int:
    return _NEWS_FIRST.index(event) if event in _NEWS_FIRST else 0


def _grouped_title(items: Sequence[Told]) -> str:
    scopes = {item.happening.scope for item in items}
    scope = scopes.pop() if len(scopes) == 1 else None
    of = f", {name(scope)}" if scope else ""
    return f"{len(items)} changes{of}: {_counted(items)}"
