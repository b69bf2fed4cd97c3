"""The events whose messages are stored beside the tests."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from monitor.access.events import Event
from monitor.access.words import Code, EventKind, Reason, State

AT = datetime(2026, 11, 20, 14, 22, 30, tzinfo=UTC)

KNOWN = {
    "organization": "org-acme-0001",
    "project": "proj_acme_0001",
    "key": "acme-prod",
    "model": "gpt-image-2",
    "surface": "images",
    "contract": "direct",
}
REFUSAL = {
    "status": 403,
    "message": "Your organization must be verified to use the model `gpt-image-2`.",
    "gate": "model",
    "owner": "organization",
}


@pytest.fixture
def event() -> Callable[..., Event]:
    """Build an event of the target most tests use; keyword arguments replace its fields."""
    return _event


def _event(kind: EventKind, reason: Reason, **fields: Any) -> Event:
    facts = {**KNOWN, **fields.pop("facts", {})}
    values = {
        "at": AT,
        "target": "acme-prod/gpt-image-2:images",
        "scope": "org-acme-0001",
        "route": "openai",
        **fields,
    }
    return Event(kind, reason, facts=facts, **values)


def _monitor(kind: EventKind, reason: Reason, **facts: Any) -> Event:
    return Event(kind, reason, AT, facts=facts)


GATED = {"diagnosis": Code.VERIFICATION_REQUIRED, "request_id": "req_FAKE_0009"}
UNVERIFIED, PROPAGATING = State.UNVERIFIED, State.PROPAGATING
AVAILABLE, LOCKED, UNKNOWN = State.AVAILABLE, State.LOCKED, State.UNKNOWN
DECLARED = {"declared_at": "2026-11-20T14:05:00+00:00"}
TYPICAL = {"typical_wait_s": 1_011.5, "openings": 12}


SILENCE = {
    "silence": 3,
    "why": "the relay is moved tonight",
    "by": "alice",
    "since": "2026-11-20T12:00:00+00:00",
}


def stored_events() -> dict[str, list[Event]]:
    """By the stored file's name: one for every event, and the variants that read differently."""
    cases = {
        "unverified": _event(
            EventKind.UNVERIFIED, Reason.GATED, before=UNKNOWN, after=UNVERIFIED,
            facts=REFUSAL, **GATED,
        ),
        "unverified-provider": _event(
            EventKind.UNVERIFIED, Reason.GATED, before=UNKNOWN, after=UNVERIFIED, route="relay",
            facts=REFUSAL | {"contract": "provider"}, **GATED,
        ),
        "unverified-gave_up": _event(
            EventKind.UNVERIFIED, Reason.GAVE_UP, before=PROPAGATING, after=UNVERIFIED,
            facts={**REFUSAL, **DECLARED, "lasted_s": 604_800, "every_s": 300}, **GATED,
        ),
        "unverified-gave_up-relapse": _event(
            EventKind.UNVERIFIED, Reason.GAVE_UP, before=PROPAGATING, after=UNVERIFIED,
            facts={
                **REFUSAL, "lasted_s": 604_800, "every_s": 300, "probes": 900,
                "refused_since": "2026-11-20T13:36:30+00:00",
            },
            **GATED,
        ),
        "unverified-cleared": _event(
            EventKind.UNVERIFIED, Reason.CLEARED_DECLARED, before=LOCKED, after=UNVERIFIED,
            facts={"lasted_s": 93_600},
        ),
        "unverified-unlocked": _event(
            EventKind.UNVERIFIED, Reason.UNLOCKED_BY_ANSWERS, before=LOCKED, after=UNVERIFIED,
            facts={**REFUSAL, "lasted_s": 93_600}, **GATED,
        ),
        "propagating": _event(
            EventKind.PROPAGATING, Reason.VERIFIED_DECLARED, before=UNVERIFIED, after=PROPAGATING,
            facts={**DECLARED, **TYPICAL, "lasted_s": 7_500},
        ),
        "propagating-sibling": _event(
            EventKind.PROPAGATING, Reason.SIBLING_OPENED, before=UNVERIFIED, after=PROPAGATING,
            facts={"sibling": "acme-prod/gpt-5.1:summary", "lasted_s": 7_500},
        ),
        "propagating-relapse": _event(
            EventKind.PROPAGATING, Reason.RELAPSE, before=AVAILABLE, after=PROPAGATING,
            facts={**REFUSAL, "lasted_s": 1_020}, **GATED,
        ),
        "first_light": _event(
            EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED, request_id="req_FAKE_0010",
            facts={**DECLARED, **TYPICAL, "waited_s": 1_050, "status": 200}, diagnosis=Code.ACCESS_GRANTED,
        ),
        "first_light-provider": _event(
            EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED, before=UNVERIFIED, after=PROPAGATING,
            route="relay", facts={**TYPICAL, "contract": "provider", "lasted_s": 1_050},
            diagnosis=Code.ACCESS_GRANTED,
        ),
        "shut_again": _event(
            EventKind.SHUT_AGAIN, Reason.REFUSED_AFTER_LIGHT,
            facts={**REFUSAL, **DECLARED, "waited_s": 1_250}, **GATED,
        ),
        "unproven": _event(
            EventKind.UNPROVEN, Reason.ANSWERED_UNPROVEN, diagnosis=Code.UNRECOGNIZED,
            target="acme-relay/gpt-5.1:chat", route="relay", scope="acme-relay",
            facts={"key": "acme-relay", "model": "gpt-5.1", "surface": "chat", "contract": "provider",
                   "organization": None, "project": None, "status": 200, "owner": "route",
                   "message": "Hello! How may I help you today?"},
        ),
        "available": _event(
            EventKind.AVAILABLE, Reason.SETTLED, before=PROPAGATING, after=AVAILABLE,
            facts={**DECLARED, "lasted_s": 1_120}, diagnosis=Code.ACCESS_GRANTED,
            request_id="req_FAKE_0012",
        ),
        "available-provider": _event(
            EventKind.AVAILABLE, Reason.SETTLED, before=PROPAGATING, after=AVAILABLE, route="relay",
            facts={"contract": "provider", "lasted_s": 70}, diagnosis=Code.ACCESS_GRANTED,
        ),
        "available-provider-direct_shut": _event(
            EventKind.AVAILABLE, Reason.SETTLED, before=PROPAGATING, after=AVAILABLE, route="relay",
            target="acme-relay/gpt-image-2:images", diagnosis=Code.ACCESS_GRANTED,
            facts={"key": "acme-relay", "contract": "provider", "lasted_s": 70,
                   "direct_shut": ["acme-prod/gpt-image-2:images"]},
        ),
        "baseline": _event(
            EventKind.BASELINE, Reason.OPEN_AT_FIRST_PROBE, before=UNKNOWN, after=AVAILABLE,
            diagnosis=Code.ACCESS_GRANTED,
        ),
        "revoked": _event(
            EventKind.REVOKED, Reason.REVOCATION, before=AVAILABLE, after=UNVERIFIED,
            facts={**REFUSAL, "lasted_s": 273_600}, **GATED,
        ),
        "locked": _event(
            EventKind.LOCKED, Reason.LOCKED_BY_ANSWER, before=PROPAGATING, after=LOCKED,
            facts={"status": 403, "message": "Verification is currently not available.", "lasted_s": 60},
            diagnosis=Code.VERIFICATION_LOCKED,
        ),
        "locked-rejected": _event(
            EventKind.LOCKED, Reason.REJECTED_DECLARED, before=PROPAGATING, after=LOCKED,
            facts={"hint_at": "2026-11-21T14:22:00+00:00", "lasted_s": 1_020},
        ),
        "overdue": _event(
            EventKind.OVERDUE, Reason.DEADLINE_PASSED,
            facts={
                **REFUSAL, **DECLARED, **TYPICAL, "deadline_s": 7_200, "waited_s": 7_530, "probes": 171,
                "request_ids": ["req_FAKE_0007", "req_FAKE_0008", "req_FAKE_0009"],
            },
            **GATED,
        ),
        "overdue-relapse": _event(
            EventKind.OVERDUE, Reason.DEADLINE_PASSED,
            facts={
                **REFUSAL, "deadline_s": 2_700, "waited_s": 2_710, "probes": 62,
                "refused_since": "2026-11-20T13:36:30+00:00",
            },
            **GATED,
        ),
        "overdue-open_elsewhere": _event(
            EventKind.OVERDUE, Reason.DEADLINE_PASSED,
            facts={
                **REFUSAL, **DECLARED, **TYPICAL, "deadline_s": 7_200, "waited_s": 7_530,
                "provider_open": ["acme-relay/gpt-image-2:images"],
            },
            **GATED,
        ),
        "unverified-open_elsewhere": _event(
            EventKind.UNVERIFIED, Reason.GATED, before=UNKNOWN, after=UNVERIFIED,
            facts={**REFUSAL, "provider_open": ["acme-relay/gpt-image-2:images"]}, **GATED,
        ),
        "blocked": _event(
            EventKind.BLOCKED, Reason.BLOCKER_SEEN, diagnosis=Code.INVALID_CREDENTIALS,
            facts={"blocker": "invalid_credentials", "status": 401, "owner": "key"},
        ),
        "blocked-in_turn": _event(
            EventKind.BLOCKED, Reason.BLOCKER_SEEN, diagnosis=Code.QUOTA_EXHAUSTED,
            facts={"blocker": "quota_exhausted", "blockers": ["region_blocked"], "status": 429,
                   "message": "You exceeded your current quota.", "owner": "billing"},
        ),
        "unblocked": _event(
            EventKind.UNBLOCKED, Reason.BLOCKER_CLEARED, facts={"blocker": "invalid_credentials"},
            diagnosis=Code.ACCESS_GRANTED,
        ),
        "stale": Event(
            EventKind.STALE, Reason.NOTHING_CONCLUSIVE, AT, route="openai",
            diagnosis=Code.SERVER_ERROR,
            facts={"contract": "direct", "waited_s": 1_860, "targets": 12, "route_targets": 12,
                   "staleness": "route", "status": 503, "message": "The engine is overloaded.",
                   "stale": [f"acme-{n}/gpt-5.1:chat" for n in range(10)]},
        ),
        "stale-some": Event(
            EventKind.STALE, Reason.NOTHING_CONCLUSIVE, AT, route="openai",
            diagnosis=Code.SERVER_ERROR,
            facts={"contract": "direct", "waited_s": 1_860, "targets": 3, "route_targets": 12,
                   "staleness": "target",
                   "stale": ["acme-prod/gpt-5.1:chat", "acme-prod/gpt-5.1:stream", "acme-prod/o3:chat"]},
        ),
        "stale-one": _event(
            EventKind.STALE, Reason.NOTHING_CONCLUSIVE, diagnosis=Code.SERVER_ERROR,
            facts={"waited_s": 1_860, "staleness": "target", "status": 503,
                   "message": "The engine is overloaded."},
        ),
        "retiring": _event(
            EventKind.RETIRING, Reason.SHUTDOWN_NEAR,
            target="acme-prod/gpt-image-1.5:images",
            facts={"model": "gpt-image-1.5", "shutdown": "2026-12-01"},
        ),
        "retiring-past": _event(
            EventKind.RETIRING, Reason.SHUTDOWN_PAST, target="acme-prod/gpt-image-1:images",
            facts={"model": "gpt-image-1", "shutdown": "2026-10-23"},
        ),
        "budget": _monitor(
            EventKind.BUDGET, Reason.BUDGET_EXHAUSTED,
            spent_usd=0.0496, budget_usd=0.05, budget_scope="key acme-prod today",
        ),
        "offline": _monitor(EventKind.OFFLINE, Reason.ALL_ROUTES_FAIL, routes=["openai", "relay"],
            message="the host api.openai.example is not known"),
        "online": _monitor(
            EventKind.ONLINE, Reason.A_ROUTE_ANSWERS, routes=["relay"], lasted_s=2_400
        ),
        "silence_ended": _monitor(
            EventKind.SILENCE_ENDED, Reason.SILENCE_EXPIRED, **SILENCE, hidden=4,
            hidden_kinds={"overdue": 2, "locked": 1, "unblocked": 1}, changed_targets=3,
            unchanged_targets=2,
            changed=[
                {"target": "acme-prod/gpt-image-2:images", "told": "propagating", "now": "locked",
                 "told_blocker": None, "blocker": None},
                {"target": "acme-prod/gpt-5.1:summary", "told": None, "now": "unverified",
                 "told_blocker": None, "blocker": "quota_exhausted"},
                {"target": "acme-prod/gpt-5.1:chat", "told": "available", "now": "available",
                 "told_blocker": "quota_exhausted", "blocker": None},
            ],
        ),
        "silence_ended-nothing": _monitor(
            EventKind.SILENCE_ENDED, Reason.SILENCE_ENDED_BY_HAND, **SILENCE, ended_by="bob", hidden=2,
            hidden_kinds={"overdue": 2}, changed_targets=0, unchanged_targets=1, changed=[],
        ),
        "available-silenced": _event(
            EventKind.AVAILABLE, Reason.SETTLED, before=PROPAGATING, after=AVAILABLE,
            facts={"silenced": {"ops": {"silence": 3, "until": "2026-11-20T16:00:00+00:00"}}},
        ),
        "locked-hidden_before": _event(
            EventKind.LOCKED, Reason.LOCKED_BY_ANSWER, before=PROPAGATING, after=LOCKED,
            facts={"hidden_before": {"ops": [12, 13], "mail": [13]}},
        ),
        "started": _monitor(
            EventKind.STARTED, Reason.DAEMON_STARTED, targets=14,
            counts={"available": 9, "propagating": 4, "locked": 1, "unknown": 0},
            since_last_start={"available": 2, "overdue": 1},
            down_since="2026-11-20T14:05:00+00:00",
        ),
        "stopping": _monitor(
            EventKind.STOPPING, Reason.DAEMON_STOPPING, targets=14,
            counts={"available": 9, "propagating": 5},
        ),
    }  # fmt: skip
    pooled = _event(
        EventKind.BLOCKED, Reason.BLOCKER_SEEN, diagnosis=Code.INVALID_CREDENTIALS,
        target="pool-a-1a2b3c4d/gpt-image-2:images", scope="pool pool-a",
        facts={"organization": None, "project": None, "key": "pool-a-1a2b3c4d", "pool": "pool-a",
               "blocker": "invalid_credentials", "status": 401, "owner": "key"},
    )  # fmt: skip
    return {name: [one] for name, one in cases.items()} | {
        "pool": [pooled, replace(pooled, target="pool-a-5e6f7a8b/gpt-image-2:images",
                                 facts={**pooled.facts, "key": "pool-a-5e6f7a8b"})],
        "grouped": [
            cases["first_light"],
            _event(
                EventKind.PROPAGATING, Reason.SIBLING_OPENED, target="acme-prod/gpt-5.1:summary",
                facts={"model": "gpt-5.1", "surface": "summary", "lasted_s": 9_000,
                       "sibling": "acme-prod/gpt-image-2:images"},
                before=UNVERIFIED, after=PROPAGATING,
            ),
            _event(
                EventKind.PROPAGATING, Reason.SIBLING_OPENED, target="acme-prod/gpt-5.1:stream",
                facts={"model": "gpt-5.1", "surface": "stream", "lasted_s": 9_000,
                       "sibling": "acme-prod/gpt-image-2:images"},
                before=UNVERIFIED, after=PROPAGATING,
            ),
        ]
    }  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every stored message is a test of its own."""
    if "stored" in metafunc.fixturenames:
        cases = stored_events()
        metafunc.parametrize("stored", list(cases.items()), ids=list(cases))
