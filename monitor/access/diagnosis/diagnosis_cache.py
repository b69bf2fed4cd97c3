"""A cache of diagnoses: most answers are equal to an earlier one, and take 3 µs instead of 40 to 60."""

from collections.abc import Hashable, Sequence
from dataclasses import replace

from monitor.access.diagnosis import diagnose, read_listing, request_id_of
from monitor.access.diagnosis.own import OwnRule
from monitor.access.observation import Diagnosis, Observation
from monitor.access.words import ProbeKind

#: The most answers in the cache, and the most bytes of each: a refusal has a few hundred.
_MOST, _LONGEST = 512, 4096


class DiagnosisCache:
    """`diagnose` and `read_listing` by the kind of probe, with these rules of the user's own.

    What an answer means follows from its status, body and content type, from what was asked, and from
    when the server wants to be asked again. An answer that says the last is never remembered, nor is a
    success: it is proven by what was asked this time, and a relay may play the same one again.
    """

    def __init__(self, rules: Sequence[OwnRule] = ()) -> None:
        self._rules = rules
        self._read: dict[Hashable, Diagnosis | None] = {}

    def read(self, observation: Observation) -> Diagnosis | None:
        """What the answer means; None for a listing at which nothing is wrong."""
        headers, body = observation.headers, observation.body
        status = observation.status
        if observation.failure or status is None or 200 <= status < 300 or len(body) > _LONGEST \
                or "retry-after" in headers or "retry-after-ms" in headers:  # fmt: skip
            return self._afresh(observation)
        seen = (
            observation.kind,
            observation.status,
            body,
            observation.truncated,
            headers.get("content-type"),
            observation.surface,
            observation.model,
        )
        if seen not in self._read:
            if len(self._read) >= _MOST:
                self._read.clear()
            self._read[seen] = self._afresh(observation)
        diagnosis = self._read[seen]
        return diagnosis and replace(diagnosis, request_id=request_id_of(observation))

    def _afresh(self, observation: Observation) -> Diagnosis | None:
        read = read_listing if observation.kind is ProbeKind.LISTING else diagnose
        return read(observation, self._rules)
