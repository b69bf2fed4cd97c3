"""One full probe of each target, by itself: no state, no database."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from monitor.access.diagnosis import diagnose
from monitor.access.holds import cost_of
from monitor.access.observation import Diagnosis, Observation
from monitor.access.pacing import TokenBucket
from monitor.access.target import Capability, Target
from monitor.access.words import Code, ProbeKind
from monitor.catalog import Catalog, bill
from monitor.config import Route, Settings, price_of
from monitor.probing import Credentials, Prober

#: Image probes of one organization that may go at once: less than half of the lowest tier's 5 a minute.
_IMAGES_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Checked:
    """One target's answer; `cost_usd` is what it cost, `estimated` on provider routes.

    In `doubt` it may have been billed, and is counted as if it was.
    """

    target: Target
    observation: Observation
    diagnosis: Diagnosis
    cost_usd: float
    estimated: bool
    doubt: bool = False


@dataclass(frozen=True, slots=True)
class Attempts:
    """What became of the probes of a command so far, also where a signal cuts it short."""

    sent: set[Target] = field(default_factory=set)
    checked: list[Checked] = field(default_factory=list)


def worst_case(settings: Settings, target: Target) -> tuple[float, bool]:
    """US dollars that one full probe costs if the gate is open, and whether that is an estimate."""
    return price_of(settings.catalog, settings.routes[target.route], target.capability)


def cost(settings: Settings, targets: Iterable[Target]) -> float:
    """The same of a full probe of each target, in US dollars."""
    return sum(worst_case(settings, target)[0] for target in targets)


def credentials_of(settings: Settings, target: Target) -> Credentials:
    """What a target's requests are sent with."""
    return Credentials(
        secret=settings.key(target.key).secret.reveal(),
        organization=target.organization,
        project=target.project,
        base_url=settings.routes[target.route].base_url,
    )


def cost_by_answer(
    catalog: Catalog,
    route: Route,
    probed: Capability,
    answer: Observation,
    *,
    code: Code,
    price: float,
) -> float | None:
    """US dollars that a full probe cost; `price` if the answer does not say. None when in doubt."""
    billed = None
    # only successes have a usage, and searching for one takes as long as reading the answer
    if 200 <= (answer.status or 0) < 300:
        billed = bill(catalog, probed, answer.body)
    if billed is not None:
        billed *= route.price
    return cost_of(code, answer.status, sent=answer.sent, billed=billed, price=price)


async def check_all(
    settings: Settings, targets: Sequence[Target], attempts: Attempts, *, images_sent: int = 0
) -> list[Checked]:
    """Probe each target once, at its route's pace, and say what its answer means, in the order given.

    What becomes of each is noted in `attempts` at once. `images_sent` counts image probes made just
    before for the same organizations.
    """
    prober = Prober(catalog=settings.catalog, limit_in_flight=32)
    gap = settings.cadence.image_gap.total_seconds()
    images: Counter[tuple[str, str]] = Counter()
    paces = {name: TokenBucket(route.rate) for name, route in settings.routes.items()}
    checks = []
    for target in targets:
        late = 0
        if target.capability.surface.makes_images:
            late = max(images[target.route, target.scope] + images_sent - _IMAGES_AT_ONCE + 1, 0)
            images[target.route, target.scope] += 1
        pace = paces[target.route]
        checks.append(_check(settings, prober, target, attempts, wait=late * gap, pace=pace))
    try:
        return await asyncio.gather(*checks)
    finally:
        await prober.aclose()


async def _check(
    settings: Settings,
    prober: Prober,
    target: Target,
    attempts: Attempts,
    *,
    wait: float,
    pace: TokenBucket,
) -> Checked:
    await asyncio.sleep(wait)
    now = asyncio.get_running_loop().time()
    await asyncio.sleep(pace.reserve(now) - now)
    route = settings.routes[target.route]
    observation = await prober.probe(
        credentials_of(settings, target),
        target.capability,
        ProbeKind.FULL,
        deadline=route.deadline,
        leaving=lambda: attempts.sent.add(target),
    )
    diagnosis = diagnose(observation, settings.rules)
    price, estimated = worst_case(settings, target)
    cost = cost_by_answer(
        settings.catalog, route, target.capability, observation, code=diagnosis.code, price=price
    )
    made = Checked(
        target,
        observation,
        diagnosis,
        cost_usd=price if cost is None else cost,
        estimated=estimated,
        doubt=cost is None,
    )
    attempts.checked.append(made)
    return made
