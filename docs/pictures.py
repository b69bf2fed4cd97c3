"""Draws the pictures of the README and docs/ from the real program: `make pictures`.

A daemon watches a simulated API for half a minute. What `status` then prints and the message of an
opening are exported as SVG by Rich, as they came. The pages are photographed in Chromium, if there is one.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import page_pictures
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

HERE = Path(__file__).parent
#: Seconds of the story after which everything that the pictures show has happened.
LASTS = 24
#: Columns of the terminal, as many as `status` needs here.
WIDEST = 132
#: The opening whose message is drawn.
TITLE = "First light: gpt-image-2:images (acme-prod)"

SCENARIO = """
name = "pictures"
[[keys]]
name = "acme-prod"
secret = "sk-sim-FAKE-acme-prod-0001"
organization = "org-acme"
[keys.capabilities."gpt-image-2:images"]
open = 6
[keys.capabilities."gpt-5.1:summary"]
open = 22.5
[[keys]]
name = "acme-lab"
secret = "sk-sim-FAKE-acme-lab-0002"
organization = "org-acme-lab"
[keys.gate]
locked = 9
[[keys]]
name = "example-new"
secret = "sk-sim-FAKE-example-new-0003"
organization = "org-example"
[[keys]]
name = "example-empty"
secret = "sk-sim-FAKE-example-empty-0004"
organization = "org-example"
[[keys.blocks]]
what = "insufficient_quota"
"""

WATCHED = {
    "acme-prod": ("org-acme", '"gpt-image-2", "gpt-5.1:summary"'),
    "acme-lab": ("org-acme-lab", '"gpt-image-2"'),
    "example-new": ("org-example", '"gpt-image-2"'),
    "example-empty": ("org-example", '"gpt-image-2"'),
}

FIGURES = """
[cadence]
eager = "1s"
settling = "2s"
blocked = "8s"
image_gap = "300ms"
[confirmation]
confirmation_span = "1s"
"""


def main() -> None:
    """Play the story, and draw what was seen."""
    with tempfile.TemporaryDirectory(prefix="access-monitor-pictures-") as name:
        status, messages = play(Path(name))
    draw("status.svg", "access-monitor status", status)
    draw("alert.svg", "An alert", next(text for text in messages if text.startswith(TITLE)))
    if why := page_pictures.missing():
        sys.stdout.write(f"skipped: the pictures of the page stay as they are, for {why}\n")
    else:
        page_pictures.take()


def play(folder: Path) -> tuple[str, list[str]]:
    """What `status` prints at the end of the story, and every message that was told."""
    scenario = folder / "scenario.toml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    command = [str(Path(sys.executable).with_name("access-monitor"))]
    environ = os.environ | {"COLUMNS": "200"}
    simulate = [*command, "simulate", "--scenario", str(scenario), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(simulate, cwd=folder, stdout=subprocess.PIPE, text=True) as simulator:
        try:
            base_url = (simulator.stdout.readline() if simulator.stdout else "").strip()
            environ |= write_settings(folder, base_url)
            with (folder / "told").open("w") as told, (folder / "log").open("w") as log:
                daemon = subprocess.Popen(
                    [*command, "run"], cwd=folder, env=environ, stdout=told, stderr=log
                )
                try:
                    time.sleep(LASTS)
                    status = [*command, "status"]
                    seen = subprocess.run(
                        status, cwd=folder, env=environ, capture_output=True, check=True
                    )
                finally:
                    daemon.terminate()
                    daemon.wait()
        finally:
            simulator.terminate()
    messages = (folder / "told").read_text(encoding="utf-8").split("\n== ")
    return seen.stdout.decode(), [message.strip() for message in messages]


def write_settings(folder: Path, base_url: str) -> dict[str, str]:
    """Write the settings without a channel, so that messages come on standard output; returns the secrets."""
    parts = [
        '[monitor]\ndatabase = "sqlite:///monitor.db"',
        f'[routes.simulator]\nbase_url = "{base_url}"\ncontract = "direct"',
    ]
    secrets = {}
    for number, (name, (organization, watch)) in enumerate(WATCHED.items(), start=1):
        variable = f"KEY_{number}"
        secrets[variable] = f"sk-sim-FAKE-{name}-000{number}"
        parts.append(
            f'[[keys]]\nname = "{name}"\nsecret = "env:{variable}"\norganization = "{organization}"\n'
            f'route = "simulator"\nwatch = [{watch}]'
        )
    (folder / "access-monitor.toml").write_text("\n".join(parts) + FIGURES, encoding="utf-8")
    return secrets


def draw(name: str, title: str, text: str) -> None:
    """A terminal that shows the text, as an SVG that needs nothing from elsewhere."""
    text = text.rstrip()
    with Path(os.devnull).open("w") as nowhere:
        console = Console(
            record=True, width=min(WIDEST, max(map(len, text.splitlines()))), file=nowhere
        )
        console.print(Text(text))
    svg = console.export_svg(
        title=title, theme=SVG_EXPORT_THEME, code_format=FORM, unique_id=name[:-4]
    )
    (HERE / name).write_text(svg, encoding="utf-8")


#: Rich's own form without its fonts from a server.
FORM = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, Menlo, Consolas, monospace; }}
.{unique_id}-title {{ font: bold 18px sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""

if __name__ == "__main__":
    main()
