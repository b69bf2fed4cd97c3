"""The words of an answer, so that equal answers are equal."""

import re
from functools import lru_cache

from monitor.access.observation import Diagnosis
from monitor.access.words import Code

# What differs between answers that are otherwise equal: ids, and the figures of a rate limit.
_IDS = re.compile(
    r"\b(?:req_\w+|[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{12,}\w*)\b"
    r"|\brequest[ _-]?id[:= ]{1,2}[\w-]+",
    re.IGNORECASE,
)
_FIGURES = re.compile(r"\d+(?:\.\d+)?")
_WORDS = re.compile(r"[a-z][\w.-]*|[\d.]+", re.IGNORECASE | re.ASCII)


def equal_message(diagnosis: Diagnosis, model: str) -> str:
    """The words of a diagnosis as `equal_words` has them."""
    # A gate's words have no figures but those of models. Why no answer came is in words of our own.
    whole = diagnosis.effect.conclusive or diagnosis.code is Code.NETWORK_ERROR
    return equal_words(diagnosis.message, None if whole else model)


@lru_cache(maxsize=512)
def equal_words(message: str, model: str | None) -> str:
    """The words without ids, and without figures but those of names like the model's; None keeps them all."""
    normal = _IDS.sub("…", message)
    if model is None:
        return normal
    families = re.findall(r"[a-z]+", model.casefold())

    def shown(match: re.Match[str]) -> str:
        word = match[0]
        family = re.match(r"[a-z]+", word.casefold())  # none for a number or a dot alone
        if family and family[0] in families:
            return word
        return _FIGURES.sub("…", word)

    return _WORDS.sub(shown, normal)
