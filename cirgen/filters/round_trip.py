"""Round trip: given reference and text, the model must pick the target among near images, in several orders.

CoLLM (arXiv 2503.19910) asks thrice among four and takes two right answers; it refined benchmarks with that, and here
it filters. Candidates are labelled by letters, and models have favourite letters: every answer is kept, so that the
report can say how often each letter was picked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from cirgen.filters.asking import AskingFilter, AskingSettings, Wanted, failure
from cirgen.filters.base import Score, ScoreNote
from cirgen.filters.candidates import distractors, shuffled
from cirgen.filters.threshold import Bound, Fitted, Percentile
from cirgen.filters.tools import Belief, Tools
from cirgen.settings import Name, Probability

LETTERS = ("A", "B", "C", "D")
OTHERS = len(LETTERS) - 1


class RoundTripSettings(AskingSettings):
    """How often the target must be picked."""

    name: Literal["round_trip"] = "round_trip"
    min_passed: int | None = Field(None, ge=0, le=100)
    """Fewest orders in which the target must be picked; 2 of 3 in CoLLM."""
    min_passed_percentile: Percentile = None
    min_passed_fit: Fitted = None
    min_share: Probability | None = None
    """Smallest mean probability of the target's letter."""
    min_share_percentile: Percentile = None
    min_share_fit: Fitted = None
    shuffles: int = Field(3, ge=1, le=100)
    """Orders of the candidates, drawn by the triplet's content."""
    prompt: Name = "pick-target"

    @model_validator(mode="after")
    def _orders(self) -> Self:
        if self.min_passed is not None and self.min_passed > self.shuffles:
            raise ValueError(f"min_passed {self.min_passed} is above shuffles {self.shuffles}; raise shuffles")
        return self


class Shuffle(NamedTuple):
    """One order of the candidates."""

    image_ids: list[str]
    place: int
    """Of the target."""


class RoundTrip(AskingFilter):
    """Asks which of four images is the target."""

    Settings = RoundTripSettings
    settings: RoundTripSettings
    chooses = True
    wanted: ClassVar[Mapping[str, Wanted]] = {"prompt": Wanted("pick", frozenset({"text"}))}
    depends_on = ("hard_negatives",)
    needs_negatives = 2
    bounds = (
        Bound("min_passed", "passed", "target not picked", least=True),
        Bound("min_share", "share", "target not sure", least=True),
    )
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "passed": ScoreNote(
            "orders of four candidates in which the model picked the target",
            "number, 0 to `shuffles`",
            "below `min_passed`",
        ),
        "share": ScoreNote(
            "mean probability of the target among the candidates; a guess has 0.25",
            "probability, 0 to 1",
            "below `min_share`",
        ),
        **{
            f"picked_{letter.lower()}": ScoreNote(
                f"orders in which the model picked candidate {letter}, wherever the target was", "number, from 0", ""
            )
            for letter in LETTERS
        },
    }

    def scoring(self) -> dict[str, object]:
        """Return prompt and number of orders."""
        return {**super().scoring(), "shuffles": self.settings.shuffles}

    def reads(self, row: Mapping[str, Any]) -> dict[str, object]:
        """Return the other candidates, and none that is mined beyond them."""
        return {"others": distractors(row, OTHERS)}

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:
        """Ask once for each order; the detail is the letters picked, each behind that of the target."""
        rows = triplets.to_pylist()
        orders = [self._orders(row) for row in rows]
        questions = [
            self.ask("prompt", (row["reference_id"], *order.image_ids), text=row["text"])
            for row, of_row in zip(rows, orders, strict=True)
            for order in of_row
        ]
        beliefs = iter(tools.model().choose(questions, LETTERS) if questions else [])
        return [_score(of_row, [next(beliefs) for _ in of_row]) for of_row in orders]

    def remarks(self, triplets: pa.Table) -> list[str]:
        """Tell how often each letter was picked: a model without a favourite picks each as often as it is right."""
        counts = [float(pc.sum(triplets.column(f"picked_{letter.lower()}")).as_py() or 0) for letter in LETTERS]
        total = sum(counts)
        if not total:
            return super().remarks(triplets)
        told = ", ".join(f"{letter} {count / total:.0%}" for letter, count in zip(LETTERS, counts, strict=True))
        return [*super().remarks(triplets), f"Letters picked: {told}; the target stands behind each equally often."]

    def _orders(self, row: Mapping[str, Any]) -> list[Shuffle]:
        """Return the orders to ask about; none where too few other images were mined."""
        others = distractors(row, OTHERS)
        if len(others) < OTHERS:
            return []
        shown = [shuffled([row["target_id"], *others], row, turn) for turn in range(self.settings.shuffles)]
        return [Shuffle(image_ids, image_ids.index(row["target_id"])) for image_ids in shown]


def _score(orders: Sequence[Shuffle], beliefs: Sequence[Belief]) -> Score:
    if not orders:
        return Score({}, "", "parse_error", "fewer than three other images are near; raise pair.hard_negatives")
    failed = failure(beliefs)
    if failed:
        return failed
    picked = [max(range(len(LETTERS)), key=belief.shares.__getitem__) for belief in beliefs]
    counts = Counter(picked)
    right = [belief.shares[order.place] for belief, order in zip(beliefs, orders, strict=True)]
    values = {
        "passed": float(sum(one == order.place for one, order in zip(picked, orders, strict=True))),
        "share": sum(right) / len(right),
        **{f"picked_{letter.lower()}": float(counts[place]) for place, letter in enumerate(LETTERS)},
    }
    told = " ".join(f"{LETTERS[order.place]}{LETTERS[one]}" for order, one in zip(orders, picked, strict=True))
    return Score(values, told)
