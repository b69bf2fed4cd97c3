"""The steps of a checkup that tell of the key: its secret, the way to the API, whom it acts for."""

import asyncio
import ipaddress
import re
import socket
import time
from dataclasses import replace
from urllib.parse import urlsplit

from monitor.access.diagnosis import read_listing
from monitor.access.diagnosis.advice import owner_of, steps_of
from monitor.access.observation import Diagnosis, Failure, Observation
from monitor.access.words import DEAD_KEY, Code, Effect, Owner, ProbeKind
from monitor.config import Secret
from monitor.config.problems import shown
from monitor.oneshot.checkup_plan import CheckFinding, CheckupContext, finding_of, said
from monitor.probing import UnusableError, proxy_for

#: The checks' names.
SECRET, VARIABLES = "secret", "variables"
NAME, CONNECTION, TLS, FIRST_BYTE = "name_resolution", "connection", "tls", "first_byte"
KEY, BELONGING = "key", "organization_and_project"

#: Beginnings of other vendors' keys: sent to OpenAI, such a key would be disclosed.
_FOREIGN = ("sk-ant-", "sk-or-", "gsk_", "AIza", "hf_", "r8_", "xai-")
_PLACEHOLDER = re.compile(
    r"(?i)your[-_]?(open_?ai)?[-_]?(api[-_]?)?key|^sk-\W*$|x{6,}|changeme|<.*>|\.\.\."
)
_FEWEST = 16


async def check_secret(context: CheckupContext) -> CheckFinding | None:
    """A secret that cannot be one stops the checkup before it is sent anywhere."""
    secret = context.settings.key(context.plan.target.key).secret
    where = f"{secret.reference}, {secret.fingerprint}, {len(secret.reveal())} characters"
    wrong = _wrong(secret, direct=context.direct)
    if wrong:
        context.problem(SECRET, f"{wrong} ({where})")
        note = f"What {secret.reference} holds {wrong}: it was not sent."
        return CheckFinding(Code.INVALID_CREDENTIALS, Owner.KEY, note=note)
    if context.direct and not secret.reveal().startswith("sk-"):
        context.problem(SECRET, f"does not begin with sk-, as OpenAI's keys do ({where})")
    else:
        context.ok(SECRET, f"well-formed ({where})")
    return None


def _wrong(secret: Secret, *, direct: bool) -> str:
    value = secret.reveal()
    if value[0] in "\"'`" or value[-1] in "\"'`,;":
        return "has quotes or punctuation around it"
    if re.match(r"[A-Z][A-Z0-9_]*=", value):
        return "begins with a variable's name and an equals sign"
    if value.lower().startswith("bearer"):
        return "begins with the word Bearer, which is added when it is sent"
    if _PLACEHOLDER.search(value):
        return "is a placeholder"
    if not direct:  # a provider's keys may have any form
        return ""
    if value.startswith(_FOREIGN):
        return "begins as another vendor's key does"
    if value.startswith("sk-admin-"):
        return "is an admin key, which may not use models"
    return "is too short for a key" if len(value) < _FEWEST else ""


async def check_variables(context: CheckupContext) -> None:
    """A stale variable redirects other programs silently; the monitor itself goes by its settings."""
    target = context.plan.target
    configured = {
        "OPENAI_ORG_ID": target.organization,
        "OPENAI_PROJECT_ID": target.project,
        "OPENAI_BASE_URL": context.route.base_url,
    }
    seen = {name: context.environ.get(name, "").strip() for name in configured}
    stale = [
        f"{name} is {shown(_without_secrets(seen[name])[:100])}, the settings have {shown(value or 'none')}"
        for name, value in configured.items()
        if seen[name] and seen[name].rstrip("/") != (value or "")
    ]
    if stale:
        context.problem(VARIABLES, "; ".join(stale))
        context.notes.append(
            "Variables of this environment contradict the settings, and programs that use the official"
            f" client here obey them, not the settings: {'; '.join(stale)}. Remove them or set them alike."
        )
    else:
        alike = ", ".join(name for name, value in seen.items() if value)
        context.ok(VARIABLES, f"{alike} as in the settings" if alike else "none are set")


def _without_secrets(value: str) -> str:
    """A variable's value without what may be secret in a URL: user, query and fragment."""
    scheme, found, rest = re.split("[?#]", value, maxsplit=1)[0].rpartition("://")
    return scheme + found + rest.rpartition("@")[2]


#: Seconds for the resolver.
_RESOLVE = 15.0


async def check_reach(context: CheckupContext) -> CheckFinding | None:
    """The way to the route's host, or to the proxy before it. Without an answer there is no more to ask."""
    try:
        proxy = proxy_for(context.route.base_url)
    except UnusableError as error:
        context.problem(CONNECTION, str(error))
        for name in (NAME, TLS, FIRST_BYTE):
            context.skipped(name, "the proxy cannot be used")
        return _stopped(f"{error}. {steps_of(error.failure)}")
    url = urlsplit(proxy or context.route.base_url)
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    if not await _resolves(context, host, port):
        for name in (CONNECTION, TLS, FIRST_BYTE):
            context.skipped(name, "the name has no address")
        return _stopped(f"The name {host} cannot be resolved here.")
    context.listing = listing = await context.prober.probe(
        context.credentials, context.plan.target.capability, ProbeKind.LISTING
    )
    failed = _failed(listing, tls=context.route.base_url.startswith("https:"))
    where = f"{host} port {port}" + (f", the proxy {proxy}" if proxy else "")
    steps = (
        (CONNECTION, listing.timings.connect, where),
        (TLS, listing.timings.tls, "handshake and certificate are good"),
        (FIRST_BYTE, listing.timings.first_byte, f"GET /models: {listing.status}"),
    )
    for number, (name, took, evidence) in enumerate(steps):
        if name == failed:
            context.problem(name, listing.failure_text, listing.timings.total)
            for later, _, _ in steps[number + 1 :]:
                context.skipped(later, f"not reached: {name} failed")
            said = f"{name.replace('_', ' ').capitalize()} failed: {listing.failure_text}."
            return _stopped(f"{said} {steps_of(listing.failure)}", owner_of(listing.failure))
        if name == TLS and not context.route.base_url.startswith("https:"):
            context.skipped(name, "plain HTTP, on this machine")
        else:
            context.ok(name, evidence, took)
    return None


async def _resolves(context: CheckupContext, host: str, port: int) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        context.ok(NAME, f"{host} is an address")
        return True
    began = time.monotonic()
    try:
        async with asyncio.timeout(_RESOLVE):
            found = await asyncio.get_running_loop().getaddrinfo(host, port)
    except (OSError, UnicodeError) as error:  # a timeout is an OSError, too
        silent = isinstance(error, TimeoutError) or (
            isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
        )
        why = "no name server answers" if silent else "the name is unknown"
        context.problem(NAME, f"{host}: {why}", _since(began))
        return False
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    context.ok(NAME, f"{host}: {', '.join(addresses[:4])}", _since(began))
    return True


_CONNECTING = (
    Failure.NAME_RESOLUTION, Failure.CONNECT, Failure.REFUSED, Failure.CONNECT_TIMEOUT, Failure.PROXY,
)  # fmt: skip


def _failed(listing: Observation, *, tls: bool) -> str | None:
    """The step that failed, None for none."""
    failure, timings = listing.failure, listing.timings
    if failure is None:
        return None
    if failure in (Failure.TLS, Failure.CERTIFICATE, Failure.NO_TLS):
        return TLS
    if failure in _CONNECTING or timings.connect is None:
        return CONNECTION
    return TLS if tls and timings.tls is None else FIRST_BYTE


def _stopped(note: str, owner: Owner = Owner.NETWORK) -> CheckFinding:
    return CheckFinding(Code.NETWORK_ERROR, owner, note=note)


def _since(began: float) -> float:
    return (time.monotonic() - began) * 1000


async def check_identity(context: CheckupContext) -> CheckFinding | None:
    """By the listing; where it was refused for the organization, by another one without naming any."""
    listing = context.listing
    assert listing is not None  # noqa: S101  # `check_reach` made it
    diagnosis, took = read_listing(listing, context.settings.rules), listing.timings.total
    if diagnosis is None:
        context.ok(KEY, "alive: it may list the models", took)
        return _belongs(context, listing)
    if diagnosis.effect is Effect.INCONCLUSIVE:
        # A restricted key may not list models, and a list may fail while calls work: go on.
        context.skipped(KEY, f"could not be told: {said(diagnosis)}", took)
        context.skipped(BELONGING, "could not be told: the list of models was not given")
        return None
    if diagnosis.code is Code.ORGANIZATION_MISMATCH:
        return await _mismatched(context, diagnosis)
    if diagnosis.code is Code.PROJECT_DENIED:
        context.ok(KEY, "alive: it was recognized", took)
        context.problem(BELONGING, said(diagnosis))
        return finding_of(diagnosis)
    context.problem(KEY, said(diagnosis), took)
    context.skipped(BELONGING, "the key itself was refused")
    return finding_of(diagnosis)


def _belongs(context: CheckupContext, listing: Observation) -> CheckFinding | None:
    target, real = context.plan.target, listing.headers.get("openai-project", "")
    named = [name for name in (target.organization, target.project) if name]
    told = f"; the answer names project {real}" if real else ""
    if target.project and real and real != target.project:
        # The id, unlike the organization's slug, is the real one.
        context.problem(BELONGING, f"configured {target.project}, but the answer is for {real}")
        context.notes.append(f"The key acts for project {real}, not for {target.project}.")
    elif named:
        context.ok(BELONGING, f"accepted for {' and '.join(named)}{told}")
    else:
        context.ok(BELONGING, f"none is configured: the key's own{told}")
    return None


async def _mismatched(context: CheckupContext, diagnosis: Diagnosis) -> CheckFinding:
    """The same request without naming anybody tells a wrong name from a wrong key."""
    bare = replace(context.credentials, organization=None, project=None)
    again = await context.prober.probe(bare, context.plan.target.capability, ProbeKind.LISTING)
    alone = read_listing(again, context.settings.rules)
    finding = finding_of(diagnosis)
    if alone is not None and alone.code in DEAD_KEY:
        context.problem(KEY, said(alone), again.timings.total)
    elif alone is not None:
        context.skipped(KEY, f"could not be told: {said(alone)}", again.timings.total)
    else:
        context.ok(KEY, "alive when no organization is named", again.timings.total)
        real = again.headers.get("openai-project")
        whose = f" It acts for project {real}." if real else ""
        finding = replace(finding, note=f"The key works when neither is named.{whose}")
    context.problem(BELONGING, said(diagnosis))
    return finding
