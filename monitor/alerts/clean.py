"""Text made safe for where it is shown, and durations for people to read. Pure.

Two kinds of text are told apart: *words* that came from outside (servers, settings), which are shown
but never interpreted, and our own *prose*, in which a part between backticks is a command to type.
"""

import html
import re
import unicodedata

#: Characters of a server's answer that a message shows; the whole is in the history.
WORDS_CAP = 300
TITLE_CAP = 120
#: Of the evidence bundle in a message; a Slack message holds some 3,000 characters more.
BLOCK_CAP, BLOCK_LINES = 3000, 80

#: What services act upon or people take for ours, and one space stops: a mention of somebody or of all, a
#: link behind other words or a picture, the number of a message.
_ACTIVE = re.compile(r"(?<![\w.])@(?=[\w*])|<(?=users/)|\](?=\()|\[(?=#\d)")

_COMMAND = re.compile(r"`([^`]+)`")
#: Similar characters for what Slack would take for formatting; Slack knows no escape for them.
_SLACK_SIMILAR = str.maketrans({"*": "\u2217", "~": "\u223c"})


def clean(text: str, cap: int = WORDS_CAP) -> str:
    """Words from outside on one line: no control, bidirectional or invisible characters, capped.

    They call nobody, and look like no number of ours.
    """
    # Cut before reading each character: a server may send megabytes.
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
    """Several lines from outside, each clean; at most `BLOCK_LINES` of them and `BLOCK_CAP` characters."""
    lines = [clean(line) for line in text[: BLOCK_CAP * 2].splitlines()]
    block = "\n".join(lines[:BLOCK_LINES]).strip("\n")
    return block if len(block) <= BLOCK_CAP else block[: BLOCK_CAP - 1].rstrip() + "…"


def name(text: str) -> str:
    """A name from the settings as it may stand in prose: clean, and never a command."""
    return clean(text, 100).replace("`", "'")


def title(text: str, tag: str = "", *, most: int = TITLE_CAP) -> str:
    """One line for a mail's Subject of at most `most` characters that still ends with `tag`."""
    room = max(most - len(tag) - 1, 1) if tag else most
    return f"{clean(text, room)} {tag}".rstrip()


def as_html(text: str) -> str:
    """Words from outside, escaped for HTML text and attributes."""
    return html.escape(text, quote=True)


def prose_html(prose: str) -> str:
    """Our prose as HTML. `kbd`, for Apprise's text alternative breaks the line at a `code`."""
    return _COMMAND.sub(r"<kbd>\1</kbd>", html.escape(prose, quote=False))


def slack_escape(text: str) -> str:
    """The three characters Slack gives a meaning: no mention, link or channel can be written."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def slack_words(text: str) -> str:
    """Words from outside as a Slack code span: nothing in it is formatted, linked or a mention."""
    return f"`{slack_escape(text).replace('`', chr(39))}`" if text.strip() else ""


def slack_block(text: str) -> str:
    """Lines from outside as a Slack code block."""
    return f"```\n{slack_escape(text).replace('`', chr(39))}\n```"


def slack_prose(prose: str) -> str:
    """Our prose for Slack: commands stay code spans, names in it cannot start a format."""
    return slack_escape(prose).translate(_SLACK_SIMILAR)


def count(number: float, thing: str) -> str:
    """`1 target`, `7 targets`."""
    whole = int(number)
    return f"{whole} {thing}" if whole == 1 else f"{whole} {thing}s"


def duration(seconds: float) -> str:
    """As people say it: `45 s`, `17 min`, `2 h 05 min`, `3 d 4 h`. Rounded down."""
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
