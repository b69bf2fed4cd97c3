"""What a diagnosis means for a person, what to do now, and whether waiting helps.

Each text is for its own diagnosis. The advice comes first and stands alone; the background is what
explains it, and is shown once at most.
"""

from dataclasses import dataclass
from typing import Final

from monitor.access.observation import Diagnosis, Failure
from monitor.access.words import Code, Gate, Owner


@dataclass(frozen=True, slots=True)
class Advice:
    """One sentence of meaning, what to do now, whether the same request can succeed by waiting, and what
    explains the advice (empty where nothing has to be explained).
    """

    meaning: str
    advice: str
    waiting_helps: bool = False
    background: str = ""


_VERIFY: Final = (
    "Check in the organization's general settings that the organization of this key is verified. If it "
    "is not, verify it. If it was verified just now, wait."
)
_PROPAGATES: Final = (
    "A completed verification takes effect after minutes, sometimes hours; until then the answer stays "
    "the same. No usage tier opens this gate."
)

_ADVICE: Final[dict[Code, Advice]] = {
    Code.ACCESS_GRANTED: Advice(
        "The request was served: this key may use this capability.",
        "Nothing to do.",
    ),
    Code.VERIFICATION_REQUIRED: Advice(
        "The organization must be verified before it may use this model.",
        _VERIFY,
        waiting_helps=True,
        background=_PROPAGATES,
    ),
    Code.VERIFICATION_LOCKED: Advice(
        "The organization's verification failed, or is not offered to it.",
        "Wait 24 hours, then verify again with a valid document. One ID serves one organization in 90 "
        "days.",
        background="Known causes of a failed verification: a copy or a photographed screen, an expired "
        "document, glare, a face that does not match, an unsupported country. If no new try is offered, "
        "write to support.",
    ),
    Code.INVALID_CREDENTIALS: Advice(
        "The key is missing, or is not accepted.",
        "Compare the key's last characters with the dashboard. Make a new key if this one was revoked or "
        "has expired.",
        background="A relay accepts its own keys only.",
    ),
    Code.ACCOUNT_DEACTIVATED: Advice(
        "The account or organization behind the key was shut off.",
        "Its owner finds the reason in their mail and must write to support.",
        background="On a relay it may be the relay's own account. A verification does not lift this.",
    ),
    Code.ORGANIZATION_MISMATCH: Advice(
        "The organization or project that was named is not the key's.",
        "Remove `organization` and `project` from the key's settings, or set them to the key's own.",
        background="Stale OPENAI_ORG_ID and OPENAI_PROJECT_ID variables name an organization silently.",
    ),
    Code.MISSING_SCOPE: Advice(
        "The key is valid but restricted: it lacks a permission for this request.",
        "Give the key the permission that the message names, or use an unrestricted key of the project.",
        background="The role of the key's owner can be the limit, too.",
    ),
    Code.PROJECT_DENIED: Advice(
        "The project, team, group or relay key may not use this model: an allow-list or terms leave it "
        "out, or the project is archived.",
        "Do what the message names: add the model to the allow-list, accept its terms, or use a key of "
        "another project.",
        background="This says nothing of the organization's verification.",
    ),
    Code.MODEL_UNAVAILABLE: Advice(
        "The model does not exist for this key: it is not visible, misspelt, or shut down.",
        "Check the spelling and the model's shutdown date. If it is shut down, use its successor.",
    ),
    Code.REGION_BLOCKED: Advice(
        "Requests from this place or address are refused.",
        "Run the monitor where requests are allowed. Check the proxy and the allow-list of addresses.",
    ),
    Code.QUOTA_EXHAUSTED: Advice(
        "Credit, balance or a spending limit is used up.",
        "Add credit or raise the limit, of the account that answered: the vendor's or the relay's.",
        background="A wrong organization can show the same message.",
    ),
    Code.TIER_UNSUPPORTED: Advice(
        "The organization's usage tier or plan has no access to this model: its limit is zero.",
        "Add a payment method or credit to reach a higher usage tier.",
        background="The limits page has a row for each model. The usage tier follows from what was paid; "
        "`service_tier` of a request does not change it.",
    ),
    Code.WRONG_ENDPOINT: Advice(
        "The request went to a path where this model, or anything at all, is not served.",
        "Check that the base URL ends as the provider says, usually with /v1. Choose another surface for "
        "the model.",
    ),
    Code.RATE_LIMITED: Advice(
        "Too many requests or tokens were sent in a time.",
        "Wait as long as the server asks.",
        waiting_helps=True,
        background="Refused requests count toward the limit, too.",
    ),
    Code.SERVER_ERROR: Advice(
        "The server failed or is overloaded.",
        "Wait: the same request can succeed later.",
        waiting_helps=True,
    ),
    Code.EDGE_ERROR: Advice(
        "An edge or a proxy answered instead of the API.",
        "If it lasts, check the base URL, the proxy and the address that the requests come from.",
        waiting_helps=True,
    ),
    Code.NETWORK_ERROR: Advice(
        "No answer came.",
        "If it lasts, check the network, the name of the host, and the proxy.",
        waiting_helps=True,
    ),
    Code.MODERATION_BLOCKED: Advice(
        "A content filter refused the request, possibly before the gate was asked.",
        "Send another prompt, such as the monitor's own: this answer proves nothing of access.",
    ),
    Code.BAD_REQUEST: Advice(
        "The request itself is not accepted; the gate may not have been asked.",
        "Compare the request's parameters with those that the model allows.",
        background="A relay may allow fewer than the vendor.",
    ),
    Code.UNRECOGNIZED: Advice(
        "The answer proves neither that the gate is open nor that it is shut.",
        "Read the message, and ask again.",
        background="An empty or foreign success usually means that a relay hid a refusal or sent another "
        "model.",
    ),
}

_GATES: Final = {
    Gate.STREAM: Advice(
        "The organization must be verified before it may stream this model.",
        f"{_VERIFY} The same request without `stream` may work already.",
        waiting_helps=True,
        background=_PROPAGATES,
    ),
    Gate.SUMMARY: Advice(
        "The organization must be verified before this model writes reasoning summaries for it.",
        f"{_VERIFY} The same request without `reasoning.summary` may work already.",
        waiting_helps=True,
        background=_PROPAGATES,
    ),
}

_NO_CHANNEL: Final = Advice(
    "The relay has no channel for this model at the moment; the vendor was never asked.",
    "Ask the relay which groups serve the model, or use another relay.",
    waiting_helps=True,
)


def advise(code: Code, gate: Gate | None = None, owner: Owner | None = None) -> Advice:
    """The advice for a diagnosis' code; its gate and owner, where known, make it more exact."""
    if code is Code.VERIFICATION_REQUIRED and gate in _GATES:
        return _GATES[gate]
    if code is Code.MODEL_UNAVAILABLE and owner is Owner.ROUTE:
        return _NO_CHANNEL
    return _ADVICE[code]


#: The rule of an answer that says that the model ran and thought until its tokens were used up.
THOUGHT_AWAY: Final = "thoughts_took_the_tokens"
_THOUGHT_AWAY: Final = Advice(
    "The model ran and used up its few output tokens in thought: the gate is probably open.",
    "Watch this model on the surface `responses` (MODEL:responses): an answer that is cut in thought proves "
    "access there.",
)

#: The rule of a diagnosis without an answer is this prefix and the failure.
NO_ANSWER = "no_answer_"

_STEPS = {
    Failure.NAME_RESOLUTION: "Check the host in the route's base_url, and this machine's DNS.",
    Failure.CONNECT: "Check this machine's network and firewall, and the route's base_url.",
    Failure.REFUSED: "Check the port in the route's base_url, whether the server runs, and the firewall.",
    Failure.CONNECT_TIMEOUT: "Check the route's base_url, and this machine's firewall and network.",
    Failure.TLS: "Check what stands between this machine and the host: a proxy, an old server.",
    Failure.CERTIFICATE: "Have the host's certificate renewed or mended by who runs it. If a proxy of yours "
    "opens TLS, name its certificates in SSL_CERT_FILE. Check this machine's clock, too.",
    Failure.NO_TLS: "Check the route's base_url: http:// in the place of https://, or another port.",
    Failure.TIMEOUT: "Nothing: it was reached and is slow. If it lasts, raise the route's timeout.",
    Failure.CUT: "Nothing at first. If it lasts, look for a proxy or a firewall that cuts connections.",
    Failure.PROTOCOL: "Check the route's base_url: host and port lead to something that is no API.",
    Failure.HEADERS: "Tell who runs the host, or a proxy before it: few clients read such headers.",
    Failure.PROXY: "Check the proxy in the environment (HTTPS_PROXY, NO_PROXY), and its credentials.",
    Failure.TRUST: "Name a file of certificates that can be read in SSL_CERT_FILE, or remove the variable.",
}
#: Failures that the host or the settings cause: this machine's network reached something.
_OF_THE_ROUTE = frozenset((Failure.CERTIFICATE, Failure.NO_TLS, Failure.HEADERS))


def owner_of(failure: Failure | None) -> Owner:
    """Whose problem it is that no answer came."""
    return Owner.ROUTE if failure in _OF_THE_ROUTE else Code.NETWORK_ERROR.owner


def failure_of(rule: str) -> Failure | None:
    """The failure that a diagnosis was made of, by its rule; None where there was an answer."""
    name = rule.removeprefix(NO_ANSWER)
    return Failure(name) if name != rule and name in set(Failure) else None


def steps_of(failure: Failure | None) -> str:
    """What to do about it; empty when the cause is unknown."""
    return _STEPS.get(failure, "") if failure else ""


def advise_on(diagnosis: Diagnosis) -> Advice:
    """The advice for a diagnosis: of a rule's own, where no answer came why, else the usual one."""
    if diagnosis.rule == THOUGHT_AWAY:
        return _THOUGHT_AWAY
    steps = steps_of(failure_of(diagnosis.rule))
    if not steps:
        return advise(diagnosis.code, diagnosis.gate, diagnosis.owner)
    said = f"No answer came: {diagnosis.message}."
    return Advice(said, steps, waiting_helps=diagnosis.owner is not Owner.ROUTE)
