"""What commands spend: announced, confirmed and reserved before anything is sent, booked afterwards."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.access.readable import printable
from monitor.cli.common import Exit, fail, note
from monitor.daemon import signals

if TYPE_CHECKING:
    from monitor.access.holds import Reservation
    from monitor.access.target import Target
    from monitor.config import Settings
    from monitor.oneshot.booking import Cost, Wanted
    from monitor.oneshot.probe_once import Attempts

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before spending.")]
OverBudget = Annotated[
    bool, typer.Option("--over-budget", help="Send even what the budget has no room for.")
]

#: What a shell shows for a command that was interrupted.
_INTERRUPTED = 130


def agree(usd: float, *, yes: bool) -> None:
    """On a terminal, ask before spending; end the command when the answer is no."""
    if yes or not usd or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    try:
        agreed = typer.confirm("Go on?", err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        note("nothing was sent")
        raise typer.Exit(_INTERRUPTED)


@contextmanager
def probing(
    settings: "Settings", targets: "Iterable[Target]", *, over: bool
) -> "Iterator[Attempts]":
    """Hold what a probe of each target may cost; book what became of each in the `Attempts` yielded.

    Probes without a price are not held. A target that was not probed cost nothing; a probe that was sent
    and not answered, because a signal came first, is in doubt. See `reserving`.
    """
    from monitor.daemon.watches import account_of
    from monitor.oneshot.booking import Cost, Wanted
    from monitor.oneshot.probe_once import Attempts, worst_case

    attempts = Attempts()
    prices = {target: worst_case(settings, target)[0] for target in targets}
    priced = [target for target, usd in prices.items() if usd > 0]
    wanted = [Wanted(account_of(target), target.key, prices[target]) for target in priced]

    def costs(holds: "Sequence[Reservation]") -> "list[Cost]":
        made = {one.target: one for one in attempts.checked}
        found = []
        for target, hold in zip(priced, holds, strict=False):
            one = made.get(target)
            in_doubt = one.doubt if one else target in attempts.sent
            usd = None if in_doubt else one.cost_usd if one else 0.0
            found.append(Cost(hold, usd, 1, one is not None and one.estimated))
        return found

    with reserving(settings, wanted, costs, over=over):
        yield attempts


@contextmanager
def reserving(
    settings: "Settings",
    wanted: "Sequence[Wanted]",
    costs: "Callable[[Sequence[Reservation]], list[Cost]]",
    *,
    over: bool,
) -> Iterator[None]:
    """Hold what a command may spend, say what is left, and book at its end what it came to.

    Ends the command where there is no room. However it ends, also by a signal, `costs` is booked.
    """
    from monitor.oneshot.booking import settle

    holds: tuple[Reservation, ...] = ()
    try:
        with signals.deferred():
            holds = _reserve(settings, wanted, over=over)
        yield
    finally:
        with signals.deferred():
            if holds and (problem := settle(settings, costs(holds))):
                note(printable(problem))


def _reserve(
    settings: "Settings", wanted: "Sequence[Wanted]", *, over: bool
) -> "tuple[Reservation, ...]":
    from monitor.daemon.channels import redactor_of
    from monitor.logs import configure
    from monitor.oneshot.booking import OverBudgetError, reserve
    from monitor.store.errors import StoreError

    if not wanted:
        return ()
    configure(redactor_of(settings), log_format=settings.monitor.log_format, level="WARNING")
    try:
        reserved = reserve(settings, wanted, over=over)
    except OverBudgetError as error:
        fail(f"{printable(str(error))}; nothing was sent (--over-budget goes past it)", Exit.FAILED)
    except StoreError as error:
        if not over:
            fail(f"nothing was sent, as it cannot be booked (--over-budget sends all the same): {error}",
                 Exit.FAILED)  # fmt: skip
        note(f"not booked: {error}")
        return ()
    note(printable(reserved.words()))
    return reserved.holds
