"""The judge knows only the time it is told: timelines without waiting."""

import pytest

from monitor.simulator import load_scenario, parse_scenario
from monitor.simulator.answers import Answer
from monitor.simulator.asking import Ask, Endpoint
from monitor.simulator.ledger import AnswerKind, Ledger
from monitor.simulator.responder import Responder
from monitor.simulator.simulated_models import BUILT_IN, SimulatedSurface, image_tokens

KEY = '[[keys]]\nname = "acme"\nsecret = "sk-test-FAKE-acme-prod-0001"\n'


def _ask(responder: Responder, key: str, model: str = "gpt-image-2") -> Ask:
    """An image, or a reasoning summary of a text model."""
    owner = next(item for item in responder.scenario.keys if item.name == key)
    image = model.startswith("gpt-image")
    body = {"model": model, "prompt": "a grey dot"} if image else {"model": model, "input": "hi"}
    return Ask(
        "POST",
        base=owner.base,
        path="",
        secret=owner.secret,
        organization=None,
        project=None,
        endpoint=Endpoint.IMAGES if image else Endpoint.RESPONSES,
        surfaces=(SimulatedSurface.IMAGES if image else SimulatedSurface.SUMMARY,),
        model=model,
        body=body,
    )


def _story(responder: Responder, ask: Ask, *times: float) -> list[str]:
    return [responder.answer(ask, at).what for at in times]


def test_the_demos_first_target_flickers_and_its_sibling_follows() -> None:
    responder = Responder(load_scenario("demo"))
    image, summary = _ask(responder, "acme-prod"), _ask(responder, "acme-prod", "gpt-5.1")
    assert _story(responder, image, 8.9, 10, 12, 13, 40) == [
        "gated",
        "granted",
        "gated",
        "granted",
        "granted",
    ]
    assert _story(responder, summary, 0, 21, 22, 40) == ["gated", "gated", "granted", "granted"]


def test_the_demos_other_targets_are_what_they_are_called() -> None:
    responder = Responder(load_scenario("demo"))
    assert _story(responder, _ask(responder, "acme-lab"), 0, 11, 12, 40) == [
        "gated",
        "gated",
        "locked",
        "locked",
    ]
    assert (
        _story(responder, _ask(responder, "acme-stray"), 0, 40) == ["mismatched_organization"] * 2
    )
    assert (
        _story(responder, _ask(responder, "example-old", "gpt-image-1"), 0, 40)
        == ["model_deprecated"] * 2
    )
    assert _story(responder, _ask(responder, "example-empty"), 0, 40) == ["insufficient_quota"] * 2
    assert _story(responder, _ask(responder, "example-new"), 27, 28) == ["gated", "granted"]
    assert _story(responder, _ask(responder, "relay-one"), 0, 40) == ["granted"] * 2


def test_a_gate_may_close_again_and_a_block_may_pass() -> None:
    responder = Responder(
        parse_scenario(f"""name = "test"\n{KEY}
[keys.gate]
open = [[0, 20]]
[[keys.blocks]]
what = "region"
between = [[5, 10]]
""")
    )
    assert _story(responder, _ask(responder, "acme"), 4, 5, 10, 20) == [
        "granted",
        "region",
        "granted",
        "gated",
    ]


def test_an_image_limit_forgets_after_a_minute() -> None:
    responder = Responder(parse_scenario(f'name = "test"\n{KEY}images_per_minute = 2\n'))
    ask = _ask(responder, "acme")
    assert _story(responder, ask, 0, 10, 59, 60, 61, 70) == [
        "gated", "gated", "rate_limited", "gated", "rate_limited", "gated",
    ]  # fmt: skip


def test_a_shutdown_date_is_judged_on_the_scenarios_day() -> None:
    for today, what in (("2026-11-30", "gated"), ("2026-12-01", "model_deprecated")):
        responder = Responder(parse_scenario(f'name = "test"\ntoday = {today}\n{KEY}'))
        assert _story(responder, _ask(responder, "acme", "gpt-image-1.5"), 0) == [what]


@pytest.mark.parametrize(
    ("model", "quality", "width", "height", "tokens"),
    [
        ("gpt-image-2", "low", 1440, 480, 54),
        ("gpt-image-2", "low", 1024, 1024, 196),
        ("gpt-image-1.5", "low", 1024, 1024, 272),
        ("gpt-image-1.5", "medium", 1024, 1536, 1584),
        ("gpt-image-1.5", "high", 1536, 1024, 6240),
    ],
)
def test_image_tokens_are_the_published_ones(
    model: str, quality: str, width: int, height: int, tokens: int
) -> None:
    assert image_tokens(BUILT_IN[model], quality, width, height) == tokens


def test_the_log_is_bounded_and_the_totals_are_not() -> None:
    ledger = Ledger(limit=3)
    for _ in range(5):
        ledger.record(
            AnswerKind("acme", "", "models", 200, "listed"), elapsed=0.0, path="/v1/models"
        )
    assert [entry.number for entry in ledger.entries] == [3, 4, 5]
    assert [entry.number for entry in ledger.since(4)] == [5]
    assert [entry.number for entry in ledger.since(0)] == [3, 4, 5]
    assert ledger.count(what="listed") == 5


def test_a_faultless_answer_ends_well() -> None:
    responder = Responder(load_scenario("open"))
    answer: Answer = responder.answer(_ask(responder, "acme-open"), 0)
    assert (answer.delay, answer.silence, answer.ending.value) == (0, 0, "complete")
