"""The cheapest legal image, computed from the vendor's rules on sizes and the formula for tokens."""

from functools import cache
from math import ceil, floor

_STEP = 16
_EDGE = 3840
_FEWEST_PIXELS = 655_360
_MOST_PIXELS = 8_294_400
_RATIO = 3

#: The size that every GPT Image model takes, and relays' models too.
SQUARE = (1024, 1024)
_DETAIL = {"low": 16, "medium": 48, "high": 96}


def image_tokens(width: int, height: int, quality: str = "low") -> int:
    """Output tokens of one image of gpt-image-2 or later.

    A community formula that reproduces five published figures; `quality` is low, medium or high.
    """
    short, long = sorted((width, height))
    detail = _DETAIL[quality]
    # half up, as JavaScript rounds; Python's round() would go to the even neighbour
    other = floor(detail * short / long + 0.5)
    return ceil(detail * other * (2_000_000 + width * height) / 4_000_000)


def legal(width: int, height: int) -> bool:
    """Whether gpt-image-2 takes this size: steps of 16, ratio up to 3:1, pixels and edge in bounds."""
    return (
        width % _STEP == 0
        and height % _STEP == 0
        and max(width, height) <= _EDGE
        and max(width, height) <= _RATIO * min(width, height)
        and _FEWEST_PIXELS <= width * height <= _MOST_PIXELS
    )


@cache
def cheapest_size() -> tuple[int, int]:
    """Width and height of the legal landscape image that costs the fewest tokens at low quality.

    Several sizes share the lowest count, because it is rounded up. Of those the flattest is taken:
    it lies farthest from the ratio at which the formula's rounding makes the next step.
    """
    edges = range(_STEP, _EDGE + 1, _STEP)
    sizes = ((w, h) for w in edges for h in edges if h <= w and legal(w, h))
    return min(sizes, key=lambda size: (image_tokens(*size), size[1] / size[0], size[0] * size[1]))
