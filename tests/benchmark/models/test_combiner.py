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


def test_the_seed_decides_the_first_weights_of_the_network_alone() -> None:
    one, other = (tiny_retriever("combiner", **options).state_dict() for options in ({}, {"seed": 1}))
    differing = {name for name in one if not torch.equal(one[name], other[name])}
    assert differing
    assert all(name.startswith("combiner.") for name in differing)
