"""Models of one's own in the settings file."""

from collections.abc import Callable

import pytest

from monitor.config import Settings, SettingsError

KEY = '[[keys]]\nname = "acme"\nsecret = "env:OPENAI_API_KEY"\nwatch = ["painter"]\n'


@pytest.mark.parametrize(
    ("entry", "place", "says"),
    [
        ("", "surfaces", "is missing"),
        ("surfaces = []", "surfaces", "must not be empty"),
        ('surfaces = "chat"', "surfaces", "must be a list"),
        ('surfaces = ["chatt"]', "surfaces[0]", 'did you mean "chat"'),
        ('surfaces = ["chat", "chat"]', "surfaces", "twice"),
        ("surfaces = 5", "surfaces", "5: must be a list in [ ], not a number"),
        ("surfaces = true", "surfaces", "must be a list in [ ], not true or false"),
        ('surfaces = [["chat"]]', "surfaces[0]", "must be one of: images, edits"),
        ("surfaces = [{ chat = 1 }]", "surfaces[0]", "must be one of: images, edits"),
        ("surfaces = [3]", "surfaces[0]", "3: must be one of: images, edits"),
        ("prise = {}", "prise", 'did you mean "price"'),
        ('name = "other"', "name", "unknown setting"),
        ('gates = { images = "model" }', "gates.images", "not among"),
        ('gates = { chat = "modal" }', "gates.chat", 'did you mean "model"'),
        ('gates = { chatt = "model" }', "gates.chatt", 'did you mean "chat"'),
        ('gates = ["chat"]', "gates", "must be a table, not a list"),
        ("price = {}", "price", "must be a table of dollars per million"),
        ("price = { text = 1 }", "price.text", 'did you mean "text_in"'),
        ('price = { text_in = "1" }', "price.text_in", "must be a number, not text"),
        ("price = { text_in = true }", "price.text_in", "must be a number, not true or false"),
        ("price = { text_in = -1 }", "price.text_in", "must not be less than 0"),
        ("price = { text_in = nan }", "price.text_in", "finite"),
        ('shutdown = "2027-01-01"', "shutdown", "without quotes"),
        ('source = " "', "source", "not empty"),
        ("any_size = 1", "any_size", "must be true or false, not a number"),
        ("square_tokens = 0", "square_tokens", "must not be less than 1"),
    ],
)
def test_a_bad_entry_is_told_with_its_place(
    settings_of: Callable[[str], Settings], entry: str, place: str, says: str
) -> None:
    surfaces = "" if place.startswith("surfaces") else 'surfaces = ["chat"]\n'
    with pytest.raises(SettingsError) as caught:
        settings_of(f"{KEY}[catalog.models.painter]\n{surfaces}{entry}\n")
    (problem,) = caught.value.problems
    assert problem.place == f"catalog.models.painter.{place}"
    assert says in problem.message
    assert problem.line


@pytest.mark.parametrize("name", ["", " painter", "paint\\ner"])
def test_a_name_that_cannot_be_written_is_refused(
    settings_of: Callable[[str], Settings], name: str
) -> None:
    with pytest.raises(SettingsError, match="the name is empty"):
        settings_of(f'{KEY}[catalog.models."{name}"]\nsurfaces = ["chat"]\n')


def test_a_known_model_may_be_used_through_fewer_surfaces_or_through_others(
    settings_of: Callable[[str], Settings],
) -> None:
    settings = settings_of(
        KEY.replace("painter", "gpt-image-2")
        + '[catalog.models.gpt-image-2]\nsurfaces = ["images", "chat"]\n'
    )
    model = settings.catalog.get("gpt-image-2")
    assert model
    assert [str(one) for one in model.surfaces] == ["images", "chat"]
    assert {str(surface): str(gate) for surface, gate in model.gates.items()} == {"images": "model"}
