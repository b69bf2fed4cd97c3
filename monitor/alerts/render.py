"""A message's parts as plain text, HTML and Slack's mrkdwn. Pure; every value is escaped for its place."""

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.alerts.clean import as_html, clean, prose_html, slack_block, slack_prose, slack_words
from monitor.alerts.wording import Wording

_MEANING = "What it means"
_STEPS = "What to do next"
_EVIDENCE = "The evidence, for support"


@dataclass(frozen=True, slots=True)
class Part:
    """One happening: its tag `[#123]`, its words, and what is known as label and value."""

    tag: str
    words: Wording
    rows: tuple[tuple[str, str], ...]
    #: the evidence bundle: Markdown, shown as it is
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What a message shows: how a pool stands, parts in full, what was left out, the tags of all."""

    parts: Sequence[Part]
    rest: str
    tags: str
    grouped: bool
    head: str = ""


def text(page: Page) -> str:
    """Plain text."""
    blocks = [page.head]
    for part in page.parts:
        words = part.words
        if page.grouped:
            blocks.append(f"== {clean(words.title)} {part.tag}")
        blocks.append(words.lead)
        blocks.append("\n".join(f"{label}: {value}" for label, value in part.rows))
        if words.meaning:
            blocks.append(f"{_MEANING}: {words.meaning}")
        if words.steps:
            blocks.append("\n".join([f"{_STEPS}:", *_numbered(words.steps)]))
        if part.evidence:
            blocks.append(f"{_EVIDENCE}:\n\n{part.evidence}")
    blocks += [page.rest, page.tags]
    return "\n\n".join(block for block in blocks if block) + "\n"


def html(page: Page) -> str:
    """HTML of few and plain elements: Apprise makes a mail's text alternative from it.

    It makes a space of a line's end, so there is none after a `br`.
    """
    blocks = [f"<p><b>{as_html(page.head)}</b></p>"] if page.head else []
    for part in page.parts:
        words = part.words
        if page.grouped:
            blocks.append(f"<h3>{as_html(clean(words.title))} {part.tag}</h3>")
        blocks.append(f"<p>{prose_html(words.lead)}</p>")
        rows = "<br>".join(f"<b>{label}:</b> {as_html(value)}" for label, value in part.rows)
        blocks.append(f"<p>{rows}</p>")
        if words.meaning:
            blocks.append(f"<p><b>{_MEANING}:</b> {prose_html(words.meaning)}</p>")
        if words.steps:
            steps = "<br>".join(prose_html(step) for step in _numbered(words.steps))
            blocks.append(f"<p><b>{_STEPS}:</b><br>{steps}</p>")
        if part.evidence:
            lines = "<br>".join(as_html(line) for line in part.evidence.splitlines())
            blocks.append(f"<p><b>{_EVIDENCE}:</b></p>\n<p>{lines}</p>")
    if page.rest:
        blocks.append(f"<p>{as_html(page.rest)}</p>")
    blocks.append(f"<p>{page.tags}</p>")
    body = "\n".join(blocks)
    return f'<html><body style="font-family: sans-serif">\n{body}\n</body></html>\n'


def slack(page: Page) -> str:
    """Slack's mrkdwn. Values are code spans, in which nothing is formatted, linked or mentioned."""
    blocks = [slack_prose(page.head)]
    for part in page.parts:
        words = part.words
        if page.grouped:
            blocks.append(f"*{slack_prose(clean(words.title))}* {part.tag}")
        blocks.append(slack_prose(words.lead))
        blocks.append("\n".join(f"• {label}: {slack_words(value)}" for label, value in part.rows))
        if words.meaning:
            blocks.append(f"*{_MEANING}:* {slack_prose(words.meaning)}")
        if words.steps:
            steps = [slack_prose(step) for step in _numbered(words.steps)]
            blocks.append("\n".join([f"*{_STEPS}:*", *steps]))
        if part.evidence:
            blocks.append(f"*{_EVIDENCE}:*\n{slack_block(part.evidence)}")
    blocks += [slack_prose(page.rest), page.tags]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _numbered(steps: tuple[str, ...]) -> list[str]:
    return [f"{number}. {step}" for number, step in enumerate(steps, 1)]
