"""The models the simulator knows: surfaces, which of them are gated, snapshot, price, shutdown date.

Knowledge of its own, on purpose: the simulator must be able to contradict the monitor's catalog.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from math import ceil
from types import MappingProxyType
from typing import Any


class SimulatedSurface(StrEnum):
    """The part of the API a request uses."""

    IMAGES = "images"
    EDITS = "edits"
    IMAGE_TOOL = "image_tool"
    RESPONSES = "responses"
    CHAT = "chat"
    STREAM = "stream"
    SUMMARY = "summary"
    MODELS = "models"


IMAGE_SURFACES = frozenset(
    {SimulatedSurface.IMAGES, SimulatedSurface.EDITS, SimulatedSurface.IMAGE_TOOL}
)
_TEXT = frozenset(
    {
        SimulatedSurface.RESPONSES,
        SimulatedSurface.CHAT,
        SimulatedSurface.STREAM,
        SimulatedSurface.SUMMARY,
    }
)
_REASONING_GATES = frozenset({SimulatedSurface.STREAM, SimulatedSurface.SUMMARY})


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """One model. Prices are whole nano-dollars per token, so sums are exact."""

    name: str
    snapshot: str
    text_in: int
    out: int
    image_in: int = 0
    surfaces: frozenset[SimulatedSurface] = _TEXT
    gated: frozenset[SimulatedSurface] = _REASONING_GATES
    #: Reasoning effort when the request names none; None for a model that does not reason.
    effort: str | None = None
    #: True where any size of the gpt-image-2 rules is taken, else the three classic ones.
    free_size: bool = False
    shutdown: date | None = None

    @property
    def makes_images(self) -> bool:
        """True for a model of the Images API."""
        return SimulatedSurface.IMAGES in self.surfaces

    def listing(self) -> dict[str, object]:
        """The model as `GET /models` shows it."""
        return {
            "id": self.name,
            "object": "model",
            "created": int(datetime(2026, 1, 15, tzinfo=UTC).timestamp()),
            "owned_by": "system",
            "shutdown_date": self.shutdown.isoformat() if self.shutdown else None,
        }


def _image(name: str, snapshot: str = "", shutdown: date | None = None) -> SimulatedModel:
    free_size = name.startswith("gpt-image-2")
    return SimulatedModel(
        name,
        snapshot or name,
        text_in=5_000,
        image_in=8_000 if free_size else 10_000,
        out=30_000 if free_size else 40_000,
        surfaces=IMAGE_SURFACES,
        gated=IMAGE_SURFACES,
        free_size=free_size,
        shutdown=shutdown,
    )


def _text(
    name: str, version: str, text_in: int, out: int, *, effort: str = "medium", **more: Any
) -> SimulatedModel:
    return SimulatedModel(name, f"{name}-{version}", text_in, out, effort=effort, **more)


_OCTOBER, _DECEMBER, _WINTER = date(2026, 10, 23), date(2026, 12, 1), date(2026, 12, 11)
_NO_CHAT = _TEXT - {SimulatedSurface.CHAT}

#: Prices and dates of the public list of 2026-11-20; where it names no price, that of the model's elder.
_MODELS = (
    _image("gpt-image-2", "gpt-image-2-2026-04-21"),
    _image("gpt-image-2.5-flare", "gpt-image-2.5-flare-2026-09-08"),
    _image("gpt-image-2.5-sunburst", "gpt-image-2.5-sunburst-2026-09-08"),
    _image("gpt-image-2.6-flare"),
    _image("gpt-image-2.6-sunburst"),
    _image("gpt-image-1.5", shutdown=_DECEMBER),
    _image("gpt-image-1-mini", shutdown=_DECEMBER),
    _image("chatgpt-image-latest", shutdown=_DECEMBER),
    _image("gpt-image-1", shutdown=_OCTOBER),
    _image("dall-e-2", shutdown=date(2026, 5, 12)),
    _image("dall-e-3", shutdown=date(2026, 5, 12)),
    _text("gpt-5.5", "2026-04-23", 5_000, 30_000, effort="none"),
    _text("gpt-5.4-nano", "2026-03-17", 200, 1_250, effort="none"),
    _text("gpt-5.1", "2025-11-13", 1_250, 10_000, effort="none", shutdown=date(2027, 4, 1)),
    _text("gpt-5", "2025-08-07", 1_250, 10_000, shutdown=_WINTER),
    _text("gpt-5-mini", "2025-08-07", 250, 2_000, shutdown=_WINTER),
    _text("gpt-5-nano", "2025-08-07", 50, 400, shutdown=_WINTER),
    _text("gpt-5-pro", "2025-10-06", 15_000, 120_000, surfaces=_NO_CHAT, shutdown=_WINTER),
    _text("o3", "2025-04-16", 2_000, 8_000, gated=_TEXT, shutdown=_WINTER),
    _text(
        "o3-pro",
        "2025-06-10",
        20_000,
        80_000,
        surfaces=_NO_CHAT,
        gated=_NO_CHAT,
        shutdown=_WINTER,
    ),
    _text("o1", "2024-12-17", 15_000, 60_000, shutdown=_OCTOBER),
    _text("o3-mini", "2025-01-31", 1_100, 4_400, shutdown=_OCTOBER),
    _text("o4-mini", "2025-04-16", 1_100, 4_400, shutdown=_OCTOBER),
)

#: By name.
BUILT_IN: Mapping[str, SimulatedModel] = MappingProxyType({model.name: model for model in _MODELS})

#: Output tokens of the classic sizes before gpt-image-2: square, and portrait or landscape. At $40 a
#: million they make the published prices per image.
_CLASSIC = {"low": (272, 408), "medium": (1056, 1584), "high": (4160, 6240)}
_AREAS = {"low": 16, "medium": 48, "high": 96}


def image_tokens(model: SimulatedModel, quality: str, width: int, height: int) -> int:
    """Output tokens of one image: the community formula, which reproduces five published figures."""
    if not model.free_size:
        return _CLASSIC[quality][width != height]
    area = _AREAS[quality]
    short, long = sorted((width, height))
    side = round(area * short / long)
    return ceil(area * side * (2_000_000 + width * height) / 4_000_000)
