"""Which full probes a checkup makes, decided and priced before anything is sent."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby

from monitor.access.target import Capability, Target, split_capability
from monitor.access.words import Contract, Surface
from monitor.catalog import Catalog, Model, builtin, open_price
from monitor.catalog.requests import TOOL_DRIVER
from monitor.config import Settings
from monitor.oneshot.probe_once import worst_case

#: Targets of other routes that are probed beside it; more would be costly, and tell no more.
_OTHERS_MOST = 10


@dataclass(frozen=True, slots=True)
class CheckupPlan:
    """The target, the other surfaces of its model, the control, and the same model over other routes."""

    target: Target
    surfaces: tuple[Target, ...]
    control: Target | None
    others: tuple[Target, ...]
    #: how many more targets of other routes there are than are asked
    left_out: int = 0

    def __iter__(self) -> Iterator[Target]:
        yield self.target
        yield from self.surfaces
        if self.control:
            yield self.control
        yield from self.others


def plan_of(settings: Settings, key: str, model: str | None, today: date) -> CheckupPlan:
    """The plan for a key of the settings and a model: `MODEL` or `MODEL:SURFACE`.

    Without a surface it is the one that the key watches the model on, else the model's usual one;
    without a model the first that the key watches. Raises ValueError with a sentence for people.
    """
    capability = _capability(settings, key, model)
    asked = settings.key(key)
    target = Target(
        key=key,
        capability=capability,
        route=asked.route,
        contract=settings.routes[asked.route].contract,
        organization=asked.organization,
        project=asked.project,
    )
    others = _others(settings, target)
    return CheckupPlan(
        target=target,
        surfaces=tuple(
            replace(target, capability=replace(capability, surface=surface))
            for surface in _surfaces(settings.catalog.get(capability.model), capability.surface)
        ),
        control=_control(target, today),
        others=others[:_OTHERS_MOST],
        left_out=max(len(others) - _OTHERS_MOST, 0),
    )


def cost(settings: Settings, plan: CheckupPlan) -> tuple[float, bool]:
    """US dollars if everything is open, and whether that is an estimate."""
    prices = [worst_case(settings, target) for target in plan]
    return sum(price for price, _ in prices), any(estimated for _, estimated in prices)


def _capability(settings: Settings, key: str, text: str | None) -> Capability:
    watched = settings.key(key).watch
    if text is None:
        return watched[0]
    model, surface = split_capability(text)
    if not model or not model.isprintable() or any(char.isspace() for char in model):
        raise ValueError(f"{text!r} is not MODEL or MODEL:SURFACE")
    if surface:
        return Capability(model, surface)
    if own := next((one for one in watched if one.model == model), None):
        return own
    usual = settings.catalog.usual_surface(model)
    if usual is None:
        near = settings.catalog.nearest(model)
        hint = f"did you mean {near!r}? " if near else ""
        raise ValueError(
            f"the catalog does not know {model!r}; {hint}"
            f"For a model of your own, name the surface: {model}:{Surface.RESPONSES}"
        )
    return Capability(model, usual)


def _surfaces(known: Model | None, own: Surface) -> Iterator[Surface]:
    """The gated surfaces besides the target's own."""
    for surface in known.surfaces if known else ():
        if surface in known.gates and surface is not own:  # type: ignore[union-attr]
            yield surface


def _control(target: Target, today: date) -> Target | None:
    """A cheap model without a gate: whoever pays may use it, so its answer is of key and account."""
    catalog = builtin()
    free = [model for model in catalog.models.values() if _is_control(catalog, model, today)]
    if not free:
        return None
    chosen = min(free, key=lambda model: (model.name != TOOL_DRIVER, _price(catalog, model)))
    if builtin().get(target.capability.model) is chosen:
        return None
    # gateways and relays serve chat completions if they serve anything
    surface = Surface.RESPONSES if target.contract is Contract.DIRECT else Surface.CHAT
    return replace(target, capability=Capability(chosen.name, surface))


def _is_control(catalog: Catalog, model: Model, today: date) -> bool:
    return (
        not model.gates
        and {Surface.RESPONSES, Surface.CHAT} <= set(model.surfaces)
        and (model.shutdown is None or model.shutdown > today)
        and open_price(catalog, Capability(model.name, Surface.RESPONSES)) is not None
    )


def _price(catalog: Catalog, model: Model) -> float:
    return open_price(catalog, Capability(model.name, Surface.RESPONSES)) or 0.0


def _others(settings: Settings, target: Target) -> tuple[Target, ...]:
    """What other keys watch of the same model over other routes: the same surface if they have it."""
    found: list[Target] = []
    for _, its in groupby(settings.targets(), key=lambda one: one.key):
        same = [one for one in its if _same(settings.catalog, one, target)]
        exact = [one for one in same if one.capability.surface is target.capability.surface]
        found += exact or same
    return tuple(found)


def _same(catalog: Catalog, one: Target, target: Target) -> bool:
    if one.route == target.route:
        return False
    mine, theirs = target.capability.model, one.capability.model
    known = catalog.get(mine)
    return mine == theirs or (known is not None and catalog.get(theirs) is known)
