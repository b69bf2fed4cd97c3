"""What every test may use."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

#: What tests of several folders share.
sys.path.insert(0, str(Path(__file__).with_name("support")))

# A busy machine is no failure: what takes too long is ended by pytest-timeout.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

README = Path(__file__).with_name("README.md")
#: Where the fault tests are; a run of less than all of them makes no table.
FAULTS = README.parent / "system"
BEGIN, END = "<!-- faults: made by `make torture` -->", "<!-- end of faults -->"
#: The tests that were collected, by all workers.
_WANTED = pytest.StashKey[set[str]]()
#: How a row of the table is named among a report's properties, which the workers hand on.
_ROW = "fault"


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the daemon does; see also support/quick_time.py."""
    return "asyncio"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--torture` is what `make torture` runs: the fault tests alone, in their long versions."""
    parser.addoption(
        "--torture", action="store_true", help="the fault tests, in their long versions"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_WANTED] = set()


# first: what `-k` and the like take away afterwards is missed at the end
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--torture` leave out what has no row in the table: it has no long version either."""
    if not config.getoption("--torture"):
        return
    others = [item for item in items if "fault" not in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]
    config.stash[_WANTED] = {item.nodeid for item in items}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Where workers collect, the process that makes the table learns it from them."""
    node.config.stash[_WANTED] |= set(ids)


@pytest.fixture
def torture(request: pytest.FixtureRequest) -> bool:
    """Whether to go on for minutes instead of seconds."""
    return bool(request.config.getoption("--torture"))


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Note a row of the table in tests/README.md: what was done, how often, promised, seen."""
    # a test may try several
    properties = request.node.user_properties

    def note(done: str, times: int | str, promised: str, seen: str) -> None:
        properties.append((_ROW, (done, str(times), promised, seen)))

    return note


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the faults that were tried; after a whole `--torture` keep them in tests/README.md."""
    reports = {
        report.nodeid: report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
    }
    rows = [
        row
        for _, report in sorted(reports.items())
        for name, row in report.user_properties
        if name == _ROW
    ]
    if not rows:
        return
    lines = ["| what was done | times | promised | seen |", "| --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    terminalreporter.section("faults")
    for line in lines:
        terminalreporter.write_line(line)
    if not config.getoption("--torture"):
        return
    passed = {nodeid for nodeid, report in reports.items() if report.passed}
    named = {(config.invocation_params.dir / name).resolve() for name in config.args}
    missing = config.stash[_WANTED] - passed
    if missing or not named & {FAULTS, README.parent}:
        which = f"{len(missing)} of them did not" if missing else "others did not run"
        terminalreporter.write_line(
            f"tests/README.md is left as it is: not all ran and passed, {which}"
        )
        return
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join(lines)
    README.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
