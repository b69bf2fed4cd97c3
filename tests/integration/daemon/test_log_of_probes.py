"""What the log says of probes: what changes always, and of equal answers one in so many."""

import io
import json

import pytest

from monitor.access.masking import Redactor
from monitor.logs import configure

pytestmark = pytest.mark.anyio

SECRET = "sk-sim-FAKE-acme-0001"
POOL = """
[[pools]]
name = "pool-a"
secrets = "file:a.keys"
route = "sim"
watch = ["gpt-image-2"]
log_every = 5
"""


@pytest.fixture
def probes():
    """The probes in the log of this level, as they are written."""
    stream = io.StringIO()

    def start(level: str = "INFO"):
        configure(Redactor(), log_format="json", level=level, stream=stream)

        def logged(field: str) -> list:
            lines = [json.loads(line) for line in stream.getvalue().splitlines()]
            return [line[field] for line in lines if line["event"] == "probe"]

        return logged

    yield start
    configure(Redactor(), log_format="json", stream=io.StringIO())


@pytest.mark.parametrize("kind", ["key", "pool"])
async def test_of_equal_answers_the_first_is_logged_and_then_one_in_so_many(
    bench, key, simulated, probes, kind
):
    logged = probes()
    await bench.simulate(simulated("acme"))
    (bench.folder / "a.keys").write_text(SECRET)
    (bench.folder / "a.keys").chmod(0o600)
    watched = POOL if kind == "pool" else key("acme", more="log_every = 5")
    await bench.run(bench.settings(watched))
    await bench.until(lambda: len(logged("equal")) >= 4)
    assert logged("equal")[:4] == [1, 5, 10, 15]
    assert set(logged("level")) == {"info"}


async def test_what_changes_is_logged_however_seldom_equal_answers_are(
    bench, key, simulated, probes
):
    logged = probes()
    await bench.simulate(simulated("acme", "[keys.gate]\nopen = 12"))
    await bench.run(bench.settings(key("acme", more="log_every = 1000000")))
    await bench.until(lambda: "available" in bench.events())
    seen = list(zip(logged("diagnosis"), logged("state"), strict=True))
    assert seen[:2] == [
        ("verification_required", "unverified"),
        ("access_granted", "propagating"),
    ]
    assert ("access_granted", "available") in seen


async def test_at_the_level_debug_each_probe_is_logged(bench, key, simulated, probes):
    logged = probes("DEBUG")
    await bench.simulate(simulated("acme"))
    await bench.run(bench.settings(key("acme")))
    await bench.until(lambda: 4 in logged("equal"))
    assert logged("equal")[:4] == [1, 2, 3, 4]
    assert logged("level")[:4] == ["info", "debug", "debug", "debug"]
