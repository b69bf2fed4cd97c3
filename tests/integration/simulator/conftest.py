"""A running simulator, and the official client on it without retries."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import openai
import pytest

from monitor.simulator import Simulator, load_scenario, parse_scenario
from monitor.simulator.scenario import SimulatedKey

Start = Callable[[str], Awaitable[Simulator]]
Client = Callable[..., openai.AsyncOpenAI]


@pytest.fixture(autouse=True)
def _no_credentials_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "ORG_ID", "PROJECT_ID", "BASE_URL", "LOG"):
        monkeypatch.delenv(f"OPENAI_{name}", raising=False)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a simulator: by a built-in scenario's name, or by the TOML of its keys."""
    async with AsyncExitStack() as stack:

        async def begin(scenario: str) -> Simulator:
            if "\n" in scenario:
                simulator = Simulator(parse_scenario(f'name = "test"\n{scenario}'))
            else:
                simulator = Simulator(load_scenario(scenario))
            await simulator.start()
            stack.push_async_callback(simulator.stop)
            return simulator

        yield begin


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """The official client as this key; the first when it is not named."""
    async with AsyncExitStack() as stack:

        def make(simulator: Simulator, name: str = "", **options: object) -> openai.AsyncOpenAI:
            key = key_of(simulator, name)
            url = simulator.origin + key.base
            defaults = {"api_key": key.secret, "base_url": url, "max_retries": 0, "timeout": 20}
            # reading all authorities takes longer than a test
            defaults["http_client"] = openai.DefaultAsyncHttpxClient(verify=False)
            made = openai.AsyncOpenAI(**(defaults | options))  # type: ignore[arg-type]
            stack.push_async_callback(made.close)
            return made

        yield make


@pytest.fixture
async def raw() -> AsyncIterator[Callable[..., httpx.AsyncClient]]:
    """A plain HTTP client as this key, for headers and bytes."""
    async with AsyncExitStack() as stack:

        def make(simulator: Simulator, name: str = "") -> httpx.AsyncClient:
            key = key_of(simulator, name)
            headers = {"Authorization": f"Bearer {key.secret}"}
            made = httpx.AsyncClient(
                base_url=simulator.origin + key.base, headers=headers, trust_env=False, verify=False,
                timeout=20,
            )  # fmt: skip
            stack.push_async_callback(made.aclose)
            return made

        yield make


def key_of(simulator: Simulator, name: str) -> SimulatedKey:
    """The key of that name, or the first."""
    return next(key for key in simulator.scenario.keys if name in ("", key.name))
