"""What commands spend: stated and reserved before anything is sent, and booked after."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.common import Exit, fail, note, printable

if TYPE_CHECKING:
    from monitor.access.holds import Reservation
    from monitor.access.target import Target
    from monitor.config import Settings
    from monitor.daemon.booking import Wanted
    from monitor.daemon.once import Checked

OverBudget = Annotated[
    bool, typer.Option("--over-budget", help="Send even what the budget has no room for.")
]


def reserve(
    settings: "Settings", prices: "Mapping[Target, float]", *, over: bool
) -> "dict[Target, Reservation]":
    """Hold what probes may cost, and say what is left; ends the command where there is no room.

    What costs nothing is not held.
    """
    from monitor.daemon.booking import Wanted
    from monitor.daemon.watches import account_of

    priced = [(target, usd) for target, usd in prices.items() if usd > 0]
    wanted = [Wanted(account_of(target), target.key, usd) for target, usd in priced]
    holds = reserve_all(settings, wanted, over=over)
    return {target: hold for (target, _), hold in zip(priced, holds, strict=False)}


def reserve_all(
    settings: "Settings", wanted: "Sequence[Wanted]", *, over: bool
) -> "tuple[Reservation, ...]":
    """The same for what is not one target's."""
    from monitor.daemon.booking import OverBudgetError
    from monitor.daemon.booking import reserve as reserve_in
    from monitor.daemon.channels import redactor_of
    from monitor.daemon.logs import configure
    from monitor.store.errors import StoreError

    if not wanted:
        return ()
    configure(redactor_of(settings), log_format=settings.log_format, level="WARNING")
    try:
        reserved = reserve_in(settings, wanted, over=over)
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


def book(
    settings: "Settings", holds: "Mapping[Target, Reservation]", checked: "Sequence[Checked]"
) -> None:
    """Book what the probes cost; a target that was not probed cost nothing."""
    from monitor.daemon.booking import Cost, settle

    made = {one.target: one for one in checked}
    costs = []
    for target, hold in holds.items():
        one = made.get(target)
        usd = 0.0 if one is None else None if one.doubt else one.cost_usd
        costs.append(Cost(hold, usd, 1, one is not None and one.estimated))
    if costs and (problem := settle(settings, costs)):
        note(printable(problem))
