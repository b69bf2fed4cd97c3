"""Refusals, and the ways in which a text says one: half of the ways were not shown to who wrote the rules."""

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Refusal:
    """A sentence that refuses, and what it means where it is told as an error."""

    id: str
    text: str
    code: str
    status: int
    gate: bool = False
    #: In another language than English, and in its letters.
    foreign: bool = False
    error: dict[str, Any] = field(default_factory=dict)

    def object(self) -> dict[str, Any]:
        """The vendor's error object, with what this refusal says otherwise."""
        plain = {"message": self.text, "type": "invalid_request_error", "param": None, "code": None}
        return {"error": plain | self.error}


def refusals(name: str) -> tuple[Refusal, ...]:
    """The refusals of one half: `seen` or `held_out`."""
    path = HERE / f"refusals_{name}.toml"
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["refusal"] if path.exists() else []
    return tuple(Refusal(**row) for row in rows)


@dataclass(frozen=True)
class Wording:
    """A way to say a refusal in a text; `error` where the text holds the error object itself."""

    name: str
    say: Callable[[Refusal, Random], str]
    error: bool = False


def _json(value: object, chance: Random) -> str:
    indent = chance.choice([None, None, 2])
    return json.dumps(value, ensure_ascii=chance.random() < 0.5, indent=indent)


def _traceback(refusal: Refusal, chance: Random) -> str:
    return (
        "Traceback (most recent call last):\n"
        '  File "/app/relay/handler.py", line 88, in complete\n'
        "    answer = client.send(request)\n"
        f"openai.APIStatusError: Error code: {refusal.status} - {refusal.object()}"
    )


SEEN = (
    Wording("plain", lambda r, _: r.text),
    Wording("sorry", lambda r, _: f"Sorry: {r.text}"),
    Wording("cross", lambda r, _: f"❌ Error code: {r.status} - {r.object()}"),
    Wording("json", lambda r, c: _json(r.object(), c), error=True),
    Wording("json_in_fence", lambda r, c: f"```json\n{_json(r.object(), c)}\n```", error=True),
    Wording("traceback", _traceback),
    Wording("bold", lambda r, _: f"**Request failed**\n\n> {r.text}"),
    Wording("page", lambda r, _: f"<html><body><h1>{r.status}</h1><p>{r.text}</p></body></html>"),
    Wording("log_line", lambda r, _: f"[ERROR] upstream answered {r.status}: {r.text}"),
    Wording("sorry_zh", lambda r, _: f"抱歉，请求失败：{r.text}"),
)
