"""Metrics from ranks, on examples that can be counted on fingers."""

from __future__ import annotations

import numpy as np
import pytest

from cirgen_benchmark.protocols.figures import (
    BEYOND,
    UNKNOWN,
    Figure,
    average,
    average_precision_at,
    recall_at,
    together,
)


def test_recall_counts_what_is_among_the_first_k() -> None:
    found = recall_at(np.array([1, 5, 6, BEYOND, UNKNOWN], np.int32), 5)
    assert found[:4].tolist() == [100, 100, 0, 0]
    assert np.isnan(found[4])


@pytest.mark.parametrize(
    ("ranks", "targets", "k", "expected"),
    [
        ([1, 2, 3], 3, 5, 100),
        ([1, 4, BEYOND], 2, 5, 100 * (1 + 2 / 4) / 2),
        ([2, 6, 9], 3, 5, 100 * (1 / 2) / 3),
        ([1, 2, 3], 3, 2, 100),  # min(k, targets): two of three fill the list
        ([6, 7, 8], 3, 5, 0),
    ],
)
def test_average_precision_divides_by_the_right_images_that_could_be_there(
    ranks: list[int], targets: int, k: int, expected: float
) -> None:
    assert average_precision_at(np.array([ranks], np.int32), np.array([targets]), k)[0] == pytest.approx(expected)


def test_a_query_that_is_left_out_has_no_average_precision() -> None:
    assert np.isnan(average_precision_at(np.array([[UNKNOWN, UNKNOWN]], np.int32), np.array([0]), 5)[0])


def test_a_figure_is_the_mean_over_parts_of_their_means() -> None:
    figure = Figure({"a": np.array([100.0, np.nan]), "b": np.array([0.0, 0.0, 0.0, 100.0])})
    assert figure.mean() == 62.5
    assert np.isnan(Figure({"a": np.array([100.0]), "b": np.array([np.nan])}).mean())


def test_figures_are_averaged_query_by_query_and_put_together_part_by_part() -> None:
    one, other = Figure({"a": np.array([100.0, 0.0])}), Figure({"a": np.array([0.0, 0.0])})
    assert average([one, other]).values["a"].tolist() == [50, 0]
    assert together([one, Figure({"b": np.array([0.0])})]).mean() == 25
