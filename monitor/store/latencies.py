"""The latencies of a run, counted in buckets of growing width: little to store, and percentiles within 5 %.

One count per bucket that occurred is stored as JSON: `{"50": 812, "51": 190}`.
"""

import json
import math
from collections.abc import Mapping

#: Ratio of the middles of neighbouring buckets: the error of a percentile is at most half of the step.
_RATIO = 1.1
_LOG = math.log(_RATIO)
#: Longest latency in milliseconds; longer ones are counted in its bucket.
_LONGEST = 1e6

#: Answers by bucket: bucket n is around 1.1 ** n milliseconds.
Counts = Mapping[int, int]


def added(counts: Counts, ms: float) -> dict[int, int]:
    """The counts with one more latency, in milliseconds."""
    bucket = round(math.log(min(ms, _LONGEST)) / _LOG) if ms > 1.0 else 0
    return {**counts, bucket: counts.get(bucket, 0) + 1}


def percentile(counts: Counts, share: float) -> float | None:
    """The latency in milliseconds that this share (0 to 1) of answers did not exceed; None without any."""
    wanted, seen = share * sum(counts.values()), 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= wanted:
            return round(float(_RATIO**bucket), 1)
    return None


def to_text(counts: Counts) -> str:
    """The counts in their stored form."""
    return json.dumps(counts)


def from_text(text: str) -> dict[int, int]:
    """The counts that `to_text` wrote."""
    return {int(bucket): count for bucket, count in json.loads(text).items()}
