"""Trains toy stages in a process of its own: python toy_stage.py FOLDER... --stage STAGE... [--slow SECONDS]."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor
from toy_training import ToyImages, ToyRetriever, toy_triplets

from cirgen_benchmark.models.base import Retriever, Tokens
from cirgen_benchmark.training.settings import BankSettings, OptimiserSettings, StageSettings
from cirgen_benchmark.training.trainer import Trained, train

IMAGES = 30
STAGES = {
    "one": StageSettings(
        loss="in_batch",
        trains="all",
        both_directions=True,
        mask_duplicates=True,
        hard_negatives=2,
        accumulate=2,
        epochs=6,
        batch=8,
        temperature=0.2,
        learn_temperature=True,
        evaluate_every=7,
        optimiser=OptimiserSettings(rate=0.01),
    ),
    "two": StageSettings(
        loss="bank",
        trains="query",
        accumulate=2,
        epochs=6,
        batch=8,
        temperature=0.2,
        learn_temperature=True,
        evaluate_every=7,
        optimiser=OptimiserSettings(rate=0.01),
        bank=BankSettings(mask_positives=True, on_disk=True, extra_images=True, chunk=7),
    ),
    "two, sampled": StageSettings(
        loss="bank",
        trains="query",
        epochs=6,
        batch=8,
        temperature=0.2,
        optimiser=OptimiserSettings(rate=0.01),
        bank=BankSettings(negatives=5),
    ),
    "two, in-batch": StageSettings(
        loss="in_batch",
        trains="query",
        both_directions=True,
        hard_negatives=1,
        epochs=6,
        batch=8,
        temperature=0.2,
        optimiser=OptimiserSettings(rate=0.01),
    ),
}
"""Every option that has a state or is shared among processes is in one of them."""


class SlowRetriever(ToyRetriever):
    """Takes its time for every query, so that a kill finds it at work."""

    seconds = 0.0
    identity = "toy"  # in whatever module it is run

    def compose(self, references: Tensor, tokens: Tokens) -> Tensor:
        if torch.is_grad_enabled():
            time.sleep(self.seconds)
        return super().compose(references, tokens)


def score(model: Retriever) -> float:
    """Return a figure that goes up and down."""
    assert isinstance(model, ToyRetriever)
    return float(torch.sin(50 * model.words.weight.norm()))


def run(folder: Path, stage: str, mode: str = "eval", slow: float = 0.0, seconds: float = 0.0) -> Trained:
    """Train a stage, or go on with it."""
    triplets = toy_triplets(45, IMAGES, hard=2)
    settings = STAGES[stage].model_copy(update={"mode": mode})
    model = SlowRetriever(dropout=0.3)
    model.seconds = slow
    images = ToyImages(IMAGES, twins={"image-7": "image-3"})
    return train(
        model,
        triplets,
        images,
        settings,
        folder=folder,
        seed=5,
        evaluate=score,
        extra_images=images.ids,
        cache=folder.parent / "encoded",
        checkpoint_every_seconds=seconds,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--stage", action="append", required=True, choices=list(STAGES))
    parser.add_argument("--mode", default="eval")
    parser.add_argument("--slow", type=float, default=0.0)
    options = parser.parse_args()
    for folder in options.folders:
        for stage in options.stage:
            run(folder / stage, stage, options.mode, options.slow)
