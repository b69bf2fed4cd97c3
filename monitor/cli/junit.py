"""What `check` and `wait` found, as JUnit's XML: a pipeline shows it among its tests.

The form is the one that Jenkins' xUnit plugin checks (its junit-10.xsd); GitLab, reporters on GitHub and
Azure read the same. A gate that is shut is a failure: what was tested says no. Whatever keeps the answer from
being known, or the target from being used, is an error.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from monitor.access.words import Effect

_FAILURES = (Effect.GATED, Effect.LOCKED)
#: Characters that XML 1.0 has no way to write.
_NOT_XML = re.compile("[^\\t\\n\\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Case:
    """One target: how it went, `seconds` it took, and what to do in a line (`message`) and in `text`.

    `kind` is the diagnosis or the state, and `effect` is `granted` for what went well.
    """

    target: str
    route: str
    seconds: float
    effect: Effect
    kind: str = ""
    message: str = ""
    text: str = ""


def as_junit(suite: str, cases: Sequence[Case], now: datetime) -> str:
    """The report, one case for each target, made at `now`."""
    failures = sum(case.effect in _FAILURES for case in cases)
    errors = sum(case.effect not in (*_FAILURES, Effect.GRANTED) for case in cases)
    counts = {
        "tests": str(len(cases)),
        "failures": str(failures),
        "errors": str(errors),
        "time": f"{max((case.seconds for case in cases), default=0.0):.3f}",
    }
    root = ET.Element("testsuites", {"name": "access-monitor", **counts})
    stamp = f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
    made = ET.SubElement(
        root, "testsuite", {"name": suite, **counts, "skipped": "0", "timestamp": stamp}
    )
    for case in cases:
        one = ET.SubElement(
            made,
            "testcase",
            {
                "name": case.target,
                "classname": f"{suite}.{case.route}",
                "time": f"{case.seconds:.3f}",
            },
        )
        if case.effect is not Effect.GRANTED:
            tag = "failure" if case.effect in _FAILURES else "error"
            why = ET.SubElement(
                one, tag, {"type": case.kind, "message": _NOT_XML.sub("", case.message)}
            )
            why.text = _NOT_XML.sub("", case.text)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")
