"""What servers hand out as a success although our question was never answered, where the word is missing,

cut off, or stands beside what denies it.
"""

import json
from typing import Any

import pytest

from monitor.access.diagnosis import diagnose
from monitor.access.observation import Diagnosis, Observation
from monitor.access.words import Code, Effect, Surface

WORD = "copperlizard"
QUESTION = "Join the words copper and lizard. Reply with the joined word only."
GATE = "Your organization must be verified to use the model `gpt-5.1`."
CALL = {"name": "refuse", "arguments": json.dumps({"reason": GATE})}
REASONING = {"type": "reasoning", "summary": []}


def ask(surface: Surface, body: Any, **more: Any) -> Diagnosis:
    """The diagnosis of a success, asked with our question."""
    text = body if isinstance(body, str) else json.dumps(body)
    asked = {"surface": surface, "model": "gpt-5.1", "word": WORD, "question": QUESTION} | more
    return diagnose(Observation(200, body=text.encode(), **asked))


def chat(text: str | None, end: str = "length", **more: Any) -> Any:
    choice = {"index": 0, "message": {"content": text} | more, "finish_reason": end}
    return {"object": "chat.completion", "model": "gpt-5.1", "choices": [choice]}


def response(*output: Any, status: str = "incomplete", **more: Any) -> Any:
    whole = {"id": "resp_1", "object": "response", "status": status, "model": "gpt-5.1"}
    return whole | {"output": list(output)} | more


def message(text: str) -> Any:
    return {"type": "message", "content": [{"type": "output_text", "text": text}]}


def stream(*events: Any) -> str:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def said(text: str) -> Any:
    return {"type": "response.output_text.delta", "delta": text}


ENDED = {"type": "response.completed", "response": response(status="completed")}


@pytest.mark.parametrize("length", [24, 40, 55, len(QUESTION) - 1, len(QUESTION)])
@pytest.mark.parametrize("before", ["", "You said: ", '[echo]: "'])
def test_our_question_cut_at_the_length_is_an_echo_and_told_with_its_text(length, before) -> None:
    for text in (before + QUESTION[:length], (before + QUESTION[:length]).upper()):
        cut = {"type": "response.incomplete", "response": response()}
        for surface, body in (
            (Surface.CHAT, chat(text)),
            (Surface.RESPONSES, response(message(text))),
            (Surface.STREAM, stream(said(text), cut)),
        ):
            found = ask(surface, body)
            assert found.effect is Effect.INCONCLUSIVE
            assert found.unproven == (found.rule == "answered_something_else")


def test_what_begins_with_our_question_and_is_thought_is_no_echo() -> None:
    for text in (
        "We need to join the words copper and lizard",
        f"<think>The user says: {QUESTION[:30]}",
        "Join copper and lizard: the",
    ):
        assert ask(Surface.CHAT, chat(text)).code is Code.ACCESS_GRANTED, text


@pytest.mark.parametrize(
    "text",
    [
        "Désolé, ce compte n'est pas encore admis pour cela",
        "Dieses Modell steht nur geprüften Firmen offen, bitte",
        "Tento účet to nemá povoleno, nejprve se prokažte",
        "Tilisi täytyy vahvistaa ennen kuin voit jatkaa tätä",
        "A fiókodat igazolni kell mielőtt ezt használod",
        "Occorre confermare la propria identità prima di proseguire",
    ],
)
def test_another_language_neither_begins_an_answer_to_ours_nor_stands_beside_it(text) -> None:
    assert ask(Surface.CHAT, chat(text)).effect is Effect.INCONCLUSIVE
    assert ask(Surface.CHAT, chat(f"{WORD} {text}", "stop")).effect is Effect.INCONCLUSIVE


@pytest.mark.parametrize(
    "details",
    [
        {"reason": "organization_not_verified"},
        {"reason": "upstream_error"},
        {"reason": "max_output_tokens", "message": GATE},
        {"reason": GATE},
    ],
)
def test_what_ended_for_another_reason_than_its_length_proves_nothing(details) -> None:
    used = {"usage": {"output_tokens": 16}, "incomplete_details": details}
    for body in (response(**used), response(REASONING, **used)):
        found = ask(Surface.RESPONSES, body)
        assert found.effect is not Effect.GRANTED
        assert found.effect is Effect.GATED or GATE not in details.values()


@pytest.mark.parametrize(
    "body",
    [
        chat(None, tool_calls=[{"id": "call_1", "type": "function", "function": CALL}]),
        chat(None, "tool_calls", tool_calls=[{"id": "call_1", "function": CALL}]),
        chat(None, function_call=CALL),
        chat("", annotations=[{"type": "note", "text": GATE}])
        | {"usage": {"completion_tokens": 9}},
        chat(None, audio={"transcript": GATE}) | {"usage": {"completion_tokens": 9}},
        chat(WORD, "stop", error={"message": GATE}),
        chat(WORD, "stop") | {"choices": [chat(WORD, "stop")["choices"][0], {"error": GATE}]},
    ],
)
def test_a_refusal_that_no_content_holds_is_that_refusal(body) -> None:
    assert ask(Surface.CHAT, body).code is Code.VERIFICATION_REQUIRED


def test_a_call_of_a_tool_that_refuses_is_that_refusal() -> None:
    called = response({"type": "function_call"} | CALL)
    assert ask(Surface.RESPONSES, called).code is Code.VERIFICATION_REQUIRED


def test_choices_that_were_not_asked_for_do_not_make_the_word_together() -> None:
    halves = [
        {"index": place, "message": {"content": text}, "finish_reason": "stop"}
        for place, text in enumerate(("Join the words copper", "lizard."))
    ]
    assert ask(Surface.CHAT, chat("") | {"choices": halves}).unproven


def test_a_stream_whose_rest_was_not_read_proves_nothing() -> None:
    body = stream(said(WORD), ENDED)
    assert ask(Surface.STREAM, body).code is Code.ACCESS_GRANTED
    assert ask(Surface.STREAM, body, truncated=True).code is Code.UNRECOGNIZED


def test_an_event_of_a_relays_own_may_refuse() -> None:
    refused = {"type": "refused", "reason": GATE}
    assert ask(Surface.STREAM, stream(said(WORD), refused, ENDED)).effect is Effect.GATED
    alive = {"type": "ping", "at": "12:00"}
    assert ask(Surface.STREAM, stream(alive, said(WORD), ENDED)).code is Code.ACCESS_GRANTED


def test_a_models_name_alone_is_no_entry_of_it() -> None:
    assert ask(Surface.MODELS, {"id": "gpt-5.1"}).code is Code.UNRECOGNIZED
    entry = {"id": "gpt-5.1", "object": "model"}
    assert ask(Surface.MODELS, entry).code is Code.ACCESS_GRANTED
