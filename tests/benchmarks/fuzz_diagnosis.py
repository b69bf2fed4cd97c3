"""Throw broken, mutated and hostile answers at the diagnosis, and look for what must never happen.

    python tests/benchmarks/fuzz_diagnosis.py --inputs 200000 [--disguises 20000] [--seeds FILE.jsonl]
        [--seed N] [--only INDEX]

Never: an exception; a refusal that was mutated and is then called granted; an answer with an error status
called granted; 200 ms of processor time for one answer; more than one in a thousand over 20 ms. Ends
with 1 on a violation. Times are the thread's own processor time, so that a busy machine does not count.
Each input depends on --seed and its index alone: --only shows one again. The disguises (refusals told by
successes, errors in envelopes, real successes) are combined and judged by the package of that name.
"""

import argparse
import json
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from disguises import combining

from monitor.access.diagnosis import diagnose, read_listing
from monitor.access.diagnosis.explaining import explain, explain_row
from monitor.access.observation import Observation
from monitor.access.words import Effect, Surface
from monitor.simulator.refusals import LOCKED, REFUSALS, gate_refusal
from monitor.simulator.simulated_models import SimulatedSurface

SLOW, TOO_SLOW = 0.020, 0.200
#: Of all answers, how many may be slow.
SLOW_SHARE = 0.001


@dataclass(frozen=True)
class Seed:
    """An answer to mutate, and whether it is a refusal."""

    status: int | None
    body: bytes
    refusal: bool
    endpoint: str = ""
    model: str | None = None


def own_seeds() -> list[Seed]:
    """Refusals as the simulator writes them, as relays rewrite them, and a few successes."""
    refusals = [*REFUSALS.values(), LOCKED]
    refusals += [gate_refusal(surface, "gpt-image-2") for surface in SimulatedSurface]
    seeds = []
    for refusal in refusals:
        error = refusal.error()
        whole = {"error": error}
        for body in (
            json.dumps(whole),
            json.dumps(whole, indent=2),
            f"Error code: {refusal.status} - {whole}",
            json.dumps({"error": {"message": json.dumps(whole), "code": refusal.status}}),
            json.dumps({"code": refusal.status, "msg": refusal.message, "data": None}),
            f"event: error\ndata: {json.dumps(whole)}\n\n",
            str(error["message"]),
        ):
            seeds.append(Seed(refusal.status, body.encode(), refusal=True))
    seeds += [
        Seed(403, "{“error”: {“message”: “无权访问该模型”}}".encode(), refusal=True),
        Seed(
            401, '{"error":{"message":"无效的令牌","type":"new_api_error"}}'.encode(), refusal=True
        ),
        Seed(502, b"<html><head><title>502 Bad Gateway</title></head><body></body></html>", True),
        Seed(200, b'{"created":1,"data":[]}', refusal=True),
        Seed(200, b'{"id":"c","object":"chat.completion","choices":[]}', refusal=True),
        Seed(200, b'data: {"choices":[{"delta":{},"finish_reason":null}]}\n\n', refusal=True),
    ]
    served: tuple[Any, ...] = (
        {"created": 1, "data": [{"b64_json": "iVBORw0KGgoAAAANSUhEUg=="}]},
        {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5.1",
         "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}]},
        {"object": "chat.completion", "model": "gpt-5.1",
         "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]},
    )  # fmt: skip
    # Several times each: a mutated success under an error status must not be granted either.
    seeds += [Seed(200, json.dumps(value).encode(), refusal=False) for value in served * 6]
    return seeds


def file_seeds(path: Path) -> list[Seed]:
    """The answers of a labelled file: one object a line with status, body, effect, endpoint, model."""
    seeds = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        body = row["body"] if isinstance(row["body"], str) else json.dumps(row["body"])
        seeds.append(
            Seed(
                row.get("status"),
                body.encode("utf-8", "surrogatepass"),
                row["effect"] != "granted",
                row.get("endpoint") or "",
                row.get("model"),
            )
        )
    return seeds


TOKENS = [
    *(token.encode() for token in (
        "{", "}", "[", "]", '"', "'", ":", ",", "\\", '\\"', "\n", "\r\n", "\n\n", "\x00", "null", "true",
        "1e999", "NaN", "“", "”", "’", "\ufeff", "data: ", "data: [DONE]\n\n", "event: error\n",
        "event: response.completed\n",
        '"choices":[', '"finish_reason":"stop"', '"object":"response"', '"status":"completed"', '"data":[',
        '"b64_json":"iVBOR', '"url":"https://', '"error":null', '"error":{}', '"success":true', '"output":[]',
        "<html>", "</html>", "<!DOCTYPE html>", "HTTP/1.1 200 OK\r\n", "HTTP/2 403\n", "< HTTP/2 200\n",
        "Error code: 200 - ", "Error code: 403 - ", "Traceback (most recent call last):\n", '"status": 200',
        "```json\n", "> ", "curl https://api.example/v1/models\n", "\x1b[31m", "b'", "limit: 0",
        "retry after ", "try again in ", "令牌", "无效", "组织", "verified", "organization", "not ",
    )),
    b"\xff\xfe", b"\xfe\xff", b"\xc3\x28", b"\xed\xa0\x80",
]  # fmt: skip
STATUSES = [
    None,
    200,
    200,
    200,
    201,
    204,
    301,
    400,
    401,
    402,
    403,
    404,
    408,
    418,
    422,
    429,
    500,
    502,
    503,
    520,
    529,
]
HEADERS = {
    "content-type": ["application/json", "text/html", "text/event-stream", "text/plain; charset=gbk", "x"],
    "retry-after": ["1", "-1", "1e999", "nan", "Fri, 20 Nov 2026 14:05:03 GMT", "\x00", "9" * 400],
    "retry-after-ms": ["500", "soon"],
    "date": ["Fri, 20 Nov 2026 14:05:00 GMT", "never"],
    "x-request-id": ["req_FAKE", "\u202e", "a" * 1000],
}  # fmt: skip


def mutated(body: bytes, others: list[Seed], chance: random.Random) -> bytes:
    """The body after one to four small accidents."""
    data = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        place = chance.randint(0, len(data))
        match chance.randrange(9):
            case 0:
                data[place:place] = chance.choice(TOKENS)
            case 1:
                del data[place : place + chance.randint(1, 30)]
            case 2:
                data[place : place + 1] = bytes([chance.randrange(256)])
            case 3:
                data[place:place] = data[place : place + chance.randint(1, 60)]
            case 4:
                del data[max(place, len(data) // 2) :]
            case 5:
                data[place:place] = bytes(
                    chance.randrange(256) for _ in range(chance.randint(1, 9))
                )
            case 6:
                # A refusal within or behind another one.
                other = chance.choice([seed for seed in others[:200] if seed.refusal]).body
                data[place:place] = other[: chance.randint(0, len(other))]
            case 7:
                data = bytearray(json.dumps(data.decode("utf-8", "replace")).encode())
            case 8:
                data = bytearray(bytes(data).swapcase()) if place % 4 == 0 else data
    return bytes(data)


FORMS: list[Callable[[str, int], str]] = [
    lambda body, status: body,
    lambda body, status: f"HTTP/2 {status}\r\ncontent-type: application/json\r\n\r\n{body}",
    lambda body, status: f"> POST /v1/responses HTTP/2\n< HTTP/2 {status}\n< date: x\n<\n{body}\n* done",
    lambda body, status: f"Traceback (most recent call last):\n  File \"a.py\"\nopenai.APIError: {body}",
    lambda body, status: f"2026-11-20 14:05:03 ERROR status={status} {body}\n2026-11-20 14:05:04 INFO on",
    lambda body, status: f"it says\n```json\n{body}\n```\nwhat now?",
    lambda body, status: "\n".join(f"> {line}" for line in body.splitlines()),
    lambda body, status: f"$ curl https://api.example/v1/responses -d '{{\"model\":\"o3\"}}'\n{body}",
    lambda body, status: json.dumps({"status": status, "body": body}),
    lambda body, status: repr(body.encode("utf-8", "surrogatepass")),
]  # fmt: skip


@dataclass
class Case:
    """One input: what is asked, and of what kind it is."""

    kind: str
    ask: Callable[[], Effect]
    shown: str
    #: True where nothing but a refusal, or an error status, can be meant.
    never_granted: bool


def make_case(index: int, run: int, seeds: list[Seed]) -> Case:
    """The input of this index."""
    chance = random.Random(f"{run}:{index}")
    seed = chance.choice(seeds)
    status = seed.status if chance.random() < 0.5 else chance.choice(STATUSES)
    headers = {
        name: chance.choice(values) for name, values in HEADERS.items() if chance.random() < 0.15
    }
    kind = chance.choices(
        ("mutated", "pasted", "row", "bytes", "soup", "large"), (40, 30, 10, 9, 10, 1)
    )[0]
    body = b""
    if kind == "bytes":
        body = chance.randbytes(chance.randint(0, 400))
    elif kind == "soup":
        body = b"".join(chance.choice(TOKENS) for _ in range(chance.randint(1, 80)))
    elif kind == "large":
        piece = chance.choice([mutated(seed.body, seeds, chance), chance.choice(TOKENS)]) or b" "
        body = (piece * (65_536 // len(piece) + 1))[:65_536]
    else:
        body = mutated(seed.body, seeds, chance)
    refusal = seed.refusal or kind in ("bytes", "soup", "large")
    refused = status is not None and status >= 400
    surface, model = (
        chance.choice([None, *Surface]),
        chance.choice([None, seed.model, "gpt-image-2"]),
    )
    if kind == "pasted" or (kind in ("soup", "large") and chance.random() < 0.5):
        text = body.decode("utf-8", "replace")
        pasted = chance.choice(FORMS)(text, status or 200).encode("utf-8", "surrogatepass")
        stated = chance.choice([None, None, status])
        given = Observation(stated, headers, pasted, surface=surface, model=model)
        return Case(kind, lambda: explain(given).diagnosis.effect,
                    repr((pasted[:2000], given)), never_granted=refusal)  # fmt: skip
    if kind == "row":
        row = {"id": index, "status": status, "headers": headers, "model": seed.model,
               "body": body.decode("utf-8", "surrogateescape"), "endpoint": seed.endpoint}  # fmt: skip
        return Case(kind, lambda: explain_row(row).effect, repr(row)[:3000], refusal or refused)
    asked = Observation(status, headers, body, chance.random() < 0.1, surface=surface, model=model)

    def both() -> Effect:
        free = read_listing(asked)
        if free is not None and free.effect.conclusive:
            raise AssertionError("a listing was conclusive")
        return diagnose(asked).effect

    return Case(kind, both, repr((status, headers, body[:2000])), refusal or refused)


@dataclass
class Outcome:
    """What a run found. Times in seconds of the thread's processor time."""

    times: list[float] = field(default_factory=list)
    worst: tuple[float, int, str] = (0.0, -1, "")
    effects: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """The time that this share of the answers needed at most."""
        return sorted(self.times)[min(int(len(self.times) * share), len(self.times) - 1)]


def run(seeds: list[Seed], inputs: range, seed: int) -> Outcome:
    """Diagnose each input once."""
    outcome = Outcome()
    for index in inputs:
        case = make_case(index, seed, seeds)
        started = time.thread_time()
        try:
            effect = case.ask()
        except Exception:  # noqa: BLE001 - any exception is the finding
            outcome.violations.append(f"{index}: raised\n{traceback.format_exc()}\n{case.shown}")
            continue
        took = time.thread_time() - started
        outcome.times.append(took)
        outcome.kinds[case.kind] += 1
        outcome.effects[effect] += 1
        if took > outcome.worst[0]:
            outcome.worst = (took, index, case.kind)
        if took > TOO_SLOW:
            outcome.violations.append(f"{index}: took {took * 1000:.0f} ms\n{case.shown[:500]}")
        if effect is Effect.GRANTED and case.never_granted:
            outcome.violations.append(f"{index}: a {case.kind} refusal was granted\n{case.shown}")
    slow = sum(took > SLOW for took in outcome.times)
    if slow > SLOW_SHARE * len(outcome.times):
        outcome.violations.append(f"{slow} of {len(outcome.times)} took over {SLOW * 1000:.0f} ms")
    return outcome


def main() -> int:
    """Run, print, and say by the status whether something was violated."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--seeds", type=Path, help="a labelled JSONL file to mutate, too")
    parser.add_argument("--seed", type=int, default=1, help="another number, other inputs")
    parser.add_argument("--only", type=int, help="show and diagnose this input alone")
    parser.add_argument("--disguises", type=int, default=20_000, help="combinations of disguises")
    options = parser.parse_args()
    seeds = own_seeds() + (file_seeds(options.seeds) if options.seeds else [])
    if options.only is not None:
        case = make_case(options.only, options.seed, seeds)
        print(case.kind, case.shown, case.ask(), sep="\n")
        return 0
    started = time.monotonic()
    outcome = run(seeds, range(options.inputs), options.seed)
    print(f"{options.inputs} inputs of {len(seeds)} seeds in {time.monotonic() - started:.0f} s")
    print("kinds:  ", dict(outcome.kinds.most_common()))
    print("effects:", {str(name): count for name, count in outcome.effects.most_common()})
    for share in (0.5, 0.99, 0.999):
        print(f"{share:6.1%} within {outcome.percentile(share) * 1000:8.3f} ms")
    took, index, kind = outcome.worst
    print(f" worst {took * 1000:8.3f} ms (--only {index}, {kind})")
    for violation in outcome.violations[:20]:
        print("VIOLATION", violation)
    started = time.monotonic()
    found = combining.run(
        combining.seen() + combining.held_out(), range(options.disguises), options.seed
    )
    took = time.monotonic() - started
    print(f"{found.combinations} combinations of disguises in {took:.0f} s", dict(found.kinds))
    for fault, index, name in found.faults[:20]:
        print("VIOLATION", f"disguise {index}: {fault}: {name}")
    violations = len(outcome.violations) + len(found.faults)
    print(f"{violations} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
