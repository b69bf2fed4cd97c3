"""Checks a request's parameters as the API does, with the API's words for each refusal."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from monitor.simulator.asking import LONGEST_NAME, Ask, Endpoint
from monitor.simulator.refusals import Refusal, bad_parameter
from monitor.simulator.simulated_models import SimulatedModel

CLASSIC_SIZES = ("1024x1024", "1024x1536", "1536x1024")
QUALITIES = ("low", "medium", "high")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")

_TYPES: dict[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a decimal",
    bool: "a boolean",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class ParameterRule:
    """One parameter: its types, its values or least and greatest, and whether it must be there."""

    types: tuple[type, ...]
    values: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None
    required: bool = False


_TEXT = ParameterRule((str,))
_FLAG = ParameterRule((bool,))
_NUMBER = ParameterRule((int, float))
_ANY = ParameterRule((str, int, float, bool, list, dict))
_REQUIRED_TEXT = ParameterRule((str,), required=True)


def _free(names: str) -> dict[str, ParameterRule]:
    return dict.fromkeys(names.split(), _ANY)


_IMAGE = {
    "model": _REQUIRED_TEXT,
    "prompt": _REQUIRED_TEXT,
    "n": ParameterRule((int,), least=1, most=10),
    "size": _TEXT,
    "quality": ParameterRule((str,), (*QUALITIES, "auto")),
    "background": ParameterRule((str,), ("transparent", "opaque", "auto")),
    "output_format": ParameterRule((str,), ("png", "webp", "jpeg")),
    "output_compression": ParameterRule((int,), least=0, most=100),
    **_free("safety_identifier user"),
}

#: By endpoint. Names that are taken unchecked are those of the official client 3.51.0.
RULES: Mapping[Endpoint, Mapping[str, ParameterRule]] = MappingProxyType(
    {
        Endpoint.IMAGES: _IMAGE | {"moderation": ParameterRule((str,), ("low", "auto"))},
        Endpoint.EDITS: _IMAGE | {"image": _REQUIRED_TEXT} | _free("mask input_fidelity"),
        Endpoint.RESPONSES: {
            "model": _REQUIRED_TEXT,
            "input": ParameterRule((str, list), required=True),
            "max_output_tokens": ParameterRule((int,), least=16),
            "store": _FLAG,
            "stream": _FLAG,
            "reasoning": ParameterRule((dict,)),
            "temperature": _NUMBER,
            "tools": ParameterRule((list,)),
            **_free(
                "access_programs background context_management conversation include instructions"
                " max_tool_calls metadata moderation parallel_tool_calls previous_response_id prompt"
                " prompt_cache_key prompt_cache_options prompt_cache_retention safety_identifier"
                " service_tier stream_options text tool_choice top_logprobs top_p truncation user"
            ),
        },
        Endpoint.CHAT: {
            "model": _REQUIRED_TEXT,
            "messages": ParameterRule((list,), required=True),
            "max_completion_tokens": ParameterRule((int,), least=1),
            "max_tokens": ParameterRule((int,), least=1),
            "reasoning_effort": ParameterRule((str,), EFFORTS),
            "n": ParameterRule((int,), least=1, most=1),
            "store": _FLAG,
            "stream": _FLAG,
            "temperature": _NUMBER,
            **_free(
                "audio frequency_penalty function_call functions logit_bias logprobs"
                " metadata modalities moderation parallel_tool_calls prediction presence_penalty"
                " prompt_cache_key prompt_cache_options prompt_cache_retention response_format"
                " safety_identifier seed service_tier stop stream_options tool_choice tools"
                " top_logprobs top_p user verbosity web_search_options"
            ),
        },
    }
)

_REASONING = {
    "effort": ParameterRule((str,), EFFORTS),
    "summary": ParameterRule((str,), ("auto", "concise", "detailed")),
    "generate_summary": _ANY,
}
_TOOL = {
    "type": _REQUIRED_TEXT,
    **{name: rule for name, rule in _IMAGE.items() if name not in ("model", "prompt", "n")},
    **_free("model action moderation input_fidelity input_image_mask partial_images"),
}


def problem(ask: Ask, model: SimulatedModel | None) -> Refusal | None:
    """The first thing wrong with a request, or None. `model` is None where the name is not known."""
    if ask.problem is not None or ask.endpoint is None or ask.endpoint is Endpoint.MODELS:
        return ask.problem
    return (
        _check(ask.body, RULES[ask.endpoint])
        or _check(ask.body.get("reasoning") or {}, _REASONING, "reasoning.")
        or (_check(ask.tool, _TOOL, "tools[0].") if ask.tool else None)
        or (_of_model(ask, model) if model else None)
    )


def _check(
    body: Mapping[str, Any], rules: Mapping[str, ParameterRule], prefix: str = ""
) -> Refusal | None:
    for name in body:
        if name not in rules:
            shown = f"{prefix}{name}"[:LONGEST_NAME]
            return bad_parameter(f"Unknown parameter: '{shown}'.", shown, "unknown_parameter")
    for name, rule in rules.items():
        value = body.get(name)
        if value is None:
            if rule.required:
                message = f"Missing required parameter: '{prefix}{name}'."
                return bad_parameter(message, prefix + name, "missing_required_parameter")
            continue
        found = _check_value(prefix + name, value, rule)
        if found is not None:
            return found
    return None


def _check_value(name: str, value: Any, rule: ParameterRule) -> Refusal | None:
    if type(value) not in rule.types:
        wanted = " or ".join(_TYPES[kind] for kind in rule.types)
        message = (
            f"Invalid type for '{name}': expected {wanted}, but got {_TYPES[type(value)]} instead."
        )
        return bad_parameter(message, name, "invalid_type")
    if rule.values and value not in rule.values:
        return _invalid_value(name, value, rule.values)
    if rule.least is not None and value < rule.least:
        message = (
            f"Invalid '{name}': integer below minimum value. Expected a value >= {rule.least},"
            f" but got {value} instead."
        )
        return bad_parameter(message, name, "integer_below_min_value")
    if rule.most is not None and value > rule.most:
        message = (
            f"Invalid '{name}': integer above maximum value. Expected a value <= {rule.most},"
            f" but got {value} instead."
        )
        return bad_parameter(message, name, "integer_above_max_value")
    return None


def _invalid_value(name: str, value: object, known: tuple[str, ...]) -> Refusal:
    *most, last = [f"'{item}'" for item in known]
    supported = f"{', '.join(most)}, and {last}" if most else last
    shown = str(value)[:LONGEST_NAME]
    message = f"Invalid value: '{shown}'. Supported values are: {supported}."
    return bad_parameter(message, name, "invalid_value")


def _of_model(ask: Ask, model: SimulatedModel) -> Refusal | None:
    """What only some models take."""
    if model.makes_images:
        return _size_problem(ask, model)
    if model.effort not in (None, "none"):
        if ask.endpoint is Endpoint.CHAT and "max_tokens" in ask.body:
            message = (
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
                " 'max_completion_tokens' instead."
            )
            return bad_parameter(message, "max_tokens", "unsupported_parameter")
        temperature = ask.body.get("temperature", 1)
        if temperature != 1:
            message = (
                f"Unsupported value: 'temperature' does not support {temperature} with this model."
                " Only the default (1) value is supported."
            )
            return bad_parameter(message, "temperature", "unsupported_value")
    return None


def _size_problem(ask: Ask, model: SimulatedModel) -> Refusal | None:
    size = (ask.tool or ask.body).get("size") or "auto"
    if size in ("auto", *CLASSIC_SIZES):
        return None
    param = "tools[0].size" if ask.tool else "size"
    if not model.free_size:
        return _invalid_value(param, size, (*CLASSIC_SIZES, "auto"))
    if not re.fullmatch("[0-9]{1,5}x[0-9]{1,5}", size):
        message = f"Invalid size '{size[:LONGEST_NAME]}'. Give WIDTHxHEIGHT or auto."
        return bad_parameter(message, param, "invalid_value")
    width, height = map(int, size.split("x"))
    for holds, demand in _SIZE_RULES:
        if not holds(width, height):
            return bad_parameter(f"Invalid size '{size}'. {demand}", param, "invalid_value")
    return None


#: The rules of gpt-image-2 and its successors.
_SIZE_RULES: tuple[tuple[Callable[[int, int], bool], str], ...] = (
    (lambda w, h: w % 16 == h % 16 == 0, "Width and height must both be divisible by 16."),
    (lambda w, h: 0 < max(w, h) <= 3 * min(w, h), "The aspect ratio must be between 1:3 and 3:1."),
    (lambda w, h: max(w, h) <= 3840, "The longest edge must not exceed 3840 pixels."),
    (
        lambda w, h: 655_360 <= w * h <= 8_294_400,
        "The resolution must be between 655360 and 8294400 pixels.",
    ),
)
