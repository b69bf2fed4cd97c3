"""What a shell completes: the names that stand in the settings file.

Of the file only names are read: no reference is resolved, so no secret is read, and nothing is checked. A
file that is not there, or cannot be read, completes nothing: there is no place to say why.
"""

import io
import os
import tomllib
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from typer import Context

#: The most that are offered.
_MOST = 1_000


@contextmanager
def words_with_colons(environ: MutableMapping[str, str]) -> Iterator[None]:
    """Complete words that bash breaks at their colons, as targets are.

    They are made one word again, and of what is printed meanwhile bash gets what is behind the last colon: it
    keeps the rest.
    """
    at = int(environ["COMP_CWORD"])
    words: list[str] = []
    before = kept = ""
    for word in environ["COMP_WORDS"].split("\n")[: at + 1]:
        broken = bool(words) and ":" in (word[:1], before)
        kept = words[-1] + (":" if word == ":" else "") if broken else ""
        if broken:
            words[-1] += word
        else:
            words.append(word)
        before = word
    environ["COMP_WORDS"], environ["COMP_CWORD"] = "\n".join(words), str(len(words) - 1)
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            yield
    finally:
        print("\n".join(line.removeprefix(kept) for line in said.getvalue().splitlines()))


def targets(context: Context, word: str) -> list[str]:
    """The keys, and after a key and a slash its models as they are watched."""
    return _offer(word, _targets(_read(context), word))


def keys(context: Context, word: str) -> list[str]:
    """The names of the keys."""
    return _offer(word, _names(_read(context), "keys"))


def organizations_and_keys(context: Context, word: str) -> list[str]:
    """The organizations, and the names of the keys."""
    settings = _read(context)
    return _offer(word, [*_organizations(settings), *_names(settings, "keys")])


def silenced(context: Context, word: str) -> list[str]:
    """What a silence may name: targets, pools, organizations and channels."""
    settings = _read(context)
    channels = (f"channel:{name}" for name in _names(settings, "channels"))
    more = (*_names(settings, "pools"), *_organizations(settings), *channels)
    return _offer(word, [*_targets(settings, word), *more])


def channels(context: Context, word: str) -> list[str]:
    """The names of the channels."""
    return _offer(word, _names(_read(context), "channels"))


def _offer(word: str, names: "Iterator[str] | list[str]") -> list[str]:
    found = dict.fromkeys(name for name in names if name.startswith(word) and name.isprintable())
    return list(found)[:_MOST]


def _read(context: Context) -> dict[str, Any]:
    from monitor.config import SettingsError
    from monitor.config.loading import FILE_CAP, find

    try:
        given = context.params.get("config")
        path = find(Path(given).expanduser() if given else None, os.environ)
        if path is not None and not path.is_file():
            return {}  # a pipe would be waited for
        if path is None:
            # without a file there is one key, of the environment
            return {"keys": [{"name": "default", "watch": ["gpt-image-2"]}]}
        with path.open("rb") as file:
            return tomllib.loads(file.read(FILE_CAP).decode())
    except (OSError, SettingsError, ValueError, RuntimeError):
        return {}


def _rows(settings: dict[str, Any], section: str) -> Iterator[dict[str, Any]]:
    rows = settings.get(section)
    yield from (row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()


def _names(settings: dict[str, Any], section: str, field: str = "name") -> Iterator[str]:
    names = (row.get(field) for row in _rows(settings, section))
    yield from (name for name in names if isinstance(name, str))


def _organizations(settings: dict[str, Any]) -> list[str]:
    return [id_ for part in ("keys", "pools") for id_ in _names(settings, part, "organization")]


def _targets(settings: dict[str, Any], word: str) -> Iterator[str]:
    if "/" not in word:
        yield from _names(settings, "keys")
    for row in _rows(settings, "keys"):
        name, watch = row.get("name"), row.get("watch")
        if isinstance(name, str) and isinstance(watch, list):
            yield from (f"{name}/{one}" for one in watch if isinstance(one, str))
