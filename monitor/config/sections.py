"""The checks of whole sections, which know of each other."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import ValidationInfo

from monitor.access.diagnosis import OwnRule
from monitor.access.fields import refuse
from monitor.access.limits import Cadence
from monitor.access.target import pool_name_of
from monitor.access.words import Contract
from monitor.catalog import Catalog
from monitor.config.checks import Context
from monitor.config.problems import suggestion

if TYPE_CHECKING:
    from monitor.config.settings import Key, Organization, Pool

#: Statuses that the gate itself has been seen to answer with.
_OF_THE_GATE = (400, 403, 404)


def take_catalog(value: Catalog, info: ValidationInfo) -> Catalog:
    """Let the keys know the catalog."""
    Context.of(info).catalog = value
    return value


def take_keys(value: "tuple[Key, ...]", info: ValidationInfo) -> "tuple[Key, ...]":
    """There is something to watch."""
    if not value and not Context.of(info).pools:
        raise refuse("no keys: add a [[keys]] section with name, secret and watch")
    return value


def with_cadence(value: Any, info: ValidationInfo) -> Any:
    """A pool's own cadence, completed by [cadence]."""
    own = value.get("cadence", {}) if isinstance(value, dict) else None
    if not isinstance(own, dict):
        return value
    return {**value, "cadence": {**asdict(info.data.get("cadence", Cadence())), **own}}


def take_pools(value: "tuple[Pool, ...]", info: ValidationInfo) -> "tuple[Pool, ...]":
    """No key is named like a pool's; from here on all targets and organizations are known."""
    context, keys = Context.of(info), info.data.get("keys")
    if keys is None:  # they have errors of their own
        return value
    pools = [pool.name for pool in value]
    for key in keys:
        pool = key.name if key.name in pools else pool_name_of(key.name, pools)
        if pool:
            text = f"the key {key.name} is named like this pool or one of its keys: rename one"
            raise refuse(text, below=(pools.index(pool), "name"))
    context.organizations = tuple(
        dict.fromkeys(one.organization for one in (*keys, *value) if one.organization)
    )
    if all(pool.secrets.keys is not None for pool in value):
        context.targets = (
            *(f"{key.name}/{one}" for key in keys for one in key.watch),
            *(
                f"{name}/{one}"
                for pool in value
                for name, _ in pool.secrets.named(pool.name)
                for one in pool.watch
            ),
        )
    return value


def take_organizations(
    value: "Mapping[str, Organization]", info: ValidationInfo
) -> "Mapping[str, Organization]":
    """Keys act for each organization, and its admin key is sent to OpenAI only."""
    known = Context.of(info).organizations
    for name, section in value.items():
        if known is not None and name not in known:
            hint = suggestion(name, known) if known else "no key names one"
            raise refuse(f"no key acts for this organization; {hint}", below=(name,))
        route = info.data.get("routes", {}).get(section.route)
        if route and route.contract is Contract.PROVIDER:
            raise refuse(
                "an admin key is for OpenAI alone: name a direct route", below=(name, "route")
            )
    return value


def take_rules(value: tuple[OwnRule, ...], info: ValidationInfo) -> tuple[OwnRule, ...]:
    """Warn of a rule that would hide the gate's own refusals."""
    for index, rule in enumerate(value):
        if rule.tells() == ["status"] and rule.status in _OF_THE_GATE:
            Context.of(info).warn(
                f"rules[{index}] tests the status alone, and the gate itself answers {rule.status}:"
                " its refusals will not be seen; name a code or a phrase of the message, too"
            )
    return value
