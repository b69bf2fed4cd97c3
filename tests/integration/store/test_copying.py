"""From a file to a PostgreSQL: all of it, compared, and again if need be."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from monitor.access.holds import Posting, Reservation
from monitor.store import postgres, queries, status_queries
from monitor.store.copying import copy_to
from monitor.store.errors import DestinationError, LockedError, StoreError
from monitor.store.inbox import submit
from monitor.store.recorder import Recorder
from monitor.store.records import Change
from monitor.store.status_queries import figures
from monitor.store.target_queries import target_record

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stopped(path, clock, make) -> AsyncIterator[None]:
    """A monitor that knows a little of everything, and is stopped."""
    recorder = await Recorder.open(path, clock=clock)
    await recorder.register([make.target(), make.target(key="é-\t\\N")])
    for number in range(5):
        changed = make.change(make.target(), "ops", "mail")
        await recorder.write([changed, make.spent(0.01 + number / 3)])
        clock.move(seconds=0.123457)
    hold = Reservation(1, "acme-prod/x", "acme-prod", clock.now.date(), 0.1)
    await recorder.write([Change(posting=Posting(held=(hold,)))])
    item = submit(path, "silence", {"words": "tab\t and \\ and 'quotes'\n"}, clock.now)
    expires_at = clock.now + timedelta(hours=1)
    await recorder.silences.make(["*/*"], "a reason", "who", expires_at, item=item)
    await recorder.write([make.change(make.target(), "ops")])
    await recorder.aclose()


def seen(place, clock, make) -> list[object]:
    """All that anybody reads."""
    name = make.target().name
    of_daemon = status_queries.status(place, now=clock.now)
    return [
        of_daemon, queries.history(place), queries.alerts(place), queries.names(place),
        queries.silences(place, clock.now), queries.spent_by_key(place), figures(place, (), ()).spent,
        target_record(place, name), queries.routes(place, since=clock.now - timedelta(days=1)),
    ]  # fmt: skip


@pytest.mark.usefixtures("stopped")
async def test_all_that_is_read_is_the_same_and_numbers_go_on(path, on_server, clock, make):
    copied = copy_to(path, on_server)
    assert {name: copied[name] for name in ("events", "notifications", "targets", "holds")} == {
        "events": 6, "notifications": 11, "targets": 2, "holds": 1,
    }  # fmt: skip
    assert seen(on_server, clock, make) == seen(path, clock, make)
    assert copy_to(path, on_server) == copied, "it can be done again"
    recorder = await Recorder.open(on_server, clock=clock)
    await recorder.register([make.target()])
    assert await recorder.write([make.change(make.target(), "ops")]) == [7]
    assert submit(on_server, "retry", {}, clock.now) == 2
    await recorder.aclose()
    assert len(queries.history(on_server)) == 7
    with pytest.raises(DestinationError, match="this database was used since"):
        copy_to(path, on_server)
    assert len(queries.history(on_server)) == 7


@pytest.mark.usefixtures("stopped")
async def test_neither_may_have_a_daemon(path, on_server, clock):
    recorder = await Recorder.open(path, clock=clock)
    with pytest.raises(LockedError, match="another instance has this database open"):
        copy_to(path, on_server)
    await recorder.aclose()
    recorder = await Recorder.open(on_server, clock=clock)
    with pytest.raises(LockedError, match="another instance has this database"):
        copy_to(path, on_server)
    await recorder.aclose()


@pytest.mark.usefixtures("stopped")
async def test_a_copy_that_differs_is_refused_and_leaves_what_was_there(path, on_server):
    copied = copy_to(path, on_server)
    with postgres.connect(on_server, autocommit=True) as connection:
        connection.execute(
            """
            CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN NEW.facts = '{}'; RETURN NEW; END $$
            """
        )
        connection.execute(
            "CREATE TRIGGER spoil BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION spoil()"
        )
    before = queries.history(on_server)
    with pytest.raises(StoreError, match="events: the copy differs from the original"):
        copy_to(path, on_server)
    assert queries.history(on_server) == before
    assert len(before) == copied["events"]


@pytest.mark.usefixtures("stopped")
async def test_it_is_copied_again_after_it_went_on_and_not_after_the_copy_was_used(
    path, on_server, clock, make
):
    copy_to(path, on_server)
    recorder = await Recorder.open(path, clock=clock)
    await recorder.register([make.target()])
    await recorder.write([make.change(make.target(), "ops"), make.spent(0.5)])
    await recorder.aclose()
    copy_to(path, on_server)
    assert seen(on_server, clock, make) == seen(path, clock, make)
    submit(on_server, "declare", {"of": "somebody"}, clock.now)
    with pytest.raises(DestinationError, match="its inbox are not those of the file"):
        copy_to(path, on_server)
