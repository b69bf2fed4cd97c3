"""Locked and gated mean this organization's gate: footnotes, other verifications, other owners' codes."""

import json

import pytest

from monitor.access.words import Code, Effect

_GATE = "Your organization must be verified to use the model `gpt-image-2`."


def _error(message, code=None):
    return json.dumps(
        {"error": {"message": message, "type": "invalid_request_error", "code": code}}
    )


@pytest.mark.parametrize(
    "message",
    [
        f"{_GATE} If organization verification has failed, wait a day before another try.",
        f"{_GATE} Note: when your organization verification was rejected, write to support.",
        f"{_GATE} A previous organization verification failed.",
        "Organization verification is required. Once organization verification failed, wait 24 hours.",
        f"{_GATE} This is not the phone check that you had at sign-up.",
        "Organizations must be verified to stream this model.",
        "400 Bad Request: organizations must be verified before they use this model",
        "OpenAI organization verification required.\nAfter that, wait up to 15 minutes.",
        "The organization is unverified: open the settings before you use gpt-image-2 (403)",
        "Streaming of o3 is for a verified organization only",
    ],
)
def test_the_gate_is_the_gate_in_the_plural_inverted_and_with_a_footnote(read_answer, message):
    assert read_answer(403, _error(message)).code is Code.VERIFICATION_REQUIRED


@pytest.mark.parametrize("cut", ["verified", "verifi", "ver"])
def test_the_gate_cut_within_its_verb_is_the_gate(read_answer, cut):
    paste = f"Error: 403 Your organization must be {cut}"
    assert read_answer(None, paste).code is Code.VERIFICATION_REQUIRED


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (
            403,
            "Upstream #7: organization verification failed, switching channel, try once more",
            None,
        ),
        (403, "Channel 12 says: organization verification failed. Please retry", None),
        (403, "Verify your organization's IP allowlist", "ip_not_authorized"),
        (403, "Reach usage tier 2 before organization verification is possible", None),
        (403, "Verify your organization's email domain first", None),
        (403, "Organization verification by phone is asked for", None),
        (403, "Please verify your organization's email address to use this model.", None),
        (403, "Verify your organization's billing address before you use images", None),
        (403, "Please verify your organization ID to use this model", None),
        (403, "Your organization must be verified on GitHub to use this model.", None),
        (400, "Invalid prompt: 'your organization verification has been rejected'", None),
        (403, "Age verification is needed in this organization", None),
        (403, "Solve the captcha: verification of your organization's client", None),
        (403, "Add a payment card to your organization's account to be verified", None),
        (401, "JWT signature verification failed for organization acme", None),
        (400, "Verify the organization id in the header", None),
        (403, "Please verify your organization", "insufficient_quota"),
        (403, "Please verify your organization", "mismatched_organization"),
    ],
)
def test_other_verifications_and_other_owners_are_neither_gated_nor_locked(
    read_answer, status, message, code
):
    assert not read_answer(status, _error(message, code)).effect.conclusive


def test_a_code_that_names_another_owner_wins_over_words_about_verification(read_answer):
    found = read_answer(
        403, _error("Verify your organization's network first", "ip_not_authorized")
    )
    assert found.code is Code.REGION_BLOCKED


def test_the_vendors_sentence_wins_over_every_code(read_answer):
    assert read_answer(403, _error(_GATE, "insufficient_quota")).effect is Effect.GATED
