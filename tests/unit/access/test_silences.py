"""What a silence keeps from whom: the rules as a table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from monitor.access.events import Event
from monitor.access.silences import (
    IN_FORCE_MOST,
    Silence,
    fault_of,
    part_of,
    silenced_by,
)
from monitor.access.target import Capability, Target
from monitor.access.words import Code, Contract, EventKind, Reason, Surface

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TARGET = "acme-prod/gpt-image-2:images"


def silence(*patterns: str, id_: int = 1, hours: float = 2) -> Silence:
    return Silence(id_, patterns, "maintenance", "alice", NOW, NOW + timedelta(hours=hours))


def event(
    kind: str = "locked",
    target: str | None = TARGET,
    code: Code | None = None,
    organization: str = "org-acme",
) -> Event:
    facts = {"organization": organization} if target else {}
    return Event(EventKind(kind), Reason.GATED, NOW, target=target, diagnosis=code, facts=facts)


@pytest.mark.parametrize(
    ("patterns", "silenced"),
    [
        ([TARGET], True),
        (["acme-prod/*"], True),
        (["acme-*/*:images"], True),
        (["acme-prod/gpt-image-[12]:images"], True),
        (["acme-dev/*"], False),
        (["ACME-prod/*"], False),
        (["organization:org-acme"], True),
        (["organization:org-*"], True),
        (["organization:org-other"], False),
        # whom: any of targets and organizations
        (["acme-dev/*", "organization:org-acme"], True),
        (["acme-dev/*", "acme-prod/*"], True),
        # where
        (["channel:ops"], True),
        (["channel:o*"], True),
        (["channel:mail"], False),
        (["channel:mail", "channel:ops"], True),
        # what
        (["event:locked"], True),
        (["event:*"], True),
        (["event:overdue"], False),
        # of several kinds each must match
        (["acme-prod/*", "channel:ops"], True),
        (["acme-prod/*", "channel:mail"], False),
        (["acme-dev/*", "channel:ops"], False),
        (["acme-prod/*", "channel:ops", "event:locked"], True),
        (["acme-prod/*", "channel:ops", "event:overdue"], False),
    ],
)
def test_of_one_kind_any_pattern_matches_and_of_several_each_must(patterns, silenced):
    assert silence(*patterns).covers(event(), "ops") is silenced


@pytest.mark.parametrize("kind", EventKind)
def test_what_was_waited_for_and_what_says_why_none_comes_pass_unless_they_are_named(kind):
    passes = {
        "first_light", "shut_again", "unproven", "available", "stale", "offline", "online", "budget",
        "silence_ended",
    }  # fmt: skip
    one = event(kind)
    assert silence("acme-prod/*").covers(one, "ops") is (kind not in passes)
    assert silence("channel:ops").covers(one, "ops") is (kind not in passes)
    # the digest is owed: nothing keeps it back
    assert silence(f"event:{kind}").covers(one, "ops") is (kind != "silence_ended")
    assert silence("acme-prod/*", "event:*").covers(one, "ops") is (kind != "silence_ended")


@pytest.mark.parametrize("code", [code for code in Code if code.effect == "blocked"])
def test_the_blockers_of_a_key_pass(code):
    of_key = {
        "invalid_credentials", "account_deactivated", "organization_mismatch", "missing_scope",
    }  # fmt: skip
    for kind in ("blocked", "unblocked"):
        one = event(kind, code=code)
        assert silence("acme-prod/*").covers(one, "ops") is (code not in of_key)
        assert silence("acme-prod/*", f"event:{kind}").covers(one, "ops")


@pytest.mark.parametrize(
    ("patterns", "silenced"),
    [
        (["event:budget"], True),
        (["event:budget", "channel:ops"], True),
        (["event:budget", "*/*"], False),
        (["event:budget", "organization:*"], False),
        (["event:started"], False),
        (["channel:ops"], False),
    ],
)
def test_what_has_no_target_is_silenced_only_without_saying_whom(patterns, silenced):
    assert silence(*patterns).covers(event("budget", target=None), "ops") is silenced
    assert silence("channel:ops").covers(event("started", target=None), "ops")


@pytest.mark.parametrize(
    ("patterns", "silenced"),
    [
        (["event:budget", "acme-prod/*"], True),
        (["event:budget", TARGET, "acme-prod/gpt-5.1:*"], True),
        (["event:budget", "organization:org-acme"], True),
        (["event:budget", TARGET], False),
        (["event:budget", "acme-dev/*"], False),
        (["acme-prod/*"], False),
        (["event:budget", "acme-prod/*", "channel:mail"], False),
    ],
)
def test_what_concerns_targets_is_silenced_when_all_of_them_are(patterns, silenced):
    capabilities = Capability("gpt-image-2", Surface.IMAGES), Capability("gpt-5.1", Surface.CHAT)
    concerned = tuple(
        Target("acme-prod", one, "openai", Contract.DIRECT, "org-acme") for one in capabilities
    )
    one = replace(event("budget", target=None), concerned=concerned)
    assert silence(*patterns).covers(one, "ops") is silenced


def test_a_name_that_is_written_out_matches_though_it_holds_the_signs_of_a_pattern():
    one = event(target="acme-prod/[vip]m:chat")
    assert silence("acme-prod/[vip]m:chat").covers(one, "ops")
    assert not silence("acme-prod/[vip]m:chat").covers(event(), "ops")


def test_of_a_pool_are_its_keys_and_none_that_merely_begins_with_its_name():
    one = silence("pool:acme")
    assert one.covers(event(target="acme-0123abcd/gpt-image-2:images"), "ops")
    assert not one.covers(event(target="acme-prod/gpt-image-2:images"), "ops")
    assert not one.covers(event(target="acme-b-0123abcd/gpt-image-2:images"), "ops")
    assert not one.covers(event(target=None), "ops")
    assert silence("pool:acme", "acme-dev/*").covers(event(target="acme-dev/gpt-5.1:chat"), "ops")


def test_of_several_the_one_that_lasts_longest_has_it():
    short, long = silence(TARGET), silence("acme-prod/*", id_=2, hours=5)
    over = silence("*/*", id_=3, hours=0)
    other = silence("acme-dev/*", id_=4, hours=9)
    all_of_them = [long, short, over, other]
    assert silenced_by(event(), "ops", all_of_them, NOW) is long
    assert silenced_by(event(), "ops", all_of_them, NOW + timedelta(hours=6)) is None
    assert silenced_by(event(), "ops", [], NOW) is None


def test_it_ends_at_its_end_and_when_it_was_ended():
    one = silence(TARGET)
    assert one.in_force(one.expires_at - timedelta(microseconds=1))
    assert not one.in_force(one.expires_at)
    ended = Silence(1, (TARGET,), "x", "alice", NOW, NOW + timedelta(hours=2), ended_at=NOW)
    assert not ended.in_force(NOW)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"patterns": []}, "1 to 20 patterns"),
        ({"patterns": ["a/*"] * 20}, None),
        ({"patterns": ["a/*"] * 21}, "1 to 20 patterns"),
        ({"patterns": ["a"]}, "'a' is no pattern"),
        ({"patterns": ["event:"]}, "'event:' is no pattern"),
        ({"patterns": ["a/" + "b" * 499]}, "500 printable"),
        ({"patterns": ["a/\n"]}, "500 printable"),
        ({"reason": " "}, "needs a reason"),
        ({"reason": "x" * 200}, None),
        ({"reason": "x" * 201}, "1 to 200"),
        ({"reason": "x\u202ey"}, "printable"),
        ({"expires_at": NOW}, "end after it begins"),
        ({"expires_at": NOW + timedelta(days=90)}, None),
        ({"expires_at": NOW + timedelta(days=90, seconds=1)}, "at most 90 days"),
    ],
)
def test_what_cannot_be_a_silence_is_said(changes, fault):
    good = {"patterns": ["a/*"], "reason": "x", "expires_at": NOW + timedelta(hours=1), "now": NOW}
    found = fault_of(**(good | changes))
    assert (found is None) if fault is None else (fault in found)


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("a/b:images", "target"),
        ("channel:a/b", "target"),
        ("organization:org/x", "organization"),
        ("channel:a:b", "channel"),
    ],
)
def test_whatever_holds_a_slash_is_of_targets_but_an_organization(pattern, part):
    assert part_of(pattern)[0] == part


def test_many_silences_with_many_patterns_are_judged_fast():
    many = [
        silence(*(f"key-{n}-{m}*/*" for m in range(20)), id_=n + 1) for n in range(IN_FORCE_MOST)
    ]
    one = event()
    for _ in range(20):
        assert silenced_by(one, "ops", many, NOW) is None
