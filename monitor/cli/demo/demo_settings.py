"""The settings of the demo's daemon, with every duration scaled to its 45 s."""

import os
from collections.abc import Mapping
from pathlib import Path

from monitor.simulator import Scenario

#: What each key of the scenario watches.
_WATCH = {
    "acme-prod": ["gpt-image-2", "gpt-5.1:summary"],
    "acme-lab": ["gpt-image-2"],
    "acme-stray": ["gpt-image-2"],
    "example-old": ["gpt-image-1"],
    "example-empty": ["gpt-image-2"],
    "example-new": ["gpt-image-2"],
    "relay-one": ["gpt-image-2"],
}

_FIGURES = """
[cadence]               # a minute of the demo is a good hour of life
eager = "1s"
eager_for = "1h"
settling = "2500ms"
deciding = "1s"
listing = "5s"
locked = "10s"
blocked = "4s"
inconclusive = "1s"
image_gap = "300ms"
image_gap_limited = "1s"
image_gap_limited_for = "3s"

[confirmation]
confirmation_span = "2s"

[deadlines]
overdue = ["12s", "10m"]

[delivery]
group_within = "2s"
"""


def write_settings(
    folder: Path, base_url: str, scenario: Scenario, *, webhook_url: str, mail_url: str
) -> tuple[Path, Mapping[str, str]]:
    """Write the settings file; returns it and the environment the daemon finds its secrets in."""
    secrets = {"DEMO_WEBHOOK": webhook_url, "DEMO_MAIL": mail_url}
    relay = base_url.removesuffix("/v1") + "/relay/v1"
    parts = [
        f'[monitor]\ndatabase = "sqlite:///{folder / "demo.db"}"\nlog_format = "json"\n',
        # the simulator stands in for OpenAI itself, so its route is a direct one
        f'[routes.simulator]\nbase_url = "{base_url}"\ncontract = "direct"\n',
        f'[routes.relay]\nbase_url = "{relay}"\ncontract = "provider"\n',
        '[[channels]]\nname = "webhook"\nurl = "env:DEMO_WEBHOOK"\n',
        '[[channels]]\nname = "mail"\nurl = "env:DEMO_MAIL"\n',
    ]
    for key in scenario.keys:
        variable = f"DEMO_{key.name.upper().replace('-', '_')}"
        secrets[variable] = key.secret
        watch = ", ".join(f'"{capability}"' for capability in _WATCH[key.name])
        lines = ["[[keys]]", f'name = "{key.name}"', f'secret = "env:{variable}"']
        if key.contract == "provider":
            lines.append('route = "relay"')
        else:
            lines += [f'organization = "{key.organization}"', 'route = "simulator"']
        parts.append("\n".join([*lines, f"watch = [{watch}]", ""]))
    path = folder / "access-monitor.toml"
    path.write_text("\n".join(parts) + _FIGURES, encoding="utf-8")
    return path, {**os.environ, **secrets}
