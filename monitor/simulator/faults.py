"""Technical failures: what a fault makes of an answer, one function each.

The answer was decided before: an image that is cut on its way was made, and is billed.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from types import MappingProxyType

from monitor.simulator.abuse import ABUSES
from monitor.simulator.answers import Answer, Ending, encode, error_of
from monitor.simulator.asking import Ask
from monitor.simulator.false_answers import FALSE_ANSWERS
from monitor.simulator.fault_context import FaultContext
from monitor.simulator.refusals import Refusal, Stage
from monitor.simulator.scenario import PROVIDER, Fault, Scenario, SimulatedKey

_GATEWAY_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
)
_EDGE_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Attention Required!</title></head>\n"
    b"<body><h1>Sorry, you have been blocked</h1></body></html>\n"
)


def _rate_limited(context: FaultContext) -> Answer:
    wait = context.fault.retry_after
    hint = "" if wait is None else f" Please try again in {wait:g}s."
    message = (
        f"Rate limit reached for {context.ask.model} in organization {context.key.organization} on"
        f" requests per min (RPM): Limit 5, Used 5, Requested 1.{hint}"
    )
    return context.error(429, message, "requests", "rate_limit_exceeded")


def _server_error(context: FaultContext) -> Answer:
    message = "The server had an error while processing your request. Sorry about that!"
    return context.error(500, message, "server_error")


def _overloaded(context: FaultContext) -> Answer:
    message = "The engine is currently overloaded, please try again later."
    return context.error(503, message, "service_unavailable_error")


def _bad_gateway(context: FaultContext) -> Answer:
    return context.page(502, _GATEWAY_PAGE)


def _edge_forbidden(context: FaultContext) -> Answer:
    return context.page(403, _EDGE_PAGE)


def _reset(context: FaultContext) -> Answer:
    return context.changed(status=0, ending=Ending.RESET)


def _cut(context: FaultContext) -> Answer:
    return context.changed(ending=Ending.CUT)


def _timeout(context: FaultContext) -> Answer:
    return context.changed(status=0, ending=Ending.SILENCE, silence=context.fault.seconds)


def _slow(context: FaultContext) -> Answer:
    """Only late: it keeps its name."""
    return replace(context.answer, delay=context.answer.delay + context.fault.seconds)


def _broken_json(context: FaultContext) -> Answer:
    """Half of it: what a proxy sends that closed too early and counted again."""
    frames, body = context.answer.frames, context.answer.body
    halves = b"".join(frames)[: len(b"".join(frames)) // 2]
    return context.changed(frames=(halves,) if frames else (), body=body[: len(body) // 2])


def _empty_data(context: FaultContext) -> Answer:
    """A relay hides whatever happened behind an empty success."""
    body = b'{"created":0,"data":[]}'
    return Answer(context.fault.what, 200, body, headers=context.answer.headers)


def _error_frame(context: FaultContext) -> Answer:
    """A refusal, or else an outage, in an event of a 200."""
    message = "The server had an error while processing your request."
    outage = Refusal("", Stage.CONTENT, 500, message, "server_error")
    refusal = context.answer.refusal or outage
    error = error_of(refusal, provider=context.key.contract == PROVIDER)
    answer = Answer(context.fault.what, 200, headers=context.answer.headers)
    if context.ask.stream:
        event = encode({"type": "error", "sequence_number": 0, "error": error})
        return replace(answer, frames=(b"event: error\ndata: %b\n\n" % event,))
    return replace(answer, body=encode({"error": error}))


#: What a scenario may do to a key under `faults`. A new one is a function and a line here.
FAULTS: Mapping[str, Callable[[FaultContext], Answer]] = MappingProxyType(
    {
        "rate_limited": _rate_limited,
        "server_error": _server_error,
        "bad_gateway": _bad_gateway,
        "overloaded": _overloaded,
        "edge_forbidden": _edge_forbidden,
        "reset": _reset,
        "cut": _cut,
        "timeout": _timeout,
        "slow": _slow,
        "broken_json": _broken_json,
        "empty_data": _empty_data,
        "error_frame": _error_frame,
        **ABUSES,
        **FALSE_ANSWERS,
    }
)


class FaultInjector:
    """Decides which faults apply, by counts and probabilities; one for each run of a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self._seed = scenario.seed
        self._struck: dict[tuple[str, int], int] = {}
        self._dice: dict[tuple[str, int], Random] = {}

    def apply(self, key: SimulatedKey, ask: Ask, answer: Answer, at: float) -> Answer:
        """The answer after all faults of the key that apply, in their order."""
        for number, fault in enumerate(key.faults):
            if fault.matches(at, ask.model, ask.surface) and self._strikes(key, number, fault):
                delay = answer.delay
                answer = FAULTS[fault.what](FaultContext(fault, key, ask, answer))
                answer.delay = max(answer.delay, delay)
        return answer

    def _strikes(self, key: SimulatedKey, number: int, fault: Fault) -> bool:
        place = (key.name, number)
        if fault.first is not None:
            self._struck[place] = self._struck.get(place, 0) + 1
            if self._struck[place] > fault.first:
                return False
        if fault.probability >= 1:
            return True
        if place not in self._dice:
            # A stated seed makes a run repeatable; nothing secret depends on it.
            self._dice[place] = Random(f"{self._seed}/{key.name}/{number}")  # noqa: S311
        return self._dice[place].random() < fault.probability
