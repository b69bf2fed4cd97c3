"""`check` says for which targets an advice is, and the same in each format."""

from dataclasses import replace

import pytest

from monitor.access.observation import Diagnosis, Observation
from monitor.access.target import Capability, Target
from monitor.access.words import Code, Contract, Owner, Surface
from monitor.cli.checking import _as_json, _print
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


def test_each_advice_has_the_words_of_the_answers_once(capsys: pytest.CaptureFixture[str]) -> None:
    def saying(number: int, words: str) -> Checked:
        one = checked(f"k{number}", Code.UNRECOGNIZED)
        return replace(one, diagnosis=replace(one.diagnosis, message=words))

    words = ["try\nlater", "try later", "", "not now\x1b[2J", "busy", "gone", "lost"]
    _print([saying(number, one) for number, one in enumerate(words)])
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert said[2:6] == [
        "  the answer says: try later",
        "  the answer says: not now [2J",
        "  the answer says: busy",
        "  and 2 other texts: --format json",
    ]


def test_the_json_advises_what_the_text_does(capsys: pytest.CaptureFixture[str]) -> None:
    refused = replace(
        checked("a", Code.NETWORK_ERROR),
        diagnosis=Diagnosis(Code.NETWORK_ERROR, Owner.NETWORK, "no_answer_refused", message="no"),
    )
    _print([refused])
    advice = _as_json(refused)["advice"]
    assert advice.startswith("Check the port in the route's base_url")
    assert f"  {advice}\n" in capsys.readouterr().out
