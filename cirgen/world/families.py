"""Which figures exist for which purpose: galleries of families of siblings, and training draws kept apart from them.

A family is a shared base with four free attributes (more where they have few values), so that every image has dense
one- and two-change siblings: among independent draws a reference's nearest image would already be the target.
No attribute combination serves two purposes. Training purposes split all figures by a hash; the galleries of one level
exclude one another, and training excludes the galleries of every level.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import astuple
from functools import lru_cache
from hashlib import sha256
from itertools import islice, product
from typing import NamedTuple, get_args

from cirgen.errors import UserError
from cirgen.world.draws import Values, allowed, draw_values, edited
from cirgen.world.figure import HIDDEN, Figure, visible
from cirgen.world.render import Nuisance
from cirgen.world.vocabulary import ATTRIBUTES, HATS, HELD_OUT_PAIRS, NONE, Level

TRAINING = ("mllm", "filter-encoder", "judge-encoder", "second-mllm")
COLLECTIONS = ("corpus", "development", "evaluation")
PURPOSES = (*TRAINING, *COLLECTIONS)

FAMILY_SIZE = 188
"""Images of one family: most of the 192 siblings that three attributes of four values and one of three have, so that
more than ten images are one change away from any. Eight families make a gallery of 1,500."""
NEAR_DUPLICATES = 6
"""Of them, images that repeat a figure under another nuisance."""
MAX_FAMILIES = 16
SEEDS = 3
"""Collections exist for the seeds 0 to 2: those are what training keeps clear of."""

_HELD_OUT_EVERY = 4
"""One family in so many shows a held-out pair of values in a part of its images; the others never do."""
_SHARED = 0.45
"""How far the families of a gallery prefer the same values (0 to 1): what a text states, other families show too."""
_FREE_ATTRIBUTES = 4
"""Free attributes of a family; with three, a family has too few images that show the same two stated values."""
_LEADS = ("beard", "hat_color", "object_count", "background", "head", "glasses", "hair_color", "object_color")
"""Attributes that families take turns to free, so that a gallery of eight families varies what is seldom drawn."""
_SIBLING_TRIES = 24
_FREE_WEIGHTS = {
    "shirt_color": 3.0,
    "outfit": 2.0,
    "head": 2.0,
    "glasses": 2.0,
    "beard": 1.5,
    "background": 1.0,
    "pants_color": 0.8,
    "shoes_color": 0.8,
}
_OBJECT_WEIGHTS = {"object_kind": 1.0, "object_color": 1.0, "object_count": 1.0}
"""How likely an attribute is free in a family, relative to the others: clothes and heads are what people change."""

Pair = tuple[tuple[str, str], tuple[str, str]]


class Sample(NamedTuple):
    """One image to draw: its figure, its nuisance, its family and the seed of its nuisance."""

    figure: Figure
    nuisance: Nuisance
    family: int
    image_seed: int


class _Plan(NamedTuple):
    """A family before it is enumerated: its base, and its free attributes and their values in order of use."""

    base: Values
    names: list[str]
    order: dict[str, list[str]]
    held_out: bool

    def members(self, sizes: dict[str, int]) -> dict[Figure, None]:
        """Enumerate the distinct figures whose free attributes take their first `sizes` values."""
        choices = product(*(self.order[name][:size] for name, size in sizes.items()))
        figures = (visible(**(self.base | dict(zip(sizes, values, strict=True)))) for values in choices)
        return dict.fromkeys(f for f in figures if self.held_out or not f.shows_held_out_pair())

    def grow(self, sizes: dict[str, int]) -> None:
        """Give the free attribute with the fewest values one more, or free another when all are used up."""
        growing = [name for name, size in sizes.items() if size < len(self.order[name])]
        if growing:
            sizes[min(growing, key=sizes.__getitem__)] += 1
        else:
            sizes[self.names[len(sizes)]] = 2


def _held_out_pair(purpose: str, level: Level, seed: int, family: int) -> Pair | None:
    """Return the held-out pair that the family shows, if it is one that does; every such family takes another."""
    if family % _HELD_OUT_EVERY != _HELD_OUT_EVERY // 2:
        return None
    shown = [pair for pair in HELD_OUT_PAIRS if all(value in allowed(name, level) for name, value in pair)]
    return shown[(PURPOSES.index(purpose) + seed + family // _HELD_OUT_EVERY) % len(shown)]


def _turn_values(gallery: str, level: Level, family: int) -> Values:
    """Return the value of every attribute whose turn it is: families go through all values, in the gallery's order."""
    rng = random.Random(f"{gallery} turns")
    shuffled = {a.name: rng.sample(a.values(level), len(a.values(level))) for a in ATTRIBUTES}
    return {name: values[family % len(values)] for name, values in shuffled.items()}


def _base(rng: random.Random, level: Level, turn: Values, fixed: Values, lead: str) -> Values:
    """Draw the base of a family: it shows `fixed` and some value of the attribute `lead`, and no held-out pair.

    Half of its other values are those in `turn`, so that few families show most values of the level.
    """
    while True:
        base = draw_values(rng, level)
        base |= {name: value for name, value in turn.items() if rng.random() < 0.5} | fixed
        figure = visible(**base)
        shown = all(getattr(figure, name) == value for name, value in fixed.items())
        if shown and getattr(figure, lead) != HIDDEN and not figure.shows_held_out_pair():
            return base


def _free_names(rng: random.Random, base: Values, lead: str) -> list[str]:
    """Order the attributes that may be free in a family: its lead first, then the likelier first."""
    weights = _FREE_WEIGHTS | {"hat_color" if base["head"] in HATS else "hair_color": 2.0}
    if base["object_kind"] != NONE:
        weights |= _OBJECT_WEIGHTS
    keys = {name: rng.random() ** (1 / weight) for name, weight in weights.items()}
    return [lead, *sorted(keys.keys() - {lead}, key=lambda name: -keys[name])]


def _ordered_values(rng: random.Random, gallery: str, level: Level, held_out: Pair | None) -> dict[str, list[str]]:
    """Order every attribute's values for one family; all colours in one order, so that parts share them."""
    usual = random.Random(gallery)
    values = dict.fromkeys(value for attribute in ATTRIBUTES for value in attribute.hard)
    rank = {value: _SHARED * usual.random() + (1 - _SHARED) * rng.random() for value in values}
    first = held_out or ()

    def key(name: str) -> Callable[[str], float]:
        return lambda value: -2.0 if (name, value) in first else -1.0 if value == NONE else rank[value]

    return {a.name: sorted(a.values(level), key=key(a.name)) for a in ATTRIBUTES}


def _lead(level: Level, family: int) -> str:
    """Return the attribute that is free in the family whatever is drawn: every one that the level varies, in turn."""
    objects = allowed("object_kind", level) != (NONE,)
    varied = [name for name in _LEADS if objects or not name.startswith("object_")]
    return varied[(family - (family + _HELD_OUT_EVERY // 2) // _HELD_OUT_EVERY) % len(varied)]


def _plan(purpose: str, level: Level, seed: int, family: int) -> _Plan:
    gallery = f"{purpose} {level} {seed}"
    rng = random.Random(f"{gallery} {family}")
    held_out = _held_out_pair(purpose, level, seed, family)
    fixed = dict(held_out[:1]) if held_out else {}
    lead = held_out[1][0] if held_out else _lead(level, family)
    base = _base(rng, level, _turn_values(gallery, level, family), fixed, lead)
    names = [name for name in _free_names(rng, base, lead) if name not in fixed]
    return _Plan(base, names, _ordered_values(rng, gallery, level, held_out), held_out is not None)


def _family(plan: _Plan, rng: random.Random, taken: set[Figure]) -> list[Figure]:
    """Return `FAMILY_SIZE` figures, a few of them twice, and mark them as taken."""
    distinct = FAMILY_SIZE - NEAR_DUPLICATES
    sizes = dict.fromkeys(plan.names[:_FREE_ATTRIBUTES], 2)
    while len(free := [figure for figure in plan.members(sizes) if figure not in taken]) < distinct:
        plan.grow(sizes)
    figures = rng.sample(free, distinct)
    taken.update(figures)
    return figures + rng.sample(figures, NEAR_DUPLICATES)


@lru_cache(maxsize=3)
def _galleries(level: Level) -> dict[tuple[str, int], list[list[Figure]]]:
    """Return the families of every collection of `level`, by purpose and seed; no figure is in two of them."""
    taken: set[Figure] = set()
    galleries: dict[tuple[str, int], list[list[Figure]]] = {}
    for seed, purpose in product(range(SEEDS), COLLECTIONS):
        rng = random.Random(f"members {purpose} {level} {seed}")
        plans = (_plan(purpose, level, seed, family) for family in range(MAX_FAMILIES))
        galleries[purpose, seed] = [_family(plan, rng, taken) for plan in plans]
    return galleries


def collection(purpose: str, level: Level = "medium", seed: int = 0, images: int = 1500) -> list[Sample]:
    """Return the images of a gallery, family by family; a smaller gallery is the beginning of a larger one.

    A `UserError` says which purposes, seeds and sizes are kept apart from training.
    """
    most = FAMILY_SIZE * MAX_FAMILIES
    if purpose not in COLLECTIONS or not 0 <= seed < SEEDS or not 0 < images <= most:
        raise UserError(
            f"no collection `{purpose}` with seed {seed} and {images} images: choose one of {', '.join(COLLECTIONS)}, "
            f"a seed below {SEEDS} and at most {most} images"
        )
    members = ((index, figure) for index, family in enumerate(_galleries(level)[purpose, seed]) for figure in family)
    rng = random.Random(f"nuisance {purpose} {level} {seed}")
    return [_sample(figure, family, level, rng.randrange(2**32)) for family, figure in islice(members, images)]


def _sample(figure: Figure, family: int, level: Level, image_seed: int) -> Sample:
    return Sample(figure, Nuisance.draw(random.Random(image_seed), level), family, image_seed)


@lru_cache(maxsize=1)
def _reserved() -> frozenset[Figure]:
    """Return every figure of every collection."""
    families = (family for level in get_args(Level) for gallery in _galleries(level).values() for family in gallery)
    return frozenset(figure for family in families for figure in family)


def training_bucket(figure: Figure) -> str:
    """Return the one training purpose that may show `figure`, by a hash of its whole attribute combination."""
    digest = sha256("\0".join(astuple(figure)).encode()).digest()
    return TRAINING[int.from_bytes(digest[:4], "big") % len(TRAINING)]


def may_train(purpose: str, figure: Figure) -> bool:
    """Whether models of the training `purpose` may be shown `figure`."""
    return training_bucket(figure) == purpose and not figure.shows_held_out_pair() and figure not in _reserved()


def training_pairs(purpose: str, level: Level, seed: int, count: int) -> Iterator[tuple[Figure, Figure]]:
    """Yield `count` pairs (reference, target), one to three edits apart, both free to train `purpose`."""
    _check_training(purpose)
    rng = random.Random(f"pairs {purpose} {level} {seed}")
    while count:
        values = draw_values(rng, level)
        reference = visible(**values)
        if may_train(purpose, reference) and (target := _sibling(rng, purpose, level, values)):
            yield reference, target
            count -= 1


def _sibling(rng: random.Random, purpose: str, level: Level, values: Values) -> Figure | None:
    """Return a figure one to three edits from `values` that may train `purpose`, unless tries run out."""
    reference, edits = visible(**values), rng.choice((1, 1, 2, 2, 3))
    tries = (visible(**edited(rng, level, values, edits)) for _ in range(_SIBLING_TRIES))
    return next((figure for figure in tries if figure != reference and may_train(purpose, figure)), None)


def training_figures(purpose: str, level: Level, seed: int, count: int) -> Iterator[Figure]:
    """Yield `count` figures free to train `purpose`: half drawn alone, half as siblings one to three edits apart."""
    _check_training(purpose)
    pairs, singles = training_pairs(purpose, level, seed, count), _singles(purpose, level, seed)
    turns = ((next(singles), next(singles)) if turn % 2 else next(pairs) for turn in range(count))
    yield from islice((figure for two in turns for figure in two), count)


def _singles(purpose: str, level: Level, seed: int) -> Iterator[Figure]:
    rng = random.Random(f"figures {purpose} {level} {seed}")
    while True:
        figure = visible(**draw_values(rng, level))
        if may_train(purpose, figure):
            yield figure


def _check_training(purpose: str) -> None:
    if purpose not in TRAINING:
        raise UserError(f"no models are trained on `{purpose}`: choose one of {', '.join(TRAINING)}")
