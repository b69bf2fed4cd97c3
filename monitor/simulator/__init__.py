"""A stand-in for the API, for the demo and the tests. Imports nothing else of ours."""

from monitor.simulator.scenario import Scenario
from monitor.simulator.scenario_file import (
    ScenarioError,
    load_scenario,
    parse_scenario,
    scenario_names,
)
from monitor.simulator.server import Simulator, serve

__all__ = [
    "Scenario",
    "ScenarioError",
    "Simulator",
    "load_scenario",
    "parse_scenario",
    "scenario_names",
    "serve",
]
