"""Keys that are alike, each of an organization of its own: as a scenario, as settings, as an environment."""

from collections.abc import Iterable, Mapping, Sequence


def variable(key: str) -> str:
    """The variable that holds a key's secret."""
    return key.replace("-", "_").upper()


def secrets(keys: Iterable[str]) -> dict[str, str]:
    return {variable(key): f"sk-sim-FAKE-{key}" for key in keys}


def scenario(gates: Mapping[str, str]) -> str:
    """The keys with what is said of their gates; one of which nothing is said stays shut."""
    return 'name = "watched"\n' + "\n".join(
        f'[[keys]]\nname = "{key}"\nsecret = "sk-sim-FAKE-{key}"\norganization = "org-{key}"\n'
        f"[keys.gate]\n{gate}"
        for key, gate in gates.items()
    )


def settings(
    base_url: str, keys: Iterable[str], *, database: str = "sqlite:///monitor.db", monitor: str = "",
    route: str = "rate = 500.0", channels: Sequence[str] = (), watch: str = "gpt-5.1:summary",
) -> str:  # fmt: skip
    """The settings that watch one capability of each; `monitor` and `route` are lines of these sections."""
    parts = [
        f'[monitor]\ndatabase = "{database}"\nlog_format = "json"\n{monitor}',
        f'[routes.sim]\nbase_url = "{base_url}"\ncontract = "direct"\n{route}',
        *(f'[[channels]]\nname = "{one}"\nurl = "env:{one.upper()}_URL"' for one in channels),
    ]
    parts += [
        f'[[keys]]\nname = "{key}"\nsecret = "env:{variable(key)}"\norganization = "org-{key}"\n'
        f'route = "sim"\nwatch = ["{watch}"]'
        for key in keys
    ]
    return "\n".join(parts)
