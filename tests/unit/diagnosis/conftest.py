"""Answers for the tests of the diagnosis, made as servers make them."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from monitor.access.diagnosis import diagnose
from monitor.access.observation import Diagnosis, Observation

VENDOR = (
    "Your organization must be verified to use the model `gpt-image-2`. Please go to: "
    "https://platform.openai.com/settings/organization/general and click on Verify Organization. "
    "If you just verified, it can take up to 15 minutes for access to propagate."
)


@pytest.fixture
def gate_message() -> str:
    """The vendor's sentence for the model gate."""
    return VENDOR


@pytest.fixture
def error_body() -> Callable[..., str]:
    """Make the vendor's error object with a message and, if told, other fields."""

    def make(message: str, **fields: Any) -> str:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        return json.dumps({"error": error | fields}, ensure_ascii=False)

    return make


@pytest.fixture
def read_answer() -> Callable[..., Diagnosis]:
    """Diagnose a status and a body; a body that is no text is written as JSON."""

    def read(
        status: int | None, body: Any, headers: Mapping[str, str] | None = None, **asked: Any
    ) -> Diagnosis:
        raw = body if isinstance(body, bytes) else None
        text = body if isinstance(body, str) else json.dumps(body) if raw is None else ""
        return diagnose(
            Observation(status, headers or {}, raw if raw is not None else text.encode(), **asked)
        )

    return read
