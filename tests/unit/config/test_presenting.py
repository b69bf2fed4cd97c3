import json
import re
import tomllib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from monitor.access.fields import PATTERN, parse_duration
from monitor.access.words import EventKind, Surface
from monitor.config import Settings, example, load, schema, show

TOP = Path(__file__).parents[3]

#: A setting that is commented out with its default: "#" without a space after it.
COMMENTED = re.compile(r"^#(?=[a-z_]+ = )", re.MULTILINE)


@pytest.mark.parametrize("name", ["access-monitor.toml", "minimal.toml"])
def test_the_examples_load_with_their_environment_and_without_a_warning(
    name: str, environ: dict[str, str], now: datetime
) -> None:
    settings = load(TOP / "config" / name, environ, now=now)
    assert settings.targets()
    assert settings.warnings == ()


def test_the_example_beside_the_code_is_the_packaged_one() -> None:
    assert (TOP / "config" / "access-monitor.toml").read_text(encoding="utf-8") == example()


def test_every_commented_setting_of_the_example_is_its_default(
    settings_of: Callable[[str], Settings],
) -> None:
    assert len(COMMENTED.findall(example())) > 30
    assert show(settings_of(COMMENTED.sub("", example()))) == show(settings_of(example()))


def test_every_setting_is_in_the_example() -> None:
    text = example()
    missing = []
    for section, fields in _sections(schema()).items():
        for name in fields:
            written = re.search(rf"(?:^#? ?|[{{,] ){name} = ", text, re.MULTILINE)
            header = re.search(rf"^(?:# )?\[+(?:\w+\.)*{name}[\].]", text, re.MULTILINE)
            if not written and not header:
                missing.append(f"{section}.{name}")
    assert missing == []


def test_the_example_names_every_event_and_surface() -> None:
    assert [word for word in (*EventKind, *Surface) if word not in example()] == []


def test_every_setting_of_the_schema_says_what_it_means() -> None:
    made = schema()
    silent = [
        f"{section}.{name}"
        for section, fields in _sections(made).items()
        for name, field in fields.items()
        if not (field | made["$defs"].get(field.get("$ref", "").rpartition("/")[2], {})).get(
            "description"
        )
    ]
    assert silent == []


def test_the_schema_is_json_and_forbids_unknown_settings() -> None:
    made = json.loads(json.dumps(schema()))
    sections = [made, *made["$defs"].values()]
    assert all(one["additionalProperties"] is False for one in sections if "properties" in one)
    assert set(made["properties"]) >= {"monitor", "routes", "keys", "channels", "catalog"}
    assert "null" not in json.dumps(made)


def test_the_durations_of_the_schema_are_the_ones_that_are_read() -> None:
    found = [
        default
        for fields in _sections(schema()).values()
        for field in fields.values()
        for default in [field.get("default")]
        if field.get("pattern") == PATTERN and default is not None
    ]
    assert len(found) > 20
    assert all(parse_duration(default) for default in found)
    assert all(re.match(PATTERN, text) for text in ("20s", "1h30m", "250ms"))
    assert not any(re.match(PATTERN, text) for text in ("", "20", "1.5h"))


def test_what_the_schema_requires_is_what_the_file_must_have() -> None:
    made = schema()["$defs"]
    assert made["Key"]["required"] == ["name", "secret", "watch"]
    assert made["Channel"]["required"] == ["name", "url"]
    assert "required" not in made["Route"]


def test_show_is_json_with_secrets_by_reference_and_fingerprint_only(
    environ: dict[str, str], now: datetime, canary: str
) -> None:
    settings = load(TOP / "config" / "access-monitor.toml", environ, now=now)
    text = json.dumps(show(settings)) + repr(settings) + str(settings)
    assert canary not in text
    assert all(
        value not in text for name, value in environ.items() if name != "HOME" and value.strip()
    )
    shown = show(settings)
    key = settings.keys[0]
    assert shown["keys"][0]["secret"] == {
        "reference": "env:OPENAI_API_KEY",
        "fingerprint": key.secret.fingerprint,
    }
    assert shown["deadlines"]["overdue"] == ["45m", "2h", "1d", "3d"]
    assert shown["targets"] == [target.name for target in settings.targets()]


def test_the_minimal_example_is_toml_of_a_few_lines() -> None:
    text = (TOP / "config" / "minimal.toml").read_text(encoding="utf-8")
    assert set(tomllib.loads(text)) == {"keys", "channels"}


def _sections(made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        "": made["properties"],
        **{name: one["properties"] for name, one in made["$defs"].items() if "properties" in one},
    }
