"""What is known of one model: plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from monitor.access.words import Gate, Surface


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, by kind of token; None where a model has no such tokens."""

    text_in: float | None = None
    text_out: float | None = None
    image_in: float | None = None
    image_out: float | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the catalog knows it.

    `surfaces` begins with the usual one. `gates` names, per surface, the gate that may refuse it; a
    surface that is not in it is known to be open to anybody who pays. `family` is shared by models
    that may answer in each other's name. `any_size` is True where images may have any size within
    the rules of `image_size`; the others have the fixed list of GPT Image 1. `square_tokens` is what
    one low-quality image of 1024x1024 is billed as, for those others. `source` says where the entry
    comes from and `checked` when it was last compared.
    """

    name: str
    surfaces: tuple[Surface, ...]
    gates: Mapping[Surface, Gate]
    price: Price | None
    shutdown: date | None
    family: str
    source: str
    checked: date | None
    any_size: bool = False
    square_tokens: int | None = None
