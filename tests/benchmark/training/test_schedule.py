"""Rates by the step: as PyTorch has them, of each part its own, and the same after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR
from toy_training import ToyImages, ToyRetriever, toy_triplets

from cirgen.errors import UserError
from cirgen_benchmark.training.schedule import Cosine, Decay, OneCycle
from cirgen_benchmark.training.settings import OptimiserSettings, PartRate, StageSettings
from cirgen_benchmark.training.trainer import Trained, train

STEPS_PER_EPOCH = 7


@pytest.mark.parametrize(("epochs", "rise", "start"), [(30, 1.5, 0.01), (80, 1.6, 0.04), (2, 1.0, 0.5)])
def test_a_cycle_is_that_of_pytorch(epochs: int, rise: float, start: float) -> None:
    optimiser = AdamW([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = OneCycleLR(
        optimiser, max_lr=1.0, epochs=epochs, steps_per_epoch=STEPS_PER_EPOCH, pct_start=rise / epochs,
        div_factor=1 / start,
    )  # fmt: skip
    ours = OneCycle(epochs=epochs, rise_epochs=rise, start=start)
    for step in range(epochs * STEPS_PER_EPOCH):
        assert ours.share(step, STEPS_PER_EPOCH) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-9)
        optimiser.step()
        if step + 1 < epochs * STEPS_PER_EPOCH:
            theirs.step()
    assert ours.share(10**6, STEPS_PER_EPOCH) == pytest.approx(start * 1e-4)


def test_a_decay_stops_where_it_is_told_to() -> None:
    decay = Decay(factor=0.1, every_epochs=5, until_epoch=10)
    shares = [round(decay.share(epoch * STEPS_PER_EPOCH, STEPS_PER_EPOCH), 6) for epoch in range(30)]
    assert shares == [1.0] * 5 + [0.1] * 5 + [0.01] * 20
    assert decay.share(5 * STEPS_PER_EPOCH - 1, STEPS_PER_EPOCH) == 1.0


def test_a_cosine_goes_down_epoch_by_epoch_and_up_again() -> None:
    cosine = Cosine(epochs=10)
    shares = [cosine.share(epoch * STEPS_PER_EPOCH, STEPS_PER_EPOCH) for epoch in range(21)]
    assert shares[0] == shares[20] == 1.0
    assert shares[5] == pytest.approx(0.5)
    assert shares[10] == 0.0
    assert shares[9] == pytest.approx(shares[11])
    assert cosine.share(STEPS_PER_EPOCH - 1, STEPS_PER_EPOCH) == 1.0


def test_a_cycle_that_never_falls_is_refused() -> None:
    with pytest.raises(ValidationError, match="set rise_epochs below epochs"):
        OneCycle(epochs=2, rise_epochs=2)


def trained(folder: Path, model: ToyRetriever | None = None, **optimiser: Any) -> Trained:
    settings = StageSettings(
        loss="in_batch", steps=6, batch=4, evaluate_every=1, optimiser=OptimiserSettings(rate=0.1, **optimiser)
    )
    return train(model or ToyRetriever(), toy_triplets(12, 9), ToyImages(9), settings, folder=folder)


def test_a_part_learns_at_its_own_rate(tmp_path: Path) -> None:
    """At a rate of next to nothing the pixels stay where they were, while the words learn."""
    before, model = ToyRetriever(), ToyRetriever()
    trained(tmp_path, model, rates=({"of": "pixels", "rate": 1e-12},), weight_decay=0)
    torch.testing.assert_close(model.pixels.weight, before.pixels.weight, rtol=0, atol=1e-9)
    assert (model.words.weight - before.words.weight).abs().max() > 0.01


def test_equal_rates_are_one_rate(tmp_path: Path) -> None:
    one = trained(tmp_path / "one")
    other = trained(tmp_path / "other", rates=({"of": "pixels", "rate": 0.1},))
    assert one.losses == other.losses


def test_a_rate_of_no_parameter_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"No parameter that learns is called 'pixel\.\.\.'.* begin with pixels, words"
    ):
        trained(tmp_path, rates=({"of": "pixel", "rate": 0.1},))


def test_a_scheduled_stage_that_is_interrupted_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    settings = StageSettings(
        loss="in_batch", steps=6, batch=4, evaluate_every=1,
        optimiser=OptimiserSettings(
            rate=0.1, rates=(PartRate(of="words", rate=0.2),), schedule=OneCycle(epochs=2, rise_epochs=1)
        ),
    )  # fmt: skip
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    looks = 0

    def interrupting(_: object) -> float:
        nonlocal looks
        looks += 1
        if looks == 4:
            raise InterruptedError
        return 0.0

    def run(folder: Path, evaluate: Any) -> Trained:
        return train(
            ToyRetriever(), toy_triplets(12, 9), ToyImages(9), settings, folder=folder, evaluate=evaluate,
            checkpoint_every_seconds=0,
        )  # fmt: skip

    with pytest.raises(InterruptedError):
        run(parts, interrupting)
    assert run(parts, lambda _: 0.0).losses == run(whole, lambda _: 0.0).losses
    for path in whole.iterdir():
        assert path.read_bytes() == (parts / path.name).read_bytes(), path.name
