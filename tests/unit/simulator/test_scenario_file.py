"""A scenario says exactly what is meant, or which word of it does not."""

from math import inf

import pytest

from monitor.simulator import ScenarioError, load_scenario, parse_scenario, scenario_names
from monitor.simulator.scenario import ALWAYS, NEVER, Timeline
from monitor.simulator.simulated_models import SimulatedSurface

KEY = '[[keys]]\nname = "acme"\nsecret = "sk-test-FAKE-acme-prod-0001"\n'


def _parse(text: str):
    return parse_scenario(f'name = "test"\n{text}')


def test_the_built_in_scenarios_are_all_readable() -> None:
    assert scenario_names() == ["demo", "faults", "gated", "open"]
    assert [load_scenario(name).name for name in scenario_names()] == scenario_names()


def test_a_key_needs_little() -> None:
    (key,) = _parse(KEY).keys
    assert (key.organization, key.slug, key.projects) == ("org-acme", "user-acme", ("proj_acme",))
    assert (key.contract, key.base) == ("direct", "/v1")
    assert key.gate.open == NEVER
    assert "FAKE" not in repr(key)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"always"', ALWAYS),
        ('"never"', NEVER),
        ("9", Timeline(((9.0, inf),))),
        ("[[9, 10], [12, inf]]", Timeline(((9.0, 10.0), (12.0, inf)))),
    ],
)
def test_a_time_may_be_written_in_four_ways(text: str, expected: Timeline) -> None:
    (key,) = _parse(f"{KEY}[keys.gate]\nopen = {text}\n").keys
    assert key.gate.open == expected


def test_an_interval_ends_before_its_last_second() -> None:
    timeline = Timeline(((9.0, 10.0), (12.0, inf)))
    times = (8.9, 9, 9.9, 10, 11.9, 12, 1e9)
    assert [at in timeline for at in times] == [False, True, True, False, False, True, True]


def test_the_nearest_word_on_a_gate_decides() -> None:
    scenario = _parse(f"""{KEY}
[keys.gate]
open = 1
[keys.capabilities."gpt-image-2"]
open = 2
[keys.capabilities."gpt-image-2:edits"]
open = 3
""")
    (key,) = scenario.keys
    model, text = scenario.models["gpt-image-2"], scenario.models["gpt-5.1"]
    begins = [
        gate.open.spans[0][0] if (gate := key.gate_of(*asked)) else None
        for asked in (
            (model, SimulatedSurface.EDITS),
            (model, SimulatedSurface.IMAGES),
            (text, SimulatedSurface.STREAM),
            (text, SimulatedSurface.RESPONSES),
        )
    ]
    assert begins == [3, 2, 1, None]


def test_a_model_of_the_scenarios_own_is_like_another() -> None:
    scenario = _parse(
        '[[models]]\nname = "gpt-image-9"\nlike = "gpt-image-2"\nshutdown = 2027-01-02\n'
    )
    assert scenario.models["gpt-image-9"].listing()["shutdown_date"] == "2027-01-02"
    assert SimulatedSurface.EDITS in scenario.models["gpt-image-9"].gated


#: Below, `acme` stands for a whole key, and a message that ends in `…` goes on with a list.
WRONG = [
    (
        "colour = 2",
        "scenario.colour: unknown key; give one of: about, admins, keys, models, name, …",
    ),
    ("time_scal = 2.0", "scenario.time_scal: unknown key; did you mean time_scale?"),
    ("time_scale = 0", "scenario.time_scale: found 0; it should be greater than or equal to 0.001"),
    ("time_scale = inf", "scenario.time_scale: found inf; it should be a finite number"),
    ("time_scale = 1" + "0" * 400, "scenario.time_scale: found 1000…"),
    ("seed = true", "scenario.seed: found True; give a whole number"),
    (
        "today = 2026-11-20T01:02:03Z",
        "scenario.today: found 2026-11-20 01:02:03+00:00; give a date",
    ),
    ("keys = 1", "scenario.keys: found 1; give a list"),
    ("keys = [1]", "scenario.keys[1]: found 1; give a table"),
    ("[[keys]]", "scenario.keys[1].name: missing; add it"),
    ('[[keys]]\nname = "b"', "keys.b.secret: missing; add it"),
    (
        '[[keys]]\nname = "b"\nsecret = "two words"',
        "keys.b.secret: found a value that is not shown; give printable ASCII without spaces",
    ),
    ("acme\nacme", "keys.acme.name: the same as in keys[1]; give each key its own"),
    (
        'acme\n[[keys]]\nname = "b"\nsecret = "sk-test-FAKE-acme-prod-0001"',
        "keys.b.secret: the same as in keys[1]; give each key its own",
    ),
    (
        '[[models]]\nname = "gpt-image-9"\nlike = "gpt-imagine"',
        "scenario.models[1].like: found 'gpt-imagine'; did you mean gpt-image-2?",
    ),
    ("name = ", "scenario: not valid TOML: …"),
    ("keys = " + "[" * 5_000 + "]" * 5_000, "scenario: nested too deeply; nest less"),
    ("keys" + ".a" * 5_000 + " = 1", "scenario: nested too deeply; nest less"),
]

#: The same for the lines of one key; the place begins with `keys.acme.`.
WRONG_IN_A_KEY = [
    ('contract = "rented"', "contract: found 'rented'; give one of: direct, provider"),
    ('base = "relay/v1"', "base: found 'relay/v1'; give a path such as /relay/v1"),
    ("projects = [1]", "projects[1]: found 1; give a text in quotes"),
    (
        "images_per_minute = 0",
        "images_per_minute: found 0; it should be greater than or equal to 1",
    ),
    ("colour = 1", "colour: unknown key; give one of: base, blocks, capabilities, contract, …"),
    ('organisation = "org-a"', "organisation: unknown key; did you mean organization?"),
    (
        'gate.open = "soon"',
        'gate.open: found \'soon\'; give "always", "never", the second it begins, or …',
    ),
    (
        "gate.open = [[9, 8]]",
        "gate.open: found [[9, 8]]; give intervals from 0 on, in ascending order",
    ),
    (
        "gate.open = [[0, 5], [4, 6]]",
        "gate.open: found [[0, 5], [4, 6]]; give intervals from 0 on, in ascending order",
    ),
    ("gate.open = -1", "gate.open: found -1; give intervals from 0 on, in ascending order"),
    ("gate.open = nan", "gate.open: found nan; give intervals from 0 on, in ascending order"),
    ("gate.opens = 1", "gate.opens: unknown key; did you mean open?"),
    (
        'capabilities."gpt-imge-2:images".open = 1',
        "capabilities.\"gpt-imge-2:images\": found 'gpt-imge-2:images'; did you mean gpt-image-2?",
    ),
    (
        'capabilities."gpt-image-2:pictures".open = 1',
        "capabilities.\"gpt-image-2:pictures\": found 'gpt-image-2:pictures'; give one of: chat, …",
    ),
    ('blocks = [{what = "rain"}]', "blocks[1].what: found 'rain'; did you mean region?"),
    ('faults = [{what = "rain"}]', "faults[1].what: found 'rain'; give one of: bad_gateway, …"),
    (
        'faults = [{what = "slow", seconds = 601}]',
        "faults[1].seconds: found 601; it should be less than or equal to 600",
    ),
    (
        'faults = [{what = "slow", probability = 1.5}]',
        "faults[1].probability: found 1.5; it should be less than or equal to 1",
    ),
    (
        'faults = [{what = "slow", first = 0}]',
        "faults[1].first: found 0; it should be greater than or equal to 1",
    ),
    (
        'faults = [{what = "slow", models = ["gpt-6"]}]',
        "faults[1].models[1]: found 'gpt-6'; did you mean gpt-5?",
    ),
    (
        'faults = [{what = "slow", surfaces = ["pictures"]}]',
        "faults[1].surfaces[1]: found 'pictures'; give one of: chat, edits, …",
    ),
]


def _told(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        _parse(text)
    return str(caught.value)


def _matches(told: str, message: str) -> bool:
    return told.startswith(message[:-1]) if message.endswith("…") else told == message


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_wrong_is_told_with_its_place_and_what_to_do(text: str, message: str) -> None:
    told = _told("".join(KEY if line == "acme" else f"{line}\n" for line in text.splitlines()))
    assert _matches(told, message), told


@pytest.mark.parametrize(("line", "message"), WRONG_IN_A_KEY)
def test_what_is_wrong_in_a_key_is_told_with_the_keys_name(line: str, message: str) -> None:
    told = _told(f"{KEY}{line}\n")
    assert _matches(told, f"keys.acme.{message}"), told


def test_a_scenario_that_is_not_there_is_told_with_those_that_are(tmp_path) -> None:
    place = tmp_path / "none.toml"
    with pytest.raises(ScenarioError) as caught:
        load_scenario(place)
    assert str(caught.value) == (
        f"{place}: No such file or directory; name a file or one of: demo, faults, gated, open"
    )


def test_a_file_is_read_as_a_scenario(tmp_path) -> None:
    place = tmp_path / "own.toml"
    place.write_text('name = "own"\n', encoding="utf-8")
    assert load_scenario(place).name == "own"
    place.write_bytes(b"\xff")
    with pytest.raises(ScenarioError, match="the file is not UTF-8 text; save it as UTF-8"):
        load_scenario(str(place))
