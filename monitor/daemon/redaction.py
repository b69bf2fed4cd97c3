"""Takes secrets out of whatever is about to leave the process, by value and by pattern."""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, quote_plus

from monitor.access.observation import Diagnosis, Observation

HIDDEN = "[hidden]"

#: A shorter value would hide half of an ordinary sentence.
_SHORTEST = 6

# Keys and bearer tokens by their looks. Each pattern is one run of characters: nothing can explode.
_PATTERNS = (
    re.compile(r"\bsk-[A-Za-z0-9_\-]{8,}"),
    re.compile(r"(?i)\bbearer\s+[A-Za-z0-9_\-.=+/]{8,}"),
    re.compile(r"https://hooks\.slack\.com/services/[A-Za-z0-9/_\-]+"),
)
_USERINFO = re.compile(r"(://[^/\s:@]{1,200}:)[^/\s@]{1,200}@")


class Redactor:
    """Hides the given values, in plain, quoted and base64 form, and what looks like a secret.

    The values are keys, and the telling parts of channel URLs (`alerts.url_secrets`).
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        values = sorted((f for f in forms if len(f) >= _SHORTEST), key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, values))) if values else None

    def text(self, text: str) -> str:
        """The text with every secret replaced by `[hidden]`."""
        if self._values is not None:
            text = self._values.sub(HIDDEN, text)
        for pattern in _PATTERNS:
            text = pattern.sub(HIDDEN, text)
        return _USERINFO.sub(rf"\1{HIDDEN}@", text)

    def value(self, value: Any) -> Any:
        """The same for nested values, for logs and JSON."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.value(k): self.value(v) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(str(value))


def without_secret(
    observation: Observation, diagnosis: Diagnosis | None, secret: str
) -> tuple[Observation, Diagnosis | None]:
    """An answer without the secret it was asked with: servers echo keys in their refusals.

    This is where answers enter, so what is stored, told and shown never holds one. The body is not
    touched: it is read here and goes no further.
    """
    observation = replace(
        observation,
        headers={name: hide(value, secret) for name, value in observation.headers.items()},
        failure_text=hide(observation.failure_text, secret),
    )
    if diagnosis:
        request_id = diagnosis.request_id and hide(diagnosis.request_id, secret)
        diagnosis = replace(
            diagnosis, message=hide(diagnosis.message, secret), request_id=request_id
        )
    return observation, diagnosis


def hide(text: str, secret: str) -> str:
    """The text without one secret in any of its forms, and without what looks like a key."""
    for form in _forms(secret):
        text = text.replace(form, HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(HIDDEN, text)
    return text


def _forms(secret: str) -> set[str]:
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return {secret, quote(secret, safe=""), quote_plus(secret), encoded}
