"""The in-batch loss is InfoNCE, one-directional by default, with the negatives that were asked for."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from cirgen_benchmark.training.losses import InBatchLoss

TEMPERATURE = 0.07


def vectors(seed: int, *shape: int) -> Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=-1)


def info_nce(cosines: Tensor, right: int, counted: list[int]) -> Tensor:
    """Return -log of the right one's share among those that count."""
    powers = torch.exp(cosines / TEMPERATURE)
    return -torch.log(powers[right] / powers[counted].sum())


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(0, 3), st.sampled_from([None, 2]))
def test_by_default_a_query_looks_for_its_target_among_all_targets(
    seed: int, batch: int, further: int, several: int | None
) -> None:
    queries = vectors(seed, batch, 5)
    targets = vectors(seed + 1, batch + further, *([several] if several else []), 5)
    nearest = [targets @ q if several is None else (targets @ q).amax(dim=1) for q in queries]
    everyone = list(range(batch + further))
    expected = torch.stack([info_nce(cosines, i, everyone) for i, cosines in enumerate(nearest)]).mean()
    torch.testing.assert_close(InBatchLoss(TEMPERATURE).double()(queries, targets), expected)


def test_both_directions_are_averaged() -> None:
    queries, targets = vectors(1, 4, 5), vectors(2, 6, 5)
    forth = InBatchLoss(TEMPERATURE)(queries, targets)
    back = torch.stack([info_nce(queries @ targets[i], i, [0, 1, 2, 3]) for i in range(4)]).mean()
    both = InBatchLoss(TEMPERATURE, both_directions=True)(queries, targets)
    torch.testing.assert_close(both, (forth + back) / 2, rtol=1e-6, atol=1e-6)


def test_what_is_ignored_is_no_negative_and_a_target_never_is() -> None:
    queries, targets = vectors(1, 2, 5), vectors(2, 4, 5)
    ignored = torch.tensor([[True, True, False, False], [False, False, False, True]])
    found = InBatchLoss(TEMPERATURE).double()(queries, targets, ignored=ignored)
    first = info_nce(targets @ queries[0], 0, [0, 2, 3])
    second = info_nce(targets @ queries[1], 1, [0, 1, 2])
    torch.testing.assert_close(found, (first + second) / 2)


def test_from_target_to_query_a_query_that_the_target_is_right_for_is_ignored() -> None:
    queries, targets = vectors(1, 3, 5), vectors(2, 3, 5)
    ignored = torch.zeros(3, 3, dtype=torch.bool)
    ignored[2, 0] = True  # the first target is right for the third query, too
    both = InBatchLoss(TEMPERATURE, both_directions=True).double()(queries, targets, ignored=ignored)
    forth = [info_nce(targets @ queries[i], i, [0, 1, 2] if i < 2 else [1, 2]) for i in range(3)]
    back = [info_nce(queries @ targets[i], i, [0, 1] if i == 0 else [0, 1, 2]) for i in range(3)]
    torch.testing.assert_close(both, (torch.stack(forth).mean() + torch.stack(back).mean()) / 2)


@given(st.integers(0, 1000), st.booleans(), st.integers(1, 3))
def test_shares_of_a_batch_average_to_the_whole(seed: int, both: bool, share: int) -> None:
    queries, targets = vectors(seed, 2 * share, 5), vectors(seed + 1, 2 * share + 1, 5)
    ignored = torch.rand(2 * share, 2 * share + 1, generator=torch.Generator().manual_seed(seed)) < 0.3
    loss = InBatchLoss(TEMPERATURE, both_directions=both).double()
    halves = [
        loss(queries[start : start + share], targets, torch.arange(start, start + share), ignored, queries)
        for start in (0, share)
    ]
    torch.testing.assert_close(torch.stack(halves).mean(), loss(queries, targets, ignored=ignored))


def test_a_temperature_that_is_learned_gets_a_gradient_and_a_fixed_one_does_not() -> None:
    queries, targets = vectors(1, 3, 5).float(), vectors(2, 3, 5).float()
    learned = InBatchLoss(TEMPERATURE, learn_temperature=True)
    learned(queries, targets, ignored=torch.ones(3, 3, dtype=torch.bool).triu()).backward()
    assert learned.temperature.value.grad is not None
    assert learned.temperature.value.grad.isfinite()
    assert not InBatchLoss(TEMPERATURE)(queries, targets).requires_grad
