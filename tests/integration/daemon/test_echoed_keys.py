"""A server that echoes the key in every form: nothing of it is in the database, the log or a message."""

import io

import pytest
import structlog
from echoes import FORMS, HOWS, KEYS, EchoServer, cells, remains

from monitor.config import load
from monitor.daemon.channels import redactor_of
from monitor.logs import configure

pytestmark = pytest.mark.anyio

#: Every surface and form is in tests/unit/access/test_echoed_keys.py.
WATCHED = '"gpt-image-2", "gpt-5.1:stream"'
SETTINGS = """
[monitor]
database = "sqlite:///monitor.db"
[routes.sim]
base_url = "{base_url}"
contract = "direct"
rate = 500.0
[[channels]]
name = "ops"
url = "env:OPS"
[cadence]
eager = "2s"
listing = "2s"
blocked = "2s"
inconclusive = "2s"
image_gap = "1ms"
"""


def of(number: int, which: str) -> str:
    return f"{KEYS[which]}-QwErTyUiOp{number:02}x0123456789"


async def test_nothing_of_an_echoed_key_is_recorded_told_or_logged(bench):
    ways, environ, keys = {}, {"OPS": "json://127.0.0.1:9/"}, []
    for number, form in enumerate(FORMS):
        for which in KEYS:
            cut = None if number % 3 else len(KEYS[which])
            secret, name = of(number, which), f"{which}{number}"
            ways[secret] = (form, cut, HOWS[number % len(HOWS)])
            environ[name.upper()] = secret
            keys.append(
                f'[[keys]]\nname = "{name}"\nsecret = "env:{name.upper()}"\nroute = "sim"\n'
                f"watch = [{WATCHED}]\n"
            )
    server = EchoServer(ways)
    base_url = await server.start()
    path = bench.folder / "access-monitor.toml"
    path.write_text(SETTINGS.format(base_url=base_url) + "".join(keys))
    settings = load(path, environ)
    log = io.StringIO()
    configure(redactor_of(settings), log_format="json", level="DEBUG", stream=log)
    try:
        await bench.run(settings)
        targets = 2 * len(ways)
        # two rounds: what repeats is read from memory, and a blocker is told when it was seen twice
        await bench.until(lambda: server.asked >= 3 * targets and len(bench.taker.texts) >= 20)
        await bench.stop()
    finally:
        structlog.reset_defaults()
        await server.stop()
    texts = list(cells(bench.folder / "monitor.db"))
    files = [file.read_bytes().decode("latin-1") for file in bench.folder.glob("*.db*")]
    texts += [("a message", text) for text in (*bench.taker.texts, *bench.taker.titles)]
    texts += [("the log", line) for line in log.getvalue().splitlines()]
    assert len(texts) > 500
    everyone = tuple(ways)
    assert files
    assert [found for text in files if (found := remains(text, everyone, 1))] == []
    assert [(place, found) for place, text in texts if (found := remains(text, everyone, 3))] == []
    assert any("[hidden]" in text for _, text in texts)
