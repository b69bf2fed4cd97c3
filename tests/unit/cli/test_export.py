"""What is exported for a LiteLLM proxy."""

import pytest
import yaml

from monitor.cli.export import _scalar, _variables


def row(key: str, reference: str = "file:keys") -> dict[str, str]:
    return {"key": key, "reference": reference}


def test_a_variable_is_of_one_key_whatever_else_takes_its_name() -> None:
    found = _variables(
        [row("a-b"), row("a.b"), row("acme-prod"), row("acme", "env:ACME")], ["env:ACME"]
    )
    assert found["a-b"] != found["a.b"]
    assert found["acme-prod"] == "ACCESS_MONITOR_KEY_ACME_PROD"
    assert found["acme"] == "ACME"
    taken = _variables([row("acme-prod")], ["env:ACCESS_MONITOR_KEY_ACME_PROD"])
    assert taken["acme-prod"] not in ("ACCESS_MONITOR_KEY_ACME_PROD", "")


@pytest.mark.parametrize(
    "text",
    ["prod-\U0001f680", 'a"b', "a: b # c", "no", "1e3", "\u2028", "\\", "- {x}", "\u00e9", "~"],
)
def test_yaml_reads_each_text_as_it_is(text: str) -> None:
    assert yaml.safe_load(f"name: {_scalar(text)}") == {"name": text}
