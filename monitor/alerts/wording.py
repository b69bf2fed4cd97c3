"""What each event says: its title, what happened and what to do. Pure.

Here are the events that no gate causes (blockers, staleness, shutdowns, budgets, silences, the monitor
itself), and the choice among all; `gate_wording` has the others.
"""

from collections.abc import Callable
from dataclasses import replace

from monitor.access.diagnosis.advice import advise, failure_of, steps_of
from monitor.access.observation import Failure
from monitor.access.readable import duration, many
from monitor.access.words import EventKind, Reason, Staleness, State
from monitor.alerts import gate_wording
from monitor.alerts.facts import ChangedTarget, Facts, moment, name
from monitor.alerts.render import Level, Wording

#: Most steps in one message.
STEPS_MOST = 3


def _spaced(word: str | None) -> str:
    return (word or "").replace("_", " ")


def _others(facts: Facts) -> str:
    """The further blockers, current or past."""
    return ", ".join(map(_spaced, facts.names("blockers")))


def blocked(facts: Facts) -> Wording:
    """A blocker is confirmed."""
    code = facts.blocker
    known = advise(code, facts.gate, facts.owner) if code else None
    cause = known.meaning if known else "Something is in the way."
    others = _others(facts)
    turns = f" It takes turns with: {others}." if others else ""
    return Wording(
        f"Blocked, {_spaced(code) or 'something'}: {facts.subject}",
        "warning",
        f"{cause}{turns} Until this is solved nobody can see whether the gate is open.",
        (known.advice,) if known else (),
    )


def unblocked(facts: Facts) -> Wording:
    """A blocker has gone."""
    gone = ", ".join(one for one in (_spaced(facts.blocker) or "something", _others(facts)) if one)
    return Wording(
        f"Unblocked: {facts.subject}",
        "success",
        f"No longer in the way: {gone}. The gate can be seen again.",
    )


def stale(facts: Facts) -> Wording:
    """Nothing conclusive for a while."""
    lasted = facts.number("waited_s") or facts.number("lasted_s")
    targets, total = facts.number("targets"), facts.number("route_targets")
    code = facts.event.diagnosis
    known = advise(code, None, facts.owner) if code else None
    if not targets or facts.model:
        whom = ""
    elif total and total > targets:
        whom = f" to {int(targets):,} of the route's {many(total, 'target')}"
    else:
        whom = f" to {many(targets, 'target')}"
    of = f"{many(targets, 'target')} of " if targets and total and total > targets else ""
    lasting = f" for {duration(lasted)}" if lasted else ""
    why = f" {known.meaning}" if known else ""
    others = " Others are answered." if facts.text("staleness") == Staleness.TARGET else ""
    return Wording(
        f"No conclusive answer: {of}{facts.subject}",
        "warning",
        f"Nothing conclusive has come{whom}{lasting}.{why}{others} The state that is shown is the last one "
        "known.",
        (
            *((known.advice,) if known else ()),
            "Compare the routes: `access-monitor status --routes`.",
        ),
    )


def retiring(facts: Facts) -> Wording:
    """The model's shutdown date is near or past."""
    past = facts.event.reason is Reason.SHUTDOWN_PAST
    day = facts.day("shutdown")
    on = f" on {day}" if day else ""
    model = facts.model or "The model"
    lead = (
        f"{model} was shut down{on}. It never opens again, whatever the verification."
        if past
        else f"{model} will be shut down{on}. After that day no verification opens it."
    )
    return Wording(
        f"{'Shut down' if past else 'To be shut down'}: {model}",
        "warning",
        lead,
        ("Move to a newer model, and watch that one instead.",),
    )


def budget(facts: Facts) -> Wording:
    """The budget has no room for full probes."""
    spent, budget = facts.number("spent_usd"), facts.number("budget_usd")
    scope = facts.text("budget_scope") or "the monitor"
    figures = f": ${spent:.4f} of ${budget:g}" if spent is not None and budget is not None else ""
    estimate = " (an estimate)" if facts.provider else ""
    return Wording(
        f"Budget used up: {scope}",
        "warning",
        f"The budget of {scope} is used up or reserved{figures}{estimate}. Until it is renewed (days and "
        "months are UTC) the monitor sends free listings only, which show neither an opening nor a loss.",
        ("If that is too little, raise it in the settings, section [budget].",),
    )


def offline(facts: Facts) -> Wording:
    """Every route fails at once."""
    routes = ", ".join(facts.names("routes", 10))
    failures = (failure_of(rule) for rule in facts.names("rules", 3))
    # when every route is slow at once, none of them is the cause
    steps = dict.fromkeys(steps_of(one) for one in failures if one is not Failure.TIMEOUT)
    worker, others = facts.text("worker"), facts.number("others_online")
    where = f" on the worker {worker}" if worker else ""
    over = " Other workers take its targets over." if others else ""
    return Wording(
        f"Offline: no route answers{where}",
        "failure",
        f"Every route fails at once{where}{': ' + routes if routes else ''}. No state changes by this.{over}",
        tuple(step for step in steps if step)
        or ("Check this machine's network, DNS, proxy and firewall.",),
    )


def online(facts: Facts) -> Wording:
    """A route answers again."""
    away = facts.number("lasted_s") or facts.number("waited_s")
    return Wording(
        "Online again",
        "success",
        f"A route answers again{' after ' + duration(away) if away else ''}. The monitor goes on.",
    )


def silence_ended(facts: Facts) -> Wording:
    """A silence has ended, for a channel that it kept something from."""
    changed = int(facts.number("changed_targets") or 0)
    expired = facts.event.reason is Reason.SILENCE_EXPIRED
    by, since = facts.text("by"), facts.time("since")
    whose = f" by {by}" if by else ""
    how = "has expired" if expired else f"was ended by {facts.text('ended_by') or 'hand'}"
    begun = f" Since {moment(since)} it" if since else " It"
    kinds = facts.counts("hidden_kinds")
    hidden = many(facts.number("hidden") or 0, "notification")
    news = (
        "What is true now differs from what was told here last, as below."
        if changed
        else "What was told here last is true now."
    )
    return Wording(
        f"Silence {facts.text('silence') or ''} ended: "
        f"{many(changed, 'target') if changed else 'nothing'} changed",
        _level(facts) if changed else "info",
        f"The silence{whose} {how}.{begun} kept {hidden} from this channel"
        f"{': ' + _spaced(kinds) if kinds else ''}. {news}",
        ("See all that it hid: `access-monitor alerts list --state silenced`.",),
    )


def changed_targets(facts: Facts) -> str | None:
    """The targets of which something else is true now than was last told; of many, some."""
    named = [_changed(one) for one in facts.changed]
    more = int(facts.number("changed_targets") or 0) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "") if named else None


def _changed(one: ChangedTarget) -> str:
    told, now = _spaced(one.get("told")), _spaced(one.get("now"))
    said = f"{name(one.get('target', ''))}: "
    said += f"still {now}" if told == now else f"{told or 'nothing told'} → {now}"
    blocker, before = _spaced(one.get("blocker")), _spaced(one.get("told_blocker"))
    if blocker == before:
        return said
    return f"{said}, blocked: {blocker}" if blocker else f"{said}, no longer blocked: {before}"


def _level(facts: Facts) -> Level:
    """Good news only when every target that changed is open."""
    good = all(
        one.get("now") == State.AVAILABLE and not one.get("blocker") for one in facts.changed
    )
    return "success" if good else "warning"


def started(facts: Facts) -> Wording:
    """The daemon is up."""
    targets = facts.number("targets")
    watched = f" and watches {many(targets, 'target')}" if targets else ""
    worker = facts.text("worker")
    who = f"The worker {worker}" if worker else "The monitor"
    down, before = facts.time("down_since"), ""
    if down and down < facts.event.at:
        lasted = duration((facts.event.at - down).total_seconds())
        before = f" Before, nobody watched for {lasted}, since {moment(down)}."
    return Wording("Monitor started", "info", f"{who} has started{watched}.{before}")


def stopping(facts: Facts) -> Wording:
    """The daemon goes down."""
    targets = facts.number("targets")
    if worker := facts.text("worker"):
        others = f"Other workers take its {many(targets, 'target')} over." if targets else ""
        return Wording(
            "Monitor stopping", "info", f"The worker {worker} is stopping. {others}".strip()
        )
    watched = f"Nobody watches its {many(targets, 'target')}" if targets else "Nothing is watched"
    return Wording(
        "Monitor stopping",
        "info",
        f"The monitor is stopping. {watched} until it is started again.",
    )


_BY_EVENT: dict[EventKind, Callable[[Facts], Wording]] = {
    EventKind.UNVERIFIED: gate_wording.unverified,
    EventKind.PROPAGATING: gate_wording.declared,
    EventKind.FIRST_LIGHT: gate_wording.first_light,
    EventKind.SHUT_AGAIN: gate_wording.shut_again,
    EventKind.UNPROVEN: gate_wording.unproven,
    EventKind.AVAILABLE: gate_wording.available,
    EventKind.BASELINE: gate_wording.baseline,
    EventKind.REVOKED: gate_wording.revoked,
    EventKind.LOCKED: gate_wording.locked,
    EventKind.OVERDUE: gate_wording.overdue,
    EventKind.BLOCKED: blocked,
    EventKind.UNBLOCKED: unblocked,
    EventKind.STALE: stale,
    EventKind.RETIRING: retiring,
    EventKind.BUDGET: budget,
    EventKind.OFFLINE: offline,
    EventKind.ONLINE: online,
    EventKind.SILENCE_ENDED: silence_ended,
    EventKind.STARTED: started,
    EventKind.STOPPING: stopping,
}

_BY_REASON: dict[tuple[EventKind, Reason], Callable[[Facts], Wording]] = {
    (EventKind.UNVERIFIED, Reason.GAVE_UP): gate_wording.gave_up,
    (EventKind.UNVERIFIED, Reason.CLEARED_DECLARED): gate_wording.cleared,
    (EventKind.UNVERIFIED, Reason.UNLOCKED_BY_ANSWERS): gate_wording.unlocked,
    (EventKind.PROPAGATING, Reason.SIBLING_OPENED): gate_wording.sibling,
    (EventKind.PROPAGATING, Reason.RELAPSE): gate_wording.relapse,
    (EventKind.LOCKED, Reason.REJECTED_DECLARED): gate_wording.rejected,
}


def wording(facts: Facts) -> Wording:
    """The text for an event: by its event and reason where the reason matters, else by its event."""
    event = facts.event
    special = _BY_REASON.get((event.kind, event.reason))
    return _open_elsewhere(facts, (special or _BY_EVENT[event.kind])(facts))


def _open_elsewhere(facts: Facts, words: Wording) -> Wording:
    """The text, with the state of the same model on a route of the other contract added.

    The last step says that a provider serves it while the direct gate is shut, or the lead says that the
    direct gate is still shut while a provider opens.
    """
    if shut := facts.names("direct_shut"):
        told = f"OpenAI access to {facts.capability} is still shut: {', '.join(shut)}."
        return replace(words, lead=f"{words.lead} {told}")
    targets = facts.names("provider_open")
    if not targets:
        return words
    step = (
        f"Meanwhile {facts.capability} is open at a provider: {', '.join(targets)}. That is another "
        "contract: ask the provider about model, price, data and limits before production uses it."
    )
    return replace(words, steps=(*words.steps[: STEPS_MOST - 1], step))
