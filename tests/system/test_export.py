"""What `export` prints of a real database: three forms, filters, and never a secret."""

import asyncio
import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys

import pytest
import yaml
from pages import ROOT

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(200)]

#: Where the gate puts it: `tests/system/litellm.txt`.
LITELLM = ROOT / "build" / "litellm"
SECRETS = [f"sk-sim-FAKE-export-{n:04}" for n in range(5)]
OPEN, SHUT, FROM_FILE, LINE_2, LINE_4 = SECRETS
SCENARIO = 'name = "export"\n' + "\n".join(
    f'[[keys]]\nname = "key-{n}"\nsecret = "{secret}"\norganization = "org-acme"\n[keys.gate]\n'
    + ("" if secret is SHUT else 'open = "always"')
    for n, secret in enumerate(SECRETS)
)
SETTINGS = """
[monitor]
database = "sqlite:///monitor.db"
log_format = "json"
[routes.sim]
base_url = "{base_url}"
contract = "direct"
rate = 500.0
[[keys]]
name = "acme-prod"
secret = "env:ACME_KEY"
organization = "org-acme"
route = "sim"
watch = ["gpt-image-2", "gpt-5.4-nano:chat", "gpt-5.1:stream", "gpt-5.1:summary", "gpt-5.1:models"]
[[keys]]
name = "acme.shut"
secret = "env:SHUT_KEY"
organization = "org-acme"
route = "sim"
watch = ["gpt-image-2"]
[[keys]]
name = "acme-file"
secret = "file:secret.key"
organization = "org-acme"
route = "sim"
watch = ["gpt-image-2"]
[[pools]]
name = "pool-a"
secrets = "file:pool.keys"
organization = "org-acme"
route = "sim"
watch = ["gpt-5.4-nano:chat"]
"""
#: The types alone: the package itself loads every provider first.
JUDGE = """
import json, sys, types
root = types.ModuleType("litellm")
root.__path__ = [sys.argv[1] + "/litellm"]
sys.modules["litellm"] = root
from litellm.types.router import Deployment, LiteLLM_Params, ModelInfo
known = set(LiteLLM_Params.model_fields) | {"extra_headers"}
for one in json.load(sys.stdin)["model_list"]:
    assert not set(one["litellm_params"]) - known, set(one["litellm_params"]) - known
    made = Deployment(
        model_name=one["model_name"],
        litellm_params=LiteLLM_Params(**one["litellm_params"]),
        model_info=ModelInfo(**one["model_info"]),
    )
    assert made.model_info.id == one["model_info"]["id"]
    print(made.model_name, made.litellm_params.api_key)
"""


def fingerprint(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


async def test_targets_are_exported_by_state_with_references_only(lab, fast):
    await lab.simulate(SCENARIO)
    lab.settings.write_text(SETTINGS.format(base_url=lab.base_url) + fast)
    (lab.folder / "secret.key").write_text(FROM_FILE)
    (lab.folder / "pool.keys").write_text(f"# ours\n{LINE_2}\n\n{LINE_4}\n")
    daemon = await lab.daemon(ACME_KEY=OPEN, SHUT_KEY=SHUT)
    states = "SELECT key, group_concat(DISTINCT state) FROM targets WHERE surface != 'models' GROUP BY key"
    wanted = ["available", "available", "unverified", "available", "available"]
    await lab.until(lambda: [one for _, one in sorted(lab.ask(states))] == wanted, "states")
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0

    async def export(*words: str) -> tuple[str, str]:
        ended = await lab.call("export", "--config", str(lab.settings), *words)
        assert ended.status == 0, ended.err
        assert [one for one in SECRETS if one in ended.out + ended.err] == []
        return ended.out, ended.err

    rows = json.loads((await export())[0])["targets"]
    assert len(rows) == 9
    by_key = {row["key"]: row for row in rows}
    assert by_key["acme-prod"]["reference"] == "env:ACME_KEY"
    assert by_key["acme.shut"]["state"] == "unverified"
    in_pool = {row["line"]: row for row in rows if row["pool"]}
    assert {line: row["fingerprint"] for line, row in in_pool.items()} == {
        2: f"sha256:{fingerprint(LINE_2)}",
        4: f"sha256:{fingerprint(LINE_4)}",
    }
    assert in_pool[4]["reference"] == "file:pool.keys"

    text, _ = await export("--state", "unverified", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["target"], row["blocker"]) == ("acme.shut/gpt-image-2:images", "")
    text, _ = await export("--model", "gpt-5.1", "--state", "available", "--state", "locked")
    assert {row["model"] for row in json.loads(text)["targets"]} == {"gpt-5.1"}
    assert json.loads((await export("--state", "locked"))[0]) == {"targets": []}
    text, _ = await export("--state", "locked", "--format", "litellm")
    assert text == "model_list: []\n"
    unknown = await lab.call("export", "--model", "gpt-imag-2", "--format", "litellm")
    assert (unknown.status, unknown.out) == (2, "")
    assert (
        """--model 'gpt-imag-2': no target is of this model; did you mean "gpt-image-2"?"""
        in unknown.err
    )

    text, said = await export("--format", "litellm")
    read = yaml.safe_load(text)
    found = {one["model_info"]["id"]: one for one in read["model_list"]}
    keys = {id_: one["litellm_params"]["api_key"] for id_, one in found.items()}
    variable = "os.environ/ACCESS_MONITOR_KEY_"
    assert keys == {
        "acme-file/gpt-image-2:images": f"{variable}ACME_FILE",
        "acme-prod/gpt-5.1:stream": "os.environ/ACME_KEY",
        "acme-prod/gpt-5.1:summary": "os.environ/ACME_KEY",
        "acme-prod/gpt-5.4-nano:chat": "os.environ/ACME_KEY",
        "acme-prod/gpt-image-2:images": "os.environ/ACME_KEY",
        f"pool-a-{fingerprint(LINE_2)}/gpt-5.4-nano:chat": f"{variable}POOL_A_{fingerprint(LINE_2).upper()}",
        f"pool-a-{fingerprint(LINE_4)}/gpt-5.4-nano:chat": f"{variable}POOL_A_{fingerprint(LINE_4).upper()}",
    }
    image = found["acme-prod/gpt-image-2:images"]
    assert image["model_name"] == "gpt-image-2"
    assert image["litellm_params"]["model"] == "openai/gpt-image-2"
    assert image["model_info"]["mode"] == "image_generation"
    assert "ACCESS_MONITOR_KEY_ACME_FILE: set it to what file:secret.key names" in said
    assert "ACCESS_MONITOR_KEY_POOL_A_…: set them to the lines of file:pool.keys" in said

    assert "the states may be old: the daemon is stopped" in said
    # the same names, whatever is open
    shut, _ = await export("--format", "litellm", "--state", "unverified")
    assert '"os.environ/SHUT_KEY"' in shut
    assert found["acme-prod/gpt-image-2:images"]["model_info"]["last_probe_at"]

    # a key goes to its own route only: the file has another by now, which no daemon has read
    settings = lab.settings.read_text()
    other = '[routes.other]\nbase_url = "https://relay.example/v1"\ncontract = "provider"\n'
    lab.settings.write_text(
        settings.replace('route = "sim"', 'route = "other"', 1).replace(
            "[[keys]]", other + "[[keys]]", 1
        )
    )
    text, said = await export("--format", "litellm")
    assert "acme-prod" not in text
    assert "relay.example" not in text
    assert (
        "acme-prod/gpt-image-2:images is left out: the settings no longer have its key on route sim"
        in said
    )
    lab.settings.write_text(settings)

    # the lines are not known where the file cannot be read, and nothing else changes
    (lab.folder / "pool.keys").unlink()
    again = json.loads((await export())[0])["targets"]
    assert [row | {"line": None} for row in rows] == again

    if not (LITELLM / "litellm").is_dir():
        pytest.skip("the rest needs build/litellm, which .ci/run makes")
    judged = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-W", "ignore", "-c", JUDGE, str(LITELLM)],
        input=json.dumps(read), text=True, capture_output=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(LITELLM)},
    )  # fmt: skip
    assert judged.returncode == 0, judged.stderr[-2000:]
    assert judged.stdout.splitlines() == [
        f"{one['model_name']} {one['litellm_params']['api_key']}" for one in read["model_list"]
    ]
