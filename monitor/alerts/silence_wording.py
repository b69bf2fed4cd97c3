"""What is said when a silence ends: what it hid, and what is true now of what was last told. Pure."""

from collections.abc import Mapping
from typing import Any

from monitor.access.readable import many
from monitor.access.words import Reason, State
from monitor.alerts.facts import Facts, moment, name
from monitor.alerts.render import Level, Wording


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
        f"{': ' + kinds.replace('_', ' ') if kinds else ''}. {news}",
        ("See all that it hid: `access-monitor alerts list --state silenced`.",),
    )


def changed_targets(facts: Facts) -> str | None:
    """The targets of which something else is true now than was last told; of many, some."""
    named = [_changed(one) for one in facts.entries("changed")]
    more = int(facts.number("changed_targets") or 0) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "") if named else None


def _changed(one: Mapping[str, Any]) -> str:
    told, now = _word(one, "told"), _word(one, "now")
    said = f"{_word(one, 'target')}: "
    said += f"still {now}" if told == now else f"{told or 'nothing told'} → {now}"
    blocker, before = _word(one, "blocker"), _word(one, "told_blocker")
    if blocker == before:
        return said
    return f"{said}, blocked: {blocker}" if blocker else f"{said}, no longer blocked: {before}"


def _word(one: Mapping[str, Any], key: str) -> str:
    value = one.get(key)
    return (
        name(value if key == "target" else value.replace("_", " "))
        if isinstance(value, str)
        else ""
    )


def _level(facts: Facts) -> Level:
    """Good news only when every target that changed is open."""
    good = all(
        one.get("now") == State.AVAILABLE and not one.get("blocker")
        for one in facts.entries("changed")
    )
    return "success" if good else "warning"
