"""Which rows may go, together and when: by hand, and as a property of random stories."""

from dataclasses import dataclass
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from monitor.access.events import Event
from monitor.access.words import EventKind, Reason
from monitor.alerts.waiting import PIECES, STUBBORN, Waiting

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    id: int
    event: Event
    attempts: int = 0
    created_at: datetime = AT


def row(id_, target="a", scope="org-acme", kind=EventKind.BLOCKED, **facts):
    facts = {"organization": scope, **facts} if scope and target else facts
    return Row(id_, Event(kind, Reason.GATED, AT, target=target, scope=scope, facts=facts))


def ids(groups):
    return [group.ids for group in groups]


def test_the_first_goes_at_once_and_what_follows_goes_together_at_the_windows_end():
    waiting = Waiting(20.0)
    waiting.add([row(1, "a")])
    (first,) = waiting.take(100.0, 8)
    waiting.add([row(2, "b"), row(3, "c")])
    waiting.sent(first, 101.0)  # the window counts from when it was out
    assert waiting.take(120.0, 8) == []
    assert waiting.next_at() == 121.0
    assert ids(waiting.take(121.0, 8)) == [[2, 3]]


def test_after_a_windows_end_the_next_goes_at_once_again():
    waiting = Waiting(20.0)
    for number, at in ((1, 0.0), (2, 20.0), (3, 21.0)):
        waiting.add([row(number, f"t{number}")])
        (group,) = waiting.take(at, 8)
        waiting.sent(group, at)


def test_separate_rows_go_alone_at_once_and_in_the_order_of_their_scope():
    waiting = Waiting(20.0, separate=True)
    waiting.add([row(1, "a"), row(2, "b"), row(3, "c", scope="org-other"), row(4, "a")])
    first, other = waiting.take(0.0, 8)
    assert ids([first, other]) == [[1], [3]]
    assert waiting.take(0.0, 8) == []
    waiting.failed(first, 1.0)
    assert waiting.take(0.5, 8) == []  # not even of another target
    (again,) = waiting.take(1.0, 8)
    assert again.ids == [1]
    waiting.sent(again, 1.0)
    (second,) = waiting.take(1.0, 8)
    assert second.ids == [2]
    waiting.give_up([])
    waiting.sent(second, 1.0)
    assert ids(waiting.take(1.0, 8)) == [[4]]


def test_separate_rows_without_a_scope_are_ordered_among_themselves():
    waiting = Waiting(20.0, separate=True)
    waiting.add([row(1, None, None), row(2, None, None), row(3, "a")])
    first, other = waiting.take(0.0, 8)
    assert ids([first, other]) == [[1], [3]]
    waiting.sent(first, 0.0)
    assert ids(waiting.take(0.0, 8)) == [[2]]


def test_a_first_light_waits_only_behind_another():
    waiting = Waiting(20.0)
    waiting.add([row(1, "a")])
    waiting.take(0.0, 8)
    waiting.add([row(2, "b", kind=EventKind.FIRST_LIGHT)])
    assert ids(waiting.take(1.0, 8)) == [[2]]
    waiting.add([row(3, "c", kind=EventKind.FIRST_LIGHT), row(4, "d")])
    assert waiting.take(5.9, 8) == []
    assert ids(waiting.take(6.0, 8)) == [[3, 4]]  # a quarter of the window; the others come along
    waiting.add([row(5, "e")])
    assert waiting.take(19.0, 8) == []
    assert ids(waiting.take(20.0, 8)) == [[5]]


def test_of_all_that_may_go_first_lights_go_first():
    waiting = Waiting(20.0)
    waiting.add([row(n, f"t{n}", f"org-{n}") for n in range(1, 50)])
    waiting.add([row(50, "t50", "org-50", EventKind.FIRST_LIGHT)])
    waiting.add([row(51, "t51", "org-7", EventKind.FIRST_LIGHT)])
    assert ids(waiting.take(0.0, 3)) == [[51, 7], [50], [1]]


def test_on_a_service_with_a_pace_what_waits_anyway_goes_together_first_lights_first():
    waiting = Waiting(20.0)
    waiting.add([row(1, "a", "org-1", EventKind.FIRST_LIGHT)])
    (first,) = waiting.take(0.0, 1, together=True)
    waiting.add([row(2, "b", "org-1", EventKind.FIRST_LIGHT)])
    waiting.sent(first, 0.1)
    assert waiting.take(1.2, 1, together=True) == []  # nothing must go yet
    waiting.add([row(3, "c", "org-2"), row(4, "d", "org-3", EventKind.FIRST_LIGHT)])
    waiting.add([row(5, "e", None), row(6, "d", "org-3")])
    (second,) = waiting.take(1.2, 1, together=True)
    assert second.ids == [2, 4, 6, 3, 5]
    waiting.keep(second, 2, 1.2)
    waiting.add([row(7, "f", "org-4", EventKind.FIRST_LIGHT)])
    waiting.sent(second, 1.3)
    (third,) = waiting.take(2.4, 1, together=True)
    assert sorted(third.ids) == [3, 5, 6, 7]
    assert third.ids[0] == 7


def test_what_belongs_to_no_scope_goes_alone():
    waiting = Waiting(20.0)
    waiting.add([row(1, "a", scope=None), row(2, "b", scope=None)])
    assert ids(waiting.take(0.0, 8)) == [[1], [2]]
    assert len(waiting) == 2


def test_a_failed_group_holds_back_the_later_rows_of_its_targets_and_nothing_else():
    waiting = Waiting(0.0)
    waiting.add([row(1, "a", scope=None)])
    (group,) = waiting.take(0.0, 8)
    waiting.failed(group, 30.0)
    waiting.add([row(2, "a", scope=None), row(3, "b", scope=None)])
    assert ids(waiting.take(1.0, 8)) == [[3]]
    (again,) = waiting.take(30.0, 8)
    assert again.ids == [1]
    waiting.remove(again)
    assert ids(waiting.take(31.0, 8)) == [[2]]


def test_what_gathers_behind_a_message_that_failed_does_not_wait_for_its_window():
    waiting = Waiting(20.0)
    waiting.add([row(1, "a")])
    (group,) = waiting.take(0.0, 8)
    waiting.add([row(2, "b")])
    waiting.failed(group, 5.0)
    assert ids(waiting.take(0.1, 8)) == [[2]]


def test_a_group_that_fails_again_and_again_goes_target_by_target_in_order():
    waiting = Waiting(0.0)
    waiting.add([row(1, "a"), row(2, "b"), row(3, "a")])
    (group,) = waiting.take(0.0, 8)
    for _ in range(STUBBORN):
        waiting.failed(group, 0.0)
        groups = waiting.take(0.0, 8)
        group = groups[0]
    assert ids(groups) == [[1], [2]]
    waiting.remove(groups[0])
    assert ids(waiting.take(0.0, 8)) == [[3]]


def test_what_a_message_has_no_room_for_waits_for_no_window_and_is_in_order():
    waiting = Waiting(20.0)
    waiting.add([row(n, f"t{n % 100}") for n in range(1, 251)])
    (group,) = waiting.take(0.0, 8)
    waiting.keep(group, 100, 0.0)
    assert waiting.take(0.0, 8) == []  # all tell of the targets of the first message
    waiting.sent(group, 0.1)
    (group,) = waiting.take(0.1, 8)
    assert group.ids == list(range(101, 251))
    waiting.keep(group, 120, 0.1)
    waiting.sent(group, 0.2)
    (group,) = waiting.take(0.2, 8)
    assert group.ids == list(range(221, 251))
    waiting.sent(group, 0.3)
    waiting.add([row(251, "new")])
    assert waiting.take(20.2, 8) == []  # the last of them opens the window
    assert ids(waiting.take(20.3, 8)) == [[251]]


def test_of_a_large_group_that_always_fails_few_messages_come():
    waiting = Waiting(0.0)
    waiting.add([row(n, f"t{n}") for n in range(1, 513)])
    tries, now, left = 0, 0.0, 512
    while left > 1:
        now += 1.0
        for group in waiting.take(now, 100):
            tries += 1
            if 77 in group.ids:  # what no service takes
                waiting.failed(group, now)
            else:
                left -= len(group.rows)
                waiting.sent(group, now)
    assert tries <= STUBBORN + 3 * PIECES


def test_when_the_channel_works_again_all_retries_are_due_in_their_order():
    waiting = Waiting(0.0)
    waiting.add([row(n, f"t{n}", scope=None) for n in (1, 2, 3)])
    for at, group in zip((50.0, 40.0, 60.0), waiting.take(0.0, 8), strict=True):
        waiting.failed(group, at)
    waiting.again_at(10.0)
    assert ids(waiting.take(10.0, 8)) == [[2], [1], [3]]


def test_rows_given_up_are_gone_wherever_they_wait():
    waiting = Waiting(0.0)
    waiting.add([row(1, "a", scope=None)])
    (group,) = waiting.take(0.0, 8)
    waiting.failed(group, 5.0)
    waiting.add([row(2, "a", scope=None), row(3, "b")])
    assert sorted(one.id for one in waiting.idle()) == [1, 2, 3]
    waiting.give_up([row(1, "a", scope=None), row(3, "b")])
    assert ids(waiting.take(9.0, 8)) == [[2]]
    assert len(waiting) == 1


def test_parts_of_one_group_go_one_after_the_other_where_they_tell_of_one_target():
    waiting = Waiting(20.0)
    waiting.add([row(1, "a"), row(2, "b"), row(3, "a"), row(4, "c")])
    (whole,) = waiting.take(0.0, 8)
    waiting.keep(whole, 2, 0.0)
    assert ids(waiting.take(0.0, 8)) == [[4]]
    waiting.remove(whole)
    assert ids(waiting.take(20.0, 8)) == [[3]]


def test_what_some_recipients_took_holds_nothing_back_and_is_retried_whole_at_its_own_time():
    waiting = Waiting(20.0)
    waiting.add([row(1, "a"), row(2, "b")])
    (group,) = waiting.take(0.0, 8)
    waiting.add([row(3, "a")])
    group.taken.add("ok@acme.example")
    for failures in range(STUBBORN + 1):
        waiting.failed(group, 100.0 + failures)
        waiting.again_at(30.0)
        later = waiting.take(50.0, 8)
        assert ids(later) == ([[3]] if failures == 0 else [])
        for one in later:
            waiting.sent(one, 50.0)
        (group,) = waiting.take(100.0 + failures, 8)
        assert group.ids == [1, 2]
        assert group.taken == {"ok@acme.example"}
    waiting.sent(group, 110.0)
    assert len(waiting) == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["org-acme", "org-other", None]),
            st.sampled_from([EventKind.FIRST_LIGHT, EventKind.BLOCKED]),
        ),
        max_size=25,
    ),
    st.lists(st.sampled_from(["failed", "put back", "sent", "sent to some"]), max_size=60),
    st.sampled_from([0.0, 3.0, 20.0]),
    st.integers(1, 4),
    st.booleans(),
    st.integers(1, 6),
)
def test_each_row_is_sent_once_and_a_targets_rows_in_their_order(
    stories, fates, window, most, together, room
):
    waiting, now, sent, under_way, fates = Waiting(window), 0.0, [], [], list(fates)
    rows = [
        row(n, f"{scope}-{target}", scope, event)
        for n, (target, scope, event) in enumerate(stories, 1)
    ]
    late = list(rows)
    for _ in range(1000):
        if late:
            waiting.add([late.pop(0)])
        for group in waiting.take(now, most, together=together):
            waiting.keep(group, room, now)
            under_way.append(group)
        if under_way:
            group = under_way.pop(0 if len(under_way) % 2 else -1)
            fate = fates.pop() if fates else "sent"
            if fate == "failed":
                waiting.failed(group, now + 2.0)
            elif fate == "put back":
                waiting.retry(group, now + 1.0)
            else:
                sent += () if group.taken else group.rows
                if fate == "sent":
                    waiting.sent(group, now)
                else:
                    group.taken.add("some")
                    waiting.failed(group, now + 2.0)
        elif not late and not len(waiting):
            break
        else:
            assert late or waiting.next_at() is not None  # else nothing would ever be sent again
        now += 1.0
    assert sorted(one.id for one in sent) == [one.id for one in rows]
    for target in {one.event.target for one in rows}:
        order = [one.id for one in sent if one.event.target == target]
        assert order == sorted(order)
    assert waiting.next_at() is None or waiting.take(now + 100.0, 8) == []
