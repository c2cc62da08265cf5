"""Which triplets and texts a step sees depends on the seed and the step alone, however many processes share it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_training import ToyImages, toy_triplets

from cirgen.errors import UserError
from cirgen_benchmark.training.batches import Batches
from cirgen_benchmark.training.indexed import index_triplets
from cirgen_benchmark.training.settings import StageSettings
from cirgen_benchmark.triplets import Triplet


def settings(**fields: object) -> StageSettings:
    return StageSettings.model_validate({"steps": 100, "batch": 4} | fields)


def seen(batches: Batches, steps: range) -> list[list[int]]:
    return [[int(t) for part in batches.parts(step) for t in part.triplets] for step in steps]


@given(st.integers(4, 40), st.integers(0, 1000))
def test_an_epoch_shows_every_triplet_once_and_drops_what_is_left(triplets: int, seed: int) -> None:
    batches = Batches(triplets, settings(epochs=2, steps=None), seed)
    epoch = triplets // 4
    assert batches.steps == 2 * epoch
    shown = [number for batch in seen(batches, range(epoch)) for number in batch]
    assert len(set(shown)) == len(shown) == 4 * epoch


def test_each_epoch_has_an_order_and_texts_of_its_own() -> None:
    batches = Batches(40, settings(), 0)
    assert seen(batches, range(10)) != seen(batches, range(10, 20))
    drawn = [np.sort(np.concatenate([part.draws for part in batches.parts(step)])).tolist() for step in range(20)]
    assert len({draw for step in drawn for draw in step}) == 80


@given(st.integers(0, 99), st.integers(0, 5))
def test_a_step_does_not_depend_on_the_steps_before(step: int, seed: int) -> None:
    straight = Batches(23, settings(), seed)
    everything = seen(straight, range(step + 1))
    assert seen(Batches(23, settings(), seed), range(step, step + 1)) == everything[-1:]


@pytest.mark.parametrize(("parts", "processes"), [(1, 2), (2, 2), (2, 1), (1, 4)])
def test_processes_share_the_very_parts_that_one_process_has(parts: int, processes: int) -> None:
    stage = settings(accumulate=parts)
    alone = list(Batches(23, stage, 1).parts(3))
    shares = [list(Batches(23, stage, 1, processes, process).parts(3)) for process in range(processes)]
    for number, whole in enumerate(alone):
        together = np.concatenate([share[number].triplets[share[number].own] for share in shares])
        assert together.tolist() == whole.triplets.tolist()


def test_too_few_triplets_or_uneven_shares_are_errors_that_name_the_fix() -> None:
    with pytest.raises(UserError, match="set batch to 3 or less"):
        Batches(3, settings(), 0)
    with pytest.raises(UserError, match="multiple of 6"):
        Batches(30, settings(accumulate=3), 0, processes=2)


def test_pictures_are_numbered_in_the_order_in_which_triplets_name_them() -> None:
    images = ToyImages(9, twins={"image-7": "image-3"})
    triplets = [
        Triplet("image-5", "image-3", ("red",), hard_negatives=("image-8", "image-1"), positives=("image-0",)),
        Triplet("image-7", "image-2", ("blue",)),
    ]
    table = index_triplets(triplets, images, hard_negatives=1)
    assert table.pictures.ids == ["image-5", "image-3", "image-2", "image-8", "image-0"]
    assert (table.references.tolist(), table.targets.tolist()) == ([0, 1], [1, 2])
    assert (table.named, table.shown) == (3, 4)
    assert [rows.tolist() for rows in table.hard_negatives] == [[3], []]
    assert [rows.tolist() for rows in table.positives] == [[4], []]


def test_triplets_are_hashed_by_what_is_shown_and_not_by_ids() -> None:
    images = ToyImages(9, twins={"image-7": "image-3"})
    one, other = (index_triplets([Triplet("image-5", name, ("red",))], images) for name in ("image-3", "image-7"))
    assert one.digest() == other.digest()
    assert one.digest() != index_triplets([Triplet("image-5", "image-4", ("red",))], images).digest()
    assert one.digest() != index_triplets([Triplet("image-5", "image-3", ("blue",))], images).digest()


def test_triplets_that_cannot_be_trained_on_are_errors_that_count() -> None:
    images = ToyImages(3)
    with pytest.raises(UserError, match="no triplets"):
        index_triplets([], images)
    with pytest.raises(UserError, match="1 of 2 triplets have no modification text"):
        index_triplets([Triplet("image-0", "image-1", ("red",)), Triplet("image-0", "image-1", ())], images)
    with pytest.raises(UserError, match="2 of 3 images that triplets name are missing, the first is 'gone'"):
        index_triplets([Triplet("gone", "image-1", ("red",), positives=("lost",))], images)


def test_every_text_of_a_triplet_is_drawn_about_as_often() -> None:
    triplets = toy_triplets(40, 9)
    batches = Batches(len(triplets), settings(batch=40), 0)
    draws = np.concatenate([part.draws for step in range(100) for part in batches.parts(step)])
    assert abs((draws < 0.25).mean() - 0.25) < 0.03
