"""Signatures: the specification's own example, and secrets that cannot be used."""

from base64 import b64encode

import pytest

from monitor.access.signatures import signatures, signing_key

#: The example of the reference implementation of Standard Webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_signature_is_the_one_of_the_specification() -> None:
    assert signatures([signing_key(SECRET)], ID, AT, BODY) == SIGNATURE


def test_two_secrets_are_two_signatures_in_their_order() -> None:
    other = signing_key("whsec_" + b64encode(b"another FAKE secret of 30 bytes").decode())
    both = signatures([other, signing_key(SECRET)], ID, AT, BODY).split(" ")
    assert both[1] == SIGNATURE
    assert both[0] not in ("", SIGNATURE)


def test_padding_may_be_missing() -> None:
    whole = "whsec_" + b64encode(b"x" * 25).decode()
    assert whole.endswith("=")
    assert signing_key(whole) == signing_key(whole.rstrip("=")) == b"x" * 25


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "must begin with whsec_"),
        ("whsec_not*base64*at*all*CANARY00", "is not standard base64"),
        ("whsec_" + b64encode(b"short CANARY").decode(), "12 bytes; it must have 24 to 64"),
        ("whsec_" + b64encode(b"long CANARY" * 9).decode(), "99 bytes; it must have 24 to 64"),
    ],
)
def test_what_is_no_secret_is_refused_without_being_shown(secret: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"must|standard") as caught:
        signing_key(secret)
    assert said in str(caught.value)
    assert secret.removeprefix("whsec_") not in str(caught.value)
    assert caught.value.__cause__ is None
