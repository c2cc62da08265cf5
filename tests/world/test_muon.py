"""Training on a processor without bfloat16 takes the same steps as on one that has it."""

from __future__ import annotations

import pytest
import torch

from cirgen.world.training.muon import Float32Muon, orthogonal

RATE, DECAY = 0.01, 0.02


def test_steps_are_those_of_torch_but_for_its_rounding() -> None:
    torch.manual_seed(0)
    shapes = ((24, 32), (24, 32), (32, 10))
    theirs = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    ours = [torch.nn.Parameter(one.detach().clone()) for one in theirs]
    torchs = torch.optim.Muon(theirs, lr=RATE, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw")
    own = Float32Muon(ours, RATE, DECAY)
    for _ in range(4):
        for one, other in zip(theirs, ours, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        torchs.step()
        own.step()
    for one, other in zip(theirs, ours, strict=True):
        torch.testing.assert_close(one, other, atol=RATE / 10, rtol=0)


@pytest.mark.parametrize("shape", [(3, 8, 20), (3, 20, 8), (1, 8, 8)])
def test_updates_have_singular_values_near_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert values.min() > 0.3 and values.max() < 1.4


def test_a_matrix_without_a_gradient_stays() -> None:
    idle = torch.nn.Parameter(torch.ones(2, 2))
    Float32Muon([idle], RATE, DECAY).step()
    assert torch.equal(idle.detach(), torch.ones(2, 2))
