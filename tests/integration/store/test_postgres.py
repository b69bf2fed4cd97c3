"""What only a PostgreSQL has: it goes and comes back, and several machines can reach it."""

import asyncio
import signal
import sys
from collections.abc import Iterator

import pytest
from alembic import command
from cutting_proxy import CuttingProxy
from postgres_server import PostgresServer
from sqlalchemy import inspect

from monitor.access.databases import Server
from monitor.store import database, postgres, queries, status_queries
from monitor.store.errors import GoneError, LockedError, StoreError, UnavailableError
from monitor.store.ownership import _own_name
from monitor.store.recorder import Recorder

pytestmark = pytest.mark.anyio


@pytest.fixture
def place(server: PostgresServer) -> Iterator[Server]:
    with server.empty() as address:
        yield Server(address)


@pytest.fixture
def proxy(server: PostgresServer) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(server.folder / ".s.PGSQL.5432")
    yield proxy
    proxy.close()


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
    host, _, process = _own_name().rpartition(", process ")
    dead = f"{host}, process {ended.pid}/{process.partition('/')[2]}"
    ask("UPDATE fences SET holder = ?", dead)
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
    server, proxy, clock, make, ask, place, heard
):
    (schema,) = ask("SELECT current_schema()")
    through = Server(server.url(search_path=schema[0], port=proxy.port))
    recorder = await Recorder.open(through, clock=clock)
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
