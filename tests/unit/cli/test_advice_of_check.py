"""`check` says for which targets an advice is."""

import pytest

from monitor.access.observation import Diagnosis, Observation
from monitor.access.target import Capability, Target
from monitor.access.words import Code, Contract, Surface
from monitor.cli.checking import _print
from monitor.oneshot.probe_once import Checked


def checked(key: str, code: Code) -> Checked:
    target = Target(key, Capability("m", Surface.CHAT), "openai", Contract.DIRECT)
    return Checked(target, Observation(403), Diagnosis(code, code.owner, "rule"), 0.0, False)


def blocks(capsys: pytest.CaptureFixture[str], *of: Checked) -> dict[str, list[str]]:
    _print(of)
    found = (block.splitlines() for block in capsys.readouterr().out.split("\n\n")[1:])
    return {head.split()[0]: [line for line in said if "targets" in line] for head, *said in found}


def test_each_advice_names_its_targets(capsys: pytest.CaptureFixture[str]) -> None:
    many = [checked(f"k{number}", Code.VERIFICATION_REQUIRED) for number in range(12)]
    found = blocks(capsys, *many, checked("bad", Code.INVALID_CREDENTIALS))
    assert found["invalid_credentials"] == ["  targets: bad/m:chat"]
    (gated,) = found["verification_required"]
    assert gated.startswith("  targets: k0/m:chat, k1/m:chat, ")
    assert gated.endswith("k9/m:chat, and 2 more")


def test_one_advice_for_all_names_none(capsys: pytest.CaptureFixture[str]) -> None:
    two = [checked(key, Code.MODEL_UNAVAILABLE) for key in ("a", "b")]
    assert blocks(capsys, *two) == {"model_unavailable": []}
