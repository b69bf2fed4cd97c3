"""A success is granted only when its payload proves it, on the surface that was asked."""

import json

import pytest

from monitor.access.diagnosis.proof import same_model
from monitor.access.words import Code, Owner, Surface

IMAGE = "iVBORw0KGgoAAAAN"


def _chat(**choice):
    said = {
        "index": 0,
        "message": {"role": "assistant", "content": "hi"},
        "finish_reason": "length",
    }
    return {"object": "chat.completion", "model": "gpt-5.1-2025-11-13", "choices": [said | choice]}


def _response(**fields):
    text = {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}
    whole = {"id": "resp_1", "object": "response", "status": "completed", "error": None}
    return whole | {"model": "gpt-5.1-2025-11-13", "output": [text]} | fields


def _stream(*events):
    return "".join(
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
        if "type" in event
        else f"data: {json.dumps(event)}\n\n"
        for event in events
    )


def _chunk(finish=None, content="hi"):
    delta = {"content": content} if content is not None else {}
    return {"model": "gpt-5.1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


CREATED = {"type": "response.created", "response": {"status": "in_progress", "error": None}}
COMPLETED = {"type": "response.completed", "response": _response()}
INCOMPLETE = {"type": "response.incomplete", "response": _response(status="incomplete")}
TOOL = {"type": "image_generation_call", "status": "completed", "result": IMAGE}

PROVEN = [
    (Surface.IMAGES, {"created": 1, "data": [{"b64_json": IMAGE}]}),
    (Surface.EDITS, {"created": 1, "data": [{"b64_json": IMAGE}]}),
    (Surface.IMAGES, {"created": 1, "data": [{"url": "https://images.acme.example/a.png"}]}),
    (Surface.RESPONSES, _response()),
    (Surface.RESPONSES, _response(status="incomplete")),
    (Surface.SUMMARY, _response(status="incomplete", output=[{"type": "reasoning"}])),
    (Surface.CHAT, _chat()),
    (Surface.CHAT, _chat(finish_reason="stop")),
    (Surface.IMAGE_TOOL, _response(output=[TOOL], model="gpt-5.4-nano")),
    (Surface.STREAM, _stream(CREATED, COMPLETED)),
    (Surface.STREAM, _stream(CREATED, INCOMPLETE)),
    (Surface.STREAM, _stream(_chunk(), _chunk("length"))),
    (Surface.RESPONSES, _stream(CREATED, COMPLETED)),
    (Surface.CHAT, _stream(_chunk(), _chunk("stop", None)) + "data: [DONE]\n\n"),
]


@pytest.mark.parametrize(("surface", "body"), PROVEN)
def test_a_payload_that_proves_it_is_granted(read_answer, surface, body):
    model = "gpt-image-2" if surface.makes_images else "gpt-5.1"
    found = read_answer(200, body, surface=surface, model=model)
    assert found.code is Code.ACCESS_GRANTED


@pytest.mark.parametrize(
    ("surface", "body"), [row for row in PROVEN if row[0] is not Surface.IMAGE_TOOL]
)
def test_a_pasted_payload_proves_itself_whatever_its_kind(read_answer, surface, body):
    assert read_answer(None, body).code is Code.ACCESS_GRANTED


@pytest.mark.parametrize("status", [201, 204, 299])
def test_any_success_status_will_do(read_answer, status):
    assert read_answer(status, _chat(), surface=Surface.CHAT).code is Code.ACCESS_GRANTED


@pytest.mark.parametrize(("surface", "body"), PROVEN)
@pytest.mark.parametrize("status", [199, 302, 400, 403, 429, 500])
def test_the_same_payload_under_another_status_is_not_granted(read_answer, surface, body, status):
    assert read_answer(status, body, surface=surface).code is not Code.ACCESS_GRANTED


UNPROVEN = [
    (Surface.IMAGES, {"created": 1, "data": []}),
    (Surface.IMAGES, {"created": 1, "data": [{}]}),
    (Surface.IMAGES, {"created": 1, "data": [{"b64_json": ""}]}),
    (Surface.IMAGES, {"created": 1, "data": [{"b64_json": None, "url": ""}]}),
    (Surface.IMAGES, {"created": 1, "data": [{"b64_json": "<error>no image</error>"}]}),
    (Surface.IMAGES, {"created": 1, "data": {"b64_json": IMAGE}}),
    (Surface.IMAGES, _chat()),
    (Surface.IMAGES, _response()),
    (Surface.RESPONSES, _response(status="in_progress")),
    (Surface.RESPONSES, _response(status="queued")),
    (Surface.RESPONSES, _response(output=[None])),
    (Surface.RESPONSES, _response(status="failed")),
    (Surface.RESPONSES, {"status": "completed"}),
    (Surface.RESPONSES, {"output": _response()["output"]}),
    (Surface.RESPONSES, _response(output=[], usage={"output_tokens": 0})),
    (Surface.RESPONSES, _chat()),
    (Surface.CHAT, _response()),
    (Surface.CHAT, {"choices": []}),
    (Surface.CHAT, _chat(finish_reason=None)),
    (Surface.CHAT, _chat(finish_reason="")),
    (Surface.CHAT, _chat(message={"content": ""}) | {"usage": {"completion_tokens": 0}}),
    (Surface.IMAGE_TOOL, _response()),
    (Surface.IMAGE_TOOL, _response(output=[TOOL | {"result": ""}])),
    (Surface.IMAGE_TOOL, {"data": [{"b64_json": IMAGE}]}),
    (Surface.IMAGE_TOOL, {"output": [TOOL]}),
    (Surface.STREAM, _response()),
    (Surface.STREAM, _chat()),
    (Surface.STREAM, _stream(CREATED)),
    (Surface.STREAM, _stream(_chunk(), _chunk())),
    (Surface.STREAM, _stream(_chunk(None, ""), _chunk("stop", None))),
    (Surface.CHAT, "data: [DONE]\n\n"),
    (None, {"object": "list", "data": [{"id": "gpt-5.1", "object": "model"}]}),
    (None, {"object": "list", "data": [{"embedding": [0.1]}]}),
    (None, {}),
    (None, []),
    (None, "null"),
    (None, "true"),
    (None, "0"),
    (None, ""),
    (None, "   \n"),
    (None, "OK"),
]


@pytest.mark.parametrize(("surface", "body"), UNPROVEN)
def test_a_success_without_proof_is_unrecognized(read_answer, surface, body):
    assert read_answer(200, body, surface=surface).code is Code.UNRECOGNIZED


def test_text_after_the_payload_spoils_the_proof(read_answer):
    body = json.dumps(_chat()) + "\nsomething else"
    assert read_answer(200, body, surface=Surface.CHAT).code is Code.UNRECOGNIZED


def test_an_error_after_the_payload_is_the_answer(read_answer, error_body, gate_message):
    body = json.dumps(_chat()) + error_body(gate_message)
    assert read_answer(200, body, surface=Surface.CHAT).code is Code.VERIFICATION_REQUIRED


def test_an_error_frame_wins_over_a_finished_stream(read_answer, error_body, gate_message):
    body = _stream(_chunk("stop")) + f"data: {error_body(gate_message)}\n\n"
    found = read_answer(200, body, surface=Surface.STREAM)
    assert found.code is Code.VERIFICATION_REQUIRED


def test_an_error_beside_the_payload_wins(read_answer):
    body = _response(error={"code": "server_error", "message": "The server had an error"})
    assert read_answer(200, body, surface=Surface.RESPONSES).code is Code.SERVER_ERROR


def test_a_revised_prompt_that_quotes_the_gate_is_still_an_image(read_answer, gate_message):
    body = {"data": [{"b64_json": IMAGE, "revised_prompt": gate_message}]}
    assert read_answer(200, body, surface=Surface.IMAGES).code is Code.ACCESS_GRANTED


def test_a_page_that_quotes_the_gate_is_a_page(read_answer, gate_message):
    page = f"<html><body><p>{gate_message}</p></body></html>"
    for status in (200, 403):
        assert read_answer(status, page).code is Code.EDGE_ERROR


def test_a_long_text_that_quotes_the_gate_in_a_success_is_unrecognized(read_answer, gate_message):
    assert read_answer(200, gate_message + " and so on" * 200).code is Code.UNRECOGNIZED


@pytest.mark.parametrize("reason", ["content_filter", "sensitive"])
def test_a_filtered_answer_proves_nothing(read_answer, reason):
    found = read_answer(200, _chat(finish_reason=reason), surface=Surface.CHAT)
    assert found.code is Code.MODERATION_BLOCKED


@pytest.mark.parametrize("surface", [Surface.CHAT, None])
@pytest.mark.parametrize("reason", ["error", "network_error", "abort"])
def test_an_answer_that_broke_off_proves_nothing(read_answer, reason, surface):
    for body in (_chat(finish_reason=reason), _stream(_chunk(), _chunk(reason, None))):
        assert read_answer(200, body, surface=surface).code is Code.SERVER_ERROR


_REFUSED = {"type": "message", "content": [{"type": "refusal", "refusal": "copper, perhaps"}]}


@pytest.mark.parametrize(
    ("surface", "body"),
    [
        (Surface.CHAT, _chat(message={"content": None, "refusal": "copper, perhaps"})),
        (Surface.CHAT, _chat(message={"content": _REFUSED["content"]})),
        (Surface.RESPONSES, _response(output=[_REFUSED])),
        (
            Surface.STREAM,
            _stream(CREATED, {"type": "response.refusal.delta", "delta": "copper"}, COMPLETED),
        ),
    ],
)
def test_words_that_are_marked_as_a_refusal_prove_nothing(read_answer, surface, body):
    assert read_answer(200, body, surface=surface).code is Code.MODERATION_BLOCKED


def test_an_empty_refusal_beside_an_answer_is_none(read_answer):
    for empty in (None, "", []):
        body = _chat(message={"content": "hi", "refusal": empty})
        assert read_answer(200, body, surface=Surface.CHAT).code is Code.ACCESS_GRANTED


def test_another_model_than_was_asked_for_is_unrecognized(read_answer):
    found = read_answer(200, _chat(), surface=Surface.CHAT, model="o3")
    assert (found.code, found.rule) == (Code.UNRECOGNIZED, "another_model_answered")
    streamed = _stream(CREATED, COMPLETED)
    found = read_answer(200, streamed, surface=Surface.STREAM, model="gpt-5.1-mini")
    assert (found.code, found.owner) == (Code.UNRECOGNIZED, Owner.ROUTE)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("o3", "o3-2025-04-16"),
        ("o3-2025-04-16", "o3"),
        ("gpt-5.1", "gpt-5.1-2025-11-13"),
        ("gpt-5.1", "openai/gpt-5.1"),
        ("openai/gpt-5.1", "gpt-5.1"),
        ("acme/gpt-5.1:free", "GPT-5.1"),
        ("gpt-4o", "gpt-4o-latest"),
        ("gpt-4-turbo-preview", "gpt-4-turbo-2024-04-09"),
        ("my-own-deployment", "gpt-4o"),
        ("gpt-5.1", "openai.gpt-5.1"),
        ("gpt-5.1", "gpt-51"),
        ("gpt-oss-120b", "openai.gpt-oss-120b-1:0"),
        ("claude-sonnet-4-5", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("us-gov.anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("claude-opus-4-5", "claude-opus-4-5@20251101"),
        ("claude-opus-4.5", "anthropic/claude-4.5-opus-20251124"),
        ("claude-sonnet-4-0", "claude-sonnet-4-20250514"),
        ("gemini-2.5-flash", "models/gemini-2.5-flash-001"),
        ("gemini-2.5-flash", "gemini-2.5-flash-preview-09-2025"),
        ("grok-4", "grok-4-0709"),
        ("grok-4-fast", "grok-4-fast-reasoning"),
        ("mistral-large-latest", "mistral.mistral-large-2402-v1:0"),
        ("llama-3.3-70b", "meta-llama/Llama-3.3-70B-Instruct"),
    ],
)
def test_dated_and_prefixed_names_are_the_same_model(asked, named):
    assert same_model(asked, named)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("gpt-5.1", "gpt-4o-mini"),
        ("gpt-5", "gpt-5-mini"),
        ("gpt-5.1", "gpt-5"),
        ("o3", "o3-mini"),
        ("o3-pro", "o3"),
        ("gpt-5.1", "acme-chat-1"),
        ("gpt-image-2", "dall-e-3"),
        ("gpt-4", "gpt-4-turbo"),
        ("gpt-4.5", "gpt-5.4"),
        ("gpt-4o", "gpt-4"),
        ("o1", "o1-0-mini"),
        ("gpt-5.1", "unknown"),
        ("grok-4", "gpt-4o-mini"),
        ("grok-4", "grok-3-mini"),
        ("grok-4-fast-reasoning", "grok-4-fast-non-reasoning"),
        ("deepseek-r1", "gpt-4o"),
        ("mistral-large-latest", "claude-haiku-4-5"),
        ("llama-4", "gpt-3.5-turbo"),
        ("qwen3-32b", "gpt-4o"),
        ("gemma-3-27b-it", "gemini-2.5-flash"),
        ("kimi-k2", "glm-4.6"),
        ("glm-4.6", "glm-4.5"),
        ("gemini-2.0-flash", "gemini-2.5-flash"),
        ("claude-opus-4-5", "claude-opus-4-1"),
        ("us.anthropic.claude-opus-4-5-v1:0", "claude-3-haiku-20240307"),
    ],
)
def test_other_families_and_sizes_are_other_models(asked, named):
    assert not same_model(asked, named)


def test_the_models_surface_is_proven_by_the_models_own_entry_only(read_answer):
    entry = {"id": "gpt-5.1", "object": "model"}
    asked = {"surface": Surface.MODELS, "model": "gpt-5.1"}
    assert read_answer(200, entry, **asked).code is Code.ACCESS_GRANTED
    assert read_answer(200, entry | {"id": "gpt-5"}, **asked).code is Code.UNRECOGNIZED
    assert read_answer(200, _chat(), **asked).code is Code.UNRECOGNIZED
    assert read_answer(200, entry, surface=Surface.CHAT).code is Code.UNRECOGNIZED


def test_a_stream_longer_than_is_read_counts_as_not_ended(read_answer):
    body = _stream(*[_chunk()] * 1_000, _chunk("stop"))
    assert read_answer(200, body, surface=Surface.CHAT).code is Code.UNRECOGNIZED
