"""What every test may use."""

from collections.abc import Callable
from pathlib import Path

import pytest

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- faults: made by `make torture` -->", "<!-- end of faults -->"
_ROWS = pytest.StashKey[dict[str, tuple[str, ...]]]()


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the daemon does."""
    return "asyncio"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--torture` is what `make torture` runs: the long versions of the fault tests."""
    parser.addoption("--torture", action="store_true", help="the long versions of the fault tests")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = {}


@pytest.fixture
def torture(request: pytest.FixtureRequest) -> bool:
    """Whether to go on for minutes instead of seconds."""
    return bool(request.config.getoption("--torture"))


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Note a row of the table in tests/README.md: what was done, how often, promised, seen."""

    def note(done: str, times: int | str, promised: str, seen: str) -> None:
        # a test may try several
        place = f"{request.node.nodeid} {done}"
        request.config.stash[_ROWS][place] = (done, str(times), promised, seen)

    return note


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the faults that were tried; after `--torture` keep them in tests/README.md."""
    rows = config.stash[_ROWS]
    if not rows:
        return
    lines = ["| what was done | times | promised | seen |", "| --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(rows[node]) + " |" for node in sorted(rows)]
    terminalreporter.section("faults")
    for line in lines:
        terminalreporter.write_line(line)
    if (
        config.getoption("--torture")
        and README.exists()
        and not terminalreporter.stats.get("failed")
    ):
        text = README.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        README.write_text(f"{before}{BEGIN}\n{chr(10).join(lines)}\n{END}{after}", encoding="utf-8")
