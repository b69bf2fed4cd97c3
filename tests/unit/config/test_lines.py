import tomllib
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from monitor.config import example
from monitor.config.lines import find_lines, line_of

TEXT = '''\
# a comment with [brackets] and a = sign
top = 1
a.b . c = "x # no comment"

[plain]
text = """
[not.a.table]
key = 1
"""
raw = \'\'\'
"still inside" = \'\'\'
after = 'x'

[ spaced . "quoted.name" ]
list = [ # first
  "a,]", 'b', # ]
  [1, 2], { x = 1, "y z" = [true,
    false] },
  2026-11-20 14:05:00Z,
]

[[keys]]
name = "one"
[[keys.inner]]
deep = 1
[[keys]]
name = "two"
[keys.sub]
x = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("a", "b", "c"), 3),
        (("plain",), 5),
        (("plain", "text"), 6),
        (("plain", "raw"), 10),
        (("plain", "after"), 12),
        (("spaced", "quoted.name"), 14),
        (("spaced", "quoted.name", "list"), 15),
        (("spaced", "quoted.name", "list", 0), 16),
        (("spaced", "quoted.name", "list", 1), 16),
        (("spaced", "quoted.name", "list", 2, 1), 17),
        (("spaced", "quoted.name", "list", 3, "y z"), 17),
        (("spaced", "quoted.name", "list", 3, "y z", 1), 18),
        (("spaced", "quoted.name", "list", 4), 19),
        (("keys", 0, "name"), 23),
        (("keys", 0, "inner", 0, "deep"), 25),
        (("keys", 1), 26),
        (("keys", 1, "name"), 27),
        (("keys", 1, "sub", "x"), 29),
    ],
)
def test_every_kind_of_place_has_its_line(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(TEXT)
    assert find_lines(TEXT)[path] == line


def test_what_is_not_in_the_file_has_the_line_of_what_is_around_it() -> None:
    lines = find_lines(TEXT)
    assert line_of(lines, ("keys", 1, "secret")) == 26
    assert line_of(lines, ("nowhere",)) is None
    assert line_of(lines, ()) is None


def test_every_value_of_the_example_is_found() -> None:
    lines = find_lines(example())
    paths = set(_paths(tomllib.loads(example()), ()))
    assert paths == set(lines)


def _paths(value: Any, path: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [found for key, one in inner for found in ((*path, key), *_paths(one, (*path, key)))]


SNIPPETS = [
    "a = 1",
    "b.c = [1, {d = 2, e.f = 'x'}, []]",
    's = """\n[no]\nkey = 1 \\""" \n"""',
    "m = '''\n[[no]]''''",
    '"q.r" = {x = [\n1, # one\n2,\n]}',
    "d = 1979-05-27 07:32:00",
    "# [[no]] a = 1",
    "[t]",
    "[t.u]",
    "[[k]]",
    "[[k.l]]",
    "[k.v]",
    "[ 'w x' . y ]",
]


@given(st.lists(st.sampled_from(SNIPPETS), max_size=8))
def test_every_place_of_any_valid_text_is_found(snippets: list[str]) -> None:
    text = "\n".join(snippets)
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        reject()
    lines = find_lines(text)
    assert set(lines) == set(_paths(value, ()))
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
