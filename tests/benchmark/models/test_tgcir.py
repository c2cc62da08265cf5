from __future__ import annotations

import torch
from tiny_models import WIDTH, tiny_images, tiny_retriever, tiny_texts

from cirgen_benchmark.models.tgcir import AttributeTokens

COUNT = 4


@torch.no_grad()
def test_references_are_four_global_and_eight_local_tokens() -> None:
    model = tiny_retriever("tgcir")
    references = model.encode_references(torch.stack([model.preprocess(i) for i in tiny_images(COUNT)]))
    assert references.shape == (COUNT, 12, WIDTH)
    other = tiny_retriever("tgcir", global_tokens=1, local_tokens=2)
    assert other.encode_references(torch.zeros(1, 3, 32, 32)).shape == (1, 3, WIDTH)


@torch.no_grad()
def test_a_gate_that_is_open_keeps_the_reference_and_one_that_is_shut_takes_the_text() -> None:
    model = tiny_retriever("tgcir")
    pixels = torch.stack([model.preprocess(i) for i in tiny_images(COUNT)])
    references, targets = model.encode_images(pixels)
    tokens = model.tokenize(tiny_texts(COUNT))
    last = model.gate[-1]
    last.weight.zero_()
    last.bias.fill_(100)
    torch.testing.assert_close(model.compose(references, tokens), targets)
    last.bias.fill_(-100)
    texts = torch.nn.functional.normalize(model.encode_texts(tokens).mean(dim=1), dim=-1)
    torch.testing.assert_close(model.compose(references, tokens), texts)


@torch.no_grad()
def test_hidden_states_reach_no_token() -> None:
    make = AttributeTokens(WIDTH, 4, 8)
    feature, states, mask = torch.randn(2, WIDTH), torch.randn(2, 6, WIDTH), torch.tensor([[1] * 6, [1] * 3 + [0] * 3])
    tokens = make(feature, states, mask)
    states[1, 3:] = 1000
    assert torch.equal(make(feature, states, mask), tokens)
    states[1, 2] = 1000
    assert not torch.allclose(make(feature, states, mask), tokens)


def test_images_and_texts_share_their_token_learner_until_stage_two() -> None:
    model = tiny_retriever("tgcir")
    assert model.text_attributes is None
    model.prepare_stage_two()
    assert model.text_attributes is not None
    for own, shared in zip(model.text_attributes.parameters(), model.attributes.parameters(), strict=True):
        assert own is not shared
        assert torch.equal(own, shared)
