"""What a probe asks, with new words for each: an old answer or an echo is no proof."""

import random
from typing import Final

_PLAIN = """
    anchor basket beaver blazer bottle branch bucket button cactus camera candle canyon carpet carrot
    castle celery cellar cherry circle cookie copper cotton cradle dragon drawer fabric falcon fiddle
    finger flower forest fossil galaxy garden garlic ginger goblet gravel guitar hammer harbor island
    jacket jaguar jungle kettle kitten ladder lagoon lentil lizard locket magnet marble meadow mirror
    mitten monkey muffin napkin needle nickel orange orchid oyster paddle palace papaya parrot peanut
    pebble pencil pepper pickle pigeon pillow planet pocket pollen potato puddle puzzle rabbit radish
    raisin ribbon rocket rudder saddle salmon sandal saucer shovel shrimp silver sleigh spider sponge
    squash statue sunset teapot temple thread timber tinsel toffee tomato tongue trophy trowel tundra
    turnip turtle valley velvet violet violin waffle walnut walrus weasel willow window winter zipper
"""

#: Plain nouns of six letters: the length of a request does not depend on which are drawn.
NOUNS: Final = tuple(_PLAIN.split())

#: Two nouns for a request that is only shown.
EXAMPLE: Final = ("copper", "lizard")
#: As long as a noun: where the drawn ones go in a request that is kept ready.
BLANK: Final = "{noun}"
BLANKS: Final = (BLANK, BLANK)


def draw() -> tuple[str, str]:
    """Two different nouns, chosen at random."""
    # Nothing secret depends on it, and `random.sample` takes ten times as long.
    first = int(random.random() * len(NOUNS))  # noqa: S311
    step = 1 + int(random.random() * (len(NOUNS) - 1))  # noqa: S311
    return NOUNS[first], NOUNS[(first + step) % len(NOUNS)]


def question(first: str, second: str) -> str:
    """The question of the text surfaces; the word that it asks for does not stand in it."""
    return f"Join the words {first} and {second}. Reply with the joined word only."


def picture(first: str, second: str) -> str:
    """The prompt of the image surfaces."""
    return f"a grey dot, {first} {second}"
