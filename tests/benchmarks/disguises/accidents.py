"""Small accidents that change how a text is written and not what it says."""

import textwrap
from collections.abc import Callable
from random import Random

#: Of a cut text so much is left: less may say nothing any more.
LEAST_CHARACTERS, LEAST_SHARE = 40, 0.6


def _wrapped(text: str, chance: Random) -> str:
    lines = textwrap.wrap(text, chance.choice([36, 52, 78]), break_on_hyphens=False)
    return chance.choice(["\n", "\n    ", "\r\n"]).join(lines) or text


def _spaced(text: str, chance: Random) -> str:
    return text.replace(" ", chance.choice(["  ", "\u00a0", "\t", " \u200b"]))


def _curly(text: str, _: Random) -> str:
    for plain, curly in (("'", "’"), ("`", "‘"), ('"', "”")):
        text = text.replace(plain, curly)
    return text


def _cut(text: str, chance: Random) -> str:
    least = max(int(len(text) * LEAST_SHARE), min(LEAST_CHARACTERS, len(text)))
    return text[: chance.randint(least, len(text))]


def _behind(text: str, chance: Random) -> str:
    return text + chance.choice(
        [" (request id: req_FAKE0001)", "\n\nRetry attempt 1", " 🙏", "..."]
    )


def _before(text: str, chance: Random) -> str:
    return chance.choice(["\n\n", "⚠️ ", "[acme] ", "Error: ", "\ufeff"]) + text


#: By name. `cut` alone takes something away, and so may end what is demanded of the meaning.
ACCIDENTS: dict[str, Callable[[str, Random], str]] = {
    "none": lambda text, _: text,
    "upper": lambda text, _: text.upper(),
    "lower": lambda text, _: text.lower(),
    "title": lambda text, _: text.title(),
    "wrapped": _wrapped,
    "spaced": _spaced,
    "curly": _curly,
    "cut": _cut,
    "behind": _behind,
    "before": _before,
}
