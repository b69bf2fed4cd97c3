"""A success of an image surface proves something by an image: its format, its size, or its link."""

import base64
import json
import struct
from typing import Any

import pytest

from monitor.access.observation import Image
from monitor.access.words import Code, Effect, Surface

GATE = "Your organization must be verified to use the model `gpt-image-2`."


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def png(width: int, height: int) -> str:
    return b64(
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(400)
    )


HEADS = {
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d",
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01",
    "webp": b"RIFF\x24\x00\x00\x00WEBP",
    "gif": b"GIF89a\x00\x04",
    "avif": b"\x00\x00\x00\x1cftypavif",
}


def images(value: str, **beside: Any) -> Any:
    return {"created": 1, "data": [{"b64_json": value}]} | beside


def tool(value: str, **fields: Any) -> Any:
    call = {"type": "image_generation_call", "status": "completed", "result": value} | fields
    whole = {"id": "resp_1", "object": "response", "status": "completed", "error": None}
    return whole | {"model": "gpt-5.4-nano", "output": [call]}


def completed(value: str) -> str:
    event = {"type": "image_generation.completed", "b64_json": value}
    return f"event: image_generation.completed\ndata: {json.dumps(event)}\n\n"


def completed_list(value: str) -> str:
    """The completed frame in the shape of an answer that is no stream."""
    return f"event: image_generation.completed\ndata: {json.dumps(images(value))}\n\n"


def bare(value: str) -> str:
    return f"data: {json.dumps(images(value))}\n\n"


SHAPES = {
    "images": (Surface.IMAGES, images),
    "edits": (Surface.EDITS, images),
    "tool": (Surface.IMAGE_TOOL, tool),
    "frame": (Surface.IMAGES, completed),
    "frame of a list": (Surface.IMAGES, completed_list),
    "bare data": (Surface.EDITS, bare),
}
each_shape = pytest.mark.parametrize("shape", SHAPES)


@pytest.fixture
def ask(read_answer):
    """Diagnose a value in an image's place, in one of the shapes."""

    def asking(shape: str, value: str, **asked: Any) -> Any:
        surface, make = SHAPES[shape]
        return read_answer(200, make(value), surface=surface, model="gpt-image-2", **asked)

    return asking


@each_shape
@pytest.mark.parametrize("side", [64, 480, 1024])
def test_an_image_of_64_pixels_a_side_is_an_image(ask, shape, side) -> None:
    assert ask(shape, png(1440, side)).code is Code.ACCESS_GRANTED
    assert ask(shape, f"data:image/png;base64,{png(side, 64)}").code is Code.ACCESS_GRANTED


@each_shape
@pytest.mark.parametrize(
    ("width", "height"), [(63, 480), (480, 63), (1, 1), (0, 0), (2**31, 64), (64, 40_000)]
)
def test_a_smaller_or_an_endless_image_is_none(ask, shape, width, height) -> None:
    assert ask(shape, png(width, height)).code is Code.UNRECOGNIZED


@each_shape
@pytest.mark.parametrize("name", HEADS)
def test_the_first_bytes_of_each_format_are_enough_where_the_rest_was_cut(ask, shape, name) -> None:
    assert ask(shape, b64(HEADS[name])).code is Code.ACCESS_GRANTED


@each_shape
@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (Image("png", 1440, 480), Code.ACCESS_GRANTED),
        (Image("png", 32, 32), Code.UNRECOGNIZED),
        (Image("png", 0, 0), Code.UNRECOGNIZED),
        (Image("jpeg", 1024, 1024), Code.ACCESS_GRANTED),
    ],
)
def test_the_size_that_was_read_before_the_cut_counts(ask, shape, seen, code) -> None:
    head = HEADS[seen.format]
    assert ask(shape, b64(head), image=seen).code is code


@each_shape
def test_a_jpeg_whose_size_was_not_reached_counts(ask, shape) -> None:
    found = ask(shape, b64(HEADS["jpeg"]), image=Image("jpeg"))
    assert found.code is Code.ACCESS_GRANTED


NO_IMAGES = {
    "a word": "verification",
    "a sentence": "no image for you",
    "a text": b64(b"hello world, this is no image at all"),
    "a page": b64(b"<!DOCTYPE html><html><body>Forbidden</body></html>"),
    "an error": b64(json.dumps({"error": {"message": "kettle", "code": "k1"}}).encode()),
    "a pdf": b64(b"%PDF-1.7\n" + bytes(200)),
    "zeros": b64(bytes(200)),
    "a broken png": b64(b"\x89PNG\r\n\x1a\n" + b"no chunk follows here at all"),
    "a broken jpeg": b64(b"\xff\xd8\xff" + b"no segment follows here at all"),
    "a picture of text": "data:text/html;base64," + b64(b"<html></html>"),
}


@each_shape
@pytest.mark.parametrize("value", NO_IMAGES.values(), ids=NO_IMAGES)
def test_what_is_no_image_proves_nothing(ask, shape, value) -> None:
    assert ask(shape, value).effect is Effect.INCONCLUSIVE


@each_shape
@pytest.mark.parametrize("text", [GATE, json.dumps({"error": {"message": GATE}})])
def test_a_refusal_in_an_images_place_is_that_refusal(ask, shape, text) -> None:
    assert ask(shape, b64(text.encode())).code is Code.VERIFICATION_REQUIRED
    assert ask(shape, text).code is Code.VERIFICATION_REQUIRED


@pytest.mark.parametrize(
    ("beside", "effect"),
    [
        ({"code": 403}, Effect.INCONCLUSIVE),
        ({"code": 403, "message": GATE}, Effect.GATED),
        ({"success": False}, Effect.INCONCLUSIVE),
        ({"success": False, "message": "insufficient balance"}, Effect.BLOCKED),
        ({"error": {"message": GATE}}, Effect.GATED),
        ({"error": "kettle"}, Effect.INCONCLUSIVE),
        ({"msg": "channel under maintenance"}, Effect.INCONCLUSIVE),
        ({"code": 0, "msg": "success"}, Effect.GRANTED),
        ({"error": None, "errors": []}, Effect.GRANTED),
        ({"code": 200, "success": True, "message": "ok"}, Effect.GRANTED),
    ],
)
@pytest.mark.parametrize("link", [True, False])
def test_what_stands_beside_the_data_may_refuse_it(read_answer, beside, effect, *, link) -> None:
    entry = {"url": "https://images.acme.example/a"} if link else {"b64_json": png(1024, 1024)}
    for body in ({"data": [entry]} | beside, {"data": [entry | beside]}):
        found = read_answer(200, body, surface=Surface.IMAGES, model="gpt-image-2")
        assert found.effect is effect


LINKS = [
    ("https://images.acme.example/a.png", True),
    ("https://images.acme.example/b?id=3", True),
    ("http://relay.example/files/a.png", True),
    ("http://RELAY.example:8080/files/a.png", True),
    ("http://elsewhere.example/a.png", False),
    ("ftp://relay.example/a.png", False),
    ("/files/a.png", False),
    ("https://", False),
    ("https://images.acme.example", False),
    ("https://images.acme.example/error.html", False),
    ("https://platform.openai.com/settings/organization/general", False),
    ("https://images.acme.example/a.png is not there", False),
    ("verify first", False),
    ("https://[", False),
    ("https://images.acme.example/error-free/verifying.png", False),
    ("https://images.acme.example/errorless/logins/4031.png?sig=login&id=403", True),
    ("https://relay.example/error", False),
    ("https://relay.example/static/403.png", False),
    ("https://relay.example/login?next=/a", False),
    ("https://relay.example/verify-organization", False),
    ("https://relay.example/static/Placeholder.png", False),
    ("https://relay.example/logo.svg", False),
    ("https://relay.example/v1/images/generations", False),
    ("http://relay.example/v1/page?code=403&error=denied", False),
]


@pytest.mark.parametrize(("link", "counts"), LINKS)
def test_a_link_counts_when_it_is_https_or_on_the_routes_own_host(
    read_answer, link, *, counts
) -> None:
    body = {"created": 1, "data": [{"url": link}]}
    asked = {"surface": Surface.IMAGES, "model": "gpt-image-2", "host": "relay.example"}
    expected = Code.ACCESS_GRANTED if counts else Code.UNRECOGNIZED
    assert read_answer(200, body, **asked).code is expected
    frame = f"event: image_generation.completed\ndata: {json.dumps(body)}\n\n"
    assert read_answer(200, frame, **asked).code is expected


def test_a_link_beside_an_error_or_under_a_refusal_proves_nothing(read_answer) -> None:
    link = {"url": "https://images.acme.example/a.png"}
    asked = {"surface": Surface.IMAGES, "model": "gpt-image-2"}
    refused = {"data": [link | {"error": {"message": GATE}}]}
    assert read_answer(200, refused, **asked).code is Code.VERIFICATION_REQUIRED
    shown = {"data": [link | {"revised_prompt": GATE}]}
    assert read_answer(200, shown, **asked).code is Code.VERIFICATION_REQUIRED


def test_one_entry_that_is_no_image_spoils_the_others(read_answer) -> None:
    body = {"data": [{"b64_json": png(512, 512)}, {"b64_json": b64(b"no image here")}]}
    found = read_answer(200, body, surface=Surface.IMAGES, model="gpt-image-2")
    assert found.code is Code.UNRECOGNIZED


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "failed"},
        {"status": "failed", "result": None},
        {"error": {"message": "kettle"}},
        {"status": "failed", "error": {"code": "k1", "message": "kettle"}},
    ],
)
def test_a_completed_response_whose_image_call_failed_proves_nothing(read_answer, fields) -> None:
    asked = {"surface": Surface.IMAGE_TOOL, "model": "gpt-image-2"}
    body = tool(png(1024, 1024), **fields)
    assert read_answer(200, body, **asked).code is Code.UNRECOGNIZED
    event = {"type": "response.completed", "response": body}
    assert read_answer(200, f"data: {json.dumps(event)}\n\n", **asked).code is Code.UNRECOGNIZED


def test_a_failed_image_call_tells_its_refusal(read_answer) -> None:
    body = tool("", status="failed", error={"message": GATE})
    found = read_answer(200, body, surface=Surface.IMAGE_TOOL, model="gpt-image-2")
    assert found.code is Code.VERIFICATION_REQUIRED


def test_a_text_instead_of_the_image_call_is_no_image(read_answer) -> None:
    body = tool("") | {"output": [{"type": "message", "content": [{"text": GATE}]}]}
    asked = {"surface": Surface.IMAGE_TOOL, "model": "gpt-image-2"}
    assert read_answer(200, body, **asked).code is Code.VERIFICATION_REQUIRED
    body["output"][0]["content"][0]["text"] = "Here is your grey dot."
    found = read_answer(200, body, **asked)
    assert (found.code, found.unproven) == (Code.UNRECOGNIZED, False)


def test_an_image_cut_by_our_own_cap_is_an_image(read_answer) -> None:
    whole = json.dumps(images(png(1024, 1024)[:40] + "A" * 9_000))
    asked = {"surface": Surface.IMAGES, "model": "gpt-image-2"}
    assert read_answer(200, whole[:5_000], truncated=True, **asked).code is Code.ACCESS_GRANTED
    assert read_answer(200, whole[:5_000], **asked).code is Code.UNRECOGNIZED
    assert read_answer(200, whole[:300], truncated=True, **asked).code is Code.UNRECOGNIZED
    # as the prober leaves it: made small, with the size that it read before
    small, seen = whole[:60], Image("png", 1024, 1024)
    found = read_answer(200, small, truncated=True, image=seen, **asked)
    assert found.code is Code.ACCESS_GRANTED


def test_an_images_header_that_names_another_model_is_believed(ask) -> None:
    other = {"openai-model": "dall-e-3"}
    same = {"openai-model": "gpt-image-2-2026-04-21"}
    assert ask("images", png(512, 512), headers=other).code is Code.UNRECOGNIZED
    assert ask("images", png(512, 512), headers=same).code is Code.ACCESS_GRANTED
