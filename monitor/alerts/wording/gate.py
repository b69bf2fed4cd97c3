"""The words for what happens to the gate: shut, waited for, open, lost, locked.

The experience behind them is gathered from public threads: openings flicker, the same refusal is
given to the never verified, the propagating and the rejected, and what people found to help, in order.
"""

from monitor.access.diagnosis.advice import advise
from monitor.access.words import Code, Surface
from monitor.alerts.clean import duration
from monitor.alerts.facts import Facts, moment
from monitor.alerts.wording.shared import Wording, after_waiting, capital, declare, evidence


def unverified(facts: Facts) -> Wording:
    """Row 1: the gate is shut."""
    if facts.provider:
        return Wording(
            f"Gate is shut: {facts.subject}",
            "info",
            f"The provider's route refuses {facts.capability} with the verification gate's answer.",
            "Provider access is the provider's own contract. The account that is not verified may be "
            "the provider's, and nothing done in your own organization then opens it.",
            ("Ask the provider whether this model is meant to work under your contract.",),
        )
    return Wording(
        f"Not verified: {facts.subject}",
        "info",
        f"The gate is shut: {facts.capability} answers that the organization must be verified.",
        advise(Code.VERIFICATION_REQUIRED, facts.gate).meaning,
        (
            (
                "Complete the verification in the general settings of the organization that the key "
                "belongs to."
            ),
            (
                "Do not count on anything else: no usage tier, even the highest, and no `service_tier` "
                "opens this gate."
            ),
            f"Once it is completed, tell the monitor: {declare(facts)}.",
        ),
    )


def gave_up(facts: Facts) -> Wording:
    """Row 11."""
    lasted = facts.number("waited_s") or facts.number("lasted_s")
    after = f" after {duration(lasted)}" if lasted else ""
    often = facts.number("every_s")
    every = f", every {duration(often)}" if often else ""
    return Wording(
        f"Gave up waiting: {facts.subject}",
        "warning",
        f"{capital(facts.access)} to {facts.capability} has not opened{after}. The monitor no longer "
        f"takes it for a propagation. Probing goes on{every}.",
        "A wait this long usually means that the verification failed without saying so, or that the "
        "key belongs to another organization than the one that was verified.",
        _self_help(facts),
    )


def cleared(facts: Facts) -> Wording:
    """Row 9."""
    return Wording(
        f"Declaration cleared: {facts.subject}",
        "info",
        "A person took back what was declared. The target counts as not verified until it answers "
        "otherwise.",
        steps=(f"After a verification, tell the monitor: {declare(facts)}.",),
    )


def unlocked(facts: Facts) -> Wording:
    """Row 7."""
    return Wording(
        f"No longer locked: {facts.subject}",
        "info",
        f"{facts.capability} gives the ordinary refusal again: verification is possible.",
        "The lock has gone. The gate itself is still shut.",
        (f"Complete the verification, then tell the monitor: {declare(facts)}.",),
    )


def revoked(facts: Facts) -> Wording:
    """Row 5, after a day or never seen shut."""
    return Wording(
        f"Access lost: {facts.subject}",
        "failure",
        f"{capital(facts.access)} to {facts.capability} was available and is refused now, several "
        "times in a row.",
        "This is not the flicker of a fresh opening: either it had been open for long, or it was "
        "never seen shut before.",
        (
            "Switch production to what worked before.",
            "Ask the provider: this contract is theirs."
            if facts.provider
            else "Check that the dashboard still says verified, and to which organization and project "
            "the key belongs.",
            f"If all of that is right, write to support with the evidence: {evidence(facts)}.",
        ),
    )


def declared(facts: Facts) -> Wording:
    """Rows 1 and 8."""
    at = facts.time("declared_at")
    since = f" at {moment(at)}" if at else ""
    return Wording(
        f"Waiting for access: {facts.subject}",
        "info",
        f"The verification was declared completed{since}. The monitor now looks every few seconds "
        f"until {facts.capability} opens.",
        "The error text promises up to 15 minutes; 30 to 45 are common, and hours have been seen. "
        "The models of one organization open at different times.",
        ("Nothing, but wait: the first granted answer is told at once.",),
    )


def sibling(facts: Facts) -> Wording:
    """Row 10: one message for the organization."""
    sibling = facts.text("sibling")
    what = f"{sibling} of" if sibling else "Another target of"
    count = facts.number("targets")
    if facts.model:
        whose, others = facts.subject, f"{facts.capability} is"
    else:
        whose = facts.organization or facts.subject
        others = f"Its {int(count)} other targets are" if count and count > 1 else "The others are"
    return Wording(
        f"May follow soon: {whose}",
        "info",
        f"{what} the same organization has opened. {others} now watched as propagating.",
        "A verification holds for the organization, but its models and surfaces open one after "
        "another.",
        ("Nothing: each one is told when it opens.",),
    )


def relapse(facts: Facts) -> Wording:
    """Row 5, on the first day."""
    return Wording(
        f"Relapse: {facts.subject}",
        "warning",
        f"{capital(facts.access)} to {facts.capability} had opened a short time ago and is refused "
        "again, several times in a row.",
        "Openings flicker. On the first day this is a part of propagation, not a revocation.",
        (
            "Switch production back to what worked before.",
            "Do not verify again. Wait: the next opening is told.",
        ),
    )


def first_light(facts: Facts) -> Wording:
    """Row 3."""
    return Wording(
        f"First light: {facts.subject}",
        "success",
        f"One answer was granted{after_waiting(facts)}: {facts.access} to {facts.capability} is "
        "opening. It is now settling.",
        "Openings flicker: one granted answer settles nothing, refusals may follow it.",
        ("Do not switch production yet: wait for the message that says available.",),
    )


def shut_again(facts: Facts) -> Wording:
    """Three refusals after a first light that had not settled."""
    return Wording(
        f"Shut again: {facts.subject}",
        "warning",
        f"{capital(facts.access)} to {facts.capability} is refused again, several times in a row, before "
        "it had settled.",
        "Openings flicker. This is a part of propagation: the first light was none to rely on.",
        ("Do not verify again, and do not switch production. The next opening is told.",),
    )


def unproven(facts: Facts) -> Wording:
    """Three complete answers in a row without the word that was asked for."""
    return Wording(
        f"Unproven: {facts.subject}",
        "warning",
        f"{facts.capability} answers, and nothing refuses, but three answers in a row do not hold the word "
        "that the probe asked for.",
        "The gate may be open. It may as well be another model, or text that a server in between writes.",
        (
            "Read the answer's text, and ask the model one question of your own with this key.",
            "If it answers you, use it: the monitor tells nothing more until an answer is proven.",
        ),
    )


def available(facts: Facts) -> Wording:
    """Row 4."""
    meaning = (
        "This is provider access: it says nothing of what your own OpenAI organization may use."
        if facts.provider
        else "Other models and surfaces of the organization open at their own times; each is told."
    )
    return Wording(
        f"Available: {facts.subject}",
        "success",
        f"{capital(facts.access)} to {facts.capability} is open and has settled: granted several "
        "times in a row, nothing refused in between.",
        meaning,
        ("Production may use it now, with this key and project.",),
    )


def baseline(facts: Facts) -> Wording:
    """Row 2."""
    return Wording(
        f"Open at first look: {facts.subject}",
        "info",
        f"{capital(facts.access)} to {facts.capability} was open when the monitor first looked.",
        "It was never seen shut, so this is no news, and no verification is claimed.",
    )


def overdue(facts: Facts) -> Wording:
    """A deadline of the wait passed."""
    waited = facts.number("waited_s") or facts.number("deadline_s")
    at = facts.time("declared_at")
    since = f" since the verification was declared ({moment(at)})" if at else ""
    probes = facts.number("probes")
    seen = f" All {int(probes)} probes were refused." if probes else ""
    title = f"Overdue: {facts.subject}" + (f", {duration(waited)}" if waited else "")
    return Wording(
        title,
        "warning",
        f"{capital(facts.access)} to {facts.capability} has not opened"
        f"{' for ' + duration(waited) if waited else ''}{since}.{seen}",
        "The error text promises 15 minutes, and 30 to 45 are common; some organizations waited hours, "
        "days, or in vain. A verification that failed without saying so gets the same answer.",
        _self_help(facts),
    )


def _self_help(facts: Facts) -> tuple[str, ...]:
    """What the threads found to help, in the order they tried it."""
    if facts.provider:
        return (
            "Ask the provider: on its route the access, and the verification, are the provider's.",
        )
    images = facts.surface in {str(surface) for surface in Surface if surface.makes_images}
    playground = ("Try the image playground with the same organization.",) if images else ()
    return (
        (
            "Check that the dashboard says verified. If it says otherwise: "
            f"`access-monitor declare rejected {facts.who}`."
        ),
        "Check to which organization the key belongs.",
        "Make a key in a new project without model or endpoint limits and try that.",
        *playground,
        (
            "Print the credentials in use: stale OPENAI_ORG_ID and OPENAI_PROJECT_ID variables redirect "
            "a call silently."
        ),
        "Wait: the monitor keeps looking.",
        f"Then write to support with the evidence: {evidence(facts)}.",
    )


def rejected(facts: Facts) -> Wording:
    """Row 6, as a person declared."""
    hint = facts.time("hint_at")
    when = f", not before {moment(hint)}" if hint else ""
    return Wording(
        f"Verification rejected: {facts.subject}",
        "failure",
        "The verification was declared rejected. The monitor looks only now and then.",
        "Five causes are usual: a photographed screen instead of the document, an expired document, "
        "glare, a face that did not match, an unsupported country.",
        (
            f"Wait 24 hours before another try{when}.",
            (
                "Use another ID if this one has verified an organization before: one organization per ID "
                "in 90 days."
            ),
            f"When it is completed, tell the monitor: {declare(facts)}.",
        ),
    )


def locked(facts: Facts) -> Wording:
    """Row 6, by the answers."""
    known = advise(Code.VERIFICATION_LOCKED, None)
    return Wording(
        f"Verification locked: {facts.subject}",
        "failure",
        f"{facts.capability} answers that the organization cannot be verified at present.",
        known.meaning,
        (known.advice, f"When it is completed, tell the monitor: {declare(facts)}."),
    )
