"""What the pages say, from what the database has. Pure: values in, words and rows out."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from monitor.access.silences import Silence
from monitor.access.wait_times import (
    ENOUGH,
    OngoingWait,
    Opening,
    Samples,
    Step,
    Summary,
    curve_of,
    share_by,
)
from monitor.access.words import Contract, State
from monitor.store.records import TargetStatus
from monitor.web.drawings import curve
from monitor.web.snapshots import Snapshot, TargetGroup

RANGES = {
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
#: Organizations that the first sentence of the overview names.
_NAMED = 3
#: The largest number of an address.
WHOLE_MOST = 10**15 - 1


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the address of the overview chooses, and the values of its form."""

    q: str = ""
    state: str = ""
    organization: str = ""
    pool: str = ""
    range: str = "24h"
    page: int = 1
    name: str = ""
    before: int = 0

    @staticmethod
    def of(query: Mapping[str, str]) -> "Chosen":
        """Read an address. What it does not know is left out, so that an old link still shows something."""
        state, length = query.get("state", ""), query.get("range", "24h")
        return Chosen(
            q=query.get("q", "")[:100].strip(),
            state=state if state in (*State, "blocked") else "",
            organization=query.get("organization", "")[:200],
            pool=query.get("pool", "")[:200],
            range=length if length in RANGES else "24h",
            page=whole(query.get("page", "")) or 1,
            name=query.get("name", "")[:500],
            before=whole(query.get("before", "")),
        )

    def address(self, **changes: Any) -> str:
        """The address with some of it changed; what is as usual is left out."""
        if "page" not in changes:
            changes["page"] = 1
        usual, new = Chosen(), replace(self, **changes)
        return "?" + urlencode(
            {name: value for name, value in asdict(new).items() if value != getattr(usual, name)}
        )


def whole(text: str) -> int:
    """A whole number of an address; 0 for what is none."""
    good = text.isascii() and text.isdecimal() and len(text) <= len(str(WHOLE_MOST))
    return int(text) if good else 0


def headline(snapshot: Snapshot) -> str:
    """The answer, in one sentence: how many are open, and who is opening."""
    targets = snapshot.status.targets
    if not targets:
        return "Nothing is watched yet"
    groups = chain(snapshot.organizations.values(), snapshot.pools.values())
    count = sum(group.counts[State.AVAILABLE] for group in groups)
    whole = "1 target is" if len(targets) == 1 else f"{len(targets):,} targets are"
    if count == len(targets):
        said = f"All {whole} open" if count > 1 else "The target is open"
    elif count == 0:
        said = "The target is not open" if len(targets) == 1 else f"None of {whole} open"
    else:
        said = f"{count:,} of {whole} open"
    opening: dict[str, datetime] = {}
    for name, at in snapshot.lights.items():
        one = snapshot.by_name[name]
        who = one.organization or one.key
        opening[who] = min(at, opening.get(who, at))
    parts = [f"{who} opens since {at:%H:%M}" for who, at in sorted(opening.items())[:_NAMED]]
    if len(opening) > _NAMED:
        parts.append(f"{len(opening) - _NAMED} more are opening")
    return "; ".join([said, *parts])


def chosen_targets(snapshot: Snapshot, chosen: Chosen) -> list[tuple[TargetGroup, TargetStatus]]:
    """The targets that an address asks for, with the organization or pool that they are shown under.

    Targets of pools come only when their pool is opened, or something is searched.
    """
    pools, groups = snapshot.pools.values(), list(snapshot.organizations.values())
    if chosen.pool:
        groups = [pool for pool in pools if pool.name == chosen.pool]
    elif chosen.q or chosen.state:
        groups += pools
    if chosen.organization:
        groups = [group for group in groups if group.name == chosen.organization]
    words = chosen.q.casefold()
    return [
        (group, one)
        for group in groups
        for one in group.targets
        if in_state(one, chosen.state)
        and (not words or words in one.target.casefold() or words in group.name.casefold())
    ]


def in_state(one: TargetStatus, state: str) -> bool:
    """Whether a target is in a state, or blocked."""
    return not state or (one.blocker is not None if state == "blocked" else one.state == state)


def counts_of(counts: Mapping[State, int]) -> str:
    """`2 available, 1 unverified`."""
    return ", ".join(f"{counts[word]} {word}" for word in State if counts.get(word))


# --- propagation ---


@dataclass(frozen=True, slots=True)
class Waits:
    """What the page of propagation shows: counts, curves, and the first or newest of what there is."""

    openings: int
    waiting: int
    #: of each contract what the curve is of, and the curve
    charts: Sequence[tuple[str, Markup]]
    groups: Sequence[Summary]
    more_groups: int
    #: of those that wait, the place on the curve of their contract
    places: Sequence[tuple[OngoingWait, str]]
    newest: Sequence[Opening]


def waits_of(
    openings_and_waits: Iterable[Opening | OngoingWait], *, groups: int, newest: int
) -> Waits:
    """What is shown of these openings and waits: at most so many groups and waits, and so many openings."""
    samples, last, waiting = Samples(), deque[Opening](maxlen=newest), list[OngoingWait]()
    openings = still_waiting = 0
    for one in openings_and_waits:
        samples.add(one)
        if isinstance(one, Opening):
            openings += 1
            last.append(one)
        else:
            still_waiting += 1
            if len(waiting) < groups:
                waiting.append(one)
    charts, steps = [], {}
    for contract in Contract:  # access of one's own and a provider's are never put together
        measured, still = samples.of(contract)
        steps[contract] = curve_of(measured, still)
        if measured or still:
            said = f"{contract}: {len(measured)} measured openings, {len(still)} waiting"
            drawn = curve(steps[contract], still, said)
            charts.append((said, Markup(drawn)))  # noqa: S704  made of figures and words of ours
    found = list(samples.summaries())
    return Waits(
        openings=openings,
        waiting=still_waiting,
        charts=charts,
        groups=found[:groups],
        more_groups=max(len(found) - groups, 0),
        places=[
            (wait, _place(wait, steps[wait.contract], len(samples.of(wait.contract)[0])))
            for wait in waiting
        ],
        newest=list(reversed(last)),
    )


def _place(wait: OngoingWait, steps: Sequence[Step], openings: int) -> str:
    if openings < ENOUGH:
        return "too few openings to compare with"
    return f"{share_by(wait.wait_s, steps):.0%} of openings like this one had come by now"


# --- words of single values ---


def minute(at: datetime) -> str:
    """A time for people, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def second(at: datetime) -> str:
    """A time for people, in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def words(word: object) -> str:
    """A word of the domain as people read it."""
    return str(word).replace("_", " ")


def silences_of(one: TargetStatus, silences: Sequence[Silence]) -> list[Silence]:
    """Those that are of a target, at least for some channels and events."""
    return [silence for silence in silences if silence.touches(one.target, one.organization)]


def cadence_adds(one: TargetStatus | None) -> str:
    """How long after an opening the next probe may come."""
    if one is None or one.next_probe_at is None or one.last_probe_at is None:
        return "-"
    every = (one.next_probe_at - one.last_probe_at).total_seconds()
    return f"up to {every:.0f} s" if every < 120 else f"up to {every / 60:.0f} min"


def last_answer(one: TargetStatus) -> str:
    """What the last answer meant; a listing that is accepted has no diagnosis."""
    if one.last_diagnosis:
        return words(one.last_diagnosis)
    return "list answered" if one.last_probe_at else "none yet"
