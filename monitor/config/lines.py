"""Finds the line of every key, table and list element of a TOML text, for error reports.

The standard library's parser keeps no positions. The text has been parsed before it comes here, so
this reads valid TOML only and stays small; an error in it can misplace a line number, nothing more.
"""

import re
import tomllib
from bisect import bisect_right

from monitor.config.problems import Path

_SPACE = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_KEY = re.compile(r'[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|\'[^\']*\'')
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'(?:.)*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\'', re.DOTALL
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def find_lines(text: str) -> dict[Path, int]:
    """Line numbers, from 1, by path; `text` is valid TOML with `\\n` line ends."""
    return _Scanner(text).scan()


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """The line of the path, or of the nearest thing around it that the file holds."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


class _Scanner:
    """One pass over the text; `at` is the position."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.lines: dict[Path, int] = {}
        self.last: dict[Path, int] = {}  # arrays of tables: the index of the latest table

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        self.skip(_SPACE)
        while self.at < len(self.text):
            start = self.at
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.assignment(table, start)
            self.skip(_SPACE)
        return self.lines

    def header(self) -> Path:
        start, array = self.at, self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        self.skip(_SPACE)
        names = self.key()
        self.skip(_SPACE)
        self.at += 2 if array else 1
        path: Path = ()
        for name in names[:-1]:
            path = (*path, name)
            self.note(path, start)
            if path in self.last:
                path = (*path, self.last[path])
        path = (*path, names[-1])
        self.note(path, start)
        if array:
            self.last[path] = self.last.get(path, -1) + 1
        if path in self.last:
            path = (*path, self.last[path])
            self.note(path, start)
        return path

    def assignment(self, table: Path, start: int) -> None:
        path = table
        for name in self.key():
            path = (*path, name)
            self.note(path, start)
        self.skip(_SPACE)
        self.at += 1  # the equals sign
        self.value(path)

    def key(self) -> list[str]:
        names = []
        while match := _KEY.match(self.text, self.at):
            self.at = match.end()
            text = match.group()
            names.append(tomllib.loads(f"k = {text}")["k"] if text[0] in "\"'" else text)
            if not (dot := _DOT.match(self.text, self.at)):
                break
            self.at = dot.end()
        return names

    def value(self, path: Path) -> None:
        self.skip(_SPACE)
        first = self.text[self.at : self.at + 1]
        if first == "[":
            self.inside("]", path)
        elif first == "{":
            self.inside("}", path)
        elif not self.skip(_STRING):
            self.skip(_SCALAR)

    def inside(self, end: str, path: Path) -> None:
        """The elements of a list, or the assignments of an inline table."""
        self.at += 1
        index = 0
        self.skip(_SPACE)
        while self.at < len(self.text) and self.text[self.at] != end:
            before = self.at
            if end == "]":
                self.note((*path, index), self.at)
                self.value((*path, index))
                index += 1
            else:
                self.assignment(path, self.at)
            self.skip(_SPACE)
            if self.text[self.at : self.at + 1] == ",":
                self.at += 1
                self.skip(_SPACE)
            if self.at == before:  # never with valid TOML; better a wrong line than no end
                break
        self.at += 1

    def skip(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match is not None

    def note(self, path: Path, position: int) -> None:
        self.lines.setdefault(path, bisect_right(self.starts, position))
