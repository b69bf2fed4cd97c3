"""A target's memory driven through a story: answers, declarations and time, in seconds."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from monitor.access.events import Answered, Decision, Declared, SiblingOpened, TimePassed
from monitor.access.limits import Rules
from monitor.access.memory import TargetState, from_json, to_json
from monitor.access.states import advance
from monitor.access.words import Code, DeclarationKind, EventKind, ProbeKind, State

START = datetime(2026, 11, 20, 12, tzinfo=UTC)

ANSWERS = {
    200: Code.ACCESS_GRANTED,
    403: Code.VERIFICATION_REQUIRED,
    423: Code.VERIFICATION_LOCKED,
    404: Code.MODEL_UNAVAILABLE,
    401: Code.INVALID_CREDENTIALS,
    402: Code.QUOTA_EXHAUSTED,
    429: Code.RATE_LIMITED,
    500: Code.SERVER_ERROR,
}


@dataclass
class Story:
    """Applies events one after another and keeps all that was told."""

    memory: TargetState = TargetState(since=START)  # noqa: RUF009
    now: datetime = START
    rules: Rules = field(default_factory=Rules)
    told: list[tuple[EventKind, str]] = field(default_factory=list)
    moves: list[tuple[State, State]] = field(default_factory=list)
    last: Decision | None = None

    def apply(self, event: object) -> "Story":
        self.last = advance(self.memory, event, self.now, self.rules)  # type: ignore[arg-type]
        self.memory = self.last.memory
        for event in self.last.events:
            self.told.append((event.kind, str(event.reason)))
            if event.before is not None and event.after is not None:
                self.moves.append((event.before, event.after))
        return self

    def answers(self, *statuses: int, every: float = 60) -> "Story":
        for status in statuses:
            self.apply(Answered(ANSWERS[status]))
            self.wait(every)
        return self

    def unproven(self, times: int = 1, every: float = 60) -> "Story":
        for _ in range(times):
            self.apply(Answered(Code.UNRECOGNIZED, unproven=True))
            self.wait(every)
        return self

    def listing(self, code: Code | None) -> "Story":
        return self.apply(Answered(code, ProbeKind.LISTING))

    def declares(self, kind: str, *, ago: float = 0) -> "Story":
        return self.apply(Declared(DeclarationKind(kind), self.now - timedelta(seconds=ago)))

    def sibling(self, name: str = "acme/o3:responses") -> "Story":
        return self.apply(SiblingOpened(name))

    def passes_time(self, **of: object) -> "Story":
        return self.apply(TimePassed(**of))  # type: ignore[arg-type]

    def wait(self, seconds: float) -> "Story":
        self.now += timedelta(seconds=seconds)
        return self

    def restarts(self) -> "Story":
        self.memory = from_json(to_json(self.memory))
        return self

    @property
    def state(self) -> str:
        return str(self.memory.state)

    @property
    def events(self) -> list[str]:
        return [str(event) for event, _ in self.told]

    @property
    def reasons(self) -> list[str]:
        return [reason for _, reason in self.told]


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def new_story() -> type[Story]:
    return Story
