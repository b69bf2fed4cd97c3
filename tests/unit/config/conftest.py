"""What the tests of the settings share: an environment of fake secrets, a fixed time, a way to load."""

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitor.config import Settings, load

CANARY = "CANARY"


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


@pytest.fixture
def canary() -> str:
    """Part of every fake secret; it must be in no text that is shown."""
    return CANARY


@pytest.fixture
def environ() -> dict[str, str]:
    return {
        "OPENAI_API_KEY": f"sk-test-FAKE-{CANARY}-prod",
        "OPENAI_ADMIN_KEY": f"sk-admin-test-FAKE-{CANARY}-admin",
        "HEARTBEAT_URL": f"https://hc-ping.example/{CANARY}",
        "RELAY_API_KEY": f"sk-test-FAKE-{CANARY}-relay",
        "SLACK_WEBHOOK_URL": f"https://hooks.slack.com/services/T0/B0/{CANARY}",
        "MAIL_URL": f"mailtos://monitor:{CANARY}@mail.example?to=ops@acme.example",
        "HOOK_URL": f"https://receiver.example/{CANARY}",
        "HOOK_PLAIN": f"http://receiver.example/{CANARY}",
        "HOOK_SECRET": "whsec_" + b64encode(f"{CANARY} of 24 bytes or more".encode()).decode(),
        "HOOK_OLD": "whsec_" + b64encode(f"{CANARY} that was used before".encode()).decode(),
        "AUTOMATION_URL": f"https://receiver.example/{CANARY}",
        "AUTOMATION_SECRET": "whsec_"
        + b64encode(f"{CANARY}, of the example file".encode()).decode(),
        "HOOK_SHORT": f"whsec_{CANARY}==",
        "PLAIN_MAIL": f"mailto://monitor:{CANARY}@mail.example",
        "PLAIN_MAIL_HERE": f"mailto://monitor:{CANARY}@127.0.0.1:2525",
        "PLAIN_MAIL_ELSEWHERE": f"mailto://monitor:{CANARY}@localhost?smtp=mail.example",
        "EMPTY": " \n",
        "WITH_SPACE": f"sk-test {CANARY}",
        "WITH_NEWLINE": f"sk-test\n{CANARY}",
        "WITH_CONTROL": f"sk-test\x1b{CANARY}",
        "NOT_ASCII": f"sk-tést-{CANARY}",
        "HOME": "/home/acme",
    }


@pytest.fixture
def settings_of(
    tmp_path: Path, environ: dict[str, str], now: datetime
) -> Callable[[str], Settings]:
    """Loads a text as if it were `access-monitor.toml` in the test's own folder."""

    def load_text(text: str) -> Settings:
        path = tmp_path / "access-monitor.toml"
        path.write_text(text, encoding="utf-8")
        return load(path, environ, now=now)

    return load_text
