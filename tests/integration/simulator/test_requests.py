"""What is wrong with a request itself, and which of two mistakes is told."""

import asyncio
import socket
from contextlib import ExitStack, suppress

import openai
import pytest

pytestmark = pytest.mark.anyio

IMAGE = {"model": "gpt-image-2", "prompt": "a grey dot"}
TEXT = {"model": "gpt-5.1", "input": "hi"}
CHAT = {"model": "gpt-5.1", "messages": [{"role": "user", "content": "hi"}]}

WRONG = [
    ("/images/generations", IMAGE | {"colour": "grey"}, "colour", "unknown_parameter"),
    ("/images/generations", {"model": "gpt-image-2"}, "prompt", "missing_required_parameter"),
    ("/images/generations", {"prompt": "a dot"}, "model", "missing_required_parameter"),
    ("/images/generations", IMAGE | {"size": "16x16"}, "size", "invalid_value"),
    ("/images/generations", IMAGE | {"size": "1000x1000"}, "size", "invalid_value"),
    ("/images/generations", IMAGE | {"size": "3200x640"}, "size", "invalid_value"),
    ("/images/generations", IMAGE | {"size": "3840x3840"}, "size", "invalid_value"),
    ("/images/generations", IMAGE | {"size": "large"}, "size", "invalid_value"),
    ("/images/generations", IMAGE | {"quality": "best"}, "quality", "invalid_value"),
    ("/images/generations", IMAGE | {"n": 0}, "n", "integer_below_min_value"),
    ("/images/generations", IMAGE | {"n": 11}, "n", "integer_above_max_value"),
    ("/images/generations", IMAGE | {"n": "one"}, "n", "invalid_type"),
    ("/images/generations", IMAGE | {"n": True}, "n", "invalid_type"),
    ("/images/edits", IMAGE, None, None),
    (
        "/responses",
        TEXT | {"max_output_tokens": 15},
        "max_output_tokens",
        "integer_below_min_value",
    ),
    ("/responses", TEXT | {"messages": []}, "messages", "unknown_parameter"),
    ("/responses", TEXT | {"stream": "yes"}, "stream", "invalid_type"),
    ("/responses", TEXT | {"reasoning": {"efort": "low"}}, "reasoning.efort", "unknown_parameter"),
    ("/responses", TEXT | {"reasoning": {"summary": "long"}}, "reasoning.summary", "invalid_value"),
    ("/responses", TEXT | {"model": "o3", "temperature": 0.2}, "temperature", "unsupported_value"),
    (
        "/responses",
        TEXT | {"tools": [{"type": "image_generation", "size": "16x16"}]},
        "tools[0].size",
        "invalid_value",
    ),
    ("/chat/completions", {"model": "gpt-5.1"}, "messages", "missing_required_parameter"),
    (
        "/chat/completions",
        CHAT | {"model": "o3", "max_tokens": 16},
        "max_tokens",
        "unsupported_parameter",
    ),
]


@pytest.mark.parametrize(("path", "body", "param", "code"), WRONG)
async def test_a_bad_parameter_is_named_and_comes_before_the_gate(
    start, raw, path: str, body: dict, param: str | None, code: str | None
) -> None:
    simulator = await start("gated")
    answer = await raw(simulator).post(path, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code)
    assert simulator.ledger.count(what="bad_request") == 1


async def test_the_smallest_size_that_is_allowed_is_taken(start, raw) -> None:
    answer = await raw(await start("open")).post(
        "/images/generations", json=IMAGE | {"size": "1440x480", "quality": "low"}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"text"', b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_object_is_a_bad_request(start, raw, content: bytes) -> None:
    answer = await raw(await start("open")).post("/responses", content=content)
    assert answer.status_code == 400
    assert "could not parse the JSON body" in answer.json()["error"]["message"]


async def test_null_is_as_good_as_absent(start, raw) -> None:
    plain = raw(await start("open"))
    body = IMAGE | {"n": None, "quality": None, "size": None, "background": None}
    assert (await plain.post("/images/generations", json=body)).status_code == 200
    tool = {"type": "image_generation", "size": None, "quality": None, "model": None}
    answer = await plain.post("/responses", json=TEXT | {"tools": [tool], "reasoning": None})
    assert answer.status_code == 200


async def test_half_a_character_is_quoted_as_a_question_mark(start, raw) -> None:
    content = b'{"model": "gpt-\\ud800", "input": "hi"}'
    answer = await raw(await start("open")).post("/responses", content=content)
    assert answer.status_code == 404
    assert "The model `gpt-?` does not exist" in answer.json()["error"]["message"]


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x", "a/b"])
async def test_a_form_that_is_none_is_a_bad_request(start, raw, kind: str) -> None:
    plain = raw(await start("open"))
    answer = await plain.post("/images/edits", content=b"--y", headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert "multipart" in answer.json()["error"]["message"]


async def test_a_client_that_goes_in_the_middle_of_its_request_harms_nobody(
    start, raw, caplog
) -> None:
    simulator = await start("open")
    port = int(simulator.origin.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v1/responses HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await raw(simulator).post("/responses", json=TEXT)).status_code == 200
    await simulator.stop()
    assert not caplog.records


async def test_a_body_that_is_too_large_is_not_read(start, raw) -> None:
    simulator = await start("open")
    answer = await raw(simulator).post("/responses", content=b" " * (9 * 1024 * 1024))
    assert answer.status_code == 413
    assert simulator.ledger.count(status=413) == 1


async def test_a_path_that_is_not_there_is_named(start, raw) -> None:
    plain = raw(await start("open"))
    answer = await plain.post("/image/generation", json=IMAGE)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "Invalid URL (POST /v1/image/generation)"
    assert (await plain.get("/responses")).status_code == 404


ENDPOINTS = [
    ("/chat/completions", CHAT | {"model": "gpt-image-2"}, 404, "not a chat model"),
    ("/chat/completions", CHAT | {"model": "o3-pro"}, 404, "only supported in v1/responses"),
    ("/responses", TEXT | {"model": "gpt-image-2"}, 400, "not supported with the Responses API"),
    ("/images/generations", IMAGE | {"model": "gpt-5.1"}, 400, "Invalid value: 'gpt-5.1'"),
    ("/images/generations", IMAGE | {"model": "gpt-imagine"}, 404, "does not exist or you do not"),
    ("/images/generations", IMAGE | {"model": ""}, 404, "The model `` does not exist"),
    ("/images/generations", IMAGE | {"model": "gpt-image-1"}, 404, "has been deprecated"),
]


@pytest.mark.parametrize(("path", "body", "status", "words"), ENDPOINTS)
async def test_a_model_is_served_where_it_belongs(
    start, raw, path: str, body: dict, status: int, words: str
) -> None:
    answer = await raw(await start("gated")).post(path, json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]


async def test_a_wrong_organization_or_project_is_told_before_anything_but_the_key(
    start, client
) -> None:
    simulator = await start("open")
    with pytest.raises(openai.AuthenticationError) as caught:
        await client(simulator, organization="org-other").images.generate(model="x", prompt="y")
    assert caught.value.code == "mismatched_organization"
    with pytest.raises(openai.AuthenticationError) as caught:
        await client(simulator, project="proj_other").models.list()
    assert caught.value.code == "mismatched_project"
    right = client(simulator, organization="org-acme", project="proj_acme")
    assert (await right.models.list()).data


async def test_a_request_without_a_key_is_told_so(start, raw) -> None:
    simulator = await start("open")
    answer = await raw(simulator).get("/models", headers={"Authorization": ""})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] is None
    assert simulator.ledger.count(key="(unknown)", what="no_api_key") == 1


async def test_a_key_sent_over_another_route_is_refused_and_noted(start, client) -> None:
    simulator = await start("open")
    with pytest.raises(openai.AuthenticationError):
        await client(simulator, base_url=f"{simulator.origin}/relay/v1").models.list()
    assert simulator.ledger.count(key="acme-open", what="foreign_key") == 1


async def test_of_several_mistakes_the_first_in_the_apis_order_is_told(start, raw) -> None:
    simulator = await start("""
[[keys]]
name = "acme"
secret = "sk-test-FAKE-acme-prod-0001"
[[keys.blocks]]
what = "project_denied"
between = [[0, 1e9]]
[[keys.blocks]]
what = "insufficient_quota"
surfaces = ["images"]
[[keys.blocks]]
what = "missing_scope"
models = ["gpt-image-2.5-flare"]
""")
    plain = raw(simulator)

    async def told(path: str, body: dict) -> str:
        await plain.post(path, json=body)
        return simulator.ledger.entries[-1].what

    assert await told("/images/generations", {"model": "gpt-image-2.5-flare"}) == "missing_scope"
    assert await told("/images/generations", {"model": "gpt-image-2"}) == "insufficient_quota"
    assert await told("/responses", TEXT | {"colour": "grey"}) == "bad_request"
    assert await told("/responses", TEXT) == "project_denied"
    assert (await plain.get("/models")).status_code == 200


async def test_an_unlisted_model_may_work_all_the_same(start, client) -> None:
    simulator = await start("""
[[keys]]
name = "acme"
secret = "sk-test-FAKE-acme-prod-0001"
unlisted = ["gpt-image-2"]
gate.open = "always"
""")
    api = client(simulator)
    with pytest.raises(openai.NotFoundError):
        await api.models.retrieve("gpt-image-2")
    assert (await api.images.generate(**IMAGE)).data


@pytest.mark.parametrize("turns", range(5))
async def test_a_stop_closes_the_connections_that_are_just_accepted(start, turns) -> None:
    simulator = await start("gated")
    address = simulator.origin.removeprefix("http://").split(":")
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection((address[0], int(address[1])), timeout=5))
            for _ in range(2)
        ]
        for _ in range(turns):
            await asyncio.sleep(0)
        await simulator.stop()
        for client in clients:
            with suppress(ConnectionResetError):  # it was not accepted any more
                assert await asyncio.to_thread(client.recv, 1) == b""
