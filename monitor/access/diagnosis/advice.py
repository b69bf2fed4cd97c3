"""What a diagnosis means for a person, what to do next, and whether waiting helps."""

from dataclasses import dataclass
from typing import Final

from monitor.access.words import Code, Gate, Owner


@dataclass(frozen=True, slots=True)
class Advice:
    """One sentence of meaning, the advice, and whether the same request can succeed by waiting."""

    meaning: str
    advice: str
    waiting_helps: bool


#: From the threads: the causes of a rejected verification, and the rules of the next try.
_REJECTED: Final = (
    "Five causes of a rejected verification are known: a photographed screen or a copy instead of the "
    "paper itself, an expired paper, glare, a face that does not match, and an unsupported country. "
    "Wait 24 hours before another try. One ID verifies one organization in 90 days, so an ID used for "
    "another organization is refused until then."
)
_TIERS: Final = (
    "Three things are easily confused: the usage tier follows from what was paid, the `service_tier` "
    "of a request only chooses its processing, and the model's own row on the limits page says "
    "whether this organization may use it at all."
)
_GATE: Final = (
    "Open the organization's general settings and check that they say verified, for the organization "
    "that this key belongs to. If the verification was completed just now, wait: minutes are usual, "
    "hours happen. Tell the monitor with `declare verified`. If it was never done, waiting changes "
    f"nothing. A usage tier, even the highest, does not open this gate. {_TIERS} {_REJECTED}"
)

_ADVICE: Final[dict[Code, Advice]] = {
    Code.ACCESS_GRANTED: Advice(
        "The request was served: this key may use this capability.",
        "Nothing to do.",
        waiting_helps=False,
    ),
    Code.VERIFICATION_REQUIRED: Advice(
        "The organization has to be verified before it may use this model; the same words are sent "
        "while a completed verification is still taking effect.",
        _GATE,
        waiting_helps=True,
    ),
    Code.VERIFICATION_LOCKED: Advice(
        "The organization's verification failed or is not offered to it.",
        f"Waiting does not open this by itself. {_REJECTED} Then write to support with the "
        "organization, the request id and the time; `evidence` collects them.",
        waiting_helps=False,
    ),
    Code.INVALID_CREDENTIALS: Advice(
        "The key was missing, or was not accepted.",
        "Print the key's last characters as the program uses it and compare them with the dashboard; "
        "make a new key if it was revoked or has expired. On a relay the key must be the relay's own.",
        waiting_helps=False,
    ),
    Code.ACCOUNT_DEACTIVATED: Advice(
        "The account or organization behind the key was shut off or blocked.",
        "Its owner finds the reason in their mail and must write to support; on a relay it may be the "
        "relay's own account. A verification does not lift this.",
        waiting_helps=False,
    ),
    Code.ORGANIZATION_MISMATCH: Advice(
        "The organization or project that was named is not the key's.",
        "Remove `organization` and `project` from the key's settings, and look for stale "
        "`OPENAI_ORG_ID` and `OPENAI_PROJECT_ID` variables, or set them to the key's own.",
        waiting_helps=False,
    ),
    Code.MISSING_SCOPE: Advice(
        "The key is valid but restricted: it lacks a permission for this operation.",
        "Give the key the permission that the message names, or use an unrestricted key of the same "
        "project; check the role of its owner.",
        waiting_helps=False,
    ),
    Code.PROJECT_DENIED: Advice(
        "The project, team, group or relay key has an allow-list without this model.",
        "Add the model to the project's limits, or make a key in a new project without model limits. "
        "This says nothing of the organization's verification.",
        waiting_helps=False,
    ),
    Code.MODEL_UNAVAILABLE: Advice(
        "The model is not there for this key: not visible, misspelt, or shut down.",
        "Check the spelling and the model's shutdown date. A model that was shut down never opens; "
        "choose its successor.",
        waiting_helps=False,
    ),
    Code.REGION_BLOCKED: Advice(
        "Requests from this place or address are refused.",
        "Run the monitor where requests are allowed, and check the proxy and the allow-list of "
        "addresses.",
        waiting_helps=False,
    ),
    Code.QUOTA_EXHAUSTED: Advice(
        "Credit, balance or a spending limit is used up.",
        "Add credit or raise the limit, of the vendor's or the relay's account, whichever answered. "
        "A wrong organization can show the same message.",
        waiting_helps=False,
    ),
    Code.TIER_UNSUPPORTED: Advice(
        "The organization's usage tier or plan has no access to this model; its limit is zero.",
        f"Add a payment method or credit to reach a higher usage tier. {_TIERS}",
        waiting_helps=False,
    ),
    Code.WRONG_ENDPOINT: Advice(
        "The request went to a path where this model, or anything at all, is not served.",
        "Check that the base URL ends as the provider says (usually with /v1), and choose another "
        "surface for the model.",
        waiting_helps=False,
    ),
    Code.RATE_LIMITED: Advice(
        "Too many requests or tokens in a time.",
        "The monitor waits as long as the server asks. Refused requests count toward the limit, too.",
        waiting_helps=True,
    ),
    Code.SERVER_ERROR: Advice(
        "The server failed or is overloaded.",
        "Nothing to do; the monitor asks again.",
        waiting_helps=True,
    ),
    Code.EDGE_ERROR: Advice(
        "An edge or a proxy answered instead of the API.",
        "If it lasts, look at the base URL, the proxy and the address that the requests come from.",
        waiting_helps=True,
    ),
    Code.NETWORK_ERROR: Advice(
        "No answer came.",
        "Check the network, the name of the host, and the proxy, if it lasts.",
        waiting_helps=True,
    ),
    Code.MODERATION_BLOCKED: Advice(
        "A content filter refused the request, possibly before the gate was asked.",
        "This proves nothing of access. Use the monitor's own prompt.",
        waiting_helps=False,
    ),
    Code.BAD_REQUEST: Advice(
        "The request itself was not accepted; the gate may not have been asked.",
        "Compare the model's parameters with the catalog; a relay may allow fewer.",
        waiting_helps=False,
    ),
    Code.UNRECOGNIZED: Advice(
        "The answer proves neither that the gate is open nor that it is shut.",
        "Look at the message. An empty or foreign success usually means that a relay hid a refusal or "
        "sent another model.",
        waiting_helps=False,
    ),
}

_GATES: Final = {
    Gate.STREAM: Advice(
        "The organization has to be verified before it may stream this model.",
        f"The same request without `stream` may work already. {_GATE}",
        waiting_helps=True,
    ),
    Gate.SUMMARY: Advice(
        "The organization has to be verified before this model writes reasoning summaries for it.",
        f"The same request without `reasoning.summary` may work already. {_GATE}",
        waiting_helps=True,
    ),
}

_NO_CHANNEL: Final = Advice(
    "The relay has no channel for this model at the moment: its own routing, not the vendor's gate.",
    "Ask the relay which groups serve the model, or use another relay. The vendor was never asked.",
    waiting_helps=True,
)


def advise(code: Code, gate: Gate | None = None, owner: Owner | None = None) -> Advice:
    """The advice for a diagnosis' code; its gate and owner, where known, make it more exact."""
    if code is Code.VERIFICATION_REQUIRED and gate in _GATES:
        return _GATES[gate]
    if code is Code.MODEL_UNAVAILABLE and owner is Owner.ROUTE:
        return _NO_CHANNEL
    return _ADVICE[code]
