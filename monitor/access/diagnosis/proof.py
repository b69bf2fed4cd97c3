"""Whether a payload proves that the request was served. A status of 200 alone proves nothing:
relays answer 200 with empty data, with an error inside, or with another model than was asked for.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from monitor.access.diagnosis.answer import Answer, Frame, Kind
from monitor.access.words import Surface

_IMAGE_SURFACES = frozenset((Surface.IMAGES, Surface.EDITS))
_ENDED: Final = ("completed", "incomplete")
#: Reasons a chat choice ends with although nothing was made, or nothing that can be relied on.
_NO_FINISH: Final = frozenset(("error", "failed", "null", "none", "content_filter", "safety"))
_BASE64: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_\r\n"
)
#: Starts of PNG, JPEG, WebP and GIF in base64: needed where the rest was cut off by our own cap.
_IMAGE_HEADS: Final = ("iVBORw0KGgo", "/9j/", "UklGR", "R0lGOD")

# What an answer begins with when a relay hands a refusal out as the model's words.
_REFUSAL_OPENINGS: Final = (
    "your organization must be verified",
    "organization must be verified",
    "[error",
    "error:",
    "error code",
    "api error",
    "openaiexception",
    "litellm.",
    "http error",
    "⚠️ error",
)

#: Words that name a version or a channel of the same model, not another one.
_SAME_MODEL_WORDS: Final = frozenset(("latest", "preview", "turbo", "exp", "beta"))
_KNOWN_MAKES: Final = frozenset(
    ("gpt", "chatgpt", "dall", "o1", "o3", "o4", "o5", "sora", "claude", "gemini", "codex")
)


class Verdict(StrEnum):
    """What a payload proves."""

    PROVEN = "proven"
    OTHER_MODEL = "other_model"
    FILTERED = "filtered"
    UNPROVEN = "unproven"


def judge(
    answer: Answer, surface: Surface | None, model: str | None, *, truncated: bool = False
) -> Verdict:
    """What the payload proves on this surface; None as surface accepts any kind but a model list.

    `truncated` says that our own cap, not the network, cut the body.
    """
    if answer.kind is Kind.STREAM and not answer.trailing:
        verdict, named = _stream(answer.frames, surface)
    elif answer.kind is Kind.JSON and not answer.trailing and isinstance(answer.value, dict):
        verdict, named = _object(answer.value, surface), [answer.value.get("model")]
    elif truncated and answer.kind is Kind.TEXT and _cut_image(answer.text, surface):
        verdict, named = Verdict.PROVEN, []
    else:
        return Verdict.UNPROVEN
    if surface is Surface.MODELS:
        return _model_object(answer.value, model)
    # With the hosted tool the payload names the text model at the top, not the image model.
    if verdict is Verdict.PROVEN and model and surface is not Surface.IMAGE_TOOL:
        for name in {name for name in named if isinstance(name, str)}:
            if name.strip() and not same_model(model, name):
                return Verdict.OTHER_MODEL
    return verdict


def _object(value: Mapping[str, Any], surface: Surface | None) -> Verdict:
    proven = Verdict.UNPROVEN
    if surface in _IMAGE_SURFACES:
        proven = _images(value)
    elif surface is Surface.IMAGE_TOOL:
        proven = _tool_image(value)
    elif surface is Surface.CHAT:
        proven = _chat(value)
    elif surface in (Surface.RESPONSES, Surface.SUMMARY):
        proven = _response(value)
    elif surface is None:
        if "choices" in value:
            proven = _chat(value)
        else:
            proven = _images(value) if "data" in value else _response(value)
    # The stream surface is proven by a stream only: a whole answer may come from a relay that
    # fetched it without streaming, past another gate.
    return proven


def _images(value: Mapping[str, Any]) -> Verdict:
    data = value.get("data")
    if isinstance(data, list):
        for image in data[:16]:
            if isinstance(image, dict) and (
                _is_base64(image.get("b64_json")) or _is_link(image.get("url"))
            ):
                return Verdict.PROVEN
    return Verdict.UNPROVEN


def _tool_image(value: Mapping[str, Any]) -> Verdict:
    output = value.get("output")
    if _response(value) is Verdict.PROVEN and isinstance(output, list):
        for item in output[:64]:
            if (
                isinstance(item, dict)
                and item.get("type") == "image_generation_call"
                and _is_base64(item.get("result"))
            ):
                return Verdict.PROVEN
    # The text model can end its turn without calling the tool: then the image gate was never met.
    return Verdict.UNPROVEN


def _response(value: Mapping[str, Any]) -> Verdict:
    named = str(value.get("id", "")).startswith("resp")
    if value.get("object") != "response" and not (named and "object" not in value):
        return Verdict.UNPROVEN
    output = value.get("output", [])
    if value.get("status") not in _ENDED or not isinstance(output, list):
        return Verdict.UNPROVEN
    details = value.get("incomplete_details")
    if isinstance(details, dict) and details.get("reason") == "content_filter":
        return Verdict.FILTERED
    if _opens_as_refusal(_response_text(output)) or (
        not output and _count(value, "output_tokens") == 0
    ):
        return Verdict.UNPROVEN
    return Verdict.PROVEN


def _response_text(output: list[Any]) -> str:
    for item in output[:8]:
        content = item.get("content") if isinstance(item, dict) else None
        for part in content[:4] if isinstance(content, list) else ():
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                return str(part["text"])
    return ""


def _chat(value: Mapping[str, Any]) -> Verdict:
    choices = value.get("choices")
    verdict = Verdict.UNPROVEN
    for choice in choices[:16] if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        reason = choice.get("finish_reason")
        if reason == "content_filter":
            verdict = Verdict.FILTERED
        elif isinstance(reason, str) and reason.strip().casefold() not in _NO_FINISH and reason:
            said = choice.get("message")
            content = said.get("content") if isinstance(said, dict) else choice.get("text")
            if not _opens_as_refusal(content) and not _nothing_made(value, said, content):
                return Verdict.PROVEN
    return verdict


def _nothing_made(value: Mapping[str, Any], said: Any, content: Any) -> bool:
    """No words, no tool call, and a count of zero: a relay's empty shell around a refusal."""
    tools = said.get("tool_calls") if isinstance(said, dict) else None
    return not content and not tools and _count(value, "completion_tokens") == 0


def _count(value: Mapping[str, Any], name: str) -> Any:
    usage = value.get("usage")
    return usage.get(name) if isinstance(usage, dict) else None


def _stream(frames: Iterable[Frame], surface: Surface | None) -> tuple[Verdict, list[Any]]:
    """A stream proves something when it was read to its end; an error frame was looked for before."""
    named: list[Any] = []
    verdict = Verdict.UNPROVEN
    said, made, stopped = "", False, False
    for frame in frames:
        value = frame.value
        if not isinstance(value, dict):
            continue
        kind = value.get("type") or frame.event
        response = value.get("response")
        if kind in ("response.completed", "response.incomplete") and isinstance(response, dict):
            named.append(response.get("model"))
            # The event's name says what the object is, even where a relay has trimmed it.
            whole = {"object": "response", "status": kind.rpartition(".")[2], **response}
            verdict = _object(whole, Surface.RESPONSES if _streams(surface) else surface)
        elif kind in ("image_generation.completed", "image_edit.completed"):
            if surface in (None, *_IMAGE_SURFACES) and _is_base64(value.get("b64_json")):
                verdict = Verdict.PROVEN
        elif "choices" in value and (surface is Surface.CHAT or _streams(surface)):
            named.append(value.get("model"))
            said = said or _delta(value)
            made = made or bool(_count(value, "completion_tokens"))
            if not _ends(value):
                continue
            ended = _chat({"choices": value["choices"]})
            if ended is not Verdict.UNPROVEN:
                verdict, stopped = ended, stopped or _finish(value) == "stop"
    # A relay ends a failed stream as "stop" without a word; a cap on the tokens ends it as "length".
    if _opens_as_refusal(said) or (stopped and not said and not made):
        verdict = Verdict.UNPROVEN
    return verdict, named


def _streams(surface: Surface | None) -> bool:
    return surface is None or surface is Surface.STREAM


def _first(value: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = value["choices"]
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _ends(value: Mapping[str, Any]) -> bool:
    """False for most frames of a stream: the one choice in them goes on."""
    choices = value["choices"]
    return not isinstance(choices, list) or len(choices) != 1 or _finish(value) is not None


def _finish(value: Mapping[str, Any]) -> Any:
    return _first(value).get("finish_reason")


def _delta(value: Mapping[str, Any]) -> str:
    delta = _first(value).get("delta")
    words = delta if isinstance(delta, dict) else {}
    for name in ("content", "reasoning_content", "reasoning"):
        if isinstance(words.get(name), str) and words[name]:
            return str(words[name])
    return ""


def _model_object(value: Any, model: str | None) -> Verdict:
    """The model's own entry, on the surface that is nothing but this entry."""
    if model and isinstance(value, dict):
        listed = value.get("data")
        for entry in listed[:5_000] if isinstance(listed, list) else [value]:
            if isinstance(entry, dict) and entry.get("id") == model:
                return Verdict.PROVEN
    return Verdict.UNPROVEN


def _opens_as_refusal(content: Any) -> bool:
    return isinstance(content, str) and content.lstrip()[:60].casefold().startswith(
        _REFUSAL_OPENINGS
    )


def _is_base64(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    if value.startswith("data:image/"):
        value = value.partition(",")[2]
    head = value[:4_096].strip()
    return len(head) >= 8 and head.isascii() and _BASE64.issuperset(head.encode("ascii"))


def _is_link(value: Any) -> bool:
    return isinstance(value, str) and (
        (value.startswith(("https://", "http://")) and len(value) > 12)
        or (value.startswith("data:image/") and _is_base64(value))
    )


def _cut_image(text: str, surface: Surface | None) -> bool:
    """A JSON of an image that our own cap cut within the image data."""
    field = '"result"' if surface is Surface.IMAGE_TOOL else '"b64_json"'
    if surface not in (*_IMAGE_SURFACES, Surface.IMAGE_TOOL) or text[0] != "{":
        return False
    before, found, after = text.partition(field)
    after = after.lstrip(": \t\r\n")
    return (
        bool(found)
        and '"error"' not in before
        and len(after) > 1_000
        and after.startswith(tuple(f'"{head}' for head in _IMAGE_HEADS))
        and _is_base64(after[1:4_000])
    )


def same_model(asked: str, named: str) -> bool:
    """True when `named` is the asked model or a dated form of it.

    A name of no known make may be a deployment's own: nothing can be said against it.
    """
    left, right = _words(asked), _words(named)
    return left == right or not left or left[0] not in _KNOWN_MAKES


def _words(name: str) -> list[str]:
    """`openai/gpt-5.1-2025-11-13` as [gpt, 5, 1]: without vendor, date and channel."""
    name = name[:200].casefold().rpartition("/")[2].partition(":")[0]
    words = name.replace(".", "-").replace("_", "-").replace("@", "-").split("-")
    kept: list[str] = []
    for word in words:
        if not word or word in _SAME_MODEL_WORDS:
            continue
        if word.isdigit() and len(word) >= 4:
            break
        kept.append(word)
    return kept
