"""Whether a success proves that our own question was answered. A status of 200 alone proves nothing:

relays answer 200 with empty data, with an error as the model's words, with an answer they remember, or
with another model than was asked for.
"""

import re
from enum import StrEnum
from typing import Any, Final

from monitor.access.diagnosis import said as saying
from monitor.access.diagnosis.answer import Kind, ParsedAnswer
from monitor.access.diagnosis.said import End, Said, Shape
from monitor.access.diagnosis.text import fold
from monitor.access.images import cut_image
from monitor.access.observation import Observation
from monitor.access.words import Surface

#: The shapes that prove a surface; None (surface unknown) allows any.
_SHAPES: Final[dict[Surface | None, tuple[Shape, ...]]] = {
    Surface.IMAGES: (Shape.IMAGES,),
    Surface.EDITS: (Shape.IMAGES,),
    Surface.IMAGE_TOOL: (Shape.RESPONSE,),
    Surface.RESPONSES: (Shape.RESPONSE,),
    Surface.SUMMARY: (Shape.RESPONSE,),
    Surface.STREAM: (Shape.RESPONSE, Shape.CHAT),
    Surface.CHAT: (Shape.CHAT,),
    None: (Shape.IMAGES, Shape.RESPONSE, Shape.CHAT),
}

#: Words that name a version, a channel or a form of the same model, not another one.
_SAME_MODEL_WORDS: Final = frozenset(
    ("latest", "preview", "exp", "beta", "instruct", "it", "reasoning")
)
_KNOWN_MAKE: Final = re.compile(
    r"(?:(?:chat)?gpt|dall-?e|o\d|sora|codex|claude|gemini|gemma|imagen|grok|deepseek|llama|qwen|kimi|glm"
    r"|(?:mi|mini|magi|code|dev|pix)stral|mixtral)(?![a-z])"
)
#: A cloud's region and the vendor, before a name of a known make: `us.anthropic.claude-opus-4-5`.
_VENDOR: Final = re.compile(rf"(?:[a-z-]{{2,12}}\.){{1,2}}(?={_KNOWN_MAKE.pattern})")
#: Its own count of versions, at the end of such a name.
_COUNT: Final = re.compile(r"-v\d{1,2}(?::\d{1,2})?$|-\d{1,2}:\d{1,2}$")

#: What a model's entry has beside its name.
_ENTRY: Final = frozenset(("object", "created", "owned_by"))

_APART = re.compile(r"[\s\u200b-\u200d\ufeff\"'`´“”„‟‘’‚‛«»‹›「」『』]+")
#: What no answer to our question says, though no rule knows the sentence: beside the word, and without.
_FAILURE: Final = (
    r"error|exception|traceback|\bfail(?:ed|ure|s)?\b|denied|forbidden|unauthori[sz]ed"
    r"|must be verified"
)
_BESIDE = re.compile(_FAILURE)
_INSTEAD = re.compile(
    rf"{_FAILURE}|sorry|apolog|unable|can(?:no|')t\b|could ?n[o']t|refus|reject|invalid|expired|missing"
    r"|not (?:available|allowed|found|support|exist|permitted|enabled|authori|have|yet|been|active)"
    r"|unavailable|unsupported|disabled|suspended|banned|blocked|deprecated|restricted|maintenance"
    r"|quota|balance|credit|billing|payment|recharge|top.?up|subscri|upgrade|limit|exceed|too many"
    r"|overload|capacity|busy|is down\b|timeout|timed out|retry|try again|later|upstream|gateway|proxy|server"
    r"|channel|api.?key|token|account|organi[sz]ation|verif|permission|authenti|polic[iy]|access"
    r"|\bunknown|incorrect|insufficient|must be|divisible|parameter|data retention"
    r"|contact|support@|please (?:go|visit|check|contact|log|sign)|https?:|www\.|status|http/"
    r"|\b[45]\d\d\b|[<>{}]|\bnull\b|undefined|\bnone\b|❌|⚠|⛔|\U0001f6ab|✖|✗|\U0001f512|❗|‼"
)

#: Some models write their thoughts before the answer.
_ALOUD_MARKS = re.compile(r"</?think(?:ing)?>")
_ALOUD = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)
#: What the beginning of an answer to our question does not say, either, when it was cut before the word.
_NO_BEGINNING = re.compile(
    r"\bmodels?\b|provider|request|\bmust\b|requir|\byour\b|\bplease\b|\bkeys?\b|enabled"
    r"|\b(?:did|do|does|is|are|was)n't\b|\b(?:is|are|was|were|does|do) not?\b|images?\b"
    r"|^[^\w\"'*<]{0,3}\[|^'{3}"
)
#: What the beginning of an answer to an English question has, unless it begins with the word itself.
_ENGLISH = re.compile(
    r"\b(?:the|of|we|this|these|that|user|words?|join\w*|combin\w*|sure|okay|certainly|let|here|both|need"
    r"|want\w*|answer|first|second|with|letters?|simply|result\w*)\b"
)
#: Letters of our question from which on an answer that begins with them repeats it.
_REPEATS: Final = 16
#: Letters that 16 tokens have at least, where no thoughts took them.
_FEWEST: Final = 18
#: Letters beside the word in which a refusal finds room; fewer in a script that writes it more shortly.
_ROOM, _ROOM_SHORT = 20, 8
#: What an answer ends with that was not cut, whatever it says of itself.
_ENDS: Final = (".", "!", "?", "。", "！", "？")


class ProofVerdict(StrEnum):
    """What a payload proves, by the name of the rule that says so."""

    PROVEN = "proven"
    OTHER_MODEL = "another_model_answered"
    FILTERED = "ended_by_a_filter"
    #: complete and unsuspicious, without the word that was asked for
    WORDLESS = "answered_something_else"
    UNPROVEN = "success_without_proof"


def judge(answer: ParsedAnswer, observation: Observation) -> tuple[ProofVerdict, Said]:
    """What a success proves on the surface that was asked; in what it says a refusal may still hide."""
    surface, model = observation.surface, observation.model
    makes_images = surface is not None and surface.makes_images
    said = Said(observation.host, observation.image)
    if answer.kind is Kind.STREAM:
        saying.of_frames(answer.frames, said)
    elif answer.kind is Kind.JSON and isinstance(answer.value, dict):
        saying.of_object(answer.value, said)
    elif answer.kind is Kind.TEXT and observation.truncated and makes_images:
        proven = answer.text[0] == "{" and cut_image(answer.text, observation.image)
        return ProofVerdict.PROVEN if proven else ProofVerdict.UNPROVEN, said
    else:
        return ProofVerdict.UNPROVEN, said
    listed = surface is Surface.MODELS
    verdict = _model_object(answer.value, model) if listed else _decide(said, observation)
    # the rest of a stream may be a refusal; an image's is the image
    cut = observation.truncated and not makes_images
    if (answer.trailing or cut) and verdict in (ProofVerdict.PROVEN, ProofVerdict.WORDLESS):
        verdict = ProofVerdict.UNPROVEN
    return verdict, said


def _decide(said: Said, observation: Observation) -> ProofVerdict:
    surface = observation.surface
    if said.end is End.FILTERED or said.refused:
        return ProofVerdict.FILTERED
    # The stream surface is proven by a stream only: a whole answer may come from a relay that fetched it
    # without streaming, past another gate.
    if (
        said.denials
        or said.duds
        or said.end is End.OPEN
        or said.shape not in _SHAPES[surface]
        or (surface is Surface.STREAM and not said.streamed)
    ):
        return ProofVerdict.UNPROVEN
    if said.shape is Shape.IMAGES or surface is Surface.IMAGE_TOOL:
        # The text model can end without calling the tool: then the image gate was not tested.
        proven = said.images and not _suspicious("\n".join(said.asides))
        verdict = ProofVerdict.PROVEN if proven else ProofVerdict.UNPROVEN
    else:
        verdict = _text(said, observation)
    if verdict is not ProofVerdict.UNPROVEN and _names_another(said, observation):
        return ProofVerdict.OTHER_MODEL
    return verdict


def _text(said: Said, observation: Observation) -> ProofVerdict:
    words, thoughts = "".join(said.words), "".join(said.thoughts)
    asides = "\n".join(said.asides)
    something = bool(words.strip() or thoughts.strip() or said.reasoned or said.made)
    if not something or (
        observation.surface is Surface.SUMMARY and not (said.summarized or said.reasoned)
    ):
        return ProofVerdict.UNPROVEN
    if observation.word and observation.word in squeezed(words + thoughts):
        suspicious = _BESIDE.search(fold(f"{words}\n{asides}"))
        refused = suspicious or _refused_beside(words, observation.word)
        return ProofVerdict.UNPROVEN if refused else ProofVerdict.PROVEN
    if _suspicious(f"{words}\n{asides}\n{said.call()}") or _BESIDE.search(fold(thoughts)):
        return ProofVerdict.UNPROVEN
    told = _ALOUD.sub("", words).rstrip()
    repeats = _repeats(told, observation.question)
    cut = said.end is End.CUT and not told.endswith(_ENDS) and not repeats
    if observation.word and cut and not _begins(said, words, observation.word):
        return ProofVerdict.UNPROVEN
    if cut or not observation.word:
        # Cut, the word may have been still to come. Where none was asked for, what is left decides.
        return ProofVerdict.PROVEN
    return ProofVerdict.WORDLESS


def _begins(said: Said, words: str, word: str) -> bool:
    """Whether an answer to our question may begin so, and was cut there; nothing is a beginning, too."""
    folded = fold(words)
    if _NO_BEGINNING.search(folded):
        return False
    letters = squeezed(words)
    if said.reasoned or word.startswith(letters):
        return True
    return len(letters) >= _FEWEST and _speaks_english(folded, word)


def _speaks_english(folded: str, word: str) -> bool:
    """Whether a text has what an English one has, or names a noun that was asked for by itself."""
    apart = folded.replace(word, " ")
    half = len(word) // 2
    return bool(_ENGLISH.search(apart)) or word[:half] in apart or word[half:] in apart


def _repeats(words: str, question: str) -> bool:
    """Whether an answer is our question, as far as it goes, whatever introduces it: an echo."""
    asked = squeezed(question)
    for begun in (words, words.partition(":")[2]):
        letters = squeezed(begun)
        if len(letters) >= min(_REPEATS, len(asked)) > 0 and (
            asked.startswith(letters) or letters.startswith(asked)
        ):
            return True
    return False


def _refused_beside(words: str, word: str) -> bool:
    """True when there is more beside the word than an answer says, and it may be a refusal."""
    rest = _ALOUD.sub("", words)
    beside = [char for char in squeezed(rest).replace(word, "", 1) if char.isalpha()]
    if sum(not _latin(char) for char in beside) > _ROOM_SHORT:
        return True
    folded = fold(rest)
    return len(beside) > _ROOM and (
        _INSTEAD.search(folded) is not None or not _speaks_english(folded, word)
    )


def squeezed(text: str) -> str:
    """The text without what a joined word may be written with: case, spaces and quotes."""
    return _APART.sub("", text).casefold()


def _suspicious(text: str) -> bool:
    """True for what no answer to an English question has: words of failure, or another script."""
    folded = _ALOUD_MARKS.sub(" ", fold(text))
    return _INSTEAD.search(folded) is not None or (
        not folded.isascii() and any(char.isalpha() and not _latin(char) for char in folded)
    )


def _latin(char: str) -> bool:
    return char < "\u0250" or "\u1e00" <= char <= "\u1eff"


def _names_another(said: Said, observation: Observation) -> bool:
    """True when the answer says that another model than was asked for gave it."""
    model = observation.model
    # With the hosted tool the payload names the text model at the top, not the image model.
    if not model or observation.surface is Surface.IMAGE_TOOL:
        return False
    names = {*said.named, observation.headers.get("openai-model", "")}
    return any(name.strip() and not same_model(model, name) for name in names)


def _model_object(value: Any, model: str | None) -> ProofVerdict:
    """The model's own entry, on the surface that is nothing but this entry."""
    if model and isinstance(value, dict):
        listed = value.get("data")
        for entry in listed[:5_000] if isinstance(listed, list) else [value]:
            if isinstance(entry, dict) and entry.get("id") == model:
                # a name alone may be an echo of the request
                known = not _ENTRY.isdisjoint(entry)
                return ProofVerdict.PROVEN if known else ProofVerdict.UNPROVEN
    return ProofVerdict.UNPROVEN


def same_model(asked: str, named: str) -> bool:
    """True when `named` is the asked model or a dated form of it.

    A name of no known make may be a deployment's own: nothing can be said against it.
    """
    left, right = _plain(asked), _plain(named)
    return not _KNOWN_MAKE.match(left) or _parts(left) == _parts(right)


def _plain(name: str) -> str:
    """`us.anthropic.claude-opus-4-5-v1:0` as `claude-opus-4-5`: without vendor, route and variant."""
    name = name[:200].strip().casefold().rpartition("/")[2]
    if vendor := _VENDOR.match(name):
        name = _COUNT.sub("", name[vendor.end() :])
    return name.partition(":")[0]


def _parts(name: str) -> tuple[list[str], str]:
    """`claude-opus-4-5-20251101` as (claude, opus) and 45: words and figures, without date and channel.

    Each apart: relays name the same model `claude-4.5-opus`, or `gpt-51`.
    """
    words: list[str] = []
    figures = ""
    for part in re.findall(r"[^\W\d_]+|\d+", name):
        if not part.isdigit():
            words += [] if part in _SAME_MODEL_WORDS else [part]
        elif len(part) >= 4 or (part[0] == "0" and len(part) > 1):
            break  # a date or a revision
        else:
            figures += part
    # what is called 4-0 is called 4, too
    return sorted(words), figures.removesuffix("0") if name.endswith(("-0", ".0")) else figures
