"""The bank has one row for each distinct picture of the triplets, then extra ones, and masks what it is told to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_training import ToyImages, ToyRetriever, toy_triplets

from cirgen_benchmark.training.bank import Bank, build_bank
from cirgen_benchmark.training.batches import Part
from cirgen_benchmark.training.features import encode_collection
from cirgen_benchmark.training.indexed import index_triplets
from cirgen_benchmark.training.settings import BankSettings
from cirgen_benchmark.triplets import Triplet

TWINS = {"image-7": "image-3"}
TRIPLETS = [
    Triplet("image-5", "image-3", ("red",), positives=("image-2", "image-8", "image-3")),
    Triplet("image-7", "image-2", ("blue",)),
]
"""Rows: image-5, image-3 (which is image-7, too), image-2; image-8 is in no triplet."""


def bank(images: ToyImages, *extra: str, file: Path | None = None, **settings: Any) -> Bank:
    encoded = encode_collection(ToyRetriever(), images, images.ids)
    table = index_triplets(TRIPLETS, images)
    return build_bank(table, encoded, images, BankSettings(**settings), extra=extra, file=file)


def both(step: int = 0) -> Part:
    return Part(np.array([0, 1]), np.zeros(2), slice(0, 2), step)


def lists(pairs: Any) -> list[list[int]]:
    found: list[list[int]] = [[], []]
    for query, row in zip(pairs.queries.tolist(), pairs.rows.tolist(), strict=True):
        found[query].append(row)
    return [sorted(rows) for rows in found]


def test_rows_are_the_distinct_pictures_in_the_order_in_which_they_are_named() -> None:
    images = ToyImages(9, TWINS)
    encoded = encode_collection(ToyRetriever(), images, images.ids)
    found = bank(images, "image-4", "image-2", "image-4")
    expected = encoded.targets_of(["image-5", "image-3", "image-2", "image-4"])
    assert torch.equal(torch.as_tensor(found.rows), expected)
    compared = found.compared(both())
    assert compared.positives.tolist() == [1, 2]
    assert compared.ignored is compared.sampled is None


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_bank_on_disk_has_the_same_rows(dtype: str, tmp_path: Path) -> None:
    images = ToyImages(9, TWINS)
    memory = bank(images, "image-4", dtype=dtype)
    disk = bank(images, "image-4", dtype=dtype, on_disk=True, file=tmp_path / "bank.npy")
    assert isinstance(disk.rows, np.memmap)
    assert np.array_equal(np.asarray(disk.rows), torch.as_tensor(memory.rows).numpy())
    assert str(disk.rows.dtype) == dtype


def test_known_positives_are_masked_where_they_are_rows() -> None:
    compared = bank(ToyImages(9, TWINS), "image-4", mask_positives=True).compared(both())
    assert lists(compared.ignored) == [[2], []]
    with_another = bank(ToyImages(9, TWINS), "image-4", "image-8", mask_positives=True).compared(both())
    assert lists(with_another.ignored) == [[2, 4], []]


def test_near_duplicates_of_the_target_are_masked() -> None:
    images = ToyImages(9, TWINS, groups={"image-2": "one", "image-5": "one", "image-4": "one"})
    compared = bank(images, "image-4", mask_groups=True).compared(both())
    assert lists(compared.ignored) == [[], [0, 3]]


def test_sampled_negatives_are_distinct_rows_that_may_be_negatives() -> None:
    images = ToyImages(9, TWINS)
    found = bank(images, "image-4", "image-6", "image-0", negatives=3, mask_positives=True)
    drawn = [lists(found.compared(both(step)).sampled) for step in range(200)]
    for first, second in drawn:
        assert len(set(first)) == len(set(second)) == 3
    assert {row for first, _ in drawn for row in first} == {0, 3, 4, 5}  # neither its target nor its other positive
    assert {row for _, second in drawn for row in second} == {0, 1, 3, 4, 5}
    assert drawn == [lists(found.compared(both(step)).sampled) for step in range(200)]


def test_more_negatives_than_rows_are_all_rows() -> None:
    found = bank(ToyImages(9, TWINS), negatives=50)
    assert lists(found.compared(both()).sampled) == [[0, 2], [0, 1]]


def test_a_share_of_a_part_draws_what_it_would_draw_in_the_whole() -> None:
    images = ToyImages(12)
    table = index_triplets(toy_triplets(6, 12), images)
    encoded = encode_collection(ToyRetriever(), images, images.ids)
    found = build_bank(table, encoded, images, BankSettings(negatives=4), seed=3)
    whole = Part(np.array([4, 1, 5, 0]), np.zeros(4), slice(0, 4), 9)
    every = found.compared(whole).sampled
    half = found.compared(replace(whole, own=slice(2, 4))).sampled
    assert every is not None
    assert half is not None
    assert every.rows[8:].tolist() == half.rows.tolist()
