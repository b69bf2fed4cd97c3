"""A message, rendered as plain text, HTML and Slack's mrkdwn. Pure; values are escaped for each."""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import Literal

from monitor.access.events import Event

Level = Literal["info", "success", "warning", "failure"]

_STEPS = "What to do"
_PAGE = "The target's page"
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
    #: the target's page
    link: str = ""
    #: the evidence bundle: Markdown, shown unchanged
    evidence: str = ""


@dataclass(frozen=True)
class Message:
    """One message in every format; each format is made on first use.

    `title` is one line of plain text of at most 120 characters. Each format has every id once, as `[#123]`:
    in the last line of a message of one event (`tags`), beside each head of a grouped message. `level` is
    Apprise's word for the severity. `head` is the state of a pool. `rest` counts the events that have no
    part, and `named` has their heads with their tags. `less` is prose that says what else is left out.
    `events` are those that it tells; a test tells none, and for a webhook there is nothing else. Its
    channel notes in `taken` which recipients took it, and passes them over: a message is for one channel.
    """

    title: str
    level: Level
    parts: Sequence[Wording]
    tags: str = ""
    grouped: bool = False
    rest: str = ""
    named: Sequence[str] = ()
    less: str = ""
    head: str = ""
    events: Sequence[Event] = ()
    taken: set[Hashable] = field(default_factory=set, compare=False)

    @cached_property
    def text(self) -> str:
        """Plain text."""
        blocks = [self.head]
        for part in self.parts:
            if self.grouped:
                blocks.append(f"== {part.title} {part.tag}")
            blocks.append(part.lead)
            blocks.append("\n".join(f"{label}: {value}" for label, value in part.rows))
            blocks.append("\n".join(_steps(part.steps, _STEPS)))
            if part.evidence:
                blocks.append(f"{_EVIDENCE}:\n\n{part.evidence}")
            blocks += [part.closing, f"{_PAGE}: {part.link}" if part.link else ""]
        blocks += ["\n".join(filter(None, [self.rest, *self.named])), self.less, self.tags]
        return "\n\n".join(filter(None, blocks)) + "\n"

    @cached_property
    def html(self) -> str:
        """HTML for mail, of a few plain elements, from which Apprise makes the text alternative.

        Apprise turns a line end into a space, so no `br` is followed by one.
        """
        blocks = [f"<b>{escape(self.head)}</b>" if self.head else ""]
        for part in self.parts:
            if self.grouped:
                blocks.append(f"<h3>{escape(part.title)} {part.tag}</h3>")
            blocks.append(prose_html(part.lead))
            rows = (f"<b>{label}:</b> {escape(value)}" for label, value in part.rows)
            blocks.append("<br>".join(rows))
            steps = tuple(map(prose_html, part.steps))
            blocks.append("<br>".join(_steps(steps, f"<b>{_STEPS}</b>")))
            if part.evidence:
                blocks.append(f"<b>{_EVIDENCE}:</b>")
                blocks.append("<br>".join(map(escape, part.evidence.splitlines())))
            blocks.append(escape(part.closing))
            link = escape(part.link)
            blocks.append(f'{_PAGE}: <a href="{link}">{link}</a>' if link else "")
        blocks.append("<br>".join(map(escape, filter(None, [self.rest, *self.named]))))
        blocks += [prose_html(self.less), self.tags]
        body = "\n".join(
            block if block.startswith("<h3>") else f"<p>{block}</p>" for block in blocks if block
        )
        return f'<html><body style="font-family: sans-serif">\n{body}\n</body></html>\n'

    @cached_property
    def slack(self) -> str:
        """Slack's mrkdwn, escaped, without the title.

        Values are code spans, in which nothing is a format, a link or a mention.
        """
        blocks = [slack_prose(self.head)]
        for part in self.parts:
            if self.grouped:
                blocks.append(f"*{slack_prose(part.title)}* {part.tag}")
            blocks.append(slack_prose(part.lead))
            rows = (f"• {label}: {slack_words(value)}" for label, value in part.rows)
            blocks.append("\n".join(rows))
            steps = tuple(map(slack_prose, part.steps))
            blocks.append("\n".join(_steps(steps, f"*{_STEPS}*")))
            if part.evidence:
                blocks.append(f"*{_EVIDENCE}:*\n{slack_block(part.evidence)}")
            blocks.append(slack_words(part.closing))
            blocks.append(f"<{escape(part.link, quote=False)}|{_PAGE}>" if part.link else "")
        blocks.append("\n".join(map(slack_prose, filter(None, [self.rest, *self.named]))))
        blocks += [slack_prose(self.less), self.tags]
        return "\n\n".join(filter(None, blocks)) + "\n"


def _steps(steps: tuple[str, ...], head: str) -> list[str]:
    """The lines of the steps: one step stands beside its head, several are numbered below it."""
    if len(steps) < 2:
        return [f"{head}: {step}" for step in steps]
    return [f"{head}:", *(f"{number}. {step}" for number, step in enumerate(steps, 1))]


def prose_html(prose: str) -> str:
    """Our prose as HTML. Commands are `kbd`: Apprise's text alternative breaks the line at a `code`."""
    return _COMMAND.sub(r"<kbd>\1</kbd>", escape(prose, quote=False))


def slack_words(text: str) -> str:
    """Words from outside as a Slack code span, in which nothing is a format, a link or a mention."""
    return f"`{escape(text, quote=False).replace('`', chr(39))}`" if text.strip() else ""


def slack_block(text: str) -> str:
    """Lines from outside as a Slack code block."""
    return f"```\n{escape(text, quote=False).replace('`', chr(39))}\n```"


def slack_prose(prose: str) -> str:
    """Our prose for Slack: commands stay code spans, and names in it cannot start a format."""
    return escape(prose, quote=False).translate(_SLACK_SIMILAR)
