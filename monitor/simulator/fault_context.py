"""A fault that applies to an answer, and how it may change it."""

from dataclasses import dataclass, replace
from typing import Any

from monitor.simulator.answers import Answer, refused
from monitor.simulator.asking import Ask
from monitor.simulator.refusals import Refusal, Stage
from monitor.simulator.scenario import Fault, SimulatedKey


@dataclass(frozen=True, slots=True)
class FaultContext:
    """A fault that applies to the answer to a request."""

    fault: Fault
    key: SimulatedKey
    ask: Ask
    answer: Answer

    def changed(self, **changes: Any) -> Answer:
        """The answer under the fault's name, with changes; what it bills stays."""
        return replace(self.answer, what=self.fault.what, **changes)

    def error(self, status: int, message: str, kind: str, code: str | None = None) -> Answer:
        """An error of the API or the relay instead of the answer; nothing is billed."""
        wait = self.fault.retry_after
        what = self.fault.what
        refusal = Refusal(what, Stage.RATE, status, message, kind, code=code, retry_after=wait)
        return refused(self.ask, self.key, refusal)

    def page(self, status: int, page: bytes) -> Answer:
        """A page of the edge: nothing of the API's own headers."""
        kept = ("cf-ray", "server")
        headers = {name: value for name, value in self.answer.headers.items() if name in kept}
        return Answer(self.fault.what, status, page, content_type="text/html", headers=headers)
