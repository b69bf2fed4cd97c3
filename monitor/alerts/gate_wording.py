"""The text for the events of a gate: shut, waited for, open, lost, locked.

It rests on experience from public threads: openings flicker; unverified, propagating and rejected
organizations get the same refusal; the steps are what helped people, in order.
"""

from monitor.access.diagnosis.advice import advise
from monitor.access.readable import duration, many
from monitor.access.words import Code
from monitor.alerts.facts import Facts, moment
from monitor.alerts.render import Wording

_ASK_THE_PROVIDER = "Ask the provider: on its route it decides about access."


def unverified(facts: Facts) -> Wording:
    """Row 1: the gate is shut."""
    if facts.provider:
        return Wording(
            f"Gate is shut: {facts.subject}",
            "info",
            f"The provider's route refuses {facts.capability} with the verification gate's answer. "
            "Provider access is the provider's contract: your own verification does not open it.",
            ("Ask the provider whether this model is part of your contract.",),
        )
    return Wording(
        f"Not verified: {facts.subject}",
        "info",
        f"{facts.capability} is refused. {advise(Code.VERIFICATION_REQUIRED, facts.gate).meaning}",
        (
            "Complete the verification in the general settings of the key's organization.",
            f"Then tell the monitor: {facts.declare_command}.",
        ),
    )


def gave_up(facts: Facts) -> Wording:
    """Row 11."""
    lasted = facts.number("waited_s") or facts.number("lasted_s")
    after = f" after {duration(lasted)}" if lasted else ""
    every = facts.number("every_s")
    interval = f"every {duration(every)}" if every else "less often"
    said, again = f"{facts.access_first} to {facts.capability}", facts.time("refused_since")
    if again:
        said += (
            f" was granted, and is refused again since {moment(again)}. It was probably taken back"
        )
    else:
        said += f" has not opened{after}. The verification probably failed,"
        said += " or was made for another organization"
    return Wording(
        f"Gave up waiting: {facts.subject}",
        "warning",
        f"{said}. Probing goes on, {interval}.",
        _self_help(facts),
    )


def cleared(facts: Facts) -> Wording:
    """Row 9."""
    return Wording(
        f"Declaration cleared: {facts.subject}",
        "info",
        "A person cleared what was declared. The target counts as not verified until an answer says "
        "otherwise.",
        (f"After a verification, tell the monitor: {facts.declare_command}.",),
    )


def unlocked(facts: Facts) -> Wording:
    """Row 7."""
    return Wording(
        f"No longer locked: {facts.subject}",
        "info",
        f"{facts.capability} gives the ordinary refusal again. The organization can be verified.",
        (f"Complete the verification, then tell the monitor: {facts.declare_command}.",),
    )


def revoked(facts: Facts) -> Wording:
    """Row 5, after a day or never seen shut."""
    return Wording(
        f"Access lost: {facts.subject}",
        "failure",
        f"{facts.access_first} to {facts.capability} was available and is now refused, several "
        "times in a row.",
        (
            "Switch production to what worked before.",
            _ASK_THE_PROVIDER
            if facts.provider
            else "Check that the dashboard still says verified, and that the key belongs to that "
            "organization.",
            f"If both are right, send support the evidence: {facts.evidence_command}.",
        ),
    )


def declared(facts: Facts) -> Wording:
    """Rows 1 and 8."""
    at = facts.time("declared_at")
    since = f" at {moment(at)}" if at else ""
    return Wording(
        f"Waiting for access: {facts.subject}",
        "info",
        f"The verification was declared completed{since}. The monitor probes often until "
        f"{facts.capability} opens.",
        ("Wait: 15 to 45 minutes are common, hours happen. The first granted answer is told.",),
    )


def sibling(facts: Facts) -> Wording:
    """Row 10: one message for the organization."""
    opened = facts.text("sibling") or "Another target of the organization"
    others = facts.number("targets")
    if facts.model:
        whose, follow = facts.subject, f"{facts.capability} may follow"
    else:
        whose = facts.organization or facts.subject
        follow = f"{many(others, 'other target')} may follow" if others else "the others may follow"
    return Wording(
        f"May follow soon: {whose}",
        "info",
        f"{opened} has opened, and {follow}: one organization's models open one after another.",
        ("Wait: each opening is told.",),
    )


def relapse(facts: Facts) -> Wording:
    """Row 5, on the first day."""
    return Wording(
        f"Relapse: {facts.subject}",
        "warning",
        f"{facts.access_first} to {facts.capability} opened a short time ago and is refused again, "
        "several times in a row. On the first day this is common.",
        (
            "Switch production back to what worked before.",
            "Do not verify again. Wait: the next opening is told.",
        ),
    )


def first_light(facts: Facts) -> Wording:
    """Row 3."""
    waited = facts.number("waited_s")
    after = f", {duration(waited)} after the wait began" if waited is not None else ""
    return Wording(
        f"First light: {facts.subject}",
        "success",
        f"One answer was granted{after}: {facts.access} to {facts.capability} is "
        "opening. Refusals may follow until it has settled.",
        ("Do not switch production yet: wait for the message that says available.",),
    )


def shut_again(facts: Facts) -> Wording:
    """Three refusals after a first light that had not settled."""
    return Wording(
        f"Shut again: {facts.subject}",
        "warning",
        f"{facts.access_first} to {facts.capability} is refused again, several times in a row. It had "
        "not settled. This is common while an opening propagates.",
        ("Do not switch production, and do not verify again. The next opening is told.",),
    )


def unproven(facts: Facts) -> Wording:
    """Three complete answers in a row without the requested word."""
    return Wording(
        f"Unproven: {facts.subject}",
        "warning",
        f"{facts.capability} answers, but three answers in a row lack the word that the probe asked for. "
        "The gate may be open, or something else answers for the model.",
        (
            "Ask the model a question of your own with this key. If it answers that, use it.",
            "If it does not, ask the provider which model stands behind the name."
            if facts.provider
            else "If it does not, check the base URL of the route and the model's name.",
        ),
    )


def available(facts: Facts) -> Wording:
    """Row 4."""
    whose = (
        " This is provider access: it says nothing of your own OpenAI organization."
        if facts.provider
        else ""
    )
    return Wording(
        f"Available: {facts.subject}",
        "success",
        f"{facts.access_first} to {facts.capability} is open and has settled: several answers in a row "
        f"were granted.{whose}",
        ("Production may use it now, with this key and project.",),
    )


def baseline(facts: Facts) -> Wording:
    """Row 2."""
    return Wording(
        f"Open at the first probe: {facts.subject}",
        "info",
        f"{facts.access_first} to {facts.capability} was open at the first probe. It was never seen "
        "shut, so no verification is claimed.",
    )


def overdue(facts: Facts) -> Wording:
    """A deadline of the wait passed."""
    waited = facts.number("waited_s") or facts.number("deadline_s")
    at = facts.time("declared_at")
    since = f" since the verification was declared ({moment(at)})" if at else ""
    probes, again = facts.number("probes"), facts.time("refused_since")
    title = f"Overdue: {facts.subject}" + (f", {duration(waited)}" if waited else "")
    said = f"{facts.access_first} to {facts.capability}"
    if again:
        row = f" ({many(probes, 'probe')} in a row)" if probes else ""
        lasts = f" The wait has lasted {duration(waited)}{since}." if waited else ""
        said += f" was granted, and is refused again since {moment(again)}{row}.{lasts}"
    else:
        lasts = f" for {duration(waited)}" if waited else ""
        seen = f" Refused {probes:,} times in a row." if probes and probes > 1 else ""
        said += f" has not opened{lasts}{since}.{seen}"
    return Wording(title, "warning", said, _self_help(facts))


def _self_help(facts: Facts) -> tuple[str, ...]:
    """What the threads found to help, in the order they tried it."""
    if facts.provider:
        return (_ASK_THE_PROVIDER,)
    model = f" --model {facts.model}" if facts.model else ""
    return (
        (
            "Check that the dashboard says verified. If it does not: "
            f"`access-monitor declare rejected {facts.who}`."
        ),
        (
            "Check organization, project and limits of the key: "
            f"`access-monitor diagnose {facts.key or 'KEY'}{model}`."
        ),
        f"If all is right, send support the evidence: {facts.evidence_command}.",
    )


def rejected(facts: Facts) -> Wording:
    """Row 6, as a person declared."""
    hint = facts.time("hint_at")
    when = f"after {moment(hint)}" if hint else "after 24 hours"
    return Wording(
        f"Verification rejected: {facts.subject}",
        "failure",
        "The verification was declared rejected. The monitor probes rarely now.",
        (
            (
                "Find the cause: a photographed screen, an expired document, glare, another face, an "
                "unsupported country, or an ID that verified another organization within 90 days."
            ),
            f"Try again {when}.",
            f"Then tell the monitor: {facts.declare_command}.",
        ),
    )


def locked(facts: Facts) -> Wording:
    """Row 6, by the answers."""
    known = advise(Code.VERIFICATION_LOCKED, None, facts.owner)
    return Wording(
        f"Verification locked: {facts.subject}",
        "failure",
        f"{facts.capability} is refused: the organization cannot be verified at present.",
        (
            known.advice,
            f"If it stays locked, send support the evidence: {facts.evidence_command}.",
            f"After a verification, tell the monitor: {facts.declare_command}.",
        ),
    )
