"""What a probe costs: before it is sent, when it is granted; and after, by the answer's own usage."""

import json
from collections.abc import Mapping
from typing import Any

from monitor.access.target import Capability
from monitor.access.words import Surface
from monitor.catalog.known_models import Catalog, Price
from monitor.catalog.requests import (
    FEWEST_TOKENS,
    TOOL_DRIVER,
    TOOL_TOKENS,
    image_tokens,
    probe_size,
)

#: Tokens of our own prompts, a little above what they can be: 7 or 8 of frame, and about 17 of the
#: question; an image's prompt has about 14 with its nouns.
_TEXT_IN = 32
_IMAGE_TEXT_IN = 24
#: What the description of the hosted tool adds to a request: an upper guess.
_TOOL_TEXT_IN = 2_000
#: What the picture sent to `edits` may count as: an upper guess, no figure is published for 64x64.
_EDIT_IMAGE_IN = 1_024
#: A low-quality 1024x1024 image of GPT Image 1 ($0.011): for models of which no count is known.
_SQUARE_TOKENS = 272
#: A server may claim any number of tokens; larger counts are cut to this.
_TOKENS_MOST = 10**12


def open_price(catalog: Catalog, capability: Capability) -> float | None:
    """Dollars that one granted full probe costs at most; None when the price is not known.

    Guesses err upward: this is what is reserved before the probe is sent.
    """
    if capability.surface is Surface.MODELS:
        return 0.0
    price = _price(catalog, capability.model)
    if not capability.surface.makes_images:
        return _dollars(price, text_in=_TEXT_IN, text_out=FEWEST_TOKENS)
    out = _image_out(catalog, capability.model)
    match capability.surface:
        case Surface.EDITS:
            return _dollars(price, text_in=_IMAGE_TEXT_IN, image_in=_EDIT_IMAGE_IN, image_out=out)
        case Surface.IMAGE_TOOL:
            image = _dollars(price, text_in=_IMAGE_TEXT_IN, image_out=out)
            talk = _dollars(
                _price(catalog, TOOL_DRIVER), text_in=_TOOL_TEXT_IN, text_out=TOOL_TOKENS
            )
            return None if image is None or talk is None else image + talk
        case _:
            return _dollars(price, text_in=_IMAGE_TEXT_IN, image_out=out)


def bill(catalog: Catalog, capability: Capability, body: bytes) -> float | None:
    """Dollars by the answer's own usage; None when it has none that can be read, or no price is known.

    Reads the usage of images, responses (also of a stream's last frame) and chat completions.
    One in which nothing was made is none: some servers do not count. Cached tokens are counted at the
    full price.
    """
    answer = _answer_with_usage(body)
    price = _price(catalog, capability.model)
    usage = answer.get("usage")
    if not isinstance(usage, Mapping):
        return None
    if capability.surface is Surface.IMAGE_TOOL:
        talk = _usage_dollars(_price(catalog, TOOL_DRIVER), usage, images=False)
        tools = answer.get("tool_usage")
        generated = tools.get("image_gen") if isinstance(tools, Mapping) else None
        if isinstance(generated, Mapping):
            image = _usage_dollars(price, generated, images=True)
        else:  # older answers say nothing of the image, which is billed all the same
            out = _image_out(catalog, capability.model)
            image = _dollars(price, text_in=_IMAGE_TEXT_IN, image_out=out)
        return None if talk is None or image is None else talk + image
    return _usage_dollars(price, usage, images=capability.surface.makes_images)


def _price(catalog: Catalog, name: str) -> Price | None:
    model = catalog.get(name)
    return model.price if model else None


def _image_out(catalog: Catalog, model: str) -> int:
    known = catalog.get(model)
    if known and known.any_size:
        return image_tokens(*probe_size(catalog, model))
    return (known.square_tokens if known else None) or _SQUARE_TOKENS


def _dollars(price: Price | None, **tokens: int) -> float | None:
    total = 0.0
    for kind, count in tokens.items():
        per_million = getattr(price, kind, None)
        if count and per_million is None:
            return None
        total += count * (per_million or 0.0)
    return total / 1_000_000


def _usage_dollars(price: Price | None, usage: Mapping[str, Any], *, images: bool) -> float | None:
    given = _count(usage, "input_tokens", "prompt_tokens")
    made = _count(usage, "output_tokens", "completion_tokens")
    if given is None or not made:
        return None
    if not images:
        return _dollars(price, text_in=given, text_out=made)
    pictures = min(_detail(usage, "input_tokens_details", "image_tokens"), given)
    words = min(_detail(usage, "output_tokens_details", "text_tokens"), made)
    if price and price.text_out is None:  # no price of its own: at the dearer one
        words = 0
    return _dollars(
        price,
        text_in=given - pictures,
        image_in=pictures,
        text_out=words,
        image_out=made - words,
    )


def _count(usage: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return min(value, _TOKENS_MOST)
    return None


def _detail(usage: Mapping[str, Any], group: str, name: str) -> int:
    details = usage.get(group)
    return (_count(details, name) or 0) if isinstance(details, Mapping) else 0


def _answer_with_usage(body: bytes) -> Mapping[str, Any]:
    """The JSON object that holds the usage: the body itself, or in a stream the last frame with one."""
    text = body.decode("utf-8", errors="replace")
    whole = _object(text)
    if whole:
        return _innermost(whole)
    found: Mapping[str, Any] = {}
    for line in text.splitlines():
        if line.startswith("data:"):
            frame = _innermost(_object(line[5:]))
            if isinstance(frame.get("usage"), Mapping):
                found = frame
    return found


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, Mapping) else {}


def _innermost(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = answer.get("response")  # the frames of a Responses stream wrap it
    return inner if isinstance(inner, Mapping) else answer
