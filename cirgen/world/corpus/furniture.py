"""The corpus of furniture: how it is divided, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cirgen.world.build import TABLE, shipped_furniture
from cirgen.world.corpus.negatives import KINDS
from cirgen.world.corpus.slices import BY_CHANGES, MORE
from cirgen.world.corpus.subject import Subject
from cirgen.world.furniture.families import collection
from cirgen.world.furniture.vocabulary import PALETTE, kinds
from cirgen.world.worlds import FURNITURE as WORLD

FAMILIES: Mapping[str, tuple[int, ...]] = {"train": (1, 2, 6), "validation": (5,), "test": (0, 3, 4)}
"""Each of the four pairs of values that no training of the embedded models showed is in one family, and none of these
is in train, so that they stay unseen for whoever trains on it: three are in test, one is in validation."""

MEANINGS: Mapping[str, str] = {
    "one_change": "the two pictures differ in one of: the kind of furniture, the colour of either part, the view",
    "two_changes": "they differ in two of these",
    "three_changes": "they differ in three of these",
    MORE: "they differ in all of these, or show kinds with other parts; mined rows alone",
    "relation": 'the text names a colour by another part ("the seat in the frame\'s colour") or swaps two colours',
    "kind": "the text asks for another kind of furniture",
    "view": "the text asks to see it from elsewhere",
    "unseen_pair": "one of the two pictures shows two values together, such as a lounge chair with a red seat, that "
    "no training of the embedded models showed together, and neither does any other split",
    "unreadable": "the text is outside the grammars of furniture; mined rows alone, without slices by text",
}


def facts() -> dict[str, Any]:
    """Return what the pictures were drawn from: the models with their makers, and how many colours."""
    drawn = {member.item.kind for member in collection("corpus")}
    models = [(kind.kind, kind.model, kind.creator) for kind in kinds().values() if kind.kind in drawn]
    return {"models": models, "colors": len(PALETTE)}


FURNITURE = Subject(
    world=WORLD,
    images="cirgen:furniture",
    table=shipped_furniture("corpus") / TABLE,
    families=FAMILIES,
    encoder="cirgen:furniture-judge-encoder",
    depth=10,  # the lists would be a sixth of the corpus
    template=Path(__file__).with_name("furniture.md.j2"),
    written_by="rules: cirgen.world.furniture.grammars",
    slices=MEANINGS,
    strata=(*BY_CHANGES, "relation", "kind", "view", "unseen_pair"),
    intents={"relation": "relation"},
    negatives={
        **KINDS,
        "wrong_direction": "the target, but the colour was copied the other way round",
        "unlike_reference": "fits the text by itself, but is a change of another piece of furniture",
    },
    removes=lambda *_: False,
    open_edits=lambda _: [],
    facts=facts,
)
