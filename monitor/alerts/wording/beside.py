"""The words for what happens beside the gate: blockers, silence, shutdowns, money, the monitor itself."""

from monitor.access.diagnosis.advice import advise
from monitor.access.words import Code, Reason, Silence
from monitor.alerts.clean import duration
from monitor.alerts.facts import Facts
from monitor.alerts.wording.shared import Wording


def _plain(code: Code | None) -> str:
    return str(code).replace("_", " ") if code else "something"


def blocked(facts: Facts) -> Wording:
    """A blocker is confirmed."""
    code = facts.blocker
    known = advise(code, facts.gate, facts.owner) if code else None
    return Wording(
        f"Blocked, {_plain(code)}: {facts.subject}",
        "warning",
        f"In the way: {_plain(code)}. Whether the gate is open cannot be seen.",
        known.meaning if known else "",
        (known.advice,) if known else (),
    )


def unblocked(facts: Facts) -> Wording:
    """A blocker has gone."""
    code = facts.blocker
    return Wording(
        f"Unblocked: {facts.subject}",
        "success",
        f"No longer in the way: {_plain(code)}. The gate can be seen again.",
    )


def stale(facts: Facts) -> Wording:
    """Nothing conclusive for a while."""
    silent = facts.number("waited_s") or facts.number("lasted_s")
    code = facts.happening.diagnosis
    known = advise(code, None) if code else None
    whom, others = _silent(facts)
    return Wording(
        f"No conclusive answer: {_of_whom(facts)}{facts.subject}",
        "warning",
        f"Nothing conclusive has come{' for ' + duration(silent) if silent else ''}{whom}. The states "
        f"shown are the last ones known.{others}",
        known.meaning if known else "",
        (
            *((known.advice,) if known else ()),
            "Look at the routes: `access-monitor status --routes`.",
        ),
    )


def _silent(facts: Facts) -> tuple[str, str]:
    """To whom nothing comes, and what of the others of the route."""
    count, total = facts.number("targets"), facts.number("route_targets")
    if facts.model:
        return "", " Other targets of its route are answered." if _alone(facts) else ""
    if not count:
        return "", ""
    of = f" of the route's {int(total)} targets" if total and total > count else " targets"
    if not (names := facts.names("silent", 10)):
        return f" to {int(count)}{of}", ""
    more = f" and {int(count) - len(names)} more" if count > len(names) else ""
    others = " The others are answered." if _alone(facts) else ""
    return f" to {int(count)}{of}", f"{others} Silent: {', '.join(names)}{more}."


def _of_whom(facts: Facts) -> str:
    count = facts.number("targets")
    return f"{int(count)} targets of " if count and facts.names("silent") else ""


def _alone(facts: Facts) -> bool:
    return facts.text("silence") == Silence.TARGET


def retiring(facts: Facts) -> Wording:
    """The model's shutdown date is near or past."""
    past = facts.happening.reason is Reason.SHUTDOWN_PAST
    day = facts.day("shutdown")
    on = f" on {day}" if day else ""
    model = facts.model or "The model"
    lead = f"{model} was shut down{on}." if past else f"{model} will be shut down{on}."
    return Wording(
        f"{'Shut down' if past else 'To be shut down'}: {model}",
        "warning",
        lead,
        "A model past its shutdown date never opens, whatever the verification."
        if past
        else "After that day no verification opens it.",
        ("Move to a newer model, and watch that one instead.",),
    )


def budget(facts: Facts) -> Wording:
    """No money is left for full probes."""
    spent, budget = facts.number("spent_usd"), facts.number("budget_usd")
    scope = facts.text("budget_scope") or "the monitor"
    figures = f": ${spent:.4f} of ${budget:.2f}" if spent is not None and budget is not None else ""
    estimate = " (an estimate)" if facts.provider else ""
    return Wording(
        f"Budget used up: {scope}",
        "warning",
        f"The budget of {scope} is used up or reserved{figures}{estimate}.",
        "Until it is renewed (days and months are UTC) only free looks are made: an opening is not "
        "seen, and an open gate that shuts is not either.",
        ("Raise it in the settings, section [budget], if that is too little.",),
    )


def offline(facts: Facts) -> Wording:
    """Every route fails at once."""
    routes = ", ".join(facts.names("routes", 10))
    return Wording(
        "Offline: no route answers",
        "failure",
        f"Every route fails at once{': ' + routes if routes else ''}.",
        "When all fail together the cause is most likely here: the network, DNS, a proxy or a "
        "firewall. No state is changed by it.",
        ("Check this machine's way to the internet.",),
    )


def online(facts: Facts) -> Wording:
    """A route answers again."""
    away = facts.number("lasted_s") or facts.number("waited_s")
    return Wording(
        "Online again",
        "success",
        f"A route answers again{' after ' + duration(away) if away else ''}. The monitor goes on.",
    )


def started(facts: Facts) -> Wording:
    """The daemon is up."""
    count = facts.number("targets")
    return Wording(
        "Monitor started",
        "info",
        f"The monitor has started{f' and watches {int(count)} targets' if count else ''}.",
    )


def stopping(facts: Facts) -> Wording:
    """The daemon goes down."""
    count = facts.number("targets")
    watched = f"none of its {int(count)} targets is" if count else "nothing is"
    return Wording(
        "Monitor stopping",
        "info",
        f"The monitor is stopping. Until it is started again {watched} watched and nothing is told.",
    )
