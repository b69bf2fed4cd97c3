"""What only a PostgreSQL has: it goes and comes back, and several machines can reach it."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta

import psycopg
import pytest
from alembic import command
from cutting_proxy import CuttingProxy
from postgres_server import PostgresServer
from sqlalchemy import inspect, text

from monitor.access.databases import Server
from monitor.access.holds import Need, Posting, Reservation
from monitor.access.limits import Budget
from monitor.access.memory import ClockStep
from monitor.access.spending import BudgetLedger
from monitor.access.words import Reason
from monitor.daemon.payments import Payments
from monitor.oneshot.booking import RESERVE
from monitor.store import database, errors, fences, postgres, queries, status_queries, write_queue
from monitor.store.errors import (
    GoneError,
    LockedError,
    StoreError,
    UnansweredError,
    UnavailableError,
)
from monitor.store.inbox import reply_to, submit
from monitor.store.ownership import open_books
from monitor.store.recorder import Recorder

pytestmark = pytest.mark.anyio


@pytest.fixture
def place(on_server: Server) -> Server:
    return on_server


def named(
    *, process: int | None = None, started: str | None = None, machine: str | None = None
) -> str:
    """A holder as this process would name itself, but for what is given."""
    name, own_start, own_machine = fences.own_name().split("/", 2)
    host, _, number = name.rpartition(", process ")
    return f"{host}, process {process or number}/{started or own_start}/{machine or own_machine}"


async def through(proxy: CuttingProxy, server: PostgresServer, ask, clock) -> Recorder:
    """A recorder whose connections the proxy passes on."""
    (schema,) = ask("SELECT current_schema()")
    place = Server(server.url(search_path=schema[0], port=proxy.port))
    return await Recorder.open(place, clock=clock)


async def test_a_second_daemon_is_refused_while_the_first_lives(place, recorder, clock):
    with pytest.raises(
        LockedError, match=r"another instance has this database .*can be taken over"
    ):
        await Recorder.open(place, clock=clock)
    await recorder.aclose()
    await (await Recorder.open(place, clock=clock)).aclose()


async def test_a_daemon_of_this_machine_that_was_killed_is_followed_at_once(
    place, recorder, clock, ask
):
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await ended.wait()
    ask("UPDATE fences SET holder = ?", named(process=ended.pid))
    await (await Recorder.open(place, clock=clock)).aclose()


async def test_a_daemon_of_another_machine_is_followed_when_it_was_not_seen_for_long(
    place, recorder, clock, ask
):
    ask("UPDATE fences SET holder = 'elsewhere, process 1/0-1'")
    with pytest.raises(LockedError, match="elsewhere, process 1, seen"):
        await Recorder.open(place, clock=clock)
    ask("UPDATE fences SET seen_at = seen_at - interval '46 seconds'")
    await (await Recorder.open(place, clock=clock)).aclose()


async def test_who_lost_the_database_records_nothing_more_and_says_so(
    place, recorder, clock, make, ask, kill
):
    kill(recorder)  # as the other one sees it
    other = await Recorder.open(place, clock=clock)
    with pytest.raises(GoneError, match="another daemon has taken the database over"):
        await recorder.write([make.change(make.target())])
    with pytest.raises(GoneError):
        recorder.require_own()
    assert ask("SELECT count(*) FROM events") == [(0,)]
    with pytest.raises(GoneError):
        await recorder.queue.keep([make.change(make.target())])
    await other.register([make.target()])
    assert len(await other.write([make.change(make.target())])) == 1
    await other.aclose()
    assert ask("SELECT count(*) FROM events") == [(1,)]


async def test_what_is_learned_while_the_server_is_away_is_written_when_it_is_back(clock, make):
    server = PostgresServer(durable=True)
    try:
        place = Server(server.url())
        recorder = await Recorder.open(place, clock=clock)
        await recorder.register([make.target()])
        assert await recorder.write([make.change(make.target(), "ops")]) == [1]
        assert len(queries.history(place)) == 1
        server.stop(signal.SIGQUIT)  # as if it had been killed
        with pytest.raises(UnavailableError):
            await recorder.write([make.change(make.target(), "ops")])
        with pytest.raises(StoreError, match="connection"):
            queries.history(place)
        kept = [recorder.queue.keep([make.change(make.target(), "ops")]) for _ in range(20)]
        await asyncio.gather(*kept)
        assert recorder.queue.refusing
        server.start()
        await recorder.queue.written()
        assert not recorder.queue.refusing
        assert len(queries.history(place)) == 21
        assert len(await recorder.outbox.pending("ops", 100)) == 21
        await recorder.aclose()
    finally:
        server.close()


@pytest.mark.parametrize("heard", [True, False])
async def test_a_commit_without_an_answer_is_neither_lost_nor_made_twice(
    server, proxy, clock, make, ask, heard, monkeypatch
):
    monkeypatch.setattr(write_queue, "_AGAIN", 0.05)
    recorder = await through(proxy, server, ask, clock)
    await recorder.register([make.target()])
    proxy.heard = heard
    for number in range(1, 6):
        proxy.word = b"COMMIT"
        await recorder.queue.keep([make.change(make.target(), "ops")])
        await recorder.queue.written()
        assert proxy.cuts == number
        assert ask("SELECT count(*) FROM events") == [(number,)]
    (run,) = ask("SELECT answers FROM runs")
    assert run == (5,)
    await recorder.aclose()


async def test_migrations_make_the_tables_that_a_new_database_has(server, place):
    def tables(of: Server) -> dict[str, object]:
        with database.writing_engine(of).connect() as connection:
            seen = inspect(connection)
            return {
                name: (
                    [(c["name"], str(c["type"]), getattr(c["type"], "collation", None), c["nullable"],
                      c["default"]) for c in sorted(seen.get_columns(name), key=lambda c: c["name"])],
                    sorted(map(str, seen.get_indexes(name))),
                    sorted(map(str, seen.get_check_constraints(name))),
                    sorted(map(str, seen.get_unique_constraints(name))),
                    sorted(map(str, seen.get_foreign_keys(name))),
                    seen.get_pk_constraint(name),
                )
                for name in seen.get_table_names()
            }  # fmt: skip

    database.migrate(place)
    config = database._config()
    with server.empty() as address:
        migrated = Server(address)
        with database.writing_engine(migrated).begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
            connection.exec_driver_sql(
                "INSERT INTO events (kind, at, reason, facts)"
                " VALUES ('offline', '2026-11-20 12:00:00+00', 'all_routes_fail', '{}')"
            )
        assert database.migrate(migrated) == "0001"
        assert len(queries.history(migrated)) == 1
        assert tables(migrated) == tables(place)


async def test_many_that_make_the_tables_at_once_make_them_once(place):
    await asyncio.gather(*(asyncio.to_thread(database.create, place) for _ in range(6)))
    assert queries.history(place) == []


async def test_without_tables_it_says_what_to_start(place, clock, ask):
    with pytest.raises(StoreError, match="the database is empty; start `access-monitor run` first"):
        status_queries.status(place, now=clock.now)
    ask("CREATE TABLE cookies (id INTEGER)")
    with pytest.raises(StoreError, match="another program"):
        await Recorder.open(place, clock=clock)


async def test_no_text_has_the_password(server, clock):
    place = Server("postgresql://monitor:FAKE-password-0001@127.0.0.1:9/monitor?sslmode=disable")
    assert str(place) == "postgresql://127.0.0.1:9/monitor"
    with pytest.raises(StoreError) as refused:
        status_queries.status(place, now=clock.now)
    texts = [str(refused.value), repr(refused.value.__cause__), repr(place), f"{place}"]
    assert not any("FAKE-password" in text for text in texts)
    assert texts[0].startswith("postgresql://127.0.0.1:9/monitor: connection")
    with pytest.raises(StoreError) as refused:
        await Recorder.open(place, clock=clock)
    assert "FAKE-password" not in str(refused.value)


def test_placeholders_in_quotes_and_casts_stay():
    sql = (
        "SELECT ':at ? %', a::text FROM t WHERE b = ? AND c LIKE '%' AND d = :after_1 OR e % 2 = 0"
    )
    assert postgres._translated(sql).decode() == (
        "SELECT ':at ? %%', a::text FROM t WHERE b = %s AND c LIKE '%%' AND d = %(after_1)s OR e %% 2 = 0"
    )


def test_of_a_process_elsewhere_nothing_is_known():
    assert not fences.is_dead(named())
    assert fences.is_dead(named(started="1")), "a later process has its number"
    assert not fences.is_dead(named(process=2**22 - 1, machine="another:pid:[1]"))
    assert not fences.is_dead("elsewhere" + named(process=2**22 - 1))
    assert not fences.is_dead("no name at all")


async def test_who_was_taken_for_dead_by_a_command_writes_nothing_more(
    place, recorder, clock, make, ask, kill
):
    kill(recorder)
    with open_books(place, BudgetLedger(Budget()), clock.now) as books:
        books.post(Posting(held=(Reservation(1, "check", "acme-prod", clock.now.date(), 0.09),)))
    with pytest.raises(GoneError):
        await recorder.write([make.change(make.target())])
    assert ask("SELECT account, usd FROM holds") == [("check", 0.09)]
    again = await Recorder.open(place, clock=clock)
    await again.aclose()


async def test_who_lost_the_database_learns_it_without_writing(place, recorder, clock, kill):
    kill(recorder)
    other = await Recorder.open(place, clock=clock)
    assert await recorder.inbox() == []
    with pytest.raises(GoneError):
        recorder.require_own()
    assert await other.inbox() == []
    other.require_own()
    await other.aclose()


async def test_a_newer_version_does_not_migrate_under_a_living_daemon(
    place, recorder, clock, make, ask, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(database, "HEAD", "0006")
        with pytest.raises(LockedError):
            await Recorder.open(place, clock=clock)
        with pytest.raises(LockedError), open_books(place, BudgetLedger(Budget()), clock.now):
            pass
    assert ask("SELECT version_num FROM alembic_version") == [(errors.HEAD,)]
    await recorder.write([make.change(make.target())])


async def test_a_server_that_hangs_is_as_one_that_is_away(clock, make, monkeypatch):
    monkeypatch.setattr(postgres, "READ_MOST", 0.5)
    monkeypatch.setattr(postgres, "WRITE_MOST", 1.0)
    server = PostgresServer(durable=True)
    try:
        place = Server(server.url())
        recorder = await Recorder.open(place, clock=clock)
        await recorder.register([make.target()])
        assert queries.history(place) == []
        with psycopg.connect(server.url(), autocommit=True) as connection:
            own = connection.info.backend_pid
            query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> %s"
            backends = [pid for (pid,) in connection.execute(query, (own,))]
        for pid in backends:
            os.kill(pid, signal.SIGSTOP)
        server.pause()  # and takes no new connection
        kept = asyncio.create_task(recorder.queue.keep([make.change(make.target())]))
        with pytest.raises(StoreError):
            await asyncio.to_thread(queries.history, place)
        await kept
        assert recorder.queue.refusing
        server.go_on()
        for pid in backends:
            os.kill(pid, signal.SIGCONT)
        await recorder.queue.written()
        assert len(queries.history(place)) == 1
        await recorder.aclose()
    finally:
        server.close()


async def test_a_lock_of_somebody_else_holds_nobody_for_long(
    place, recorder, make, ask, monkeypatch
):
    monkeypatch.setattr(fences, "_LIMITS", text("SELECT set_config('lock_timeout', '200ms', true)"))
    with postgres.connect(place) as other:
        other.execute("LOCK TABLE events")
        await recorder.queue.keep([make.change(make.target())])
        assert "lock timeout" in (recorder.queue.refusing or "")
    await recorder.queue.written()
    assert ask("SELECT count(*) FROM events") == [(1,)]


async def test_results_are_kept_while_a_table_is_missing(recorder, make, ask):
    ask("ALTER TABLE events RENAME TO elsewhere")
    await recorder.queue.keep([make.change(make.target(), "ops")])
    assert recorder.queue.refusing
    ask("ALTER TABLE elsewhere RENAME TO events")
    await recorder.queue.written()
    assert ask("SELECT count(*) FROM events") == [(1,)]


async def test_a_silence_that_was_made_without_an_answer_is_known_and_ends(
    server, proxy, place, clock, make, ask
):
    recorder = await through(proxy, server, ask, clock)
    await recorder.register([make.target()])
    item = submit(place, "silence", {}, clock.now)
    proxy.word = b"COMMIT"
    expires_at = clock.now + timedelta(hours=1)
    with pytest.raises(UnansweredError):
        await recorder.silences.make(["*/*"], "why", "me", expires_at, item=item)
    await recorder.silences.refresh()
    silence = recorder.silences.get(1)
    assert silence is not None
    assert await recorder.inbox() == []
    await recorder.silences.end(silence, Reason.SILENCE_ENDED_BY_HAND)
    await recorder.silences.refresh()
    assert recorder.silences.get(1) is None
    await recorder.aclose()


async def test_money_that_was_lent_without_an_answer_stays_lent(
    server, proxy, place, clock, make, ask
):
    recorder = await through(proxy, server, ask, clock)
    await recorder.register([make.target()])
    payments = Payments(recorder, [], None, None)
    payments._ledger.budget = Budget(per_key_per_day=0.10, per_month=0.10)
    wanted = {"wanted": [["check", "acme-prod", 0.09]], "day": f"{clock.now:%Y-%m-%d}"}
    asked = submit(place, RESERVE, wanted, clock.now)
    (item,) = await recorder.inbox()
    proxy.word = b"COMMIT"
    with pytest.raises(UnansweredError):
        await payments.asked(item)
    assert reply_to(place, asked)["held"], "the command may send"
    found = payments._ledger.reserve("t", "acme-prod", clock.now.date(), 0.09, Need.ANSWERED)
    assert found is None, "it was given away once"
    await recorder.aclose()


async def test_a_step_of_the_clock_without_an_answer_is_made_once(
    server, proxy, place, clock, make, ask, monkeypatch
):
    monkeypatch.setattr(write_queue, "_AGAIN", 0.05)
    recorder = await through(proxy, server, ask, clock)
    await recorder.register([make.target()])
    await recorder.write([make.change(make.target(), "ops")])
    for heard in (True, False):
        (before,) = await recorder.outbox.pending("ops", 10)
        proxy.word, proxy.heard = b"COMMIT", heard
        now = before.created_at
        await recorder.outbox.shift_pending(ClockStep(timedelta(hours=20), now, now))
        await recorder.queue._until(lambda: recorder.queue.refusing is None)
        (moved,) = await recorder.outbox.pending("ops", 10)
        assert moved.created_at == before.created_at + timedelta(hours=20)
    assert proxy.cuts == 2
    await recorder.aclose()


async def test_targets_that_were_replaced_without_an_answer_are_so_again(
    server, proxy, place, clock, make, ask
):
    recorder = await through(proxy, server, ask, clock)
    await recorder.register([make.target()])
    proxy.word = b"COMMIT"
    with pytest.raises(UnansweredError):
        await recorder.register([make.target(key="another")])
    await recorder.register([make.target()], again=True)
    await recorder.progress({})  # it works again
    await recorder.write([make.change(make.target())])
    assert ask("SELECT key FROM targets WHERE active") == [(make.key,)]
    await recorder.aclose()


async def test_no_error_has_the_values_of_a_row(recorder, make, ask):
    ask("ALTER TABLE spend ADD CONSTRAINT few CHECK (probes < 0)")
    with pytest.raises(StoreError, match=r'violates check constraint "few"$') as refused:
        await recorder.write([make.spent(0.01)])
    assert make.key not in str(refused.value)


def test_without_the_driver_it_says_what_to_install():
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from monitor.access.databases import Server\n"
        "from monitor.store.queries import names\n"
        "from monitor.store.errors import StoreError\n"
        "try: names(Server('postgresql://db.example/monitor'))\n"
        "except StoreError as error: print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'access-monitor[postgres]'" in ended.stdout
