"""`check` and `wait`: answers now, without a daemon."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from monitor.access.readable import duration, many, printable
from monitor.access.words import Contract, DeclarationKind, Effect, State
from monitor.cli import completing
from monitor.cli.common import (
    CheckFormat,
    ConfigOption,
    Exit,
    WaitFormat,
    diagnosis_json,
    fail,
    load_settings,
    note,
    print_json,
    print_table,
    select_targets,
)
from monitor.cli.junit import Case, as_junit
from monitor.cli.reservations import OverBudget, Yes, agree, probing, reserving
from monitor.cli.streams import redactor

if TYPE_CHECKING:
    from monitor.access.diagnosis.advice import Advice
    from monitor.access.holds import Reservation
    from monitor.access.memory import TargetState
    from monitor.access.target import Target
    from monitor.alerts.interfaces import Sender
    from monitor.alerts.render import Message
    from monitor.config import Settings
    from monitor.daemon.service import Monitor
    from monitor.oneshot.probe_once import Checked

#: Most targets that an advice, or a wait without success, names.
_NAMED_MOST = 10
#: Most different texts of answers that a diagnosis shows; each has 500 characters at most.
_SAID_MOST = 3


def target_argument(metavar: str) -> Any:
    """What `select_targets` reads on a command line."""
    return typer.Argument(
        metavar=metavar,
        help="KEY, KEY/MODEL or KEY/MODEL:SURFACE.",
        autocompletion=completing.targets,
    )


def check(
    names: Annotated[list[str] | None, target_argument("[TARGET]…")] = None,
    config: ConfigOption = None,
    output: CheckFormat = "text",
    *,
    yes: Yes = False,
    over_budget: OverBudget = False,
) -> None:
    """Make one full probe of each target; the exit status says what the answers mean.

    0 granted, 10 gated (11 after a fresh declaration), 12 locked, 13 blocked, 14 inconclusive.
    """
    from monitor.daemon.signals import run
    from monitor.oneshot.probe_once import check_all

    settings = with_declarations(load_settings(config, alerting=False), datetime.now(UTC))
    targets = select_targets(settings, names or [])
    agree(_announce_cost(settings, targets, times=1), yes=yes)
    with probing(settings, targets, over=over_budget) as attempts:
        checked = run(check_all(settings, targets, attempts))
    if output == "json":
        print_json([_as_json(one) for one in checked])
    elif output == "junit":
        print(as_junit("access-monitor.check", [_case(one) for one in checked], datetime.now(UTC)))
    else:
        _print(checked)
    raise typer.Exit(
        max(status_of(settings, one.target.key, one.diagnosis.effect) for one in checked)
    )


def _announce_cost(settings: "Settings", targets: "Sequence[Target]", *, times: int) -> float:
    """Print what the probes cost by the catalog, and return it: servers may bill more, up to the budget."""
    from monitor.oneshot.probe_once import cost

    total = cost(settings, targets) * times
    note(
        f"{many(len(targets), 'target')}; refused probes cost nothing;"
        f" about ${total:.4f} if all are open"
    )
    return total


def _print(checked: "Sequence[Checked]") -> None:
    from monitor.access.diagnosis.advice import advise_on

    rows = [
        (
            one.target.name,
            str(one.diagnosis.effect),
            str(one.diagnosis.code),
            str(one.observation.status or "-"),
            f"{one.observation.timings.total:.0f} ms",
            f"${one.cost_usd:.5f}"
            + (" (in doubt)" if one.doubt else "")
            + (" (estimate)" if one.estimated and one.cost_usd else ""),
            one.diagnosis.request_id or "-",
        )
        for one in checked
    ]
    print_table(("TARGET", "EFFECT", "DIAGNOSIS", "STATUS", "TOOK", "COST", "REQUEST"), rows)
    told: dict[tuple[str, str, Advice], list[Checked]] = {}
    for one in checked:
        code, owner = str(one.diagnosis.code), str(one.diagnosis.owner)
        told.setdefault((code, owner, advise_on(one.diagnosis)), []).append(one)
    for (code, owner, advice), its in told.items():
        print(f"\n{code} (owner: {owner})\n  {advice.advice}\n  {advice.meaning}")
        if len(told) > 1:
            print(printable(f"  targets: {_few([one.target.name for one in its])}"))
        for line in _answered(its):
            print(printable(f"  {line}"))
    backgrounds = dict.fromkeys(advice.background for _, _, advice in told if advice.background)
    if backgrounds:
        print("\nbackground:", *backgrounds, sep="\n  ")


def _answered(of: "Sequence[Checked]") -> list[str]:
    """What the answers say, in the servers' own words: each once, and the first few."""
    said = dict.fromkeys(
        " ".join(one.diagnosis.message.split()) for one in of if one.observation.failure is None
    )
    lines = [f"the answer says: {words}" for words in said if words]
    more = len(lines) - _SAID_MOST
    return lines[:_SAID_MOST] + (
        [f"and {many(more, 'other text')}: --format json"] if more > 0 else []
    )


def _few(names: list[str]) -> str:
    more = len(names) - _NAMED_MOST
    return ", ".join(names[:_NAMED_MOST]) + (f", and {more:,} more" if more > 0 else "")


def _as_json(one: "Checked") -> dict[str, Any]:
    return {
        "target": one.target.name,
        "route": one.target.route,
        "contract": one.target.contract,
        **diagnosis_json(one.diagnosis),
        "status": one.observation.status,
        "request_id": one.diagnosis.request_id,
        "latency_ms": round(one.observation.timings.total, 1),
        "cost_usd": one.cost_usd,
        "cost_estimated": one.estimated,
        "cost_in_doubt": one.doubt,
    }


def _case(one: "Checked") -> Case:
    from monitor.access.diagnosis.advice import advise_on

    diagnosis, advice = one.diagnosis, advise_on(one.diagnosis)
    told = {
        "": advice.meaning,
        "whose problem": diagnosis.owner,
        "the answer says": diagnosis.message,
        "status": diagnosis.status,
        "request": diagnosis.request_id,
        "background": advice.background,
    }
    return Case(
        one.target.name,
        one.target.route,
        one.observation.timings.total / 1000,
        diagnosis.effect,
        diagnosis.code,
        advice.advice,
        "\n".join(
            f"{name}: {value}" if name else str(value) for name, value in told.items() if value
        ),
    )


def with_declarations(settings: "Settings", now: datetime) -> "Settings":
    """The settings with what was declared last of each key, in them or by `declare`, as its `verified_at`.

    A database that is not there, or cannot be read, has nothing to add.
    """
    from monitor.store.errors import StoreError
    from monitor.store.queries import declared

    try:
        told = declared(settings.database)
    except StoreError:
        return settings
    keys = []
    for key in settings.keys:
        direct = settings.routes[key.route].contract is Contract.DIRECT
        found = [told[one] for one in (key.organization, key.name) if one in told and direct]
        last = max(found, key=lambda one: one.at, default=None)
        if last and (key.verified_at is None or last.at > key.verified_at):
            verified = last.kind is DeclarationKind.VERIFIED and last.at <= now
            key = replace(key, verified_at=last.at if verified else None)  # noqa: PLW2901
        keys.append(key)
    return replace(settings, keys=tuple(keys))


def status_of(settings: "Settings", key: str, effect: Effect) -> Exit:
    """The exit status of an answer to a key of the settings: a fresh declaration makes a difference."""
    declared = settings.key(key).verified_at
    fresh = declared and datetime.now(UTC) - declared < settings.deadlines.give_up_after
    if effect is Effect.GATED and fresh:
        return Exit.GATED_DECLARED
    return Exit.DONE if effect is Effect.GRANTED else Exit[effect.name]


def wait(
    names: Annotated[list[str], target_argument("TARGET…")],
    timeout: Annotated[str, typer.Option(help="How long at most: 90s, 15m, 2h.")] = "2h",
    config: ConfigOption = None,
    output: WaitFormat = "text",
    *,
    yes: Yes = False,
    over_budget: OverBudget = False,
) -> None:
    """Probe until all targets are available; replaces the copied loop.

    0 all available, 12 one is locked, 13 one is blocked, 124 timed out.
    """
    from monitor.access.cadence import probes_to_settle
    from monitor.access.fields import parse_duration
    from monitor.daemon.signals import run
    from monitor.logs import configure
    from monitor.oneshot.booking import Cost, Wanted
    from monitor.oneshot.probe_once import worst_case
    from monitor.store import queries

    try:
        limit = parse_duration(timeout)
    except ValueError as error:
        fail(f"--timeout {timeout!r} {error}")
    settings = with_declarations(load_settings(config, alerting=False), datetime.now(UTC))
    targets = select_targets(settings, names)
    needed = settings.confirmation.confirmation_span
    if limit < needed:
        note(
            f"--timeout {timeout} is too short for available: granted answers must span"
            f" {duration(needed.total_seconds())} (confirmation.confirmation_span)"
        )
    times = probes_to_settle(settings.cadence, settings.confirmation)
    agree(_announce_cost(settings, targets, times=times), yes=yes)
    prices: dict[str, list[float]] = {}
    for target in targets:
        prices.setdefault(target.key, []).append(worst_case(settings, target)[0])
    # one more of the most expensive probe: one may be lost
    wanted = {key: sum(its) * times + max(its) for key, its in prices.items()}
    with tempfile.TemporaryDirectory(prefix="access-monitor-") as folder:
        alone = _only(settings, targets, Path(folder) / "wait.db")

        def costs(holds: "Sequence[Reservation]") -> "list[Cost]":
            spent = queries.spent_by_key(alone.database)
            return [Cost(hold, *spent.get(hold.key, (0.0, 0, False))) for hold in holds]

        asked = [Wanted("wait", key, usd) for key, usd in wanted.items() if usd]
        with reserving(settings, asked, costs, over=over_budget):
            configure(redactor(), log_format=settings.monitor.log_format, level="WARNING")
            # a report is all that is printed: events go beside it
            titles = sys.stdout if output == "text" else sys.stderr
            status, cases = run(_wait(alone, limit, wanted, titles))
    if output == "junit":
        print(as_junit("access-monitor.wait", cases, datetime.now(UTC)))
    raise typer.Exit(status)


def _only(settings: "Settings", targets: "Sequence[Target]", database: Path) -> "Settings":
    """The settings with only these targets, and with a temporary database."""
    keys = []
    for key in settings.keys:
        wanted = tuple(target.capability for target in targets if target.key == key.name)
        if wanted:
            keys.append(replace(key, watch=wanted))
    # there are no channels, and pools name theirs
    pools = tuple(replace(pool, channels=()) for pool in settings.pools)
    return replace(settings, keys=tuple(keys), pools=pools, channels=(), database=database)


def _titles(stream: TextIO) -> "Sender":
    """A channel that prints each event as a line."""
    from monitor.alerts.interfaces import DeliveryError, Sender
    from monitor.daemon.channels import CONSOLE

    class Titles(Sender):
        name = CONSOLE

        async def send(self, message: "Message") -> None:
            try:
                # without its tag: in the history that number is another event's
                title = message.title.removesuffix(message.tags).rstrip()
                line = f"{datetime.now().astimezone():%H:%M:%S} {title}"
                print(line, file=stream, flush=True)
            except OSError as error:  # the exit status tells all the same
                raise DeliveryError(f"the terminal: {error.strerror}") from None

    return Titles()


async def _wait(
    settings: "Settings", limit: timedelta, allowance: "Mapping[str, float]", titles: TextIO
) -> tuple[Exit, list[Case]]:
    from monitor.daemon.service import Monitor

    monitor = Monitor(settings, [_titles(titles)], allowance=allowance, redactor=redactor())
    began = time.monotonic()
    await monitor.start()
    running = asyncio.create_task(monitor.run())
    try:
        async with asyncio.timeout(limit.total_seconds()):
            status = await _decided(monitor)
    except TimeoutError:
        note(f"not all available within {duration(limit.total_seconds())}: {_missing(monitor)}")
        status = Exit.TIMED_OUT
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await monitor.stop()
    seconds = time.monotonic() - began
    return status, [_waited(watch.target, watch.memory, seconds) for watch in monitor.watches]


def _missing(monitor: "Monitor") -> str:
    """Which targets are not available, and how far each is."""
    from monitor.access.cadence import settles

    memories = {watch.target.name: watch.memory for watch in monitor.watches}
    return _few(
        [
            f"{name} is {'granted, and being confirmed' if settles(memory) else memory.state}"
            f" ({_last_answer(memory)})"
            for name, memory in memories.items()
            if memory.state is not State.AVAILABLE
        ]
    )


def _last_answer(memory: "TargetState") -> str:
    code = memory.blocker or memory.last_diagnosis
    return f"last answer: {code}" if code else "no answer yet"


def _waited(target: "Target", memory: "TargetState", seconds: float) -> Case:
    from monitor.access.diagnosis import advise

    effect = {
        State.AVAILABLE: Effect.GRANTED,
        State.LOCKED: Effect.LOCKED,
        State.UNKNOWN: Effect.INCONCLUSIVE,
    }.get(memory.state, Effect.GATED)
    effect = Effect.BLOCKED if memory.blocker else effect
    code = memory.blocker or memory.last_diagnosis
    advice = advise(code) if code else None
    what = f"{memory.state} after {seconds:.0f} s, {_last_answer(memory)}"
    return Case(
        target.name,
        target.route,
        seconds,
        effect,
        code or memory.state,
        advice.advice if advice else "",
        f"{what}\n{advice.meaning}" if advice else what,
    )


async def _decided(monitor: "Monitor") -> Exit:
    while True:
        await monitor.changed()
        memories = [watch.memory for watch in monitor.watches]
        if any(memory.blocker for memory in memories):
            return Exit.BLOCKED
        if any(memory.state is State.LOCKED for memory in memories):
            return Exit.LOCKED
        if all(memory.state is State.AVAILABLE for memory in memories):
            return Exit.DONE
