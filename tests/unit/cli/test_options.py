"""What commands have in common is spelt alike."""

import pytest
from typer.main import get_command

from monitor.cli.commands import app


@pytest.mark.parametrize("name", ["check", "wait", "diagnose"])
def test_each_command_that_spends_can_be_told_not_to_ask_and_to_go_past_the_budget(
    name: str,
) -> None:
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--yes", "--over-budget", "--config"} <= options
