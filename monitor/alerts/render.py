"""Renders a message's parts as plain text, HTML and Slack's mrkdwn. Pure; values are escaped for each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

Level = Literal["info", "success", "warning", "failure"]

_STEPS = "What to do"
_EVIDENCE = "The evidence, for support"

_COMMAND = re.compile(r"`([^`]+)`")
#: Look-alikes of the characters that Slack takes for formatting; Slack has no escape for them.
_SLACK_SIMILAR = str.maketrans({"*": "\u2217", "~": "\u223c"})


@dataclass(frozen=True, slots=True)
class Wording:
    """What a message says of one event. Prose between backticks is a command to type.

    `lead` says what happened in one or two sentences, `steps` what to do in at most three, `rows` are
    labels and values. The tag is `[#123]`. Details that do not fit into the message are empty.
    """

    title: str
    level: Level
    lead: str
    steps: tuple[str, ...] = ()
    tag: str = ""
    rows: tuple[tuple[str, str], ...] = ()
    closing: str = ""
    #: the evidence bundle: Markdown, shown unchanged
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """The contents of a message; `head` is the state of a pool.

    `rest` counts the events that have no part, and `named` has their heads with their tags. `less` is
    prose that says what else is left out. `tags` comes last, where the heads have no tags of their own.
    """

    parts: Sequence[Wording]
    tags: str = ""
    grouped: bool = False
    rest: str = ""
    named: Sequence[str] = ()
    less: str = ""
    head: str = ""


def text(page: Page) -> str:
    """Plain text."""
    blocks = [page.head]
    for part in page.parts:
        if page.grouped:
            blocks.append(f"== {part.title} {part.tag}")
        blocks.append(part.lead)
        blocks.append("\n".join(f"{label}: {value}" for label, value in part.rows))
        blocks.append("\n".join(_steps(part.steps, _STEPS)))
        if part.evidence:
            blocks.append(f"{_EVIDENCE}:\n\n{part.evidence}")
        blocks.append(part.closing)
    blocks += ["\n".join(filter(None, [page.rest, *page.named])), page.less, page.tags]
    return "\n\n".join(block for block in blocks if block) + "\n"


def html(page: Page) -> str:
    """HTML of a few plain elements, from which Apprise makes a mail's text alternative.

    Apprise turns a line end into a space, so no `br` is followed by one.
    """
    blocks = [f"<p><b>{escape(page.head)}</b></p>"] if page.head else []
    for part in page.parts:
        if page.grouped:
            blocks.append(f"<h3>{escape(part.title)} {part.tag}</h3>")
        if part.lead:
            blocks.append(f"<p>{prose_html(part.lead)}</p>")
        if part.rows:
            rows = "<br>".join(f"<b>{label}:</b> {escape(value)}" for label, value in part.rows)
            blocks.append(f"<p>{rows}</p>")
        if part.steps:
            head, *steps = _steps(tuple(map(prose_html, part.steps)), f"<b>{_STEPS}</b>")
            blocks.append(f"<p>{'<br>'.join([head, *steps])}</p>")
        if part.evidence:
            lines = "<br>".join(escape(line) for line in part.evidence.splitlines())
            blocks.append(f"<p><b>{_EVIDENCE}:</b></p>\n<p>{lines}</p>")
        if part.closing:
            blocks.append(f"<p>{escape(part.closing)}</p>")
    if page.rest or page.named:
        lines = "<br>".join(map(escape, filter(None, [page.rest, *page.named])))
        blocks.append(f"<p>{lines}</p>")
    if page.less:
        blocks.append(f"<p>{prose_html(page.less)}</p>")
    if page.tags:
        blocks.append(f"<p>{page.tags}</p>")
    body = "\n".join(blocks)
    return f'<html><body style="font-family: sans-serif">\n{body}\n</body></html>\n'


def slack(page: Page) -> str:
    """Slack's mrkdwn. Values are code spans, in which nothing is a format, a link or a mention."""
    blocks = [slack_prose(page.head)]
    for part in page.parts:
        if page.grouped:
            blocks.append(f"*{slack_prose(part.title)}* {part.tag}")
        blocks.append(slack_prose(part.lead))
        blocks.append("\n".join(f"• {label}: {slack_words(value)}" for label, value in part.rows))
        blocks.append("\n".join(_steps(tuple(map(slack_prose, part.steps)), f"*{_STEPS}*")))
        if part.evidence:
            blocks.append(f"*{_EVIDENCE}:*\n{slack_block(part.evidence)}")
        blocks.append(slack_words(part.closing))
    named = "\n".join(slack_prose(line) for line in (page.rest, *page.named) if line)
    blocks += [named, slack_prose(page.less), page.tags]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _steps(steps: tuple[str, ...], head: str) -> list[str]:
    """The lines of the steps: one step stands beside its head, several are numbered below it."""
    if len(steps) < 2:
        return [f"{head}: {step}" for step in steps]
    return [f"{head}:", *(f"{number}. {step}" for number, step in enumerate(steps, 1))]


def prose_html(prose: str) -> str:
    """Our prose as HTML. Commands are `kbd`: Apprise's text alternative breaks the line at a `code`."""
    return _COMMAND.sub(r"<kbd>\1</kbd>", escape(prose, quote=False))


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
