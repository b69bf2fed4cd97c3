"""Makes text safe for where it is shown, and durations readable. Pure.

There are two kinds of text: *words* from outside (servers, settings), which are shown but never
interpreted, and our own *prose*, in which text between backticks is a command to type.
"""

import html
import re
import unicodedata

#: Most characters of a server's answer in a message; the history has all of it.
WORDS_CAP = 300
TITLE_CAP = 120
#: Most of the evidence bundle in a message; a Slack message has room for some 3,000 characters more.
BLOCK_CAP, BLOCK_LINES = 3000, 80

#: Text that a service acts upon or that people take for ours; a space in it prevents that: a mention of one
#: person or of all, a link behind other words, a picture, the id of a message.
_ACTIVE = re.compile(r"(?<![\w.])@(?=[\w*])|<(?=users/)|\](?=\()|\[(?=#\d)")

_COMMAND = re.compile(r"`([^`]+)`")
#: Look-alikes of the characters that Slack takes for formatting; Slack has no escape for them.
_SLACK_SIMILAR = str.maketrans({"*": "\u2217", "~": "\u223c"})


def clean(text: str, cap: int = WORDS_CAP) -> str:
    """Words from outside on one line, capped, without control, bidirectional or invisible characters.

    The result mentions nobody and does not look like a message id of ours.
    """
    # Cut before looking at each character: a server may send megabytes.
    kept = text[: cap * 8]
    if not kept.isprintable():
        kept = "".join(
            " " if char.isspace() else char
            for char in kept
            if char.isspace() or unicodedata.category(char)[0] != "C"
        )
    folded = _ACTIVE.sub(r"\g<0> ", " ".join(kept.split()))
    return folded if len(folded) <= cap else folded[: cap - 1].rstrip() + "…"


def clean_block(text: str) -> str:
    """Lines from outside, each clean; at most `BLOCK_LINES` lines and `BLOCK_CAP` characters."""
    lines = [clean(line) for line in text[: BLOCK_CAP * 2].splitlines()]
    block = "\n".join(lines[:BLOCK_LINES]).strip("\n")
    return block if len(block) <= BLOCK_CAP else block[: BLOCK_CAP - 1].rstrip() + "…"


def name(text: str) -> str:
    """A name from the settings, safe in prose: clean, and never a command."""
    return clean(text, 100).replace("`", "'")


def title(text: str, tag: str = "", *, most: int = TITLE_CAP) -> str:
    """One line of at most `most` characters for a mail's Subject; a cut keeps `tag` at its end."""
    room = max(most - len(tag) - 1, 1) if tag else most
    return f"{clean(text, room)} {tag}".rstrip()


def as_html(text: str) -> str:
    """Words from outside, escaped for HTML text and attributes."""
    return html.escape(text, quote=True)


def prose_html(prose: str) -> str:
    """Our prose as HTML. Commands are `kbd`: Apprise's text alternative breaks the line at a `code`."""
    return _COMMAND.sub(r"<kbd>\1</kbd>", html.escape(prose, quote=False))


def slack_escape(text: str) -> str:
    """Escape the three characters that are special to Slack, so that no mention or link is possible."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def slack_words(text: str) -> str:
    """Words from outside as a Slack code span, in which nothing is a format, a link or a mention."""
    return f"`{slack_escape(text).replace('`', chr(39))}`" if text.strip() else ""


def slack_block(text: str) -> str:
    """Lines from outside as a Slack code block."""
    return f"```\n{slack_escape(text).replace('`', chr(39))}\n```"


def slack_prose(prose: str) -> str:
    """Our prose for Slack: commands stay code spans, and names in it cannot start a format."""
    return slack_escape(prose).translate(_SLACK_SIMILAR)


def count(number: float, thing: str) -> str:
    """`1 target`, `7 targets`."""
    whole = int(number)
    return f"{whole} {thing}" if whole == 1 else f"{whole} {thing}s"


def duration(seconds: float) -> str:
    """A duration for people to read: `45 s`, `17 min`, `2 h 05 min`, `3 d 4 h`. Rounded down."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"
