"""The other half of the ways to say a refusal in a text."""

import json
from random import Random

from disguises.saying import Refusal, Wording


def _nested(refusal: Refusal, chance: Random) -> str:
    inner = json.dumps(refusal.object(), ensure_ascii=chance.random() < 0.5)
    return json.dumps({"error": {"message": inner, "type": "upstream_error", "code": "relay"}})


def _stringified(refusal: Refusal, chance: Random) -> str:
    return json.dumps(json.dumps(refusal.object(), ensure_ascii=False))


def _xml(refusal: Refusal, _: Random) -> str:
    return f"<error><code>{refusal.status}</code><message>{refusal.text}</message></error>"


def _boxed(refusal: Refusal, _: Random) -> str:
    line = "─" * 40
    return f"╭{line}╮\n│ ⚠️  {refusal.text} │\n╰{line}╯"


def _sdk(refusal: Refusal, _: Random) -> str:
    return f"AI_APICallError: {refusal.text}\n    at async send (app/chunks/relay.js:37:6920)"


def _go(refusal: Refusal, _: Random) -> str:
    body = json.dumps(refusal.object()["error"])
    return f'POST "https://api.acme.example/v1/responses": {refusal.status} Refused {body}'


def _long_apology(refusal: Refusal, _: Random) -> str:
    return (
        "I'm sorry, but I could not process your request at this time. "
        f'The service that answers for me said: "{refusal.text}" Please contact the operator.'
    )


HELD_OUT = (
    Wording("python_repr", lambda r, _: str(r.object()), error=True),
    Wording("nested", _nested, error=True),
    Wording("stringified", _stringified, error=True),
    Wording("xml", _xml),
    Wording("boxed", _boxed),
    Wording("sdk", _sdk),
    Wording("go", _go),
    Wording("long_apology", _long_apology),
    Wording("thinking", lambda r, _: f"<think>Let me try.</think>\n\n{r.text}"),
    Wording("error_ja", lambda r, _: f"エラー: {r.text}"),
    Wording("key_values", lambda r, _: f"code={r.status} msg={r.text} data=null"),
    Wording("fence_with_prose", lambda r, _: (
        f"The provider said:\n\n```\n{json.dumps(r.object(), indent=2)}\n```\n\nPlease try later."
    )),
    Wording("yaml", lambda r, _: f"error:\n  status: {r.status}\n  message: {r.text}"),
)  # fmt: skip
