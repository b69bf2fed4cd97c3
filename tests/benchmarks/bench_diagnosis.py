"""What one diagnosis costs, in microseconds of processor time, per kind of answer.

    python tests/benchmarks/bench_diagnosis.py [--json PATH]

Ends with 1 when an ordinary refusal costs 100 µs or more, a body of 64 KiB 2.5 ms or more, or the reading
of the rules' table 15 ms or more. The best of several rounds counts: the others measure the machine's
other work.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monitor.access.diagnosis import diagnose
from monitor.access.diagnosis import rules as table
from monitor.access.diagnosis.explaining import explain
from monitor.access.diagnosis.rules import read_rules
from monitor.access.observation import BODY_CAP, Observation
from monitor.access.words import Surface
from monitor.simulator.refusals import REFUSALS, gate_refusal
from monitor.simulator.simulated_models import SimulatedSurface

ORDINARY_LIMIT, LARGE_LIMIT, TABLE_LIMIT = 100.0, 2_500.0, 15_000.0
ROUNDS = 7
TABLE = Path(table.__file__).with_name("rules.toml")


def _error(message: str, **fields: Any) -> str:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", **fields}})


def _filled(unit: str, head: str = "", tail: str = "") -> bytes:
    room = BODY_CAP - len((head + tail).encode())
    return (head + unit * (room // len(unit.encode())) + tail).encode()


GATE = gate_refusal(SimulatedSurface.IMAGES, "gpt-image-2")
GATE_BODY = json.dumps({"error": GATE.error()})
CHUNK = (
    'data: {"id":"chatcmpl-FAKE","object":"chat.completion.chunk","created":1795000000,'
    '"model":"gpt-5.1-2025-11-13","service_tier":"default","choices":[{"index":0,'
    '"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
)
SHORT_CHUNK = (
    'data: {"model":"gpt-5.1","choices":[{"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
)

ORDINARY = {
    "the gate": (403, GATE_BODY),
    "the gate, streaming": (400, json.dumps({"error": gate_refusal(SimulatedSurface.STREAM, "o3").error()})),
    **{
        name: (REFUSALS[name].status, json.dumps({"error": REFUSALS[name].error()}))
        for name in (
            "invalid_api_key", "mismatched_organization", "missing_scope", "insufficient_quota",
            "tier_limit_zero", "project_denied", "model_not_found", "no_channel", "moderation_blocked",
        )
    },
    "rate limit": (429, _error("Rate limit reached for o3 on tokens per min. Please try again in 2s.")),
    "bad parameter (last rule)": (400, _error("Unknown parameter: 'size'.", code="unknown_parameter")),
    "relay's Chinese": (401, '{"error":{"message":"无效的令牌 (request id: 1)"}}'),
    "empty 502": (502, ""),
    "page of a proxy": (502, "<html><head><title>502 Bad Gateway</title></head></html>"),
}  # fmt: skip
LARGE = {
    "one long message": _filled("x ", '{"error":{"message":"', '"}}'),
    "prose": _filled("word "),
    "cut JSON": _filled("a ", '{"error":{"message":"'),
    "open braces": _filled("{"),
    "open brackets": _filled("["),
    "nested objects": _filled('{"a":'),
    "quotes": _filled('"'),
    "mixed quotes": _filled("{'\""),
    "fields": _filled('{"message":"x",'),
    "backslashes": _filled("\\", '{"a"'),
    "a page": _filled("<p>x</p>", "<html>"),
    "a stream": _filled(CHUNK),
    "a stream of short frames": _filled(SHORT_CHUNK),
    "a stream with an error at its end": _filled(CHUNK, "", f"event: error\ndata: {GATE_BODY}\n\n"),
    "tiny frames": _filled("data: 1\n\n"),
    "Chinese": _filled("错误信息"),
    "many errors": _filled('{"error":{"message":"{\\"a\\": 1"}},', "[", "1]"),
    "an image": _filled("A", '{"data":[{"b64_json":"iVBORw0KGgo', '"}]}'),
}
PASTED = {
    "curl -i": f"HTTP/2 403\r\ncontent-type: application/json\r\n\r\n{GATE_BODY}",
    "traceback's last line": f"openai.PermissionDeniedError: Error code: 403 - {json.loads(GATE_BODY)}",
    "log line": f"2026-11-20 14:05:03 ERROR status=403 body={GATE_BODY}",
    "Python repr": repr(json.loads(GATE_BODY)),
}


def cost(work: Callable[[], object], seconds: float) -> float:
    """Microseconds that one call costs at best, over rounds of about `seconds` in all."""
    started = time.thread_time()
    work()
    once = max(time.thread_time() - started, 1e-6)
    repeats = max(1, int(seconds / ROUNDS / once))
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.thread_time()
        for _ in range(repeats):
            work()
        best = min(best, (time.thread_time() - started) / repeats)
    return best * 1e6


def measure(seconds: float) -> dict[str, dict[str, float]]:
    """Microseconds by group and kind of answer."""
    asked = {
        name: Observation(status, {}, body.encode()) for name, (status, body) in ORDINARY.items()
    }
    large = {
        f"{name}, {status}": Observation(status, {}, body, surface=Surface.CHAT, model="gpt-5.1")
        for name, body in LARGE.items()
        for status in (400, 200)
    }
    return {
        "ordinary": {name: cost(lambda o=o: diagnose(o), seconds) for name, o in asked.items()},
        "64 KiB": {name: cost(lambda o=o: diagnose(o), seconds) for name, o in large.items()},
        "pasted": {
            name: cost(lambda t=text: explain(Observation(None, body=t.encode())), seconds)
            for name, text in PASTED.items()
        },
        "table": {
            "read the rules": cost(lambda: list(read_rules(TABLE.read_text("utf-8"))), seconds)
        },
    }


def main() -> int:
    """Measure, print, and say by the status whether a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each kind of answer")
    options = parser.parse_args()
    found = measure(options.seconds)
    for group, costs in found.items():
        print(f"{group} (µs)")
        for name, micros in costs.items():
            print(f"  {name:32} {micros:9.1f}")
    worst = {group: max(costs.values()) for group, costs in found.items()}
    limits = {"ordinary": ORDINARY_LIMIT, "64 KiB": LARGE_LIMIT, "table": TABLE_LIMIT}
    met = all(worst[group] < limit for group, limit in limits.items())
    for group, limit in limits.items():
        print(f"worst of {group}: {worst[group]:.0f} µs (limit {limit:.0f})")
    if options.json:
        figures = {"unit": "us", "costs": found, "worst": worst, "met": met}
        options.json.write_text(
            json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
