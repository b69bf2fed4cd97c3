"""The ledger and the scenario over HTTP, as the tests of the daemon use them."""

import asyncio
import contextlib
from datetime import UTC, datetime

import httpx
import pytest

from monitor.simulator import load_scenario, serve

pytestmark = pytest.mark.anyio

IMAGE = {"model": "gpt-image-2", "prompt": "a grey dot", "size": "1440x480", "quality": "low"}


async def test_the_ledger_tells_totals_and_the_log(start, raw) -> None:
    simulator = await start("open")
    plain = raw(simulator)
    answers = [await plain.post("/images/generations", json=IMAGE) for _ in range(2)]
    answers.append(await plain.get("/models"))
    told = (await plain.get(f"{simulator.origin}/sim/ledger")).json()
    assert told["requests"] == 3
    assert told["billed_usd"] == 0.00334
    assert told["billed"] == [{"key": "acme-open", "model": "gpt-image-2", "usd": 0.00334}]
    assert {(row["surface"], row["what"], row["count"]) for row in told["counts"]} == {
        ("images", "granted", 2),
        ("models", "listed", 1),
    }
    assert [entry["number"] for entry in told["log"]] == [1, 2, 3]
    first = told["log"][0]
    at = datetime.fromisoformat(first.pop("at"))
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert 0 <= first.pop("elapsed") < 60
    assert first == {
        "number": 1,
        "key": "acme-open",
        "path": "/v1/images/generations",
        "model": "gpt-image-2",
        "surface": "images",
        "status": 200,
        "what": "granted",
        "billed_usd": 0.00167,
        "request_id": answers[0].headers["x-request-id"],
    }


async def test_the_ledger_can_leave_out_the_log_or_what_was_read_before(start, raw) -> None:
    simulator = await start("open")
    plain = raw(simulator)
    for _ in range(3):
        await plain.get("/models")
    ledger = f"{simulator.origin}/sim/ledger"
    assert "log" not in (await plain.get(ledger, params={"totals": 1})).json()
    later = (await plain.get(ledger, params={"since": 2})).json()["log"]
    assert [entry["number"] for entry in later] == [3]
    assert (await plain.get(ledger, params={"since": "x"})).status_code == 400


async def test_made_up_models_do_not_fill_the_totals(start, raw) -> None:
    simulator = await start("open")
    plain = raw(simulator)
    for number in range(3):
        await plain.post("/images/generations", json=IMAGE | {"model": f"made-up-{number}"})
    assert simulator.ledger.count(model="(unknown)", what="model_not_found") == 3
    assert len(simulator.ledger.totals()["counts"]) == 1


async def test_a_scenario_can_be_replaced_while_the_ledger_goes_on(start, raw) -> None:
    simulator = await start("open")
    plain = raw(simulator)
    await plain.post("/images/generations", json=IMAGE)
    secret = simulator.scenario.keys[0].secret
    shut = f'name = "shut"\n[[keys]]\nname = "acme-open"\nsecret = "{secret}"\n'
    answer = await plain.post(f"{simulator.origin}/sim/scenario", content=shut)
    assert answer.json() == {"scenario": "shut"}
    assert simulator.elapsed < 60
    assert (await plain.post("/images/generations", json=IMAGE)).status_code == 403
    assert simulator.ledger.count(key="acme-open") == 2


async def test_a_scenario_that_is_wrong_changes_nothing(start, raw) -> None:
    simulator = await start("open")
    address = f"{simulator.origin}/sim/scenario"
    plain = raw(simulator)
    answer = await plain.post(address, content='name = "x"\ncolour = 2\n')
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("scenario.colour: unknown key; give one of: about,")
    assert (await plain.post(address, content=b"\xff")).status_code == 400
    assert simulator.scenario.name == "open"


async def test_serving_tells_the_address_and_ends_when_cancelled() -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(load_scenario("open"), "127.0.0.1", 0, ready.set_result))
    url = await ready
    async with httpx.AsyncClient(trust_env=False) as plain:
        assert (await plain.get(f"{url}/models")).status_code == 401
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    async with httpx.AsyncClient(trust_env=False) as plain:
        with pytest.raises(httpx.ConnectError):
            await plain.get(f"{url}/models")
