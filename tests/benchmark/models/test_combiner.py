from __future__ import annotations

import torch
from tiny_models import tiny_images, tiny_retriever, tiny_texts


@torch.no_grad()
def test_an_untrained_combiner_ranks_as_the_sum() -> None:
    """Both tiny checkpoints have the same weights."""
    plain, combining = tiny_retriever("clip"), tiny_retriever("combiner")
    pixels, tokens = torch.stack([plain.preprocess(i) for i in tiny_images(6)]), plain.tokenize(tiny_texts(6))
    references = plain.encode_references(pixels)
    assert torch.equal(combining.encode_references(pixels), references)
    torch.testing.assert_close(combining.compose(references, tokens), plain.compose(references, tokens))


@torch.no_grad()
def test_the_seed_decides_the_first_weights() -> None:
    weights = [tiny_retriever("combiner", seed=0, **options).state_dict() for options in ({}, {"projection": 2})]
    assert weights[0]["combiner.text.0.weight"].shape[0] == 2 * weights[1]["combiner.text.0.weight"].shape[0]
