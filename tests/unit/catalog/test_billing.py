"""What a probe costs before it is sent, and by the answer's own usage."""

import json

import pytest
from pydantic import TypeAdapter

from monitor.access.target import Capability
from monitor.access.words import Surface
from monitor.catalog import Catalog, bill, builtin, open_price
from monitor.catalog.requests import BLANKS, picture, question


def dollars(model: str, surface: Surface, body: object) -> float | None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return bill(builtin(), Capability(model, surface), raw)


@pytest.mark.parametrize(
    ("model", "computed", "digits"),
    [
        ("gpt-5.4-nano", 0.000026, 6),
        ("gpt-5.1", 0.0002, 5),
        ("o3", 0.00019, 5),
        ("o3-pro", 0.0019, 4),
        ("gpt-5.5", 0.00064, 5),
    ],
)
@pytest.mark.parametrize("surface", [Surface.RESPONSES, Surface.CHAT, Surface.STREAM])
def test_text_costs_what_was_computed_for_32_in_and_16_out(
    model: str, computed: float, digits: int, surface: Surface
) -> None:
    price = open_price(builtin(), Capability(model, surface))
    assert price is not None
    assert round(price, digits) == computed


@pytest.mark.parametrize("surface", [Surface.CHAT, Surface.IMAGES])
def test_the_price_covers_what_the_longest_prompt_can_count_as(surface: Surface) -> None:
    prompt = picture(*BLANKS) if surface is Surface.IMAGES else question(*BLANKS)
    model = "gpt-image-2" if surface is Surface.IMAGES else "gpt-5.1"
    out = 54 if surface is Surface.IMAGES else 16
    # a token for three characters is more than any English text has, and seven are the frame's
    usage = {"input_tokens": 7 + len(prompt) // 3, "output_tokens": out}
    price = open_price(builtin(), Capability(model, surface))
    assert price is not None
    assert dollars(model, surface, {"usage": usage}) <= price  # type: ignore[operator]


def test_an_open_image_costs_what_was_computed() -> None:
    price = open_price(builtin(), Capability("gpt-image-2", Surface.IMAGES))
    assert price is not None
    assert round(price, 4) == 0.0017


@pytest.mark.parametrize(
    ("model", "published"),
    [("gpt-image-1", 0.011), ("gpt-image-1.5", 0.009), ("gpt-image-1-mini", 0.005)],
)
def test_older_image_models_cost_their_published_price(model: str, published: float) -> None:
    price = open_price(builtin(), Capability(model, Surface.IMAGES))
    assert price is not None
    assert round(price, 3) == published


def test_every_image_surface_has_a_price_and_the_tool_costs_more_than_the_image() -> None:
    prices = [
        open_price(builtin(), Capability("gpt-image-2.6-flare", surface))
        for surface in (Surface.IMAGES, Surface.IMAGE_TOOL, Surface.EDITS)
    ]
    assert all(prices)
    assert prices[1] > prices[0]  # type: ignore[operator]


def test_an_unknown_price_is_none() -> None:
    assert open_price(builtin(), Capability("acme-own", Surface.CHAT)) is None
    assert open_price(builtin(), Capability("dall-e-3", Surface.IMAGES)) is None
    assert open_price(builtin(), Capability("o3", Surface.IMAGES)) is None
    assert (
        dollars("acme-own", Surface.CHAT, {"usage": {"input_tokens": 1, "output_tokens": 1}})
        is None
    )


def test_asking_for_a_model_is_free_whatever_the_model() -> None:
    assert open_price(builtin(), Capability("acme-own", Surface.MODELS)) == 0.0


def test_a_model_of_ones_own_has_its_own_price() -> None:
    entry = {"surfaces": ["images"], "price": {"text_in": 0, "image_out": 10}}
    catalog = TypeAdapter(Catalog).validate_python({"models": {"painter": entry}})
    assert open_price(catalog, Capability("painter", Surface.IMAGES)) == pytest.approx(0.00272)


def test_an_image_is_billed_by_kinds_of_tokens() -> None:
    usage = {
        "input_tokens": 114,
        "input_tokens_details": {"image_tokens": 100, "text_tokens": 14},
        "output_tokens": 54,
        "output_tokens_details": {"image_tokens": 54, "text_tokens": 0},
    }
    expected = (14 * 5 + 100 * 8 + 54 * 30) / 1e6
    answer = {"created": 1, "data": [{"b64_json": "iVBORw0KGgo="}], "usage": usage}
    assert dollars("gpt-image-2", Surface.EDITS, answer) == pytest.approx(expected)
    del usage["output_tokens_details"]
    assert dollars("gpt-image-2", Surface.EDITS, answer) == pytest.approx(expected)


def test_text_written_by_an_image_model_is_billed_as_text_where_it_has_a_price() -> None:
    usage = {"input_tokens": 0, "output_tokens": 64, "output_tokens_details": {"text_tokens": 10}}
    answer = {"usage": usage}
    assert dollars("gpt-image-2", Surface.IMAGES, answer) == pytest.approx((100 + 54 * 30) / 1e6)
    assert dollars("gpt-image-1", Surface.IMAGES, answer) == pytest.approx(64 * 40 / 1e6)


def test_responses_and_chat_are_billed_by_their_usage() -> None:
    response = {"status": "completed", "usage": {"input_tokens": 8, "output_tokens": 16}}
    chat = {"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 16}}
    assert dollars("gpt-5.1", Surface.RESPONSES, response) == pytest.approx(0.00017)
    assert dollars("gpt-5.1", Surface.CHAT, chat) == pytest.approx(0.00017)


@pytest.mark.parametrize("given", [0, 14])
def test_a_usage_in_which_nothing_was_made_is_none(given: int) -> None:
    image = {"usage": {"input_tokens": given, "output_tokens": 0}}
    chat = {"usage": {"prompt_tokens": given, "completion_tokens": 0}}
    assert dollars("gpt-image-2", Surface.IMAGES, image) is None
    assert dollars("gpt-5.1", Surface.CHAT, chat) is None
    drawn = {
        "usage": {"input_tokens": 9, "output_tokens": 9},
        "tool_usage": {"image_gen": image["usage"]},
    }
    assert dollars("gpt-image-2", Surface.IMAGE_TOOL, drawn) is None


def test_a_stream_is_billed_by_its_last_frame() -> None:
    created = {"type": "response.created", "response": {"status": "in_progress", "usage": None}}
    usage = {"input_tokens": 8, "output_tokens": 16}
    ended = {"type": "response.incomplete", "response": {"status": "incomplete", "usage": usage}}
    frames = (f"event: {f['type']}\ndata: {json.dumps(f)}\n\n" for f in (created, ended))
    body = ("".join(frames) + "data: [DONE]\n\n").encode()
    assert dollars("gpt-5.1", Surface.STREAM, body) == pytest.approx(0.00017)


def test_the_image_tool_is_billed_for_the_text_and_for_the_image() -> None:
    answer = {
        "model": "gpt-5.4-nano",
        "usage": {"input_tokens": 1_000, "output_tokens": 100},
        "tool_usage": {"image_gen": {"input_tokens": 10, "output_tokens": 54}},
    }
    talk = (1_000 * 0.2 + 100 * 1.25) / 1e6
    assert dollars("gpt-image-2", Surface.IMAGE_TOOL, answer) == pytest.approx(
        talk + (10 * 5 + 54 * 30) / 1e6
    )
    del answer["tool_usage"]
    assert dollars("gpt-image-2", Surface.IMAGE_TOOL, answer) == pytest.approx(
        talk + (24 * 5 + 54 * 30) / 1e6
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"[1]",
        b'"usage"',
        b"\xff\xfe",
        b'{"usage": null}',
        b'{"usage": []}',
        b'{"usage": {"input_tokens": 8}}',
        b'{"usage": {"input_tokens": -8, "output_tokens": 16}}',
        b'{"usage": {"input_tokens": "8", "output_tokens": true}}',
        b'{"response": "cut", "data": [{"b64',
        b"data: {\n\ndata: [DONE]",
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("surface", [Surface.RESPONSES, Surface.IMAGES, Surface.IMAGE_TOOL])
def test_an_answer_without_a_readable_usage_has_no_bill(body: bytes, surface: Surface) -> None:
    assert dollars("gpt-image-2", surface, body) is None
