from collections.abc import Callable

from monitor.access.events import Event
from monitor.access.words import DEFAULT_EVENTS, EventKind, Reason
from monitor.alerts.dispatcher import Subscription, channels_for

Make = Callable[..., Event]


def test_a_channel_gets_the_events_it_lists(event: Make) -> None:
    channels = [
        Subscription("all", DEFAULT_EVENTS),
        Subscription("openings", frozenset({EventKind.FIRST_LIGHT})),
    ]
    light = event(EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED)
    baseline = event(EventKind.BASELINE, Reason.OPEN_AT_FIRST_PROBE)
    blocked = event(EventKind.BLOCKED, Reason.BLOCKER_SEEN)
    assert channels_for(light, channels) == ("all", "openings")
    assert channels_for(blocked, channels) == ("all",)
    assert channels_for(baseline, channels) == ()


def test_patterns_choose_targets_by_their_name_with_their_case(event: Make) -> None:
    light = event(EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED)
    wanted = {
        (): True,
        ("acme-*/*",): True,
        ("other/*", "*:images"): True,
        ("acme-prod/gpt-image-2:images",): True,
        ("ACME-*/*",): False,
        ("other/*",): False,
    }
    for patterns, expected in wanted.items():
        channel = Subscription("c", DEFAULT_EVENTS, patterns)
        assert bool(channels_for(light, [channel])) is expected


def test_a_pattern_that_is_a_targets_whole_name_chooses_it_whatever_signs_it_holds(
    event: Make,
) -> None:
    light = event(EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED, target="acme/[vip]m:chat")
    channel = Subscription("c", DEFAULT_EVENTS, ("acme/[vip]m:chat",))
    assert channels_for(light, [channel]) == ("c",)


def test_what_has_no_target_reaches_every_channel_that_has_the_event(event: Make) -> None:
    stale = event(EventKind.STALE, Reason.NOTHING_CONCLUSIVE, target=None)
    channel = Subscription("c", DEFAULT_EVENTS, ("other/*",))
    assert channels_for(stale, [channel]) == ("c",)


def test_who_is_told_of_a_first_light_is_told_what_became_of_it(event: Make) -> None:
    channels = [
        Subscription("openings", frozenset({EventKind.FIRST_LIGHT})),
        Subscription("settled", frozenset({EventKind.AVAILABLE})),
    ]
    shut = event(EventKind.SHUT_AGAIN, Reason.REFUSED_AFTER_LIGHT)
    unproven = event(EventKind.UNPROVEN, Reason.ANSWERED_UNPROVEN)
    assert channels_for(shut, channels) == ("openings",)
    assert channels_for(unproven, channels) == ("openings",)
