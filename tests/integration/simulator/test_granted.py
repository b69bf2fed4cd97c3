"""An open gate: real pictures, real streams, and a bill to a billionth of a dollar."""

import zlib
from base64 import b64decode

import pytest

from monitor.access.images import read_image
from monitor.access.observation import Image

pytestmark = pytest.mark.anyio

MESSAGES = [{"role": "user", "content": "hi"}]
TOOL = {"type": "image_generation", "model": "gpt-image-2", "size": "1440x480", "quality": "low"}


def _pixels(picture: str) -> tuple[int, int]:
    """Decode a PNG as far as its first row, and say its size."""
    content = b64decode(picture)
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    length = int.from_bytes(content[33:37], "big")
    assert content[37:41] == b"IDAT"
    rows = zlib.decompress(content[41 : 41 + length])
    assert len(rows) == height * (width + 1)
    return width, height


async def test_an_image_has_the_size_asked_for_and_costs_what_its_tokens_cost(
    start, client
) -> None:
    simulator = await start("open")
    answer = await client(simulator).images.generate(
        model="gpt-image-2",
        prompt="a grey dot",
        size="1440x480",
        quality="low",
        n=1,
        output_format="png",
    )
    assert _pixels(answer.data[0].b64_json) == (1440, 480)
    assert answer.usage.output_tokens == 54
    assert answer.usage.input_tokens == 10
    assert simulator.ledger.billed() == 0.00167


@pytest.mark.parametrize(
    ("form", "head"),
    [("png", b"\x89PNG"), ("jpeg", b"\xff\xd8\xff"), ("webp", b"RIFF")],
)
async def test_an_image_has_the_format_that_was_asked_for(start, client, form, head) -> None:
    answer = await client(await start("open")).images.generate(
        model="gpt-image-2", prompt="a grey dot", size="1440x480", output_format=form
    )
    content = b64decode(answer.data[0].b64_json)
    assert content.startswith(head)
    assert read_image(content, cut=False) == Image(form, 1440, 480)
    assert answer.output_format == form


async def test_several_images_are_billed_each(start, client) -> None:
    simulator = await start("open")
    answer = await client(simulator).images.generate(
        model="gpt-image-2", prompt="a grey dot", size="1024x1024", quality="low", n=3
    )
    assert len(answer.data) == 3
    assert answer.usage.output_tokens == 3 * 196
    assert simulator.ledger.billed(model="gpt-image-2") == 0.01769


async def test_an_edit_is_billed_for_the_picture_that_was_sent(start, client) -> None:
    simulator = await start("open")
    api = client(simulator)
    first = await api.images.generate(model="gpt-image-2", prompt="a dot", size="1440x480")
    before = simulator.ledger.billed()
    answer = await api.images.edit(
        model="gpt-image-2",
        prompt="a grey dot",
        image=("dot.png", b64decode(first.data[0].b64_json), "image/png"),
        size="1440x480",
        quality="low",
        n=1,
    )
    assert _pixels(answer.data[0].b64_json) == (1440, 480)
    assert answer.usage.input_tokens_details.image_tokens == 45 * 15
    assert simulator.ledger.billed() - before == pytest.approx(0.00167 + 675 * 8e-6, abs=1e-12)


async def test_a_response_names_a_dated_snapshot_and_is_billed_by_its_tokens(start, client) -> None:
    simulator = await start("open")
    answer = await client(simulator).responses.create(
        model="gpt-5.1", input="hi", max_output_tokens=16, store=False
    )
    assert (answer.status, answer.model) == ("completed", "gpt-5.1-2025-11-13")
    assert answer.output_text == "Hello! How can I help you today?"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (8, 9)
    assert simulator.ledger.billed(key="acme-open", model="gpt-5.1") == 0.0001


@pytest.mark.parametrize(
    "prompt",
    [
        "Join the words copper and lizard. Reply with the joined word only.",
        'Please combine "copper" with "lizard" into one.',
    ],
)
async def test_two_words_are_joined_on_each_text_surface(start, client, prompt: str) -> None:
    api = client(await start("open"))
    asked = {"model": "gpt-5.1", "input": prompt, "max_output_tokens": 16}
    answer = await api.responses.create(**asked)
    assert (answer.output_text, answer.usage.output_tokens) == ("copperlizard", 2)
    events = [event async for event in await api.responses.create(**asked, stream=True)]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert deltas == ["copper", "lizard"]
    messages = [{"role": "user", "content": prompt}]
    said = await api.chat.completions.create(model="gpt-5.1", messages=messages)
    assert said.choices[0].message.content == "copperlizard"


async def test_reasoning_that_uses_up_the_tokens_leaves_the_response_incomplete(
    start, client
) -> None:
    simulator = await start("open")
    answer = await client(simulator).responses.create(
        model="gpt-5.1",
        input="hi",
        max_output_tokens=16,
        reasoning={"effort": "low", "summary": "auto"},
    )
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert [item.type for item in answer.output] == ["reasoning"]
    assert answer.usage.output_tokens_details.reasoning_tokens == 16
    assert simulator.ledger.billed() == 0.00017


async def test_a_summary_comes_when_there_is_room_for_it(start, client) -> None:
    answer = await client(await start("open")).responses.create(
        model="gpt-5.1", input="hi", reasoning={"effort": "low", "summary": "auto"}
    )
    assert answer.output[0].summary[0].text.startswith("**Greeting")
    assert answer.output_text


async def test_a_streamed_response_is_the_real_sequence_of_events(start, client) -> None:
    simulator = await start("open")
    stream = await client(simulator).responses.create(
        model="gpt-5.1", input="hi", max_output_tokens=16, stream=True
    )
    events = [event async for event in stream]
    kinds = list(dict.fromkeys(event.type for event in events))
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.usage.output_tokens == 9
    assert simulator.ledger.billed() == 0.0001


async def test_a_stream_that_runs_out_of_tokens_ends_as_incomplete(start, client) -> None:
    stream = await client(await start("open")).responses.create(
        model="o3", input="hi", max_output_tokens=16, stream=True
    )
    events = [event async for event in stream]
    assert events[-1].type == "response.incomplete"


async def test_a_stream_closed_at_its_first_event_is_billed(start, client) -> None:
    simulator = await start("open")
    async with await client(simulator).responses.create(
        model="gpt-5.1", input="hi", stream=True
    ) as stream:
        assert (await anext(aiter(stream))).type == "response.created"
    assert simulator.ledger.billed() == 0.0001


async def test_the_hosted_image_tool_bills_both_models(start, client) -> None:
    simulator = await start("open")
    answer = await client(simulator).responses.create(
        model="gpt-5.1", input="a grey dot", tools=[TOOL]
    )
    assert answer.output[0].type == "image_generation_call"
    assert _pixels(answer.output[0].result) == (1440, 480)
    assert simulator.ledger.billed(model="gpt-image-2") == 0.00167
    assert simulator.ledger.billed(model="gpt-5.1") == 0.0001025
    assert simulator.ledger.count(surface="image_tool", model="gpt-image-2", what="granted") == 1


async def test_the_hosted_image_tool_streams_its_progress(start, client) -> None:
    stream = await client(await start("open")).responses.create(
        model="gpt-5.1", input="a grey dot", tools=[TOOL], stream=True
    )
    kinds = [event.type async for event in stream]
    steps = [kind.rpartition(".")[2] for kind in kinds if "image_generation_call" in kind]
    assert steps == ["in_progress", "generating", "completed"]


async def test_a_chat_completion_stops_or_runs_out(start, client) -> None:
    api = client(await start("open"))
    answer = await api.chat.completions.create(
        model="gpt-5.1", messages=MESSAGES, max_completion_tokens=16
    )
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content == "Hello! How can I help you today?"
    cut = await api.chat.completions.create(model="o3", messages=MESSAGES, max_completion_tokens=16)
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage.completion_tokens_details.reasoning_tokens == 16


async def test_a_streamed_chat_completion_ends_with_its_reason_and_usage(start, client) -> None:
    stream = await client(await start("open")).chat.completions.create(
        model="gpt-5.1", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text == "Hello! How can I help you today?"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == 9


async def test_models_are_listed_with_the_date_of_their_end(start, client) -> None:
    api = client(await start("open"))
    models = {model.id: model async for model in api.models.list()}
    assert models["gpt-image-2"].shutdown_date is None
    assert models["o3"].shutdown_date == "2026-12-11"
    assert "gpt-image-1" not in models
    assert (await api.models.retrieve("gpt-5.1")).shutdown_date == "2027-04-01"


async def test_the_headers_are_those_worth_keeping(start, raw) -> None:
    plain = raw(await start("open"))
    body = {"model": "gpt-5.1", "input": "hi"}
    headers = (await plain.post("/responses", json=body)).headers
    assert headers["x-request-id"].startswith("req_")
    assert headers["openai-organization"] == "user-acme"
    assert headers["openai-project"] == "proj_acme"
    assert headers["openai-version"] == "2020-10-01"
    assert headers["x-ratelimit-limit-requests"] == "30000"
    assert {"cf-ray", "openai-processing-ms"} <= set(headers)
    assert headers["content-type"].startswith("application/json")


async def test_an_early_refusal_carries_few_headers(start, raw) -> None:
    plain = raw(await start("open"))
    answer = await plain.get("/models", headers={"OpenAI-Organization": "org-other"})
    assert answer.status_code == 401
    assert "x-request-id" in answer.headers
    assert not {"openai-organization", "openai-project"} & set(answer.headers)
