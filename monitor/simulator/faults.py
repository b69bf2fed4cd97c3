"""What a fault makes of an answer: technical failures, hostile servers, relays with false successes.

The answer was decided before: an image that is cut on its way was made, and is billed.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from time import time
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from monitor.simulator import pictures, texts
from monitor.simulator.answers import Answer, Ending, encode, error_of, refused
from monitor.simulator.asking import Ask, Endpoint
from monitor.simulator.refusals import Refusal, Stage, gate_refusal
from monitor.simulator.scenario import PROVIDER, Fault, Scenario, SimulatedKey
from monitor.simulator.simulated_models import BUILT_IN

#: Bytes of the nested answer.
NESTED = 10 * 1024 * 1024
#: Characters of the long-winded message.
LONG = 1024 * 1024

#: What a server may put into its words, for each place where they are shown: Slack, HTML, a terminal, a
#: log, a mail's header.
HOSTILE = (
    "<!channel> <http://evil.example|x> `*_<b>b</b><img src=x onerror=alert(1)>\x1b[31mred\x07\x9b2J"
    "\u202eltr\u2066\u200b\r\nBcc: all@evil.example\r\nforged: available\r\n\r\n"
)
#: A header cannot hold a line's end.
HOSTILE_ID = "req_<!here>`<b>x</b>\u00a0\u009b2J"

_GATEWAY_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
)
_EDGE_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Attention Required!</title></head>\n"
    b"<body><h1>Sorry, you have been blocked</h1></body></html>\n"
)
_LOGIN_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>Login</title></head><body>Please log in.</body></html>\n"
)


@dataclass(frozen=True, slots=True)
class FaultContext:
    """A fault that applies to the answer to a request."""

    fault: Fault
    key: SimulatedKey
    ask: Ask
    answer: Answer

    @property
    def draws(self) -> bool:
        """Whether a picture was asked for, by itself."""
        return self.ask.endpoint in (Endpoint.IMAGES, Endpoint.EDITS)

    @property
    def passes_as_success(self) -> bool:
        """Only the gate's refusal is turned into a success: any other stays what it is."""
        return self.answer.refusal is None or self.answer.refusal.stage is Stage.GATE

    def changed(self, **changes: Any) -> Answer:
        """The answer under the fault's name, with changes; what it bills stays."""
        return replace(self.answer, what=self.fault.what, **changes)

    def error(self, status: int, message: str, kind: str, code: str | None = None) -> Answer:
        """An error of the API or the relay instead of the answer; nothing is billed."""
        wait = self.fault.retry_after
        what = self.fault.what
        refusal = Refusal(what, Stage.RATE, status, message, kind, code=code, retry_after=wait)
        return refused(self.ask, self.key, refusal)

    def error_object(self, refusal: Refusal) -> Mapping[str, str | None]:
        """The error in the words of the key's contract."""
        return error_of(refusal, provider=self.key.contract == PROVIDER)

    def page(self, status: int, page: bytes) -> Answer:
        """A page of the edge: nothing of the API's own headers."""
        kept = ("cf-ray", "server")
        headers = {name: value for name, value in self.answer.headers.items() if name in kept}
        return Answer(self.fault.what, status, page, content_type="text/html", headers=headers)

    def success(self, value: object) -> Answer:
        """This value as a success that costs nothing."""
        return Answer(self.fault.what, 200, encode(value), headers=self.answer.headers)

    def said(self, *words: str) -> Answer:
        """These words as the answer that was asked for: a text, or base64 in a picture's place."""
        ask = self.ask
        if ask.endpoint in (None, Endpoint.MODELS) or not self.passes_as_success:
            return self.answer
        if self.draws:
            item = {"b64_json": b64encode("".join(words).encode()).decode()}
            return self.success({"created": int(time()), "data": [item]})
        name = str(ask.body["model"])
        model = BUILT_IN.get(name, BUILT_IN["gpt-5.1"])
        written = texts.Written(0, words, complete=True)
        made = texts.answer(ask, model, name, written)
        return replace(made, what=self.fault.what, headers=self.answer.headers, charges=())

    def with_words(
        self, before: str, after: str = "", headers: Mapping[str, str] = MappingProxyType({})
    ) -> Answer:
        """The same answer, with more words: around a refusal's own, else beside the payload."""
        answer = self.changed(headers={**self.answer.headers, **headers})
        if answer.refusal is not None:
            message = f"{before}{answer.refusal.message}{after}"
            said = refused(self.ask, self.key, replace(answer.refusal, message=message))
            return replace(answer, body=said.body)
        try:
            value = json.loads(answer.body)
        except ValueError:
            body = answer.body.replace(b"<title>", b"<title>" + before.encode() + after.encode())
            return replace(answer, body=body)
        return replace(answer, body=encode({"words": before + after, **value}))


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
    return context.success({"created": 0, "data": []})


def _error_frame(context: FaultContext) -> Answer:
    """A refusal, or else an outage, in an event of a 200."""
    message = "The server had an error while processing your request."
    outage = Refusal("", Stage.CONTENT, 500, message, "server_error")
    error = context.error_object(context.answer.refusal or outage)
    answer = context.success({"error": error})
    if context.ask.stream:
        frame = texts.frame({"type": "error", "sequence_number": 0, "error": error})
        return replace(answer, body=b"", frames=(frame,))
    return answer


def _endless(context: FaultContext) -> Answer:
    """Of the right kind and never whole: spaces before a JSON value may be as many as one likes."""
    return context.changed(ending=Ending.ENDLESS, body=b" " * 65536, frames=())


def _endless_headers(context: FaultContext) -> Answer:
    line = b"x-filler: " + b"f" * 4096 + b"\r\n"
    return context.changed(ending=Ending.FLOOD, before=b"HTTP/1.1 200 OK\r\n", body=line)


def _interim(context: FaultContext) -> Answer:
    """As it may be: the final answer follows."""
    hint = b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n"
    return context.changed(before=b"HTTP/1.1 100 Continue\r\n\r\n" + hint * 2)


def _garbage(context: FaultContext) -> Answer:
    return context.changed(ending=Ending.RAW, body=b"220 mail.example ESMTP\r\n\x00\xff\r\n\r\n")


def _redirect(context: FaultContext) -> Answer:
    """A redirect: a client that follows it sends the key along."""
    return Answer(context.fault.what, 307, headers={"location": "/elsewhere/v1/models"})


def _nested(context: FaultContext) -> Answer:
    return context.changed(body=b"[" * (NESTED // 2) + b"]" * (NESTED // 2), frames=())


def _echo(context: FaultContext) -> Answer:
    """The key in body and headers: as it is, in base64, quoted for a URL."""
    secret = context.ask.secret or ""
    packed = b64encode(f"Bearer {secret}".encode()).decode()
    words = f"You sent Authorization: Bearer {secret} ({packed}, {quote(secret, safe='')}). "
    echoed = {
        "x-request-id": f"req-{secret}",
        "openai-organization": packed,
        "openai-project": quote(secret, safe=""),
        "server": "s" * 190 + secret,
        "x-echo": f"Bearer {secret}",
    }
    return context.with_words(words, headers=echoed)


def _refusal_as_text(context: FaultContext) -> Answer:
    return context.said(f"Sorry: {_refusal(context).message}")


def _error_as_text(context: FaultContext) -> Answer:
    error = {"error": context.error_object(_refusal(context))}
    return context.said(f"```json\n{json.dumps(error, indent=2)}\n```")


def _refusal(context: FaultContext) -> Refusal:
    ask = context.ask
    return context.answer.refusal or gate_refusal(ask.surfaces[0], ask.model)


def _parrot(context: FaultContext) -> Answer:
    """A mock: it repeats what it was told."""
    ask = context.ask
    if ask.endpoint is Endpoint.CHAT:
        return context.said(texts.prompt_of(ask))
    return context.said(str(ask.body.get("input", ask.body.get("prompt", ""))))


def _failed_call(context: FaultContext) -> Answer:
    """The hosted tool's call failed, and the response is completed all the same."""
    if not context.ask.tool:
        return context.answer
    answer = context.said("")
    if not answer.body or answer is context.answer:
        return answer
    whole = json.loads(answer.body)
    call = {"id": "ig_1", "type": "image_generation_call", "status": "failed", "result": None}
    return replace(answer, body=encode(whole | {"output": [call]}))


def _code_beside_data(context: FaultContext) -> Answer:
    """An envelope that says 403 around a picture."""
    if not context.draws or not context.passes_as_success:
        return context.answer
    item = {"b64_json": pictures.picture("1024x1024").decode()}
    return context.success({"code": 403, "success": False, "data": [item]})


#: Relays with false successes: the gate's refusal, or an answer, becomes one.
FALSE_ANSWERS: Mapping[str, Callable[[FaultContext], Answer]] = MappingProxyType(
    {
        "refusal_as_text": _refusal_as_text,
        "error_as_text": _error_as_text,
        "page_as_text": lambda context: context.said(_LOGIN_PAGE),
        "parrot": _parrot,
        # A cache that compares the model only: the words are those of the first request.
        "replayed": lambda context: context.said("violet", "walrus"),
        "failed_call": _failed_call,
        "code_beside_data": _code_beside_data,
    }
)

#: What a scenario may do to a key under `faults`. A new one is a function and a line here.
FAULTS: Mapping[str, Callable[[FaultContext], Answer]] = MappingProxyType(
    {
        "rate_limited": _rate_limited,
        "server_error": _server_error,
        "bad_gateway": lambda context: context.page(502, _GATEWAY_PAGE),
        "overloaded": _overloaded,
        "edge_forbidden": lambda context: context.page(403, _EDGE_PAGE),
        "reset": lambda context: context.changed(status=0, ending=Ending.RESET),
        "cut": lambda context: context.changed(ending=Ending.CUT),
        "timeout": lambda context: context.changed(
            status=0, ending=Ending.SILENCE, silence=context.fault.seconds
        ),
        "slow": _slow,
        "broken_json": _broken_json,
        "empty_data": _empty_data,
        "error_frame": _error_frame,
        # Hostile servers: bytes without end, no HTTP, echoes, hostile words.
        "dripping": lambda context: context.changed(
            ending=Ending.DRIP, silence=context.fault.seconds
        ),
        "endless": _endless,
        "endless_headers": _endless_headers,
        "interim": _interim,
        "endless_interim": lambda context: context.changed(
            ending=Ending.FLOOD, body=b"HTTP/1.1 100 Continue\r\n\r\n"
        ),
        "garbage": _garbage,
        "redirect": _redirect,
        "nested": _nested,
        "echo": _echo,
        "hostile": lambda context: context.with_words(
            HOSTILE, headers={"x-request-id": HOSTILE_ID}
        ),
        "long_winded": lambda context: context.with_words("", "w" * LONG),
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
