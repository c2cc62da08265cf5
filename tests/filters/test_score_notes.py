"""Every score that a corpus publishes is explained to its reader."""

from __future__ import annotations

import pytest

from cirgen.filters.registry import FILTERS
from deciding import Plane, make_filter, measure, triplets

NEEDED = {"similarity": {"upper": 0.9}, "reference_leak": {"max_share": 0.5}, "agreement": {"min_target": 0.1}}
NEEDED |= {
    "judge": {"min_yes": 0.5},
    "claims": {"min_true": 0.5},
    "change_count": {"max_changes": 2},
    "round_trip": {"min_passed": 2},
    "likelihood": {"min_share": 0.5},
    "shortcut": {"min_text_rank": 11},
    "too_broad": {"max_rivals": 9},
    "target_leak": {"max_share": 0.8},
    "decontamination": {"against": ["list.parquet"]},
    "contradiction": {"classifier": {"model": "an/nli"}, "max_target": 0.5},
    "unsafe": {"classifier": {"model": "a/model"}, "labels": ["neutral"], "max_probability": 0.5},
}


@pytest.mark.parametrize("name", FILTERS.names)
def test_a_filter_explains_every_score_that_it_gives_and_no_other(name: str) -> None:
    part = make_filter(name, **NEEDED.get(name, {}))
    near = [{"image_id": name, "kind": "mined"} for name in ("20", "40")]
    [score] = measure(part, triplets({"text": "make the shirt blue", "hard_negatives": near}), Plane())
    assert set(part.score_notes) == set(score.values)
    assert bool(part.score_notes) == part.measures
    assert all(note.meaning and note.values for note in part.score_notes.values())


@pytest.mark.parametrize("name", FILTERS.names)
def test_what_decides_is_named_as_the_recipe_names_it(name: str) -> None:
    part = make_filter(name, **NEEDED.get(name, {}))
    said = " ".join(note.rejects for note in part.score_notes.values())
    settings = {word for word in said.split("`")[1::2]} - {*part.score_notes, "shuffles", "text"}
    assert settings <= set(part.Settings.model_fields)
