"""Tokens are made once, and a batch's are what the model would make of the batch alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from tiny_models import TINY_FAMILIES, tiny_retriever, tiny_texts
from toy_training import ToyRetriever

from cirgen_benchmark.models.base import Tokens
from cirgen_benchmark.training import texts as texts_module
from cirgen_benchmark.training.batches import Part
from cirgen_benchmark.training.texts import Texts

CPU = torch.device("cpu")


def part(triplets: Sequence[int], draws: Sequence[float]) -> Part:
    return Part(np.array(triplets), np.array(draws), slice(0, len(triplets)), 0)


@pytest.mark.parametrize("family", TINY_FAMILIES)
@pytest.mark.parametrize("kept", [True, False])
def test_a_batch_has_the_tokens_that_the_model_makes_of_it_alone(
    family: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, texts = tiny_retriever(family), tiny_texts(40)
    monkeypatch.setattr(texts_module, "KEPT_TEXTS", 200 if kept else 0)
    table = Texts(model, [(text,) for text in texts], CPU)
    for chosen in ([3, 11, 4], [0], list(range(40))):
        found = table.tokens(part(chosen, [0.5] * len(chosen)))
        alone = model.tokenize([texts[number] for number in chosen])
        assert found.keys() == alone.keys()
        assert all(torch.equal(found[name], alone[name]) for name in alone)


class FixedLength(ToyRetriever):
    """Pads every batch to eight words, which it counts on."""

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        tokens = super().tokenize(texts)
        return {name: torch.nn.functional.pad(t, (0, 8 - t.shape[1])) for name, t in tokens.items()}


def test_tokens_of_a_model_that_pads_to_a_fixed_length_are_not_cut() -> None:
    table = Texts(FixedLength(), [("red",), ("blue dark",)], CPU)
    assert table.tokens(part([0], [0.0]))["input_ids"].shape == (1, 8)


def test_a_draw_picks_one_of_a_triplets_texts_and_a_share_has_its_own() -> None:
    table = Texts(ToyRetriever(), [("red", "blue"), ("dark",), ("tall", "red", "pale")], CPU)
    whole = Part(np.array([2, 0, 1]), np.array([0.99, 0.2, 0.7]), slice(0, 2), 0)
    assert table.tokens(whole)["input_ids"].tolist() == ToyRetriever().tokenize(["pale", "red"])["input_ids"].tolist()
