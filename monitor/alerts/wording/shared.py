"""The text of a message, and the phrases that several messages share."""

from dataclasses import dataclass, replace
from typing import Literal

from monitor.alerts.clean import duration, name
from monitor.alerts.facts import Facts

Level = Literal["info", "success", "warning", "failure"]

#: Most steps in one message.
STEPS_MOST = 3


@dataclass(frozen=True, slots=True)
class Wording:
    """The prose of one message. Parts between backticks are commands to type.

    `lead` says what happened in one or two sentences, `steps` what to do in at most three.
    """

    title: str
    level: Level
    lead: str
    steps: tuple[str, ...] = ()


def capital(text: str) -> str:
    """The text with a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]


def after_waiting(facts: Facts) -> str:
    """`, 17 min after the wait began`, or nothing."""
    waited = facts.number("waited_s")
    return f", {duration(waited)} after the wait began" if waited is not None else ""


def open_elsewhere(facts: Facts, words: Wording) -> Wording:
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


def evidence(facts: Facts) -> str:
    """The command that prints the evidence for support."""
    target = facts.event.target
    return f"`access-monitor evidence {name(target) if target else 'TARGET'}`"


def declare(facts: Facts) -> str:
    """The command that tells the monitor of a completed verification."""
    return f"`access-monitor declare verified {facts.who}`"
