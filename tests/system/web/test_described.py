"""The API is what it says of itself: schemathesis asks all that the description allows, and more."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "allow_header_conformance",
    "unsupported_method",
    "negative_data_rejection",
)


@pytest.mark.parametrize("right", ["read", "write"])
async def test_every_answer_is_as_described(site, tokens, target, right):
    await site.watch(tokens=True)
    await site.serve()
    if right == "read":  # names that are known lead further in, names of its own making to refusals
        site.lab.folder.joinpath("schemathesis.toml").write_text(
            f'[parameters]\nname = "{target}"\n'
        )
    judge = await site.lab.launch(
        str(SCHEMATHESIS), "run", f"{site.url}api/v1/openapi.json", "--url", f"{site.url}api/v1",
        "--header", f"Authorization: Bearer {tokens[right]}", "--checks", ",".join(CHECKS),
        "--exclude-path", "/events",  # a stream has no end
        "--max-examples", "40", "--seed", "14", "--continue-on-failure", "--no-color",
        log="schemathesis",
    )  # fmt: skip
    status = await asyncio.wait_for(judge.wait(), 240)
    said = (site.lab.folder / "schemathesis.log").read_text()
    print(re.search(r"Test cases:\n\s+(.*)", said)[1])
    assert status == 0, said[-8000:]
    assert re.search(r"Tested: (\d+)", said)[1] == re.search(r"Selected: (\d+)/", said)[1]
    assert "request_failed" not in (site.lab.folder / "web.log").read_text()
