"""Is the secret well-formed, and where did it come from? Nothing is sent."""

import re

from monitor.access.words import Code, Owner
from monitor.config import Secret
from monitor.oneshot.checkup.checkup_context import CheckupContext
from monitor.oneshot.checkup.results import CheckFinding

SECRET = "secret"  # noqa: S105 - the check's name

#: Beginnings of other vendors' keys: sent to OpenAI, such a key would be disclosed.
_FOREIGN = ("sk-ant-", "sk-or-", "gsk_", "AIza", "hf_", "r8_", "xai-")
_PLACEHOLDER = re.compile(
    r"(?i)your[-_]?(open_?ai)?[-_]?(api[-_]?)?key|^sk-\W*$|x{6,}|changeme|<.*>|\.\.\."
)
_FEWEST = 16


async def check(context: CheckupContext) -> CheckFinding | None:
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
