"""Figures for the tests of the world: a base, hypothesis strategies and seeded random pairs."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from cirgen.world.draws import draw_values, edited
from cirgen.world.figure import Figure, visible
from cirgen.world.vocabulary import Level

BASE = visible(
    head="curly", hair_color="black", hat_color="red", outfit="plain shirt", shirt_color="red", pants_color="brown",
    shoes_color="white", glasses="none", beard="none", background="sky", object_kind="ball", object_color="green",
    object_count="2",
)  # fmt: skip

levels = st.sampled_from(("easy", "medium", "hard"))
MAX_EDITS = 4


def _pair(seed: int, level: Level, number: int) -> tuple[Figure, Figure]:
    rng = random.Random(seed)
    values = draw_values(rng, level)
    return visible(**values), visible(**edited(rng, level, values, number))


def _figure(seed: int, level: Level) -> Figure:
    return visible(**draw_values(random.Random(seed), level))


seeds = st.integers(min_value=0, max_value=2**32)
figures = st.builds(_figure, seeds, levels)
pairs = st.builds(_pair, seeds, levels, st.integers(min_value=1, max_value=MAX_EDITS)).filter(lambda p: p[0] != p[1])


def random_pairs(number: int, level: Level = "medium") -> list[tuple[Figure, Figure]]:
    """Return pairs of figures, one to four edits apart."""
    rng = random.Random(11)
    return [_pair(rng.randrange(2**32), level, rng.randint(1, MAX_EDITS)) for _ in range(number)]
