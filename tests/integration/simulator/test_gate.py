"""A shut gate is told as the API tells it: the official client raises what it raises there."""

import openai
import pytest

pytestmark = pytest.mark.anyio

KEY = """
[[keys]]
name = "acme"
secret = "sk-test-FAKE-acme-prod-0001"
"""


def _draw(api, **more):
    return api.images.generate(model="gpt-image-2", prompt="a grey dot", **more)


def _error(caught) -> tuple:
    error = caught.value
    return error.status_code, error.type, error.param, error.code


async def test_images_are_refused_with_403_and_without_a_code(start, client) -> None:
    api = client(await start("gated"))
    with pytest.raises(openai.PermissionDeniedError) as caught:
        await _draw(api)
    assert _error(caught) == (403, "invalid_request_error", None, None)
    assert caught.value.body["message"] == (
        "Your organization must be verified to use the model `gpt-image-2`. Please go to:"
        " https://platform.openai.com/settings/organization/general and click on Verify Organization."
        " If you just verified, it can take up to 15 minutes for access to propagate."
    )


async def test_edits_are_refused_as_images_are(start, client) -> None:
    api = client(await start("gated"))
    with pytest.raises(openai.PermissionDeniedError, match="use the model `gpt-image-2`"):
        await api.images.edit(model="gpt-image-2", prompt="a dot", image=("a.png", b"not one"))


async def test_the_hosted_image_tool_is_refused_for_its_own_model(start, client) -> None:
    api = client(await start("gated"))
    with pytest.raises(openai.PermissionDeniedError, match="use the model `gpt-image-2`"):
        await api.responses.create(
            model="gpt-5.1",
            input="a dot",
            tools=[{"type": "image_generation", "model": "gpt-image-2", "quality": "low"}],
        )


async def test_a_gated_text_model_is_not_found(start, client) -> None:
    api = client(await start("gated"))
    with pytest.raises(openai.NotFoundError, match="use the model `o3`") as caught:
        await api.responses.create(model="o3", input="hi")
    assert _error(caught) == (404, "invalid_request_error", None, "model_not_found")
    with pytest.raises(openai.NotFoundError, match="use the model `o3`"):
        await api.chat.completions.create(model="o3", messages=[{"role": "user", "content": "hi"}])


async def test_a_stream_is_a_bad_request(start, client) -> None:
    api = client(await start("gated"))
    with pytest.raises(openai.BadRequestError, match="verified to stream this model") as caught:
        await api.responses.create(model="gpt-5.1", input="hi", stream=True)
    assert _error(caught) == (400, "invalid_request_error", "stream", "unsupported_value")
    with pytest.raises(openai.BadRequestError, match="verified to stream this model"):
        await api.chat.completions.create(
            model="gpt-5.1", messages=[{"role": "user", "content": "hi"}], stream=True
        )


async def test_a_reasoning_summary_is_a_bad_request(start, client) -> None:
    api = client(await start("gated"))
    with pytest.raises(openai.BadRequestError, match="generate reasoning summaries") as caught:
        await api.responses.create(
            model="gpt-5.1", input="hi", reasoning={"effort": "low", "summary": "auto"}
        )
    assert _error(caught) == (
        400,
        "invalid_request_error",
        "reasoning.summary",
        "unsupported_value",
    )


async def test_what_is_not_gated_works_while_the_gate_is_shut(start, client) -> None:
    api = client(await start("gated"))
    answer = await api.responses.create(model="gpt-5.1", input="hi")
    assert answer.status == "completed"
    assert "gpt-image-2" in [model.id async for model in api.models.list()]


async def test_a_locked_verification_is_told_in_its_own_words(start, client) -> None:
    api = client(await start("gated"), "acme-locked")
    with pytest.raises(
        openai.PermissionDeniedError, match="verification is currently not available"
    ):
        await _draw(api)


async def test_a_relay_tells_the_gate_as_a_bad_request_with_empty_strings(start, client) -> None:
    api = client(await start("gated"), "relay-gated")
    with pytest.raises(openai.BadRequestError, match="must be verified to use the model") as caught:
        await _draw(api)
    assert _error(caught) == (400, "invalid_request_error", "", "")
    assert caught.value.body["localized_message"] == "Unknown error"
    assert caught.value.request_id is None


async def test_surfaces_of_one_model_open_apart(start, client) -> None:
    simulator = await start(f"""{KEY}
[keys.capabilities."gpt-image-2:images"]
open = "never"
[keys.capabilities."gpt-image-2"]
open = "always"
""")
    api = client(simulator)
    with pytest.raises(openai.PermissionDeniedError):
        await _draw(api)
    tool = {"type": "image_generation", "model": "gpt-image-2", "quality": "low"}
    answer = await api.responses.create(model="gpt-5.1", input="a dot", tools=[tool])
    assert answer.output[0].type == "image_generation_call"


async def test_the_gate_opens_while_the_client_keeps_asking(start, client) -> None:
    simulator = await start(f"time_scale = 100.0\n{KEY}\n[keys.gate]\nopen = 80\n")
    api = client(simulator)
    refusals = 0
    while True:
        try:
            answer = await _draw(api)
            break
        except openai.PermissionDeniedError:
            refusals += 1
    assert refusals > 0
    assert simulator.elapsed > 80
    assert answer.data
    assert [entry.what for entry in simulator.ledger.entries] == ["gated"] * refusals + ["granted"]


async def test_a_relay_may_answer_with_another_model(start, client) -> None:
    simulator = await start(f"""{KEY}
contract = "provider"
[keys.capabilities."gpt-5.1:responses"]
open = "always"
answers_as = "example-small-1"
""")
    answer = await client(simulator).responses.create(model="gpt-5.1", input="hi")
    assert answer.model == "example-small-1"


async def test_the_demo_begins_with_a_refusal_for_each_reason(start, client) -> None:
    simulator = await start("demo")
    expected = {
        "acme-prod": openai.PermissionDeniedError,
        "acme-lab": openai.PermissionDeniedError,
        "acme-stray": openai.AuthenticationError,
        "example-empty": openai.RateLimitError,
        "example-new": openai.RateLimitError,
    }
    for name, kind in expected.items():
        with pytest.raises(kind):
            await _draw(client(simulator, name))
    with pytest.raises(openai.NotFoundError, match="has been deprecated"):
        await client(simulator, "example-old").images.generate(model="gpt-image-1", prompt="a dot")
    assert (await _draw(client(simulator, "relay-one"))).data
