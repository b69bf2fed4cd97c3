"""Whatever else is wrong, and what fails on the way, with the official client as the judge."""

import asyncio
from base64 import b64decode

import httpx
import openai
import pytest

from monitor.simulator import load_scenario
from monitor.simulator.faults import FALSE_ANSWERS, FAULTS
from monitor.simulator.refusals import REFUSALS

pytestmark = pytest.mark.anyio

IMAGE = {"model": "gpt-image-2", "prompt": "a grey dot", "size": "1440x480", "quality": "low"}
PRICE = 0.00167

BLOCKS = {
    "invalid_api_key": (openai.AuthenticationError, "Incorrect API key provided: sk-"),
    "account_deactivated": (openai.AuthenticationError, "has been deactivated"),
    "no_organization": (openai.AuthenticationError, "must be a member of an organization"),
    "phone_verification": (openai.PermissionDeniedError, "must verify a phone number"),
    "mismatched_organization": (openai.AuthenticationError, "should match organization"),
    "mismatched_project": (openai.AuthenticationError, "should match project"),
    "missing_scope": (openai.AuthenticationError, "Missing scopes: api.model.images.request"),
    "region": (openai.PermissionDeniedError, "Country, region, or territory not supported"),
    "insufficient_quota": (openai.RateLimitError, "exceeded your current quota"),
    "credit_balance_exhausted": (openai.RateLimitError, "credit balance is exhausted"),
    "organization_spend_limit_exceeded": (openai.RateLimitError, "organization has reached"),
    "project_spend_limit_exceeded": (openai.RateLimitError, "project has reached"),
    "organization_usage_limit_exceeded": (openai.RateLimitError, "usage limit"),
    "billing_not_active": (openai.RateLimitError, "account is not active"),
    "billing_hard_limit_reached": (openai.BadRequestError, "hard limit"),
    "payment_required": (openai.APIStatusError, "Payment is required"),
    "tier_limit_zero": (openai.RateLimitError, "Limit: 0/1min"),
    "project_denied": (openai.PermissionDeniedError, "does not have access to model"),
    "model_not_found": (openai.NotFoundError, "does not exist or you do not have access"),
    "model_deprecated": (openai.NotFoundError, "has been deprecated"),
    "no_channel": (openai.InternalServerError, "No available channel for model gpt-image-2"),
    "moderation_blocked": (openai.BadRequestError, "safety system"),
}

FAILURES = {
    "rate_limited": openai.RateLimitError,
    "server_error": openai.InternalServerError,
    "bad_gateway": openai.InternalServerError,
    "overloaded": openai.InternalServerError,
    "edge_forbidden": openai.PermissionDeniedError,
    "reset": openai.APIConnectionError,
    "cut": openai.APIConnectionError,
    "timeout": openai.APITimeoutError,
    "dripping": openai.APITimeoutError,
    "endless_headers": openai.APIConnectionError,
    "garbage": openai.APIConnectionError,
}

#: What was made before it was spoilt is billed.
BILLED = {"reset", "cut", "timeout", "slow", "broken_json", "dripping", "endless_headers"}
BILLED |= {"garbage"}

#: What does not raise, and has tests of its own below.
QUIET = {"slow", "broken_json", "empty_data", "error_frame", "endless", "interim", "redirect"}
QUIET |= set(FALSE_ANSWERS)
QUIET |= {"endless_interim", "nested", "echo", "hostile", "long_winded"}


def _key(fault: str) -> str:
    return f"""
[[keys]]
name = "acme"
secret = "sk-test-FAKE-acme-prod-0001"
gate.open = "always"
[[keys.faults]]
what = "{fault}"
"""


def test_every_refusal_and_fault_has_a_key_and_a_case_here() -> None:
    named = {key.name for key in load_scenario("faults").keys}
    assert named == {name.replace("_", "-") for name in (*REFUSALS, *FAULTS)}
    assert set(BLOCKS) == set(REFUSALS)
    assert set(FAILURES) == set(FAULTS) - QUIET


@pytest.mark.parametrize("what", BLOCKS)
async def test_a_block_is_refused_for_nothing(start, client, what: str) -> None:
    simulator = await start("faults")
    kind, words = BLOCKS[what]
    with pytest.raises(kind, match=words) as caught:
        await client(simulator, what.replace("_", "-")).images.generate(**IMAGE)
    assert caught.value.status_code == REFUSALS[what].status
    assert simulator.ledger.count(what=what, status=REFUSALS[what].status) == 1
    assert simulator.ledger.billed() == 0


async def test_a_secret_is_quoted_by_its_ends_only(start, client) -> None:
    simulator = await start("faults")
    api = client(simulator, api_key="sk-test-FAKE-unknown-key-9876")
    with pytest.raises(openai.AuthenticationError, match=r"sk-\*{8}9876"):
        await api.models.list()


@pytest.mark.parametrize("what", FAILURES)
async def test_a_failure_raises_what_the_client_raises_for_it(start, client, what: str) -> None:
    simulator = await start(f'{_key(what)}surfaces = ["images"]\nseconds = 600\n')
    timeout = 0.5 if what in ("timeout", "dripping") else 20
    with pytest.raises(FAILURES[what]):
        await client(simulator, timeout=timeout).images.generate(**IMAGE)
    assert simulator.ledger.billed() == (PRICE if what in BILLED else 0)
    assert simulator.ledger.count(what=what) == 1


async def test_retry_after_is_told_in_seconds_and_milliseconds(start, raw) -> None:
    plain = raw(await start(f"time_scale = 4.0\n{_key('rate_limited')}retry_after = 5\n"))
    answer = await plain.post("/images/generations", json=IMAGE)
    assert answer.status_code == 429
    assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("2", "1250")


async def test_a_slow_answer_comes_and_keeps_its_name(start, client) -> None:
    simulator = await start(f"time_scale = 100.0\n{_key('slow')}seconds = 10\n")
    answer = await client(simulator).images.generate(**IMAGE)
    assert b64decode(answer.data[0].b64_json)
    (entry,) = simulator.ledger.entries
    assert entry.what == "granted"
    assert entry.elapsed >= 0.1


async def test_a_client_that_gives_up_on_a_slow_image_is_billed(start, client) -> None:
    simulator = await start(f"{_key('slow')}seconds = 600\n")
    with pytest.raises(openai.APITimeoutError):
        await client(simulator, timeout=0.3).images.generate(**IMAGE)
    await simulator.stop()
    assert simulator.ledger.billed() == PRICE


async def test_broken_json_is_a_success_that_cannot_be_read(start, raw) -> None:
    simulator = await start(_key("broken_json"))
    answer = await raw(simulator).post("/images/generations", json=IMAGE)
    assert answer.status_code == 200
    with pytest.raises(ValueError, match="Unterminated"):
        answer.json()
    assert simulator.ledger.billed() == PRICE


async def test_an_empty_success_holds_no_image(start, client) -> None:
    simulator = await start(_key("empty_data"))
    assert (await client(simulator).images.generate(**IMAGE)).data == []
    assert simulator.ledger.billed() == 0


@pytest.mark.parametrize(
    "what", [what for what in FALSE_ANSWERS if what not in ("failed_call", "code_beside_data")]
)
async def test_a_false_answer_hands_out_words_as_a_success_on_each_surface(
    start, client, what: str
) -> None:
    simulator = await start(_key(what).replace("always", "never"))
    api = client(simulator)
    prompt = "Join the words copper and lizard."
    answer = await api.responses.create(model="o3", input=prompt)
    messages = [{"role": "user", "content": prompt}]
    said = await api.chat.completions.create(model="o3", messages=messages)
    stream = await api.responses.create(model="gpt-5.1", input=prompt, stream=True)
    streamed = "".join([e.delta async for e in stream if e.type == "response.output_text.delta"])
    drawn = await api.images.generate(**IMAGE | {"prompt": prompt})
    hidden = b64decode(drawn.data[0].b64_json).decode()
    assert answer.status == "completed"
    assert answer.output_text
    assert len({answer.output_text[:6], said.choices[0].message.content[:6], hidden[:6]}) == 1
    assert streamed[:6] == hidden[:6]
    assert "copperlizard" not in answer.output_text + streamed + hidden
    assert simulator.ledger.billed() == 0
    assert simulator.ledger.count(what=what, status=200) == 4


async def test_a_failed_call_is_in_a_completed_response(start, client) -> None:
    simulator = await start(_key("failed_call").replace("always", "never"))
    tools = [{"type": "image_generation", "model": "gpt-image-2"}]
    answer = await client(simulator).responses.create(model="gpt-5.1", input="a dot", tools=tools)
    assert answer.status == "completed"
    assert [(item.type, item.status) for item in answer.output] == [
        ("image_generation_call", "failed")
    ]


async def test_a_code_stands_beside_a_real_picture(start, client) -> None:
    simulator = await start(_key("code_beside_data").replace("always", "never"))
    answer = await client(simulator).images.generate(**IMAGE)
    assert (answer.code, answer.success) == (403, False)
    assert b64decode(answer.data[0].b64_json).startswith(b"\x89PNG")


@pytest.mark.parametrize("what", FALSE_ANSWERS)
async def test_a_false_answer_hides_the_gate_and_nothing_else(start, raw, what: str) -> None:
    simulator = await start(
        _key(what).replace(
            "[[keys.faults]]", '[[keys.blocks]]\nwhat = "insufficient_quota"\n[[keys.faults]]'
        )
    )
    plain = raw(simulator)
    assert (await plain.post("/images/generations", json=IMAGE)).status_code == 429
    assert (await plain.get("/models")).status_code == 200


async def test_an_error_frame_hides_the_gates_refusal_in_a_stream(start, client) -> None:
    simulator = await start(_key("error_frame").replace("always", "never"))
    stream = await client(simulator).responses.create(model="gpt-5.1", input="hi", stream=True)
    with pytest.raises(openai.APIError, match="verified to stream this model"):
        await anext(aiter(stream))
    assert simulator.ledger.count(what="error_frame", status=200) == 1


async def test_a_fault_strikes_the_first_requests_only(start, client) -> None:
    api = client(await start(f"{_key('server_error')}first = 2\n"))
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            await api.images.generate(**IMAGE)
    assert (await api.images.generate(**IMAGE)).data


async def test_a_fault_with_a_probability_falls_alike_for_the_same_seed(start, raw) -> None:
    runs = []
    for _ in range(2):
        simulator = await start(f"seed = 7\n{_key('overloaded')}probability = 0.5\n")
        plain = raw(simulator)
        body = {"model": "gpt-5.1", "input": "hi"}
        runs.append([(await plain.post("/responses", json=body)).status_code for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 503}


async def test_failed_calls_count_toward_the_organizations_image_limit(start, client) -> None:
    simulator = await start("""
[[keys]]
name = "one"
secret = "sk-test-FAKE-one-0001"
organization = "org-acme"
images_per_minute = 2
[[keys]]
name = "two"
secret = "sk-test-FAKE-two-0002"
organization = "org-acme"
images_per_minute = 2
""")
    for name in ("one", "two"):
        with pytest.raises(openai.PermissionDeniedError):
            await client(simulator, name).images.generate(**IMAGE)
    with pytest.raises(openai.RateLimitError, match="images per min: Limit 2, Used 2") as caught:
        await client(simulator, "one").images.generate(**IMAGE)
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 60


async def test_a_granted_image_tells_what_is_left_of_the_limit(start, raw) -> None:
    simulator = await start("""
[[keys]]
name = "acme"
secret = "sk-test-FAKE-acme-prod-0001"
images_per_minute = 5
gate.open = "always"
""")
    for left in ("4", "3"):
        answer = await raw(simulator).post("/images/generations", json=IMAGE)
        assert answer.headers["x-ratelimit-limit-requests"] == "5"
        assert answer.headers["x-ratelimit-remaining-requests"] == left


async def test_stopping_does_not_wait_for_a_silence(start, raw) -> None:
    simulator = await start(f"{_key('timeout')}seconds = 600\n")
    with pytest.raises(httpx.ReadTimeout):
        await raw(simulator).post("/images/generations", json=IMAGE, timeout=0.2)
    await simulator.stop()
    assert simulator.ledger.count(what="timeout", status=0) == 1


async def test_an_endless_body_ends_with_the_client(start, raw) -> None:
    simulator = await start(_key("endless"))
    read = 0
    async with raw(simulator).stream("POST", "/images/generations", json=IMAGE) as answer:
        async for piece in answer.aiter_raw():
            read += len(piece)
            if read > 8 * 1024 * 1024:
                break
    await simulator.stop()
    assert simulator.ledger.count(what="endless", status=200) == 1


async def test_an_interim_answer_is_followed_by_the_final_one(start, client) -> None:
    simulator = await start(_key("interim"))
    assert (await client(simulator).images.generate(**IMAGE)).data


async def test_interim_answers_without_end_hold_a_client_for_ever(start, raw) -> None:
    simulator = await start(_key("endless_interim"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await raw(simulator).post("/images/generations", json=IMAGE)
    await simulator.stop()
    assert simulator.ledger.count(what="endless_interim") == 1


async def test_a_redirect_leads_elsewhere(start, raw) -> None:
    answer = await raw(await start(_key("redirect"))).post("/images/generations", json=IMAGE)
    assert (answer.status_code, answer.headers["location"]) == (307, "/elsewhere/v1/models")


async def test_nested_json_is_ten_megabytes_that_no_parser_takes(start, raw) -> None:
    answer = await raw(await start(_key("nested"))).post("/images/generations", json=IMAGE)
    assert len(answer.content) == 10 * 1024 * 1024
    with pytest.raises(RecursionError):
        answer.json()


@pytest.mark.parametrize("gate", ["always", "never"])
async def test_an_echo_holds_the_key_in_body_and_headers(start, raw, gate: str) -> None:
    simulator = await start(_key("echo").replace("always", gate))
    answer = await raw(simulator).post("/images/generations", json=IMAGE)
    assert answer.status_code == (200 if gate == "always" else 403)
    for place in (answer.text, answer.headers["x-request-id"], answer.headers["x-echo"]):
        assert "sk-test-FAKE-acme-prod-0001" in place


async def test_hostile_words_stand_before_the_gates_own(start, raw) -> None:
    simulator = await start(_key("hostile").replace("always", "never"))
    answer = await raw(simulator).post("/images/generations", json=IMAGE)
    message = answer.json()["error"]["message"]
    assert message.startswith("<!channel>")
    assert "\r\nBcc:" in message
    assert "\x1b[31m" in message
    assert "Your organization must be verified" in message


async def test_long_winded_words_come_after_them(start, raw) -> None:
    simulator = await start(_key("long_winded").replace("always", "never"))
    answer = await raw(simulator).post("/images/generations", json=IMAGE)
    message = answer.json()["error"]["message"]
    assert message.startswith("Your organization must be verified")
    assert len(message) > 1024 * 1024
