"""The queries that baselines rank: those of validation and test, text-first and mined, in either wording."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cirgen.world.corpus.questions import Question
from cirgen.world.corpus.rankings import EVALUATED, GOOD, Part, Query
from cirgen.world.corpus.tables import CorpusTables


def parts(tables: CorpusTables, recipe_hash: str, questions: Mapping[str, Sequence[Question]]) -> Iterator[Part]:
    """Yield the parts of every split that is evaluated; one may have no query."""
    for split in EVALUATED:
        asked = questions.get(split, ())
        yield Part("text_first", split, "text", [_asked(one, one.text) for one in asked])
        yield Part("text_first", split, "reworded", [_asked(one, one.reworded) for one in asked])
        yield Part("triplets", split, "text", _mined(tables, recipe_hash, split))


def _asked(one: Question, text: str) -> Query:
    return Query(one.query_id, one.reference, text, one.targets, one.slices)


def _mined(tables: CorpusTables, recipe_hash: str, split: str) -> list[Query]:
    good = {one.triplet_id for one in tables.truths if one.verdict.good}
    return [
        Query(
            row["triplet_id"],
            row["reference_id"],
            row["text"],
            (row["target_id"], *row["positive_ids"]),
            (*row["slices"], *((GOOD,) if row["triplet_id"] in good else ())),
        )
        for row in tables.accepted(split, recipe_hash)
    ]
