"""The gate in words: the vendor's sentences, relays' translations of them, and its look-alikes."""

import re
from typing import Final

from monitor.access.diagnosis.rule import Rule
from monitor.access.words import Code, Owner

_OTHER_VERIFICATIONS: Final = (
    "phone",
    "e-mail",
    "email",
    "cyber",
    "age verification",
    "payment",
    "card",
    "domain",
    "captcha",
    "sms",
    "webhook",
    "signature",
    "jwt",
    "certificate",
)

# "The organization must first be verified" in the words relays choose: one clause, so no punctuation
# between its parts; every repetition is bounded.
_CHINESE: Final = re.compile(
    r"组织[^,.:;!? ]{0,4}(?:必须|需|须|未|没有)[^,.:;!? ]{0,8}(?:验证|认证)(?!失败)"
)

LOCKED: Final = Rule(
    "organization_verification_failed",
    Code.VERIFICATION_LOCKED,
    "The dashboard's words after a failed verification, and a vendor article's 403. Only as a plain "
    "statement: as a condition ('if …') they are advice inside another refusal, and on a 401, a 429 "
    "or a 5xx they are about something else.",
    (
        "verification is currently not available",
        ("organization", "verification not available"),
        ("organization", "verification is not available"),
        ("organization", "verification is currently unavailable"),
        ("organisation", "verification is not available"),
        "organization could not be verified",
        "organisation could not be verified",
        "organization couldn't be verified",
        "organization cannot be verified",
        "could not verify your organization's identity",
        "organization verification failed",
        "organization verification has failed",
        "organization verification was rejected",
        "organization verification has been rejected",
        "verification of your organization failed",
        "verification of your organization was rejected",
    ),
    needs=("verif",),
    unless=(
        *_OTHER_VERIFICATIONS,
        "if ",
        "when ",
        "once ",
        "unless ",
        "is required",
        "previous",
        "channel",
        "upstream",
        "switching",
        "api key",
        "header",
        "organization id",
        "try again",
        "retry",
    ),
    not_on=(401, 429, 5),
)

GATE_STATED: Final = Rule(
    "organization_must_be_verified",
    Code.VERIFICATION_REQUIRED,
    "The vendor's own sentence. It has been seen with 400, 403, 404, inside a 200, and with three "
    "codes, so neither status nor code has a say.",
    (
        "organization must be verified",
        "organisation must be verified",
        "organizations must be verified",
        "organization verification is required",
        "organization verification required",
        "org must be verified to",
        "org must be verified before",
        "organization needs to be verified to",
        "organization has to be verified to",
        "organization is not verified to",
        "organization must complete verification",
        "organization must complete identity verification",
    ),
    # A text may be cut anywhere: here behind the first letters of "verified".
    pattern=re.compile(
        r"your organi[sz]ation must be veri?f?i?e?d?$|organi ?z ?a ?t ?i ?o ?n must be veri ?fied"
    ),
    needs=("org",),
    unless=("verified by phone", "verified by sms"),
)

GATE_TRANSLATED: Final = Rule(
    "organization_must_be_verified_translated",
    Code.VERIFICATION_REQUIRED,
    "Relays translate the vendor's sentence for their users.",
    (
        "验证您的组织",
        "验证你的组织",
        "组织认証",
        ("组织", "认証", "必要"),
        ("组织", "確认", "必要"),
        ("组织", "検証", "必要"),
        ("조직", "인증해야"),
        ("조직", "인증되어야"),
        ("조직", "인증이 필요"),
        ("조직", "인증을 완료"),
        ("организаци", "верифицирован"),
        ("организаци", "должна быть подтвержден"),
        ("организаци", "должна пройти верификац"),
        "organización debe estar verificada",
        "organización debe ser verificada",
        "organización debe verificarse",
        "organisation doit être vérifiée",
        "organisation muss verifiziert",
        "organização deve ser verificada",
        "organização deve estar verificada",
        "organização precisa ser verificada",
        "organizzazione deve essere verificata",
        "organisatie moet worden geverifieerd",
        "organisatie moet geverifieerd",
        ("tổ chức", "phải được xác minh"),
        ("kuruluş", "doğrulanma"),
    ),
    pattern=_CHINESE,
    needs=("组织", "조직", "организаци", "organi", "tổ chức", "kuruluş"),
    unless=("手机", "邮箱", "실명", "电话"),
    not_on=(429, 5),
)

OTHER_VERIFICATION: Final = Rule(
    "another_verification",
    Code.UNRECOGNIZED,
    "A phone number, an e-mail address or a person's name is asked for: not the organization's gate, "
    "and not a bad key either, whatever the status says.",
    (
        ("verif", "phone"),
        ("verif", "your email"),
        ("verif", "e-mail"),
        "email verification",
        "email not verified",
        "cyber verification",
        "cyber_verification",
        "age verification",
        "verify your account",
        "实名",
        ("手机", "验证"),
        ("手机", "绑定"),
        ("邮箱", "验证"),
    ),
    needs=("verif", "手机", "邮箱", "实名"),
    unless=("organization must be verified", "verify organization", "verify your organization to"),
    owner=Owner.ORGANIZATION,
)

GATE_WORDED: Final = Rule(
    "organization_verification_asked",
    Code.VERIFICATION_REQUIRED,
    "Somebody else's words for the gate. Weaker than the vendor's sentence: a 5xx or a 429 that "
    "mentions verification is an outage with a guess in it.",
    (
        "verify your organization",
        "verify your organisation",
        "verify the organization",
        "verify organization",
        "organization is unverified",
        "organizations are not verified",
        "organization verification",
        "organisation verification",
        "verified organization",
        "verified organisation",
        "unverified organization",
        "organization is not verified",
        "organization not verified",
        "organization has not been verified",
        "organization is not yet verified",
        "organization isn't verified",
        "organization hasn't been verified",
        "organization needs to be verified",
        "organization should be verified",
        "org must be verified",
        "org verification",
        "verification of your organization",
        ("organization", "requires verification"),
        ("organization", "identity verification"),
        ("organization", "id verification"),
        "组织验证",
        "组织认证",
        "验证组织",
        "认证组织",
    ),
    needs=("verif", "验证", "认证"),
    unless=(
        *_OTHER_VERIFICATIONS,
        "verified organization id",
        "organization id",
        "organization's ip",
        "organization's email",
        "allowlist",
        "membership",
        "header",
        "tier",
        "before organization verification",
        "channel",
        "does not require",
        "does not exist",
        "could not be verified",
        "verification failed",
        "not available",
    ),
    not_on=(429, 5),
)
