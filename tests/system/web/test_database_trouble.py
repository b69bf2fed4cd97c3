"""A database that is gone, replaced, locked, newer or damaged: the page says so, and goes on by itself."""

import asyncio
import re
import shutil
import signal
import sqlite3
import time
from contextlib import contextmanager

import pytest
from playwright.async_api import expect

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

expect.set_options(timeout=60_000)


@contextmanager
def gone(database):
    away = database.with_name("away.db")
    database.rename(away)
    yield
    away.rename(database)


@contextmanager
def damaged(database):
    good = database.read_bytes()
    # every page but the first: SQLite still takes it for one of its own
    database.write_bytes(good[:4096] + b"\xa5" * (len(good) - 4096))
    yield
    database.write_bytes(good)


@contextmanager
def not_ours(database):
    good = database.read_bytes()
    database.write_bytes(b"this is no database\n" * 1000)
    yield
    database.write_bytes(good)


def change(database, statement: str) -> None:
    connection = sqlite3.connect(database, timeout=30)
    with connection:
        connection.execute(statement)
    connection.close()


@contextmanager
def newer(database):
    connection = sqlite3.connect(database)
    (was,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    connection.close()
    change(database, "UPDATE alembic_version SET version_num = '9999'")
    yield
    change(database, f"UPDATE alembic_version SET version_num = '{was}'")


@contextmanager
def locked(database):
    """Another process that lets nobody read."""
    connection = sqlite3.connect(database, timeout=30, isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    for _ in range(1000):
        try:
            connection.execute("BEGIN EXCLUSIVE")
            break
        except sqlite3.OperationalError:  # the page reads just now
            time.sleep(0.01)
    else:
        pytest.fail("the database was never free")
    yield
    connection.execute("COMMIT")
    connection.close()


async def at_rest(site) -> None:
    """Watch until there is something to show, and stop the daemon: it would mend, or mind."""
    await site.watch()
    site.daemon.send_signal(signal.SIGTERM)
    assert await site.daemon.wait() == 0
    await site.serve()


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (gone, "there is no database yet"),
        (damaged, "damaged|malformed"),
        (not_ours, "not a database"),
        (newer, "of revision 9999"),
        (locked, "locked"),
    ],
)
async def test_what_is_wrong_is_said_and_the_page_goes_on_by_itself(site, viewer, trouble, said):
    viewer.expected = ["status of 503"]
    await at_rest(site)
    open_before = await viewer.open(site.url)
    await open_before.evaluate("window.untouched = true")
    await expect(open_before.locator("#stream")).to_contain_text("Live.")
    with trouble(site.database):
        page = await viewer.open("about:blank")
        # what was read a moment ago is still shown; then it is asked anew
        async with page.expect_response(lambda answer: answer.status == 503):
            while (await page.goto(site.url)).status == 200:
                pass
        await expect(page.locator("h1")).to_have_text("Not now")
        await expect(page.locator("main")).to_contain_text(re.compile(said))
        await expect(page.get_by_role("link", name="Back to the overview")).to_be_visible()
        await expect(open_before.locator("#stream")).to_contain_text("renew this failed")
        await expect(open_before.locator("h1")).to_contain_text("targets are open")
    # nobody presses anything
    await expect(page.locator("h1")).to_contain_text("targets are open")
    await expect(open_before.locator("#stream")).not_to_contain_text("renew this failed")
    assert await open_before.evaluate("window.untouched") is True
    refusals = [row for row in site.logged() if row["event"] == "events_not_read"]
    assert len(refusals) <= 3  # said once, not each second
    assert not [row for row in site.logged() if row["event"] == "request_failed"]


async def test_it_starts_before_the_daemon_and_shows_what_comes(site, viewer, target):
    viewer.expected = ["status of 503"]
    site.write_settings(tokens=False)
    await site.serve()
    page = await viewer.open(site.url)
    await expect(page.locator("main")).to_contain_text("there is no database yet")
    await site.watch()
    await expect(page.get_by_role("link", name=target)).to_be_visible()


async def test_another_database_in_its_place_is_shown_and_told_to_open_pages(site, viewer, target):
    await at_rest(site)
    page = await viewer.open(site.url)
    await expect(page.locator("#stream")).to_contain_text("Live.")
    await expect(page.get_by_role("link", name=target)).to_be_visible()
    other = site.database.with_name("other.db")
    shutil.copy(site.database, other)
    change(other, "DELETE FROM notifications")
    change(other, "DELETE FROM events")
    change(other, "UPDATE targets SET active = 0 WHERE name NOT LIKE 'relay-one/%'")
    other.replace(site.database)
    await expect(page.locator("h1")).to_have_text(re.compile(r"^The target is (not )?open$"))
    await expect(page.get_by_role("link", name=target)).to_have_count(0)


async def test_a_stop_does_not_wait_long_for_a_database_that_nobody_may_read(site):
    await at_rest(site)
    with locked(site.database):
        async with site.client() as client:
            asking = asyncio.create_task(client.get("/"))
            try:
                await site.lab.until(lambda: site.web.returncode is None, "it to run")
                assert (await client.get("/static/page.css")).status_code == 200
                began = time.monotonic()
                site.web.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(site.web.wait(), 30) == 0
                took = time.monotonic() - began
            finally:
                asking.cancel()
    print(f"a stop while the database is locked: {took:.2f} s")
    # a query under way waits 5 s for the lock
    assert took < 10
