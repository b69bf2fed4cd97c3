"""The words of the domain as enumerations: states, effects, codes, owners, surfaces, events, reasons.

Every value is spelt as it appears on the command line, in the database and in messages.
"""

from enum import StrEnum
from typing import Self


class State(StrEnum):
    """Whether the gate is open for a target. Whatever else is wrong is a blocker, never a state."""

    UNKNOWN = "unknown"
    UNVERIFIED = "unverified"
    PROPAGATING = "propagating"
    AVAILABLE = "available"
    LOCKED = "locked"


class Effect(StrEnum):
    """What a diagnosis does to a state."""

    GRANTED = "granted"
    GATED = "gated"
    LOCKED = "locked"
    BLOCKED = "blocked"
    INCONCLUSIVE = "inconclusive"

    @property
    def conclusive(self) -> bool:
        """True for the effects that say something of the gate; the others neither count nor reset."""
        return self in (Effect.GRANTED, Effect.GATED, Effect.LOCKED)


class Owner(StrEnum):
    """Whose problem an answer is."""

    ORGANIZATION = "organization"
    KEY = "key"
    PROJECT = "project"
    BILLING = "billing"
    MODEL = "model"
    ROUTE = "route"
    REQUEST = "request"
    RATE_LIMIT = "rate limit"
    PROVIDER = "provider"
    NETWORK = "network"


class Code(StrEnum):
    """What an answer means; the one effect this has, and whose problem it usually is."""

    effect: Effect
    owner: Owner

    def __new__(
        cls, word: str, effect: Effect = Effect.INCONCLUSIVE, owner: Owner = Owner.ROUTE
    ) -> Self:
        """Make a code; the defaults are for type checkers, which take `Code(word)` for a call of this."""
        code = str.__new__(cls, word)
        code._value_ = word
        code.effect, code.owner = effect, owner
        return code

    ACCESS_GRANTED = "access_granted", Effect.GRANTED, Owner.ORGANIZATION
    VERIFICATION_REQUIRED = "verification_required", Effect.GATED, Owner.ORGANIZATION
    VERIFICATION_LOCKED = "verification_locked", Effect.LOCKED, Owner.ORGANIZATION
    INVALID_CREDENTIALS = "invalid_credentials", Effect.BLOCKED, Owner.KEY
    ACCOUNT_DEACTIVATED = "account_deactivated", Effect.BLOCKED, Owner.ORGANIZATION
    ORGANIZATION_MISMATCH = "organization_mismatch", Effect.BLOCKED, Owner.KEY
    MISSING_SCOPE = "missing_scope", Effect.BLOCKED, Owner.KEY
    PROJECT_DENIED = "project_denied", Effect.BLOCKED, Owner.PROJECT
    MODEL_UNAVAILABLE = "model_unavailable", Effect.BLOCKED, Owner.MODEL
    REGION_BLOCKED = "region_blocked", Effect.BLOCKED, Owner.NETWORK
    QUOTA_EXHAUSTED = "quota_exhausted", Effect.BLOCKED, Owner.BILLING
    TIER_UNSUPPORTED = "tier_unsupported", Effect.BLOCKED, Owner.BILLING
    WRONG_ENDPOINT = "wrong_endpoint", Effect.BLOCKED, Owner.REQUEST
    RATE_LIMITED = "rate_limited", Effect.INCONCLUSIVE, Owner.RATE_LIMIT
    SERVER_ERROR = "server_error", Effect.INCONCLUSIVE, Owner.PROVIDER
    EDGE_ERROR = "edge_error", Effect.INCONCLUSIVE, Owner.ROUTE
    NETWORK_ERROR = "network_error", Effect.INCONCLUSIVE, Owner.NETWORK
    MODERATION_BLOCKED = "moderation_blocked", Effect.INCONCLUSIVE, Owner.REQUEST
    BAD_REQUEST = "bad_request", Effect.INCONCLUSIVE, Owner.REQUEST
    UNRECOGNIZED = "unrecognized", Effect.INCONCLUSIVE, Owner.ROUTE


#: The key itself is refused, whatever it asks for, and that does not end by itself.
DEAD_KEY = frozenset({Code.INVALID_CREDENTIALS, Code.ACCOUNT_DEACTIVATED})

#: What a listing may block a target with: it tells of the key, its organization and the way there.
LISTING_BLOCKERS = DEAD_KEY | {Code.ORGANIZATION_MISMATCH, Code.REGION_BLOCKED}
#: What a listing can tell. A restricted key may be refused the list, or have no quota for it, and still use
#: its models: these two block nothing.
LISTING_CODES = LISTING_BLOCKERS | {Code.QUOTA_EXHAUSTED, Code.PROJECT_DENIED}


class Gate(StrEnum):
    """Which gate refused: the model itself, its streaming, or its reasoning summaries."""

    MODEL = "model"
    STREAM = "stream"
    SUMMARY = "summary"


class Surface(StrEnum):
    """The part of the API a capability is used through."""

    IMAGES = "images"
    EDITS = "edits"
    IMAGE_TOOL = "image_tool"
    RESPONSES = "responses"
    CHAT = "chat"
    STREAM = "stream"
    SUMMARY = "summary"
    MODELS = "models"

    @property
    def makes_images(self) -> bool:
        """True where a probe counts toward the organization's image rate limit."""
        return self in (Surface.IMAGES, Surface.EDITS, Surface.IMAGE_TOOL)


class Contract(StrEnum):
    """Whose contract a route is: OpenAI's own, or a gateway's or relay's."""

    DIRECT = "direct"
    PROVIDER = "provider"


class ProbeKind(StrEnum):
    """A full probe makes the target's own request; a listing is a GET of the model list."""

    FULL = "full"
    LISTING = "listing"


class DeclarationKind(StrEnum):
    """What a person told the monitor."""

    VERIFIED = "verified"
    REJECTED = "rejected"
    CLEARED = "cleared"


class EventKind(StrEnum):
    """What can be told to a channel."""

    UNVERIFIED = "unverified"
    PROPAGATING = "propagating"
    FIRST_LIGHT = "first_light"
    SHUT_AGAIN = "shut_again"
    UNPROVEN = "unproven"
    AVAILABLE = "available"
    BASELINE = "baseline"
    REVOKED = "revoked"
    LOCKED = "locked"
    OVERDUE = "overdue"
    BLOCKED = "blocked"
    UNBLOCKED = "unblocked"
    STALE = "stale"
    RETIRING = "retiring"
    BUDGET = "budget"
    OFFLINE = "offline"
    ONLINE = "online"
    SILENCE_ENDED = "silence_ended"
    STARTED = "started"
    STOPPING = "stopping"


#: The events a channel gets unless it lists its own (DESIGN: all but these three).
DEFAULT_EVENTS: frozenset[EventKind] = frozenset(EventKind) - {
    EventKind.BASELINE,
    EventKind.STARTED,
    EventKind.STOPPING,
}


class Staleness(StrEnum):
    """Whose staleness a target's is."""

    #: nothing conclusive came to any target of its route
    ROUTE = "route"
    #: others of its route were answered meanwhile
    TARGET = "target"


class Hold(StrEnum):
    """What holds a target's next probe back. The values are read by people, in `status`."""

    BREAKER = "breaker"
    IMAGE_GAP = "image gap"
    ANNOUNCED_LIMIT = "announced limit"
    RATE = "route rate"
    RETRY_AFTER = "server asked to wait"
    BUDGET = "budget"


class Reason(StrEnum):
    """Why a state changed or an event is told."""

    GATED = "gated"
    GATED_AFTER_DECLARATION = "gated_after_declaration"
    OPEN_AT_FIRST_PROBE = "open_at_first_probe"
    FIRST_GRANTED = "first_granted"
    REFUSED_AFTER_LIGHT = "refused_after_light"
    ANSWERED_UNPROVEN = "answered_unproven"
    SETTLED = "settled"
    RELAPSE = "relapse"
    REVOCATION = "revocation"
    LOCKED_BY_ANSWER = "locked_by_answer"
    REJECTED_DECLARED = "rejected_declared"
    UNLOCKED_BY_ANSWERS = "unlocked_by_answers"
    VERIFIED_DECLARED = "verified_declared"
    CLEARED_DECLARED = "cleared_declared"
    SIBLING_OPENED = "sibling_opened"
    GAVE_UP = "gave_up"
    DEADLINE_PASSED = "deadline_passed"
    BLOCKER_SEEN = "blocker_seen"
    BLOCKER_CLEARED = "blocker_cleared"
    NOTHING_CONCLUSIVE = "nothing_conclusive"
    SHUTDOWN_NEAR = "shutdown_near"
    SHUTDOWN_PAST = "shutdown_past"
    BUDGET_EXHAUSTED = "budget_exhausted"
    ALL_ROUTES_FAIL = "all_routes_fail"
    A_ROUTE_ANSWERS = "a_route_answers"
    SILENCE_EXPIRED = "silence_expired"
    SILENCE_ENDED_BY_HAND = "silence_ended_by_hand"
    DAEMON_STARTED = "daemon_started"
    DAEMON_STOPPING = "daemon_stopping"
