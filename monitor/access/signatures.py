"""Signatures of posted events, as Standard Webhooks defines them. Pure.

The source: standard-webhooks/standard-webhooks, spec/standard-webhooks.md, "Signature scheme".
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence

#: What a secret begins with.
PREFIX = "whsec_"

#: Fewest and most bytes of a secret.
LEAST, MOST = 24, 64


def signing_key(secret: str) -> bytes:
    """The key that a secret such as `whsec_MfKQ…` stands for: base64 with or without its padding.

    Raises:
        ValueError: with a text for people that does not show the secret.

    """
    if not secret.startswith(PREFIX):
        raise ValueError(f"must begin with {PREFIX}, and go on with base64")
    text = secret.removeprefix(PREFIX)
    try:
        key = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise ValueError(
            f"is not standard base64 after {PREFIX} (letters, digits, + and /)"
        ) from None
    if not LEAST <= len(key) <= MOST:
        raise ValueError(f"has {len(key)} bytes; it must have {LEAST} to {MOST}")
    return key


def signatures(keys: Sequence[bytes], id_: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: a signature by each key, in their order.

    `timestamp` is the attempt's, in seconds since the epoch.
    """
    signed = f"{id_}.{timestamp}.".encode() + body
    made = (hmac.digest(key, signed, "sha256") for key in keys)
    return " ".join(f"v1,{b64encode(one).decode()}" for one in made)
