"""Every score that a corpus publishes is explained to its reader."""

from __future__ import annotations

import pyarrow as pa
import pytest

from cirgen.filters.registry import FILTERS
from cirgen.filters.tools import Tools
from cirgen.schemas import TRIPLET
from deciding import Plane, make_filter, triplets

NEEDED = {"similarity": {"upper": 0.9}, "reference_leak": {"max_share": 0.5}, "agreement": {"min_target": 0.1}}


@pytest.mark.parametrize("name", FILTERS.names)
def test_a_filter_explains_every_score_that_it_gives_and_no_other(name: str) -> None:
    part = make_filter(name, **NEEDED.get(name, {}))
    batch = pa.RecordBatch.from_pylist(triplets("make the shirt blue"), schema=TRIPLET)
    [score] = part.score(batch, Tools((Plane(),)))
    assert set(part.score_notes) == set(score.values)
    assert bool(part.score_notes) == part.measures
    assert all(note.meaning and note.values for note in part.score_notes.values())


@pytest.mark.parametrize("name", FILTERS.names)
def test_what_decides_is_named_as_the_recipe_names_it(name: str) -> None:
    part = make_filter(name, **NEEDED.get(name, {}))
    said = " ".join(note.rejects for note in part.score_notes.values())
    settings = {word for word in said.split("`")[1::2]} - {"leaked"}
    assert settings <= set(part.Settings.model_fields)
