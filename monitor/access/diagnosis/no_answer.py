"""What to do when no answer came, by its cause: a bad certificate is no fault of this machine's network."""

from monitor.access.diagnosis.advice import Advice
from monitor.access.observation import Diagnosis, Failure
from monitor.access.words import Code, Owner

#: The rule of such a diagnosis is this prefix and the failure.
RULE = "no_answer_"

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
    Failure.PROXY: "Check the proxy in the environment (HTTPS_PROXY, NO_PROXY), and its credentials.",
}
#: Failures that the host or the settings cause: this machine's network reached something.
_OF_THE_ROUTE = frozenset((Failure.CERTIFICATE, Failure.NO_TLS))


def owner_of(failure: Failure | None) -> Owner:
    """Whose problem it is that no answer came."""
    return Owner.ROUTE if failure in _OF_THE_ROUTE else Code.NETWORK_ERROR.owner


def failure_of(rule: str) -> Failure | None:
    """The failure that a diagnosis was made of, by its rule; None where there was an answer."""
    name = rule.removeprefix(RULE)
    return Failure(name) if name != rule and name in set(Failure) else None


def steps_of(failure: Failure | None) -> str:
    """What to do about it; empty when the cause is unknown."""
    return _STEPS.get(failure, "") if failure else ""


def advise_on(diagnosis: Diagnosis, usual: Advice) -> Advice:
    """The advice for a diagnosis; where no answer came it says why, else it is the `usual` one."""
    steps = steps_of(failure_of(diagnosis.rule))
    if not steps:
        return usual
    said = f"No answer came: {diagnosis.message}."
    return Advice(said, steps, waiting_helps=diagnosis.owner is not Owner.ROUTE)
