"""A success of a text surface proves that our own question was answered: by the word that was asked for."""

import json
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from monitor.access.diagnosis import DiagnosisCache, diagnose
from monitor.access.diagnosis.advice import advise_on
from monitor.access.observation import Diagnosis, Observation
from monitor.access.words import Code, Effect, Gate, Surface

WORD = "copperlizard"
GATE = (
    "Your organization must be verified to use the model `gpt-5.1`. Please go to: "
    "https://platform.openai.com/settings/organization/general and click on Verify Organization."
)
ERROR = json.dumps({"error": {"message": GATE, "type": "invalid_request_error", "code": None}})


def chat(text: str, *, cut: bool = False, **more: Any) -> Any:
    said = {"role": "assistant", "content": text} | more
    choice = {"index": 0, "message": said, "finish_reason": "length" if cut else "stop"}
    return {"object": "chat.completion", "model": "gpt-5.1-2025-11-13", "choices": [choice]}


def response(text: str, *, cut: bool = False, **more: Any) -> Any:
    item = {"type": "message", "content": [{"type": "output_text", "text": text}]}
    status = "incomplete" if cut else "completed"
    whole = {"id": "resp_1", "object": "response", "status": status, "error": None}
    return whole | {"model": "gpt-5.1-2025-11-13", "output": [item] if text else []} | more


def pieces(text: str) -> list[str]:
    return [text[at : at + 7] for at in range(0, len(text), 7)]


def stream(text: str, *, cut: bool = False, **more: Any) -> str:
    events = [{"type": "response.created", "response": {"status": "in_progress"}}]
    events += [{"type": "response.output_text.delta", "delta": part} for part in pieces(text)]
    kind = "response.incomplete" if cut else "response.completed"
    events.append({"type": kind, "response": response(text, cut=cut, **more)})
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)


def trimmed_stream(text: str, *, cut: bool = False) -> str:
    """A relay's: the last event is without the output, so that the deltas are all there is."""
    return stream(text, cut=cut, output=[])


def chunks(text: str, *, cut: bool = False) -> str:
    deltas: list[Any] = [{"index": 0, "delta": {"content": part}} for part in pieces(text)]
    deltas.append({"index": 0, "delta": {}, "finish_reason": "length" if cut else "stop"})
    frames = [json.dumps({"model": "gpt-5.1", "choices": [delta]}) for delta in deltas]
    return "".join(f"data: {frame}\n\n" for frame in [*frames, "[DONE]"])


SHAPES: dict[str, tuple[Surface, Callable[..., Any]]] = {
    "chat": (Surface.CHAT, chat),
    "chat stream": (Surface.CHAT, chunks),
    "responses": (Surface.RESPONSES, response),
    "summary": (
        Surface.SUMMARY,
        lambda *a, **k: response(*a, **k, reasoning={"effort": "low", "summary": "auto"}),
    ),
    "stream": (Surface.STREAM, stream),
    "trimmed stream": (Surface.STREAM, trimmed_stream),
    "stream of chunks": (Surface.STREAM, chunks),
}
each_shape = pytest.mark.parametrize("shape", SHAPES)
BOTH = (False, True)


def ask(shape: str, text: str, *, cut: bool = False, word: str = WORD, **asked: Any) -> Diagnosis:
    surface, make = SHAPES[shape]
    made = make(text, cut=cut)
    body = made if isinstance(made, str) else json.dumps(made)
    plain = {"surface": surface, "model": "gpt-5.1", "word": word}
    return diagnose(Observation(200, body=body.encode(), **plain | asked))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        WORD,
        "CopperLizard",
        "copper lizard",
        '"copper" "lizard"',
        "Sure! The joined word is **copperlizard**.",
        "“copper”\n“lizard”",
        '{"word": "copperlizard"}',
    ],
)
def test_the_joined_word_is_the_proof(text: str) -> None:
    for shape, cut in product(SHAPES, BOTH):
        found = ask(shape, text, cut=cut)
        assert (found.code, found.unproven) == (Code.ACCESS_GRANTED, False), (shape, cut)


FALSE_ANSWERS = {
    "a sorry": (f"Sorry: {GATE}", Effect.GATED),
    "a number": (f"❌ Error code: 403 - {ERROR}", Effect.GATED),
    "an exception": (f"openai.PermissionDeniedError: Error code: 403 - {ERROR}", Effect.GATED),
    "bare json": (ERROR, Effect.GATED),
    "fenced json": (f"```json\n{ERROR}\n```", Effect.GATED),
    "indented json": (json.dumps(json.loads(ERROR), indent=2), Effect.GATED),
    "chinese": ("您的组织必须经过验证才能使用该模型。", Effect.GATED),
    "japanese": ("このモデルを使用するには、組織の認証が必要です。", None),
    "chinese, without a rule": ("抱歉,当前渠道暂时打不开,请稍等一会儿。", None),
    "a traceback": ("Traceback (most recent call last):\n  File 'x.py', line 3\nKeyError: 1", None),
    "no money": ("insufficient balance, please top up", Effect.BLOCKED),
    "a channel": ("This channel is under maintenance.", Effect.INCONCLUSIVE),
    "something odd": ("[upstream] something went wrong with request 12", None),
    "an unknown error": ('{"error": {"message": "kettle", "code": "k1"}}', None),
    "a page": ("<html><body>Access denied</body></html>", None),
    "a bare status": ("403", None),
    "a polite no": ("I'm sorry, but I can't do that for you.", None),
}


@pytest.mark.parametrize(("text", "effect"), FALSE_ANSWERS.values(), ids=FALSE_ANSWERS)
def test_a_refusal_in_the_models_words_is_never_granted(text: str, effect: Effect | None) -> None:
    # without a word it is an answer that a person wants explained
    for shape, cut, word in product(SHAPES, BOTH, (WORD, "")):
        found = ask(shape, text, cut=cut, word=word)
        assert found.effect not in (Effect.GRANTED, Effect.LOCKED), (shape, cut, word)
        assert not found.unproven, (shape, cut, word)
        if effect is not None:
            assert found.effect is effect, (shape, cut, word)


@each_shape
@pytest.mark.parametrize(
    "text",
    [f"{WORD}\n\n{GATE}", f"{ERROR} {WORD}", f"{WORD} Error: kettle", f"Exception: {WORD}"],
)
def test_a_refusal_outranks_the_word(shape: str, text: str) -> None:
    assert ask(shape, text).effect is not Effect.GRANTED


@each_shape
def test_what_no_rule_knows_and_refuses_beside_the_word_proves_nothing(shape: str) -> None:
    for beside in (
        "We are under maintenance, come back tomorrow.",
        "您好，本渠道正在升级，请明天再来试试",
    ):
        found = ask(shape, f"{WORD}\n\n{beside}")
        assert found.effect is Effect.INCONCLUSIVE, beside


@each_shape
def test_what_a_model_says_besides_leaves_the_word_its_proof(shape: str) -> None:
    for text in (
        f"Joining copper and lizard gives {WORD}. Is there more to join?",
        f"<think>The user has a limit of one word. I check that.</think>\n{WORD}",
        f"好的：{WORD}",
    ):
        assert ask(shape, text).code is Code.ACCESS_GRANTED, text


@each_shape
def test_a_cut_text_that_has_ended_was_not_cut(shape: str) -> None:
    found = ask(shape, "Recargue su cuenta para continuar.", cut=True)
    assert (found.code, found.unproven) == (Code.UNRECOGNIZED, True)
    assert ask(shape, "Recargue su cuenta para", cut=True).code is Code.UNRECOGNIZED


@each_shape
def test_thinking_aloud_that_was_cut_is_granted(shape: str) -> None:
    text = "<think>\nOkay, the user wants two words joined."
    assert ask(shape, text, cut=True).code is Code.ACCESS_GRANTED


@each_shape
def test_the_gate_in_the_words_is_told_with_its_text(shape: str) -> None:
    found = ask(shape, f"Sorry: {GATE}")
    assert (found.code, found.gate) == (Code.VERIFICATION_REQUIRED, Gate.MODEL)
    assert GATE[:60] in found.message


@each_shape
@pytest.mark.parametrize(
    "text",
    [
        "Hello! How can I help you today?",
        "violetwalrus",
        "copper and lizard",
        "Join the words copper and lizard. Reply with the joined word only.",
        "copper-lizard",
    ],
)
def test_another_answer_or_an_echo_is_unproven_and_told_with_its_text(
    shape: str, text: str
) -> None:
    found = ask(shape, text)
    assert (found.code, found.unproven, found.message) == (Code.UNRECOGNIZED, True, text)


@each_shape
@pytest.mark.parametrize(
    "text", ["Hello! How can I help you today?", "ok", "Xin chào", "Grüß dich 😊"]
)
def test_where_no_word_was_asked_for_what_is_left_decides(shape: str, text: str) -> None:
    assert ask(shape, text, word="").code is Code.ACCESS_GRANTED


@each_shape
@pytest.mark.parametrize(
    "text",
    [
        "The joined word of these two is cop",
        "<think>The user wants the two joined into a",
        "Sure, let me put both of them together for",
        "copper",
        "Copperliz",
    ],
)
def test_an_answer_that_was_cut_before_the_word_is_granted(shape: str, text: str) -> None:
    assert ask(shape, text, cut=True).code is Code.ACCESS_GRANTED


@each_shape
@pytest.mark.parametrize(
    "text",
    [
        "Unknown kettle, see the list of them in the manual",
        "Your kettle is not one of those which we offer here",
        "This model is for those who asked for it in time only",
        "[acme-relay] kettles are closed for the season, come back",
        "kettle",
        "kaputt",
    ],
)
def test_what_no_answer_to_our_question_begins_with_is_no_proof_though_it_was_cut(
    shape: str, text: str
) -> None:
    found = ask(shape, text, cut=True)
    assert (found.effect, found.unproven) == (Effect.INCONCLUSIVE, False)


@each_shape
def test_an_answer_that_was_cut_names_the_model_that_was_asked_for(shape: str) -> None:
    found = ask(shape, "The joined word of these two is cop", cut=True, model="o3")
    assert (found.code, found.rule) == (Code.UNRECOGNIZED, "another_model_answered")


REASONING = {"type": "reasoning", "summary": []}


@pytest.mark.parametrize(
    "body",
    [
        response("", cut=True, output=[REASONING]),
        response("", cut=True, usage={"input_tokens": 20, "output_tokens": 16}),
    ],
)
@pytest.mark.parametrize("surface", [Surface.RESPONSES, Surface.STREAM])
def test_reasoning_that_used_up_the_tokens_is_granted(surface: Surface, body: Any) -> None:
    event = {"type": "response.incomplete", "response": body}
    text = json.dumps(body) if surface is Surface.RESPONSES else f"data: {json.dumps(event)}\n\n"
    found = diagnose(
        Observation(200, body=text.encode(), surface=surface, model="gpt-5.1", word=WORD)
    )
    assert found.code is Code.ACCESS_GRANTED


def test_a_chat_whose_tokens_went_into_reasoning_is_granted(read_answer) -> None:
    used = {"completion_tokens": 16, "completion_tokens_details": {"reasoning_tokens": 16}}
    asked = {"surface": Surface.CHAT, "model": "gpt-5.1", "word": WORD}
    body = chat("", cut=True) | {"usage": used}
    assert read_answer(200, body, **asked).code is Code.ACCESS_GRANTED
    thought = chat("", cut=True, reasoning_content="We are to join copper and liz")
    assert read_answer(200, thought, **asked).code is Code.ACCESS_GRANTED
    assert read_answer(200, chat("", cut=True), **asked).code is Code.UNRECOGNIZED
    hidden = chat("", cut=True, reasoning_content=GATE) | {"usage": used}
    assert read_answer(200, hidden, **asked).effect is Effect.GATED


def test_the_word_in_the_reasoning_is_the_word(read_answer) -> None:
    body = chat("", reasoning_content="That makes copperlizard.")
    found = read_answer(200, body, surface=Surface.CHAT, model="gpt-5.1", word=WORD)
    assert found.code is Code.ACCESS_GRANTED


def test_a_summary_needs_a_summary_or_a_reasoning_item_besides(read_answer) -> None:
    asked = {"surface": Surface.SUMMARY, "model": "gpt-5.1", "word": WORD}
    plain = response(WORD)
    assert read_answer(200, plain, **asked).code is Code.UNRECOGNIZED
    assert read_answer(200, plain | {"reasoning": {"summary": None}}, **asked).code is (
        Code.UNRECOGNIZED
    )
    told = plain | {"reasoning": {"effort": "low", "summary": "detailed"}}
    assert read_answer(200, told, **asked).code is Code.ACCESS_GRANTED
    thought = plain | {"output": [REASONING, *plain["output"]]}
    assert read_answer(200, thought, **asked).code is Code.ACCESS_GRANTED


@each_shape
@pytest.mark.parametrize(
    ("named", "code"),
    [
        ("gpt-5.1-2025-11-13", Code.ACCESS_GRANTED),
        ("gpt-5.1", Code.ACCESS_GRANTED),
        ("gpt-4o-mini", Code.UNRECOGNIZED),
    ],
)
def test_a_header_that_names_another_model_is_believed(shape: str, named: str, code: Code) -> None:
    assert ask(shape, WORD, headers={"openai-model": named}).code is code


def test_a_frame_that_keeps_the_connection_open_names_no_model(read_answer) -> None:
    quiet = {"model": "keepalive", "choices": [{"index": 0, "delta": {"content": ""}}]}
    asked = {"surface": Surface.CHAT, "model": "gpt-5.1", "word": WORD}
    body = f"data: {json.dumps(quiet)}\n\n" + chunks(WORD)
    assert read_answer(200, body, **asked).code is Code.ACCESS_GRANTED
    other = quiet | {"model": "gpt-4o"}
    body = f"data: {json.dumps(other)}\n\n" + chunks(WORD)
    assert read_answer(200, body, **asked).code is Code.UNRECOGNIZED


BESIDE = [
    {"code": 403},
    {"code": "403"},
    {"code": "not_enough_kettles"},
    {"success": False},
    {"status_code": 500},
    {"error": {"message": "kettle"}},
    {"error": ["kettle"]},
    {"error": True},
]


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("make", [chat, response])
def test_what_stands_beside_the_payload_may_refuse_it(read_answer, make, beside) -> None:
    surface = Surface.CHAT if make is chat else Surface.RESPONSES
    found = read_answer(200, make(WORD) | beside, surface=surface, model="gpt-5.1", word=WORD)
    assert found.effect in (Effect.INCONCLUSIVE, Effect.BLOCKED)


@pytest.mark.parametrize(
    "beside", [{"code": 0}, {"code": 200}, {"code": "success"}, {"error": {}}, {"error": [""]}]
)
def test_a_success_that_says_so_is_one(read_answer, beside) -> None:
    found = read_answer(200, chat(WORD) | beside, surface=Surface.CHAT, model="gpt-5.1", word=WORD)
    assert found.code is Code.ACCESS_GRANTED


def test_a_line_of_text_between_the_frames_is_read(read_answer) -> None:
    asked = {"surface": Surface.CHAT, "model": "gpt-5.1", "word": WORD}
    body = chunks(WORD) + f"data: {GATE}\n\n"
    assert read_answer(200, body, **asked).effect is Effect.GATED
    body = "data: Error: kettle\n\n" + chunks(WORD)
    assert read_answer(200, body, **asked).effect is Effect.INCONCLUSIVE


def test_a_whole_answer_as_one_data_line_is_read_as_what_it_is(read_answer) -> None:
    asked = {"model": "gpt-5.1", "word": WORD}
    line = f"data: {json.dumps(chat(WORD))}\n\ndata: [DONE]\n\n"
    assert read_answer(200, line, surface=Surface.CHAT, **asked).code is Code.ACCESS_GRANTED
    line = f"data: {json.dumps(response(WORD))}\n\n"
    assert read_answer(200, line, surface=Surface.RESPONSES, **asked).code is Code.ACCESS_GRANTED
    # fetched without streaming, it may have gone past the gate of the stream
    assert read_answer(200, line, surface=Surface.STREAM, **asked).code is Code.UNRECOGNIZED


def test_a_success_is_judged_each_time_though_an_equal_one_was_read() -> None:
    reader = DiagnosisCache()
    body = json.dumps(chat(WORD)).encode()
    asked = {"surface": Surface.CHAT, "model": "gpt-5.1"}
    first = reader.read(Observation(200, body=body, word=WORD, **asked))
    again = reader.read(Observation(200, body=body, word="violetwalrus", **asked))
    assert first is not None
    assert again is not None
    assert (first.code, again.code) == (Code.ACCESS_GRANTED, Code.UNRECOGNIZED)
    assert again.unproven


@pytest.mark.parametrize(
    ("said", "unproven"),
    [
        ("max_tokens or model output limit was reached. Ask for more.", True),
        ("max_tokens is beyond the model output limit.", False),
    ],
)
def test_tokens_used_up_in_thought_are_unproven_and_no_bad_request(
    *, said: str, unproven: bool
) -> None:
    message = f"Could not finish the message because {said}"
    body = json.dumps({"error": {"message": message, "param": None, "code": None}}).encode()
    found = diagnose(Observation(400, {}, body, surface=Surface.CHAT))
    code = Code.UNRECOGNIZED if unproven else Code.BAD_REQUEST
    assert (found.code, found.unproven, found.message) == (code, unproven, message)
    assert ("MODEL:responses" in advise_on(found).advice) is unproven
