"""Questions from other processes: their JSON forms, their limits, their plans."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from stored import named, runs_of, spend_on
from typer.testing import CliRunner

from monitor.access.holds import Posting, Reservation, Spend
from monitor.access.words import DeclarationKind, EventKind, Reason
from monitor.cli.commands import app
from monitor.store import queries, status_queries
from monitor.store.connections import reading
from monitor.store.errors import StoreError
from monitor.store.inbox import submit_declaration
from monitor.store.record_forms import as_json
from monitor.store.records import Change, NotificationState

pytestmark = pytest.mark.anyio


async def test_history_has_the_json_form_of_the_design(place, recorder, clock, make):
    await recorder.write([make.change(make.target(), "ops", "mail")])
    ops = await recorder.outbox.pending("ops", 1)
    await recorder.outbox.claim([ops[0].id], clock.now + timedelta(seconds=30))
    await recorder.outbox.delivered([ops[0].id], clock.move(seconds=1.5))
    started = make.event(
        kind=EventKind.STARTED,
        reason=Reason.DAEMON_STARTED,
        before=None,
        after=None,
        diagnosis=None,
        request_id=None,
    )
    await recorder.write([Change(events=(started,))])
    assert [json.loads(json.dumps(as_json(row))) for row in queries.history(place)] == [
        {
            "id": 1,
            "kind": "transition",
            "event": "unverified",
            "target": "acme-prod/gpt-image-2:images",
            "from": "unknown",
            "to": "unverified",
            "at": "2026-11-20T12:00:00.000Z",
            "reason": "gated",
            "diagnosis": "verification_required",
            "request_id": "req_1",
            "notifications": [
                {"channel": "mail", "state": "pending", "attempts": 0, "delivered_at": None},
                {
                    "channel": "ops",
                    "state": "delivered",
                    "attempts": 1,
                    "delivered_at": "2026-11-20T12:00:01.500Z",
                },
            ],
        },
        {
            "id": 2,
            "kind": "event",
            "event": "started",
            "target": None,
            "from": None,
            "to": None,
            "at": "2026-11-20T12:00:01.500Z",
            "reason": "daemon_started",
            "diagnosis": None,
            "request_id": None,
            "notifications": [],
        },
    ]


async def test_history_gives_the_facts_back(place, recorder, make):
    await recorder.write([make.change(make.target())])
    assert [row.event for row in queries.history(place)] == [make.event(make.target())]


async def test_status_has_the_json_form_of_the_design(place, recorder, clock, make):
    await recorder.write([make.change(make.target(), "ops")])
    today = clock.now.date()
    await recorder.write([make.spent(0.0017, today)])
    await recorder.write([make.spent(1.0, today - timedelta(days=1))])
    status = as_json(status_queries.status(place, now=clock.move(seconds=41.5)))
    assert json.loads(json.dumps(status)) == {
        "targets": [
            {
                "target": "acme-prod/gpt-image-2:images",
                "key": "acme-prod",
                "organization": "org-acme",
                "project": None,
                "route": "openai",
                "contract": "direct",
                "model": "gpt-image-2",
                "surface": "images",
                "state": "unverified",
                "since": "2026-11-20T12:00:00.000Z",
                "blocker": None,
                "last_probe_at": None,
                "last_diagnosis": "verification_required",
                "next_probe_at": "2026-11-20T12:00:25.000Z",
                "spend_today_usd": 0.0017,
            }
        ],
        "notifications": {"pending": 1, "dead": 0, "silenced": 0, "oldest_pending_s": 41.5},
        "silences": [],
        "workers": [],
    }


async def test_status_shows_active_targets_only_and_the_daemon(place, recorder, clock, make):
    await recorder.register([make.target("acme-dev")])
    await recorder.progress({"probes": 7})
    status = status_queries.status(place, now=clock.now)
    assert [target.key for target in status.targets] == ["acme-dev"]
    assert status.daemon == status_queries.daemon(place)
    assert status.daemon.progress_at == clock.now
    assert as_json(status.daemon)["status"]["probes"] == 7


async def test_targets_that_did_not_change_are_used_again(place, recorder, clock, make):
    first, second = make.target(), make.target("second")
    await recorder.register([first, second])
    known = {one.target: one for one in status_queries.status(place, now=clock.now).targets}
    await recorder.write([Change(second.name, make.gated)])
    now = {
        one.target: one for one in status_queries.status(place, now=clock.now, known=known).targets
    }
    assert now[first.name] is known[first.name]
    assert now[second.name].state == "unverified"


async def test_money_is_counted_by_month_and_by_day_with_what_is_held(place, recorder, clock, make):
    today = clock.now.date()
    spends = [
        Spend("acme", day, usd)
        for day, usd in [
            (today, 0.02),
            (today - timedelta(days=1), 0.3),
            (today - timedelta(days=30), 5),
        ]
    ]
    hold = Reservation(1, "acme/gpt-image-2:images", "acme", today, 0.01)
    await recorder.write([Change(posting=Posting(spends=tuple(spends), held=(hold,)))])
    money = status_queries.money(place, now=clock.now)
    assert money.month == pytest.approx(0.33)
    assert money.today == {"acme": pytest.approx(0.03)}
    assert money.held == {"acme": pytest.approx(0.01)}


async def test_history_is_selected_by_target_pattern_time_and_number(place, recorder, clock, make):
    for key in ("acme-prod", "acme-dev", "example", "acme-prod"):
        await recorder.write(
            [Change(events=(replace(make.event(make.target(key)), channels=("ops",)),))]
        )
        clock.move(hours=1)

    def ids(*args, **values) -> list[int]:
        return [row.event.id for row in queries.history(place, *args, **values)]

    assert ids() == [1, 2, 3, 4]
    assert ids("acme-prod/gpt-image-2:images") == [1, 4]
    assert ids("acme-*/*") == [1, 2, 4]
    assert ids("[!a]*") == [3]
    assert ids("unheard-of") == []
    assert ids(since=clock.now - timedelta(hours=2)) == [3, 4]
    assert ids("acme-*", since=clock.now - timedelta(hours=3)) == [2, 4]
    assert ids(limit=2) == [3, 4]
    assert all(row.notifications for row in queries.history(place, limit=2))


async def test_the_pages_of_history_pass_over_nothing_after_a_step_back_of_the_clock(
    place, recorder, clock, make
):
    for step in (0, 1, -60, 1, 1):
        clock.move(minutes=step)
        await recorder.write([Change(events=(make.event(make.target()),))])

    def pages(*target) -> list[list[int]]:
        found: list[list[int]] = []
        while not found or found[-1]:
            before = found[-1][0] if found else None
            rows = queries.history(place, *target, limit=2, before=before)
            found.append([row.event.id for row in rows])
        return found[:-1]

    assert pages() == pages("acme-*") == pages(make.target().name) == [[1, 2], [4, 5], [3]]


async def test_alerts_come_page_by_page_and_what_is_left_out_is_counted(place, recorder, make):
    for _ in range(5):
        await recorder.write([make.change(make.target(), "ops")])

    def page(*state, **bounds):
        rows, older = queries.alerts_and_older(place, *state, **bounds)
        return [row.id for row in rows], older

    assert page(limit=2) == ([4, 5], 3)
    assert page(limit=2, before=4) == ([2, 3], 1)
    assert page(NotificationState.DEAD) == ([], 0)
    await recorder.outbox.dead([1, 3], "gave up", make.clock.now)
    assert page(NotificationState.DEAD, limit=1) == ([3], 1)
    assert page(NotificationState.DEAD, before=3) == ([1], 0)
    assert queries.dead_alerts(place) == {1: "ops", 3: "ops"}


async def test_alerts_and_spend_have_json_forms_too(place, recorder, clock, make):
    await recorder.write([make.change(make.target(), "ops")])
    (row,) = queries.alerts(place, NotificationState.PENDING)
    assert json.loads(json.dumps(as_json(row)))["transition_id"] == 1
    assert queries.alerts(place, NotificationState.DEAD) == []
    await recorder.write([make.spent(0.5)])
    (row,) = spend_on(place, clock.now.date())
    assert as_json(row)["day"] == "2026-11-20"
    (row,) = runs_of(place, make.target().name)
    assert json.loads(json.dumps(as_json(row)))["request_ids"] == ["req_1"]


async def test_a_reader_neither_writes_nor_disturbs_the_writer(place, recorder, make):
    with reading(place) as reader:
        before = reader.execute("SELECT count(*) FROM events").fetchone()[0]
        assert await recorder.write([make.change(make.target())]) == [1]
        assert reader.execute("SELECT count(*) FROM events").fetchone()[0] == before == 0
        with pytest.raises(Exception, match=r"read-?only"):
            reader.execute("DELETE FROM events")
    assert len(queries.history(place)) == 1


async def test_a_database_at_rest_can_be_read(place, recorder, make):
    await recorder.write([make.change(make.target())])
    await recorder.aclose()
    assert len(queries.history(place)) == 1


async def test_a_database_of_another_revision_is_not_guessed_at(place, recorder, ask):
    ask("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="9999"):
        queries.history(place)


async def test_the_latest_declaration_of_each_subject_counts_taken_or_not(place, recorder, clock):
    await recorder.declare(DeclarationKind.VERIFIED, "org-acme", clock.now, "settings")
    await recorder.declare(DeclarationKind.REJECTED, "org-acme", clock.move(minutes=2), "inbox 1")
    await recorder.declare(DeclarationKind.VERIFIED, "acme-prod", clock.now, "settings")
    later = clock.move(minutes=3)
    submit_declaration(place, DeclarationKind.CLEARED, "acme-prod", later, later)
    found = queries.declared(place)
    assert {name: (str(one.kind), one.at) for name, one in found.items()} == {
        "org-acme": ("rejected", clock.now - timedelta(minutes=3)),
        "acme-prod": ("cleared", later),
    }


async def test_a_history_that_is_cut_says_so(place, recorder, make, tmp_path):
    told = Change(events=(make.event(make.target()),))
    await recorder.write([told] * queries.LIMIT)
    config = tmp_path / "access-monitor.toml"
    config.write_text(f'[monitor]\ndatabase = "{named(place)}"\n')

    def shown(*target: str) -> str:
        return CliRunner().invoke(app, ["history", *target, "--config", str(config)]).output

    assert f"These are the newest {queries.LIMIT:,}" in shown()
    assert "These are the newest" not in shown("acme-dev/*")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("k*", {"ka", "k5", "k[", "k-", "k\\"}),
        ("k?", {"ka", "k5", "k[", "k-", "k\\"}),
        ("k[a-z]", {"ka"}),
        ("k[!a]", {"k5", "k[", "k-", "k\\"}),
        ("k[^a-z0-9]", {"k[", "k-", "k\\"}),
        ("k[[]", {"k["}),
        ("k[\\d]", {"k\\"}),
        ("k[z-a]", set()),
        ("k[a-]", {"ka", "k-"}),
        ("k[", set()),
        ("*(", set()),
        ("{1}*", set()),
    ],
)
async def test_a_pattern_finds_the_same_in_each_database(place, recorder, make, pattern, found):
    names = ["ka", "k5", "k[", "k-", "k\\", "other"]
    await recorder.write([Change(events=(replace(make.event(), target=name),)) for name in names])
    assert {row.event.target for row in queries.history(place, pattern)} == found
