"""The request of each surface, and the size of the image it asks for."""

import itertools
import struct
import zlib

import pytest

from monitor.access.diagnosis import diagnose
from monitor.access.observation import Observation
from monitor.access.target import Capability
from monitor.access.words import Surface
from monitor.catalog import ProbeRequest, builtin, listing_request, probe_request
from monitor.catalog.requests import (
    BLANK,
    NOUNS,
    cheapest_size,
    draw,
    image_tokens,
    legal,
    picture,
    question,
    small_png,
)


def ask(model: str, surface: Surface) -> ProbeRequest:
    return probe_request(builtin(), Capability(model, surface))


def test_the_formula_gives_the_known_figures() -> None:
    assert image_tokens(1440, 480) == 54
    assert image_tokens(1024, 1024) == 196


def test_no_legal_size_costs_less_than_the_chosen_one() -> None:
    width, height = cheapest_size()
    assert legal(width, height)
    edges = range(16, 3841, 16)
    fewest = min(image_tokens(w, h) for w in edges for h in edges if legal(w, h))
    assert image_tokens(width, height) == fewest


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1024, 1024), True),
        ((1440, 480), True),
        ((3840, 2160), True),
        ((1441, 480), False),
        ((1456, 480), False),
        ((800, 816), False),
        ((3856, 1296), False),
        ((3840, 2176), False),
    ],
)
def test_a_size_is_legal_only_within_every_rule(size: tuple[int, int], *, expected: bool) -> None:
    assert legal(*size) is expected


def test_images_ask_for_the_cheapest_picture() -> None:
    request = ask("gpt-image-2", Surface.IMAGES)
    assert (request.method, request.path, request.timeout) == ("POST", "/images/generations", 180)
    assert request.json == {
        "model": "gpt-image-2",
        "prompt": "a grey dot, copper lizard",
        "size": "1440x480",
        "quality": "low",
        "n": 1,
        "output_format": "png",
    }


@pytest.mark.parametrize("model", ["gpt-image-1", "chatgpt-image-latest", "acme-painter"])
def test_models_of_fixed_or_unknown_sizes_are_asked_for_the_square(model: str) -> None:
    request = ask(model, Surface.IMAGES)
    assert request.json is not None
    assert request.json["size"] == "1024x1024"


def test_the_model_is_asked_for_as_it_was_written() -> None:
    request = ask("openai/gpt-image-2-2026-04-21", Surface.IMAGES)
    assert request.json is not None
    assert request.json["model"] == "openai/gpt-image-2-2026-04-21"
    assert request.json["size"] == "1440x480"


def test_edits_send_one_small_picture_in_a_form() -> None:
    request = ask("gpt-image-2", Surface.EDITS)
    assert (request.path, request.json, request.timeout) == ("/images/edits", None, 180)
    assert request.multipart is not None
    form = {part.name: part for part in request.multipart}
    assert form["model"].value == "gpt-image-2"
    assert form["n"].value == "1"
    assert form["image"].content_type == "image/png"
    assert form["image"].value == small_png()


def test_the_picture_is_a_whole_png() -> None:
    data = small_png()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(data) < 1_000
    offset, kinds, pixels = 8, [], b""
    while offset < len(data):
        (length,) = struct.unpack_from(">I", data, offset)
        kind = data[offset + 4 : offset + 8]
        content = data[offset + 8 : offset + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, offset + 8 + length)
        assert checksum == zlib.crc32(kind + content)
        kinds.append(kind)
        pixels += content if kind == b"IDAT" else b""
        offset += length + 12
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    assert len(zlib.decompress(pixels)) == 64 * (64 * 3 + 1)


def test_the_image_tool_has_a_text_model_at_the_top() -> None:
    request = ask("gpt-image-2", Surface.IMAGE_TOOL)
    assert (request.path, request.timeout) == ("/responses", 180)
    assert request.json is not None
    assert request.json["model"] == "gpt-5.4-nano"
    assert request.json["tools"] == [
        {
            "type": "image_generation",
            "model": "gpt-image-2",
            "size": "1440x480",
            "quality": "low",
        }
    ]


def test_text_surfaces_ask_for_sixteen_tokens() -> None:
    asked = "Join the words copper and lizard. Reply with the joined word only."
    plain = {"model": "o3", "input": asked, "max_output_tokens": 16, "store": False}
    summary = plain | {"reasoning": {"effort": "low", "summary": "auto"}}
    assert ask("o3", Surface.RESPONSES).json == plain
    assert ask("o3", Surface.STREAM).json == plain | {"stream": True}
    assert ask("o3", Surface.STREAM).stream
    assert ask("o3", Surface.SUMMARY).json == summary
    chat = ask("o3", Surface.CHAT)
    assert chat.path == "/chat/completions"
    assert chat.json is not None
    assert chat.json["max_completion_tokens"] == 16
    assert {ask("o3", s).timeout for s in (Surface.STREAM, Surface.CHAT)} == {60}


def test_the_nouns_are_of_one_length_and_no_rule_knows_them() -> None:
    assert {len(noun) for noun in (*NOUNS, BLANK)} == {6}
    assert len(set(NOUNS)) == len(NOUNS) > 100
    for first, second in itertools.pairwise(NOUNS):
        for text in (first + second, picture(first, second), question(first, second)):
            found = diagnose(Observation(403, body=text.encode()))
            assert found.rule == "nothing_known"


def test_two_different_nouns_are_drawn_and_all_have_their_turn() -> None:
    drawn = [draw() for _ in range(5_000)]
    assert all(first != second for first, second in drawn)
    assert {noun for pair in drawn for noun in pair} == set(NOUNS)


def test_the_joined_word_does_not_stand_in_the_question() -> None:
    for first, second in itertools.pairwise(NOUNS):
        assert first + second not in question(first, second).replace(" ", "")


def test_models_asks_for_the_model_with_its_name_quoted() -> None:
    request = ask("vendor/o3 x", Surface.MODELS)
    assert (request.method, request.path) == ("GET", "/models/vendor%2Fo3%20x")
    assert request.json is None


def test_a_listing_is_a_get_of_the_model_list() -> None:
    request = listing_request()
    assert (request.method, request.path, request.timeout) == ("GET", "/models", 30)


@pytest.mark.parametrize("surface", list(Surface))
def test_every_surface_has_a_request_even_for_an_unknown_model(surface: Surface) -> None:
    assert ask("acme-own", surface).path.startswith("/")
