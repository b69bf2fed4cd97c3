"""Every way the API says no: status, type, param, code and message, and when it is checked.

The gate's answers and similar ones as they were seen in public threads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from types import MappingProxyType

from monitor.simulator.simulated_models import IMAGE_SURFACES, SimulatedSurface


class Stage(IntEnum):
    """The order in which a request is checked; the first check that fails answers."""

    AUTHENTICATION = 1
    ORGANIZATION = 2
    SCOPE = 3
    REGION = 4
    BILLING = 5
    RATE = 6
    PARAMETERS = 7
    MODEL = 8
    GATE = 9
    CONTENT = 10


INVALID = "invalid_request_error"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error of the API. `what` is its name in the ledger."""

    what: str
    stage: Stage
    status: int
    message: str
    type: str | None = INVALID
    param: str | None = None
    code: str | None = None
    #: Seconds of scenario time that `Retry-After` asks for.
    retry_after: float | None = None

    def error(self) -> dict[str, str | None]:
        """The object under `error`."""
        return {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }

    def filled(self, **values: str) -> "Refusal":
        """The same with the places in its message filled in."""
        return replace(self, message=self.message.format(**values))


def gate_refusal(surface: SimulatedSurface, model: str) -> Refusal:
    """What a shut gate answers on this surface."""
    param: str | None = None
    code: str | None = "unsupported_value"
    if surface is SimulatedSurface.STREAM:
        status, deed, param = 400, "stream this model", "stream"
    elif surface is SimulatedSurface.SUMMARY:
        status, deed, param = 400, "generate reasoning summaries", "reasoning.summary"
    else:
        deed = f"use the model `{model}`"
        status, code = (403, None) if surface in IMAGE_SURFACES else (404, "model_not_found")
    message = (
        f"Your organization must be verified to {deed}. Please go to:"
        " https://platform.openai.com/settings/organization/general and click on Verify"
        " Organization. If you just verified, it can take up to 15 minutes for access to propagate."
    )
    return Refusal("gated", Stage.GATE, status, message, param=param, code=code)


#: One vendor's article lists it; no pasted body of it was found.
LOCKED = Refusal("locked", Stage.GATE, 403, "Organization verification is currently not available.")


def _billing(code: str, message: str, status: int = 429, kind: str | None = None) -> Refusal:
    return Refusal(code, Stage.BILLING, status, message, type=kind or code, code=code)


#: The scopes a restricted key may lack, by the path below the base URL.
SCOPES: Mapping[str, str] = MappingProxyType(
    {
        "/models": "api.model.read",
        "/images/generations": "api.model.images.request",
        "/images/edits": "api.model.images.request",
        "/responses": "api.responses.write",
        "/chat/completions": "model.request",
    }
)

_LIST = (
    Refusal(
        "invalid_api_key",
        Stage.AUTHENTICATION,
        401,
        "Incorrect API key provided: {masked}. You can find your API key at"
        " https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
    ),
    Refusal(
        "account_deactivated",
        Stage.AUTHENTICATION,
        401,
        "The OpenAI account associated with this API key has been deactivated. Please check your"
        " email for details.",
        code="account_deactivated",
    ),
    Refusal(
        "no_organization",
        Stage.AUTHENTICATION,
        401,
        "You must be a member of an organization to use the API. Please contact us through our help"
        " center.",
        code="no_organization",
    ),
    Refusal(
        "phone_verification",
        Stage.AUTHENTICATION,
        403,
        "You must verify a phone number before you can use this API key.",
        code="phone_verification_required",
    ),
    Refusal(
        "mismatched_organization",
        Stage.ORGANIZATION,
        401,
        "OpenAI-Organization header should match organization for API key",
        code="mismatched_organization",
    ),
    Refusal(
        "mismatched_project",
        Stage.ORGANIZATION,
        401,
        "OpenAI-Project header should match project for API key",
        code="mismatched_project",
    ),
    Refusal(
        "missing_scope",
        Stage.SCOPE,
        401,
        "You have insufficient permissions for this operation. Missing scopes: {scope}. Check that you"
        " have the correct role in your organization and project, and if you're using a restricted API"
        " key, that it has the necessary scopes.",
        code="missing_scope",
    ),
    Refusal(
        "region",
        Stage.REGION,
        403,
        "Country, region, or territory not supported",
        type="request_forbidden",
        code="unsupported_country_region_territory",
    ),
    _billing(
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details. For more"
        " information on this error, read the docs:"
        " https://platform.openai.com/docs/guides/error-codes/api-errors.",
    ),
    _billing("credit_balance_exhausted", "Your credit balance is exhausted. Please add credits."),
    _billing("organization_spend_limit_exceeded", "Your organization has reached its spend limit."),
    _billing("project_spend_limit_exceeded", "Your project has reached its spend limit."),
    _billing("organization_usage_limit_exceeded", "Your organization has reached its usage limit."),
    _billing(
        "billing_not_active",
        "Your account is not active, please check your billing details on our website.",
    ),
    _billing("billing_hard_limit_reached", "Billing hard limit has been reached.", 400, INVALID),
    _billing("payment_required", "Payment is required to go on.", 402, INVALID),
    Refusal(
        "tier_limit_zero",
        Stage.RATE,
        429,
        "Rate limit exceeded for images per minute in organization {organization}. Limit: 0/1min."
        " Current: 1/1min. Please visit https://platform.openai.com/docs/guides/rate-limits to learn"
        " how to increase your rate limit.",
        type="requests",
        code="rate_limit_exceeded",
    ),
    Refusal(
        "project_denied",
        Stage.MODEL,
        403,
        "Project `{project}` does not have access to model `{model}`",
        code="model_not_found",
    ),
    Refusal(
        "model_not_found",
        Stage.MODEL,
        404,
        "The model `{model}` does not exist or you do not have access to it.",
        code="model_not_found",
    ),
    Refusal(
        "model_deprecated",
        Stage.MODEL,
        404,
        "The model `{model}` has been deprecated, learn more here:"
        " https://platform.openai.com/docs/deprecations",
        code="model_not_found",
    ),
    Refusal(
        "no_channel",
        Stage.MODEL,
        503,
        "No available channel for model {model} under group default (distributor)",
        type="new_api_error",
        code="model_not_found",
    ),
    Refusal(
        "moderation_blocked",
        Stage.CONTENT,
        400,
        "Your request was rejected as a result of our safety system. Your request may contain content"
        " that is not allowed by our safety system.",
        type="image_generation_user_error",
        code="moderation_blocked",
    ),
)

#: What a scenario may do to a key under `blocks`.
REFUSALS: Mapping[str, Refusal] = MappingProxyType({item.what: item for item in _LIST})


def masked(secret: str) -> str:
    """A secret as the API quotes it: its ends only."""
    return f"{secret[:3]}{'*' * 8}{secret[-4:]}" if len(secret) > 12 else "*" * len(secret)


def bad_parameter(
    message: str, param: str | None = None, code: str | None = None, status: int = 400
) -> Refusal:
    """A request that is wrong in itself."""
    return Refusal("bad_request", Stage.PARAMETERS, status, message, param=param, code=code)


def not_found(message: str) -> Refusal:
    """A project of the admin API, or what was asked of it, is not there."""
    return Refusal("not_found", Stage.MODEL, 404, message, code="not_found")


def wrong_endpoint(message: str, param: str = "model", status: int = 404) -> Refusal:
    """A model asked for where it is not served."""
    return Refusal("wrong_endpoint", Stage.MODEL, status, message, param=param)


def rate_limited(model: str, organization: str, limit: int, wait: float) -> Refusal:
    """The organization's image limit is used up; `wait` in seconds of scenario time."""
    return Refusal(
        "rate_limited",
        Stage.RATE,
        429,
        f"Rate limit reached for {model} (for limit gpt-image) in organization {organization} on"
        f" images per min: Limit {limit}, Used {limit}, Requested 1. Please try again in {wait:.3g}s.",
        type="input-images",
        code="rate_limit_exceeded",
        retry_after=wait,
    )
