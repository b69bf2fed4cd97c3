"""The action's step: ask by `access-monitor`, and tell the runner what came back. Standard library only."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

STATES = {"granted": "available", "gated": "unverified", "locked": "locked"}
EFFECTS = ("granted", "gated", "locked", "blocked", "inconclusive")  # the last is the worst
#: Exit statuses of `check` and `wait` that say what the answers mean.
ANSWERED = (0, 10, 11, 12, 13, 14, 124)


def settings() -> str:
    """The settings file. The key itself stays in the environment."""
    url = os.environ["INPUT_BASE_URL"].strip()
    key = {"name": "key", "secret": "env:INPUT_KEY"}
    for name in ("organization", "project"):
        if value := os.environ[f"INPUT_{name.upper()}"].strip():
            key[name] = value
    lines = ["[[keys]]", *(f"{name} = {toml(value)}" for name, value in key.items())]
    lines.append(f"watch = {toml(os.environ['INPUT_TARGETS'].split() or ['gpt-image-2'])}")
    if url:
        contract = "direct" if urlsplit(url).hostname == "api.openai.com" else "provider"
        lines.append('route = "asked"')
        lines += ["[routes.asked]", f"base_url = {toml(url)}", f'contract = "{contract}"']
    return "\n".join(lines) + "\n"


def toml(value: object) -> str:
    """A text or a list of texts: JSON has the same form, but for surrogates."""
    return json.dumps(value, ensure_ascii=False)


def call(*words: str) -> str:
    """Run the command; its errors go to the job's log. Ends the step where it has no answer."""
    done = subprocess.run(
        ["access-monitor", *words], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode not in ANSWERED:
        sys.exit(
            f"::error::access-monitor {words[0]} ended with status {done.returncode}, see above"
        )
    return done.stdout


def code(text: object) -> str:
    """The text in a cell of a table, as code: no Markdown, HTML, link or formula is read in it."""
    words = " ".join(str(text or "-").split()).replace("`", "'")
    return f"`{words}`".replace("|", "\\|")


def append(variable: str, text: str) -> None:
    """Add to a file of the runner's."""
    with Path(os.environ[variable]).open("a", encoding="utf-8") as file:
        file.write(text)


def summary(answers: list[dict[str, str]]) -> str:
    """The answers in Markdown: a table, then what to do."""
    rows = ["### Access", "", "| target | effect | diagnosis | the answer says | request |"]
    rows.append("| --- | --- | --- | --- | --- |")
    for one in answers:
        name = one["target"].partition("/")[2]
        words = (one["diagnosis"], one["message"], one["request_id"])
        rows.append(f"| {code(name)} | **{one['effect']}** | {' | '.join(map(code, words))} |")
    shut = dict.fromkeys(
        (one["diagnosis"], one["advice"]) for one in answers if one["effect"] != "granted"
    )
    steps = [f"* {code(diagnosis)}: {advice}" for diagnosis, advice in shut]
    return "\n".join([*rows, "", *steps, ""])


def main() -> None:
    """Ask, and end with 1 where an answer is one to fail on."""
    # a variable that is not set is an empty text, and must not let everything pass
    fails = re.findall(r"\w+", os.environ["INPUT_FAIL_ON"]) or list(EFFECTS[1:])
    if unknown := set(fails) - {*EFFECTS[1:], "never"}:
        sys.exit(
            f"::error::fail-on: {' '.join(sorted(unknown))}: write some of {' '.join(EFFECTS[1:])}, or never"
        )
    with tempfile.TemporaryDirectory(prefix="access-monitor-") as folder:
        file = Path(folder) / "access-monitor.toml"
        file.touch(mode=0o600)
        file.write_text(
            f'[monitor]\ndatabase = "sqlite:///{folder}/monitor.db"\n' + settings(),
            encoding="utf-8",
        )
        if timeout := os.environ["INPUT_TIMEOUT"].strip():
            print(call("wait", "key", "--timeout", timeout, "--config", str(file)), flush=True)
        answers = json.loads(call("check", "--format", "json", "--config", str(file)))
    worst = max(answers, key=lambda one: EFFECTS.index(one["effect"]))
    append("GITHUB_STEP_SUMMARY", summary(answers))
    outputs = {
        "state": STATES.get(worst["effect"], "unknown"),
        "diagnosis": worst["diagnosis"],
        "request-id": worst["request_id"] or "",
    }
    append("GITHUB_OUTPUT", "".join(f"{name}={value}\n" for name, value in outputs.items()))
    for one in answers:
        mark = "::error::" if one["effect"] in fails else ""
        print(f"{mark}{one['target'].partition('/')[2]}: {one['diagnosis']}. {one['advice']}")
    sys.exit(any(one["effect"] in fails for one in answers))


if __name__ == "__main__":
    main()
