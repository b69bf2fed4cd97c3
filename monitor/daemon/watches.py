"""The watched targets: memory, credentials, reserved slots."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import islice

from monitor.access.cadence import phase_of
from monitor.access.limits import Cadence
from monitor.access.memory import ClockStep, TargetState
from monitor.access.observation import Diagnosis
from monitor.access.pacing import GapSlot
from monitor.access.target import Capability, Target, pool_scope, pool_summary
from monitor.access.words import Contract, ProbeKind, State
from monitor.config import Pool, Settings
from monitor.oneshot.probe_once import credentials_of, worst_case
from monitor.probing import Credentials

#: Request ids kept for messages.
_REQUEST_IDS = 5
#: Most open or shut targets of another contract that a message names.
_OPEN_MOST = 5


@dataclass(slots=True)
class Watch:
    """One target under watch."""

    target: Target
    credentials: Credentials
    memory: TargetState
    phase: float
    #: US dollars of one granted full probe
    price: float
    #: the price is not OpenAI's own, or is unknown
    estimated: bool
    #: the catalog says that the capability has a gate, or does not know the model
    may_be_gated: bool
    shutdown: date | None
    #: the capability with the catalog's name of the model, which routes may spell differently
    means: Capability
    #: how often it is probed, and the pool of its key
    cadence: Cadence
    pool: Pool | None = None
    kind: ProbeKind = ProbeKind.FULL
    #: the model list was asked for its shutdown date, which overrides the catalog's; the date that it told
    dated: bool = False
    listed: date | None = None
    #: a person asked for its next probe: it is a full one if the budget has room
    asked: bool = False
    #: a probe of it is under way
    busy: bool = False
    #: how many seconds late its last probe began
    late: float = 0.0
    #: when its last probe left (even seconds)
    sent_at: float = float("-inf")
    #: when the probe whose answer last changed the memory was sent (even seconds)
    asked_at: float = 0.0
    #: a reload is about to remove it: later answers are ignored
    leaving: bool = False
    #: another worker is about to have it: no probe begins
    handed_over: bool = False
    #: no longer in the settings
    removed: bool = False
    gap_slot: GapSlot | None = None
    bucket_slot: float | None = None
    #: the last answer, and the number of equal ones in a row
    answered: tuple[object, ...] = ()
    equal: int = 0
    #: one in this many equal answers is logged
    log_every: int = 1
    #: what the last answer meant, since this start; None also for a listing at which nothing is wrong
    last: Diagnosis | None = None
    #: answers since the state changed, and the last request ids
    answers: int = 0
    request_ids: deque[str] = field(default_factory=lambda: deque(maxlen=_REQUEST_IDS))
    #: since when this monitor has watched it
    watched_since: datetime | None = None
    #: since when (even seconds) other probes hold the rest of the budget
    no_room_since: float | None = None
    #: the last probe of either kind was answered by the server itself
    heard: bool = False
    #: until when (even seconds) the last price of its key's day is kept, after a probe with one was lost
    kept_until: float = 0.0

    #: the target's name, stored because it is read often
    name: str = field(init=False)
    account: str = field(init=False)
    #: the mark of the credentials
    mark: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.target.name
        self.account = account_of(self.target)
        self.mark = self.credentials.mark
        if self.memory.last_full_by is None:  # a memory of an earlier version has none
            self.memory = replace(self.memory, last_full_by=self.mark)

    @property
    def waiting(self) -> bool:
        """Whether it waits for its opening."""
        return self.memory.state is not State.AVAILABLE

    @property
    def untried(self) -> bool:
        """Whether no full probe was answered with these credentials: answers to others say nothing."""
        return self.memory.last_full_by != self.mark

    @property
    def wants_full(self) -> bool:
        """Whether the next probe is a full one if the budget has room."""
        return self.kind is ProbeKind.FULL or self.asked or self.untried

    @property
    def scope(self) -> str:
        """The pool, else the organization. Events of one scope may share a message."""
        return pool_scope(self.pool.name) if self.pool else self.target.scope

    def stays(self, target: Target | None) -> bool:
        """Whether `target`, which the new settings have under this name, is still the same target."""
        return target is not None and _identity(target) == _identity(self.target)

    def adopt(self, new: "Watch") -> bool:
        """Take over the new settings of this target; its memory and its probe under way stay.

        Returns whether its credentials changed.
        """
        changed = new.credentials != self.credentials
        for name in _OF_THE_SETTINGS:
            setattr(self, name, getattr(new, name))
        if changed:  # a server's wish to wait was for the old secret
            self.memory = replace(self.memory, held_by=None)
        self.shutdown = self.listed or new.shutdown
        return changed


_OF_THE_SETTINGS = (
    "target",
    "credentials",
    "mark",
    "price",
    "estimated",
    "may_be_gated",
    "means",
    "cadence",
    "pool",
    "log_every",
)


class Watches:
    """All watched targets, by name and by group."""

    def __init__(self, settings: Settings, memories: Mapping[str, TargetState]) -> None:
        self._by_name: dict[str, Watch] = {}
        self.use(settings, memories)

    def use(self, settings: Settings, memories: Mapping[str, TargetState]) -> list[Watch]:
        """Watch the targets of these settings from now on, new ones with their stored memories.

        Returns the watches to probe soon: new, changed or blocked ones. An unchanged target keeps its watch,
        with its memory and its probe under way. With another route or organization it is another target of
        the same name.
        """
        before, concerned = self._by_name, []
        self._by_name = {}
        self._by_scope: dict[tuple[str, str], list[Watch]] = {}
        self._same: dict[tuple[Capability, Contract], list[Watch]] = {}
        self._pools: dict[str, list[Watch]] = {}
        for target in settings.targets():
            new = _watch(settings, target, memories.get(target.name, TargetState()))
            old = before.get(new.name)
            watch = old if old is not None and old.stays(target) else new
            # it stays after all, if it was to leave
            watch.leaving = watch.handed_over = False
            if watch is new or watch.adopt(new) or watch.memory.blocker:
                concerned.append(watch)
            self._by_name[watch.name] = watch
            self._by_scope.setdefault((watch.target.route, watch.target.scope), []).append(watch)
            self._same.setdefault((watch.means, watch.target.contract), []).append(watch)
            if watch.pool:
                self._pools.setdefault(watch.scope, []).append(watch)
        if settings.fleet:
            # of a pool that other workers have a part of, nothing is said as of the whole
            keys = Counter(
                pool.name for key in settings.keys if (pool := settings.pool_of(key.name))
            )
            for pool in settings.pools:
                if keys[pool.name] < len(pool.secrets.keys or ()):
                    self._pools.pop(pool_scope(pool.name), None)
        return concerned

    def __iter__(self) -> Iterator[Watch]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, watch: object) -> bool:
        """Whether it is one of them, as they are now."""
        return isinstance(watch, Watch) and self._by_name.get(watch.name) is watch

    def get(self, name: str) -> Watch | None:
        """The watch of the target with this name."""
        return self._by_name.get(name)

    def sizes(self) -> Counter[str]:
        """The number of targets of each route."""
        return Counter(watch.target.route for watch in self)

    def siblings(self, watch: Watch) -> list[Watch]:
        """The other targets of the same organization on the same route."""
        together = self._by_scope[watch.target.route, watch.target.scope]
        return [other for other in together if other is not watch]

    def declared_for(self, subject: str) -> list[Watch]:
        """The targets that a declaration for an organization or a key may touch: direct routes only."""
        return [
            watch
            for watch in self
            if watch.target.contract is Contract.DIRECT
            and (watch.may_be_gated or watch.memory.gated_seen)
            and subject in (watch.target.organization, watch.target.key)
        ]

    def open_at_providers(self, watch: Watch) -> list[str]:
        """A few provider targets of the same model and surface that are available now."""
        same = self._same.get((watch.means, Contract.PROVIDER), ())
        found = (other.name for other in same if other.memory.state is State.AVAILABLE)
        return list(islice(found, _OPEN_MOST))

    def shut_directly(self, watch: Watch) -> list[str]:
        """A few direct targets of the same model and surface that are shut now; none while one is open."""
        same = self._same.get((watch.means, Contract.DIRECT), ())
        if any(other.memory.state is State.AVAILABLE for other in same):
            return []
        found = (other.name for other in same if other.memory.state is not State.UNKNOWN)
        return list(islice(found, _OPEN_MOST))

    def state(self, name: str) -> State | None:
        """The state of the target with this name; None if there is none."""
        watch = self.get(name)
        return watch.memory.state if watch else None

    def summary(self, scope: str) -> str | None:
        """The states of a pool's targets in words, by the scope of its events; None for other scopes."""
        watches = self._pools.get(scope)
        if not watches or not watches[0].pool:
            return None
        memories = [watch.memory for watch in watches]
        return pool_summary(watches[0].pool.name, ((m.state, m.blocker) for m in memories))

    def counts(self) -> dict[str, int]:
        """The number of targets in each state; blocked targets count under `blocked` too."""
        counts: dict[str, int] = {}
        for watch in self:
            state = str(watch.memory.state)
            counts[state] = counts.get(state, 0) + 1
            if watch.memory.blocker:
                counts["blocked"] = counts.get("blocked", 0) + 1
        return counts

    def shift(self, step: ClockStep) -> None:
        """The wall clock was stepped: move the times that were measured by it."""
        for watch in self:
            watch.memory = watch.memory.shifted(step)
            if watch.watched_since:
                watch.watched_since += step.by


def account_of(target: Target) -> str:
    """The account of a target's spending; another route or organization means another account."""
    return " ".join((target.name, *map(str, _identity(target))))


def _identity(target: Target) -> tuple[object, ...]:
    return target.route, target.contract, target.scope


def _watch(settings: Settings, target: Target, memory: TargetState) -> Watch:
    key = settings.key(target.key)
    known = settings.catalog.get(target.capability.model)
    price, estimated = worst_case(settings, target)
    pool = settings.pool_of(key.name)
    return Watch(
        target=target,
        credentials=credentials_of(settings, target),
        memory=memory,
        phase=phase_of(target.name),
        price=price,
        estimated=estimated,
        may_be_gated=known is None or target.capability.surface in known.gates,
        shutdown=known.shutdown if known else None,
        means=replace(target.capability, model=known.name) if known else target.capability,
        cadence=pool.cadence if pool else settings.cadence,
        pool=pool,
        log_every=(pool or key).log_every,
    )
