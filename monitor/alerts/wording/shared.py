"""What a message's words are, and the phrases that several of them share."""

from dataclasses import dataclass, replace
from typing import Literal

from monitor.access.providers import PROVIDER_QUESTIONS
from monitor.alerts.clean import duration, name
from monitor.alerts.facts import Facts

Level = Literal["info", "success", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Wording:
    """The prose of one message. Parts between backticks are commands to type."""

    title: str
    level: Level
    lead: str
    meaning: str = ""
    steps: tuple[str, ...] = ()


def capital(text: str) -> str:
    """The text with a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]


def after_waiting(facts: Facts) -> str:
    """` 17 min after the wait began`, or nothing."""
    waited = facts.number("waited_s")
    return f" {duration(waited)} after the wait began" if waited is not None else ""


def open_elsewhere(facts: Facts, words: Wording) -> Wording:
    """The words, and beside them how the same model stands on a route of the other contract.

    That a provider serves it while the direct gate is shut, with what to ask it; or that the direct gate
    is still shut while a provider opens.
    """
    if shut := facts.names("direct_shut"):
        told = f"OpenAI access to {facts.capability} is still shut: {', '.join(shut)}."
        return replace(words, lead=f"{words.lead} {told}")
    targets = facts.names("provider_open")
    if not targets:
        return words
    step = (
        f"Meanwhile {facts.capability} is open at a provider: {', '.join(targets)}. That is provider "
        "access under another contract. Before production uses it, ask the provider:"
    )
    return replace(words, steps=(*words.steps, step, *PROVIDER_QUESTIONS))


def evidence(facts: Facts) -> str:
    """The command that prints what support asks for."""
    target = facts.happening.target
    return f"`access-monitor evidence {name(target) if target else 'TARGET'}`"


def declare(facts: Facts) -> str:
    """The command that tells the monitor of a completed verification."""
    return f"`access-monitor declare verified {facts.who}`"
