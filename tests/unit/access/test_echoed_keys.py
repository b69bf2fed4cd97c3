"""A key that a server echoes leaves the diagnosis in no form; what is no key stays as it is."""

import re
import time
from itertools import product

import pytest
from echoes import FORMS, HOWS, KEYS, WINDOW, answer, remains, spell

from monitor.access.diagnosis import DiagnosisCache, read_listing
from monitor.access.masking import HIDDEN, Mask
from monitor.access.observation import Observation
from monitor.access.words import ProbeKind, Surface

SECRETS = {name: f"{key}-QwErTy-0123456789-LongEnough" for name, key in KEYS.items()}
#: Characters after which a server stops. Before that it is everybody's, or says too little.
CUTS = (None, 11, 12, 17, 26)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("which", SECRETS)
def test_the_search_of_these_tests_finds_every_form_whole_and_cut(which, form):
    secret = SECRETS[which]
    for cut in (None, 20, 26):
        assert remains(f"a key: {spell(secret, form, cut)} of yours"), (form, cut)
    assert remains("a key: of yours, sk-proj- and Relay") == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("which", SECRETS)
def test_a_key_that_is_echoed_leaves_the_diagnosis_in_no_form(which, form):
    secret = SECRETS[which]
    mask = Mask([secret]).text
    for turn, (cut, how) in enumerate(product(CUTS, (*HOWS, "frame"))):
        status, kind, body = answer(secret, form, cut, how)
        # a refusal is read alike on all of them, so they take turns
        one = list(Surface)[turn % len(Surface)]
        for surface in Surface if status == 200 else {one, Surface.MODELS}:
            seen = Observation(
                status,
                {"content-type": kind},
                body.encode(),
                surface=surface,
                model="gpt-5.1",
                kind=ProbeKind.LISTING if surface is Surface.MODELS else ProbeKind.FULL,
                mask=mask,
            )
            cache = DiagnosisCache()
            for made in (cache.read(seen), cache.read(seen), read_listing(seen)):
                if made is not None:
                    assert remains(made.message, (secret,), 3) == [], (cut, how, surface)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("which", SECRETS)
def test_the_rest_of_a_sentence_stays(which, form):
    secret = SECRETS[which]
    text = f"Incorrect API key provided: {spell(secret, form, None)}. See https://acme.example/keys"
    shown = Mask([secret]).text(text)
    assert shown.startswith("Incorrect API key provided: ")
    assert shown.endswith(". See https://acme.example/keys")
    assert HIDDEN in shown


@pytest.mark.parametrize("which", SECRETS)
def test_every_beginning_that_tells_is_hidden_wherever_it_stops(which):
    secret = SECRETS[which]
    hide = Mask([secret]).text
    least = len("sk-proj-") + 1 if which == "openai" else WINDOW
    for length in range(least, len(secret) + 1):
        for text in (f"key {secret[:length]}", f'{{"key": "{secret[:length]}…"}}', secret[:length]):
            shown = hide(text)
            assert secret[:length].lower() not in shown.lower()
            assert shown == text.replace(secret[:length], HIDDEN), length


@pytest.mark.parametrize(
    "text",
    [
        "Your organization must be verified to use the model `gpt-image-2`.",
        "Keys that begin with sk-proj- are a project's, those with sk-svcacct- a service account's.",
        "sk-proj- keys are a project's; see https://platform.acme.example/settings/organization/general",
        "POST https://relay.example/v1/images/generations for gpt-image-2-2026-04-21: production only",
        "organization org-acmeFAKE0001 and project proj_acmeFAKE0001 in /var/lib/access-monitor/relay.db",
        "a task-project on a desk-projector, the relay key in production, an image of a canary",
        "The request req_0123456789abcdef0123456789abcdef took 412 ms, cf-ray 8f2b3c4d5e6f7a8b-FRA.",
        "您的组织必须完成验证才能使用模型 gpt-image-2",
        "aGVsbG8gd29ybGQsIHRoaXMgaXMgYmFzZTY0IG9mIG9yZGluYXJ5IHdvcmRz",
        "100%25 of 5 &lt; 6 &amp; C:\\Users\\acme\\new",
    ],
)
def test_ordinary_words_models_paths_and_ids_stay(text):
    secrets = [
        *SECRETS.values(),
        "sk-proj-areprojectABC1234567",
        "production-key-of-acme-0001",
        "gpt-image-secret-0001",
        "organization-of-acme-secret-7",
        "relay-key-0001",
        "verification-password",
    ]
    assert Mask(secrets).text(text) == text


def _dump(secret: str, form: str, between: str) -> str:
    return between.join(format(byte, form) for byte in secret.encode())


PARTS = {
    "without what its kind begins with": lambda key: re.sub(r"^(sk-proj-|Relay)", "", key),
    "its head masked": lambda key: "***" + key[3:],
    "its middle masked": lambda key: f"{key[:14]}****{key[18:]}",
    "its end": lambda key: "…" + key[-14:],
    "in two parts": lambda key: f"{key[:20]} and {key[20:]}",
    "with dots": ".".join,
    "with dashes in groups": lambda key: "-".join(re.findall(".{1,4}", key)),
    "as a list": lambda key: str(list(key)),
    "as strings that are joined": lambda key: '" + "'.join(re.findall(".{1,5}", key)),
    "in bold letters": "**".join,
    "as a buffer": lambda key: str({"type": "Buffer", "data": list(key.encode())}),
    "as a dump": lambda key: _dump(key, "02X", ":"),
    "as a dump of words": lambda key: " ".join(re.findall("..?.?.?", key.encode().hex())),
    "as numbers of C": lambda key: _dump(key, "#04x", ", "),
    "as code points": lambda key: " ".join(f"U+{ord(char):04X}" for char in key),
}


@pytest.mark.parametrize("form", PARTS)
@pytest.mark.parametrize("which", SECRETS)
def test_any_part_of_a_key_that_gives_it_away_is_hidden(which, form):
    secret = SECRETS[which]
    spelt = PARTS[form](secret)
    for many in ([secret], [*SECRETS.values(), *(f"acme-key-{n:04}-FAKE" for n in range(10))]):
        shown = Mask(many).text(f"Incorrect API key: {spelt}")
        assert remains(shown, (secret,), 3) == []
        assert spelt[-8:] not in shown
        assert shown.startswith("Incorrect API ke")


def test_a_part_of_a_key_that_may_be_words_stays():
    hide = Mask(["sk-FAKE-organization_mismatch-of-acme-example-7Q2x9"]).text
    for text in ("organization_mismatch", "organization mismatch of acme example", "acme.example"):
        assert hide(text) == text


def test_a_text_of_nothing_but_a_key_is_read_in_time():
    secret = SECRETS["openai"]
    for text in (f"{secret[9:30]}!" * 2_000, secret * 500, "ab 12 " * 5_000, "<b" * 10_000):
        began = time.process_time()
        Mask([secret]).text(text)
        assert time.process_time() - began < 3


def test_a_text_of_nothing_but_an_escaped_key_is_read_in_time():
    secret = SECRETS["openai"]
    escaped = f"%{ord(secret[0]):02x}{secret[1:]}, "
    began = time.process_time()
    shown = Mask([secret]).text(escaped * 1_500)
    assert time.process_time() - began < 3
    assert HIDDEN in shown
    assert remains(shown, (secret,), 3) == []


def test_whole_values_are_hidden_only_whole():
    url = "https://hooks.acme.example/in/0001"
    hide = Mask([], [url]).text
    assert hide(f"POST {url.upper()} failed") == f"POST {HIDDEN} failed"
    assert hide("POST https://hooks.acme.example/in/ failed") == (
        "POST https://hooks.acme.example/in/ failed"
    )


def test_a_secret_that_begins_another_is_hidden_beside_it():
    hide = Mask(["acme-key", "acme-key-10", "acme-key-1"]).text
    assert hide("acme-key. acme-key-1. acme-key-10.") == f"{HIDDEN}. {HIDDEN}. {HIDDEN}."
    assert hide("acme-key-12") == f"{HIDDEN}2"


def test_escapes_without_end_and_broken_ones_are_read_and_raise_nothing():
    hide = Mask([SECRETS["openai"]]).text
    for text in (
        "%" * 3000,
        "\\" * 3000,
        "&#" * 3000,
        "&#x110000;\\U7fffffff\\ud800",
        "\\u{110000}",
    ):
        assert hide(text) == text
    nested = SECRETS["openai"]
    for _ in range(12):
        nested = re.sub("[^A-Za-z0-9]", lambda found: f"%{ord(found[0]):02X}", nested)
    assert remains(hide(f"key {nested}"), (SECRETS["openai"],), 16) == []
