"""The Python API beside the official client, whose exceptions it is for."""

import asyncio

import openai
import pytest
from pages import blocks

from monitor.api import Code, Effect, diagnose, explain, explain_log

pytestmark = pytest.mark.anyio


async def test_what_the_client_raises_is_diagnosed_by_its_response(start, client) -> None:
    gated = client(await start("gated"))
    with pytest.raises(openai.APIStatusError) as caught:
        await gated.images.generate(model="gpt-image-2", prompt="a grey dot")
    found = diagnose(caught.value.response)
    assert (found.code, found.gate) == (Code.VERIFICATION_REQUIRED, "model")
    assert found.request_id == caught.value.request_id
    assert found == diagnose(403, caught.value.response.headers, caught.value.response.content)
    # printed, it is found again: by a person, and in the log of a job
    text = f"openai.{type(caught.value).__name__}: {caught.value}"
    assert explain(text).code is Code.VERIFICATION_REQUIRED
    (answer,) = explain_log(f"line\n{text}\nline")
    assert (answer.diagnosis.code, answer.lines) == (Code.VERIFICATION_REQUIRED, (2,))


async def test_each_scenario_of_the_client_s_errors_has_its_diagnosis(start, client) -> None:
    scenario = '[[keys]]\nname = "acme"\nsecret = "sk-test-FAKE-acme-prod-0001"\n'
    for block, code in (
        ('[[keys.blocks]]\nwhat = "insufficient_quota"\n', Code.QUOTA_EXHAUSTED),
        ('[[keys.faults]]\nwhat = "server_error"\n', Code.SERVER_ERROR),
        ('[keys.gate]\nlocked = "always"\n', Code.VERIFICATION_LOCKED),
    ):
        with pytest.raises(openai.APIStatusError) as caught:
            await client(await start(scenario + block)).images.generate(
                model="gpt-image-2", prompt="a grey dot"
            )
        assert diagnose(caught.value.response).code is code
        (answer,) = explain_log(str(caught.value))
        assert answer.diagnosis.code is code


async def test_a_success_of_the_client_is_proven_by_its_raw_response(start, client) -> None:
    api = client(await start("open"))
    raw = await api.images.with_raw_response.generate(model="gpt-image-2", prompt="a grey dot")
    found = diagnose(raw.http_response, model="gpt-image-2")
    assert found.effect is Effect.GRANTED


@pytest.mark.parametrize("scenario", ["gated", "open"])
async def test_the_example_of_the_page_runs_as_it_stands_there(
    start, monkeypatch, capsys, scenario
) -> None:
    simulator = await start(scenario)
    key = simulator.scenario.keys[0]
    monkeypatch.setenv("OPENAI_API_KEY", key.secret)
    monkeypatch.setenv("OPENAI_BASE_URL", simulator.origin + key.base)
    example, *_ = blocks("docs/python.md", "python")
    await asyncio.to_thread(exec, compile(example.text, "docs/python.md", "exec"), {})
    said = capsys.readouterr().out
    if scenario == "gated":
        assert said.startswith("verification_required: Check in the organization")
    else:
        assert said == "served\n"
