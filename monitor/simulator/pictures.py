"""Granted answers that hold images: of the Images API and of the hosted tool, and what they cost."""

from base64 import b64encode
from functools import lru_cache
from math import ceil
from time import time

from monitor.simulator.answers import Answer, Charge, encode
from monitor.simulator.asking import Ask
from monitor.simulator.parameters import size_of
from monitor.simulator.rasters import jpeg, png, png_size, webp
from monitor.simulator.simulated_models import SimulatedModel, image_tokens


def prompt_tokens(text: object) -> int:
    """Tokens of a prompt: seven of frame, and one for four characters. `hi` is 8, as measured."""
    length = len(text) if isinstance(text, str) else len(encode(text))
    return 7 + ceil(length / 4)


def images(ask: Ask, model: SimulatedModel) -> Answer:
    """The answer of `/images/generations` and `/images/edits`."""
    number = ask.body.get("n", 1)
    text_in = prompt_tokens(ask.body["prompt"])
    image_in = _input_image_tokens(ask.image)
    size, quality = _choice(ask.body)
    out = number * tokens_of(model, size, quality)
    usage = {
        "input_tokens": text_in + image_in,
        "input_tokens_details": {"image_tokens": image_in, "text_tokens": text_in},
        "output_tokens": out,
        "output_tokens_details": {"image_tokens": out, "text_tokens": 0},
        "total_tokens": text_in + image_in + out,
    }
    details = {
        "background": "opaque",
        "output_format": ask.body.get("output_format") or "png",
        "quality": quality,
        "size": size,
        "usage": usage,
    }
    # The picture is put in as bytes that were made once, the rest is small.
    item = b'{"b64_json":"' + picture(size, str(details["output_format"])) + b'"}'
    start = b'{"created":%d,"data":[%b],' % (int(time()), b",".join([item] * number))
    cost = text_in * model.text_in + image_in * model.image_in + out * model.out
    body = start + encode(details)[1:]
    return Answer("granted", 200, body, charges=(Charge(model.name, cost),))


def tool_call(ask: Ask, identity: str) -> dict[str, object]:
    """The output item of the hosted image tool."""
    size, quality = _choice(ask.tool)
    return {
        "id": f"ig_{identity}",
        "type": "image_generation_call",
        "status": "completed",
        "background": "opaque",
        "output_format": ask.tool.get("output_format") or "png",
        "quality": quality,
        "size": size,
        "result": picture(size, ask.tool.get("output_format") or "png").decode(),
        "revised_prompt": "a grey dot",
    }


def tool_usage(ask: Ask, model: SimulatedModel) -> tuple[dict[str, object], Charge]:
    """The usage of the hosted tool's image model, and its cost."""
    text_in = prompt_tokens(ask.body["input"])
    size, quality = _choice(ask.tool)
    out = tokens_of(model, size, quality)
    usage = {
        "input_tokens": text_in,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": text_in},
        "output_tokens": out,
        "output_tokens_details": {"image_tokens": out, "text_tokens": 0},
        "total_tokens": text_in + out,
    }
    return usage, Charge(model.name, text_in * model.text_in + out * model.out)


@lru_cache(maxsize=64)
def picture(size: str, form: str = "png") -> bytes:
    """The picture of that size in base64: a PNG, or a JPEG or WebP where that is asked for."""
    draw = {"jpeg": jpeg, "webp": webp}.get(form, png)
    return b64encode(draw(*(size_of(size) or (1024, 1024))))


def tokens_of(model: SimulatedModel, size: str, quality: str) -> int:
    """Output tokens of one image of that size."""
    return image_tokens(model, quality, *(size_of(size) or (1024, 1024)))


def _choice(asked: object) -> tuple[str, str]:
    """Size and quality; the simulator's `auto` is a medium square."""
    options = asked if isinstance(asked, dict) else {}
    size, quality = options.get("size") or "auto", options.get("quality") or "auto"
    return "1024x1024" if size == "auto" else size, "medium" if quality == "auto" else quality


def _input_image_tokens(content: bytes) -> int:
    """One token for 32 by 32 pixels; the real formula is not public."""
    width, height = png_size(content) or (0, 0)
    return min(ceil(width / 32) * ceil(height / 32), 4096)
