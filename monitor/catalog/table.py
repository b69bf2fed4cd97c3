"""The README's table of models, made from the catalog: `python -m monitor.catalog.table` prints it."""

from collections.abc import Iterable, Iterator, Sequence
from math import floor, log10

from monitor.access.target import Capability
from monitor.access.words import Gate, Surface
from monitor.catalog.billing import open_price
from monitor.catalog.model import Model
from monitor.catalog.models import Catalog, builtin

#: Where the table stands in the README.
BEGIN, END = "<!-- models -->", "<!-- /models -->"

_HEAD = ("model", "usual surface", "surfaces", "gate", "open probe", "shutdown")


def table(catalog: Catalog) -> str:
    """Every model as a row of Markdown, in the catalog's order; ends with a line's end.

    The open probe is what one granted full probe of the usual surface costs; a refused one is free.
    """
    lines = [_row(_HEAD), _row(["---"] * len(_HEAD))]
    lines += [_row(_cells(catalog, model)) for model in catalog.models.values()]
    return "\n".join(lines) + "\n"


def _cells(catalog: Catalog, model: Model) -> Iterator[str]:
    surfaces: Sequence[Surface] = [
        s for s in model.surfaces if s is not Surface.MODELS
    ] or model.surfaces
    yield f"`{model.name}`"
    yield f"`{surfaces[0]}`"
    yield ", ".join(surfaces)
    yield _gates(model, surfaces)
    yield _dollars(open_price(catalog, Capability(model.name, surfaces[0])))
    yield str(model.shutdown or "-")


def _gates(model: Model, surfaces: Sequence[Surface]) -> str:
    """The gates by name, with the surfaces each refuses unless it is all of them."""
    parts = []
    for gate in Gate:
        refused = [surface for surface in surfaces if model.gates.get(surface) is gate]
        if refused == list(surfaces):
            return str(gate)
        if refused:
            parts.append(f"{gate} ({', '.join(refused)})" if refused != [str(gate)] else str(gate))
    return ", ".join(parts) or "none"


def _dollars(price: float | None) -> str:
    if not price:
        return "not known" if price is None else "$0"
    return f"${price:.{1 - floor(log10(price))}f}"  # two digits that matter


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(table(builtin()), end="")  # noqa: T201
