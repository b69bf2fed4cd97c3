"""The table of rules: each phrase and word decides an answer in another's words, and none is shadowed."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

from monitor.access.diagnosis import answer, diagnose
from monitor.access.diagnosis.rules import RULES, read_rules, squeezed
from monitor.access.diagnosis.text import fold
from monitor.access.observation import Observation
from monitor.access.words import Effect

ANSWERS = [
    (path.stem, number, *line.split(" ", 2))
    for path in sorted(Path(__file__).with_name("answers").glob("*.txt"))
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    if not line.startswith("#")
]


def _asked(status, body):
    return Observation(None if status == "-" else int(status), {}, body.encode())


@pytest.mark.parametrize(
    ("status", "meaning", "body"),
    [entry[2:] for entry in ANSWERS],
    ids=[f"{name}-{number}" for name, number, *_ in ANSWERS],
)
def test_an_answer_in_anothers_words_is_understood(status, meaning, body):
    assert diagnose(_asked(status, body)).code == meaning


def _decided():
    """By rule: the messages and the words of the answers that it decided."""
    messages, words = defaultdict(list), defaultdict(set)
    for _, _, status, _, body in ANSWERS:
        asked = _asked(status, body)
        name = diagnose(asked).rule
        for layer in answer.read(asked).errors:
            messages[name].append(fold(layer.message))
            words[name].update(squeezed(word) for word in layer.codes)
    return messages, words


def test_each_phrase_decides_an_answer():
    # Decided by its rule: so no rule before it takes the answer, and the phrase is not shadowed.
    messages, _ = _decided()
    phrases = [(one.id, phrase) for one in RULES for phrase in one.phrases]
    idle = [
        f"{name}: {phrase.text}"
        for name, phrase in phrases
        if not any(phrase.is_in(text) for text in messages[name])
    ]
    assert phrases
    assert idle == []


def test_each_word_decides_an_answer():
    _, words = _decided()
    given = [(one.id, word) for one in RULES for word in one.words]
    assert given
    assert [f"{name}: {word}" for name, word in given if word not in words[name]] == []


def test_no_phrase_holds_another_one_of_its_rule():
    for one in RULES:
        plain = [phrase.text for phrase in one.phrases if not phrase.patterns]
        assert not [(a, b) for a in plain for b in plain if a != b and a in b]


def test_no_word_stands_in_two_rules():
    words = [word for one in RULES for word in one.words]
    assert len(words) == len(set(words))


def test_each_rule_has_a_name_of_its_own_and_a_reason_and_never_grants():
    assert len({one.id for one in RULES}) == len(RULES)
    assert all(one.why.endswith(".") and one.means.effect is not Effect.GRANTED for one in RULES)
    assert all(other in {one.id for one in RULES} for one in RULES for other in one.yields_to)


def test_phrases_are_written_as_messages_are_folded():
    for one in RULES:
        for text in (*one.unless, *(part for phrase in one.phrases for part in phrase.parts)):
            assert text.strip() == fold(text)


@pytest.mark.parametrize(
    "line", ["overloaded", "overloaded  # nobody", "/over.*/  # acme", "overloaded # acme"]
)
def test_a_phrase_without_a_source_or_a_plain_part_is_refused(line):
    head = '[sources]\nacme = "x"\n[[rule]]\nid = "a"\nmeans = "server_error"\nwhy = "b"\n'
    with pytest.raises(ValueError, match=r"source|plain part"):
        list(read_rules(f"{head}phrases = '''\n{line}\n'''"))


def test_patterns_are_bounded():
    for one in RULES:
        for phrase in one.phrases:
            for pattern in phrase.patterns:
                bare = pattern.replace("\\.", "").replace("\\+", "").replace("\\*", "")
                assert "*" not in bare
                assert "+" not in bare
                re.compile(pattern)
