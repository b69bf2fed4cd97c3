"""What is known of one model: plain values, which are also what settings may say of a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict, ValidationInfo
from pydantic.json_schema import SkipJsonSchema

from monitor.access.fields import Dollars, Flag, Text, Whole, about, refuse, setting
from monitor.access.words import Gate, Surface


def _each_once(surfaces: tuple[Surface, ...]) -> tuple[Surface, ...]:
    if len(set(surfaces)) < len(surfaces):
        raise refuse("names a surface twice")
    return surfaces


def _of_its_surfaces(gates: Mapping[Surface, Gate], info: ValidationInfo) -> Mapping[Surface, Gate]:
    for surface in gates:
        if surface not in info.data.get("surfaces", gates):
            raise refuse("is not among the model's surfaces", below=(str(surface),))
    return MappingProxyType(dict(gates))


def _words(text: str) -> str:
    if not text.strip():
        raise refuse("must be text that is not empty")
    return text


def _some(value: Any) -> Any:
    if value == {}:
        raise refuse("must be a table of dollars per million tokens")
    return value


_Day = Annotated[date, Strict()]
_Words = Annotated[Text, AfterValidator(_words)]


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens; None where a model has no such tokens."""

    text_in: Dollars | None = setting(None, "Text tokens of a request")
    text_out: Dollars | None = setting(None, "Text tokens of an answer")
    image_in: Dollars | None = setting(None, "Image tokens of a request")
    image_out: Dollars | None = setting(None, "Image tokens of an answer")


@dataclass(frozen=True, slots=True)
class Model:
    """A model of your own, or changes to a known one."""

    name: SkipJsonSchema[str]
    surfaces: Annotated[
        tuple[Surface, ...],
        Field(min_length=1),
        AfterValidator(_each_once),
        about("The usual one first; needed for a model that the catalog does not know"),
    ]
    #: a surface that is not in it is known to be open to anybody who pays
    gates: Annotated[
        Mapping[Surface, Gate],
        AfterValidator(_of_its_surfaces),
        about("The gate that may refuse a surface: model, stream or summary"),
    ]
    price: Annotated[
        Price | None, BeforeValidator(_some), about("US dollars per million tokens, by kind")
    ]
    shutdown: Annotated[_Day | None, about("The day the model is shut down")]
    family: Annotated[_Words, about("Shared by models that may answer in each other's name")]
    source: Annotated[_Words, about("Where these figures come from")]
    checked: Annotated[_Day | None, about("When they were last compared with the source")]
    any_size: Flag = setting(
        False,
        "Whether images may have any size; else they have the sizes of GPT Image 1",
        json_schema_extra={"default": None},  # a known model keeps its own
    )
    square_tokens: Annotated[Whole, Field(ge=1)] | None = setting(
        None, "Output tokens of one low-quality image of 1024x1024, where sizes are fixed"
    )
