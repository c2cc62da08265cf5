"""The parts of a query and a target are what transformers' own forward passes give."""

from __future__ import annotations

import pytest
import torch
from model_checks import perturb
from PIL import Image
from tiny_models import DEVIATION, MEAN, SIDE, TINY_FAMILIES, tiny_images, tiny_retriever, tiny_texts
from torch import Tensor

from cirgen_benchmark.models.base import Tokens
from cirgen_benchmark.models.blip2 import plain_caption
from cirgen_benchmark.models.stock import StockRetriever, unit

COUNT = 5


def inputs_of(model: StockRetriever) -> tuple[Tensor, Tokens]:
    pixels = torch.stack([model.preprocess(image) for image in tiny_images(COUNT)])
    return pixels, model.tokenize(tiny_texts(COUNT))


@pytest.mark.parametrize("family", ["clip", "siglip"])
@torch.no_grad()
def test_clip_targets_and_texts_are_those_of_the_stock_model(family: str) -> None:
    model = tiny_retriever(family)
    pixels, tokens = inputs_of(model)
    stock = model.model(pixel_values=pixels, **tokens)
    torch.testing.assert_close(model.encode_targets(pixels), stock.image_embeds)
    no_reference = torch.zeros_like(model.encode_references(pixels))
    torch.testing.assert_close(model.compose(no_reference, tokens), stock.text_embeds)


@torch.no_grad()
def test_the_sum_is_of_features_that_are_not_normalised() -> None:
    model = tiny_retriever("clip")
    pixels, tokens = inputs_of(model)
    references = model.encode_references(pixels)
    assert references.norm(dim=-1).std() > 0.01
    longer = model.compose(10 * references, tokens)
    assert ((longer * unit(references)).sum(-1) > (model.compose(references, tokens) * unit(references)).sum(-1)).all()


@torch.no_grad()
def test_blip_targets_and_the_state_of_the_encode_token_are_those_of_the_stock_model() -> None:
    model = tiny_retriever("blip")
    pixels, tokens = inputs_of(model)
    stock = model.model(pixel_values=pixels, use_itm_head=True, **tokens)
    torch.testing.assert_close(
        model.encode_targets(pixels), unit(model.model.vision_proj(stock.last_hidden_state[:, 0]))
    )
    queries = model.compose(model.encode_references(pixels), tokens)
    torch.testing.assert_close(queries, unit(model.model.text_proj(stock.question_embeds[:, 0])))


@torch.no_grad()
def test_blip2_targets_are_those_of_the_stock_model() -> None:
    model = tiny_retriever("blip2")
    pixels, tokens = inputs_of(model)
    stock = model.model(pixel_values=pixels, **tokens)
    torch.testing.assert_close(model.encode_targets(pixels), stock.image_embeds)


@torch.no_grad()
def test_blip2_fuses_image_and_text_as_the_stock_model_does_for_matching() -> None:
    model = tiny_retriever("blip2")
    pixels, tokens = inputs_of(model)
    stock = model.model(pixel_values=pixels, use_image_text_matching_head=True, **tokens)
    fused, _ = model._fuse(model.encode_references(pixels), tokens)
    torch.testing.assert_close(fused, stock.text_model_output.last_hidden_state[:, :32])


def read_plainly(model: StockRetriever, fused: Tensor, tokens: Tokens) -> Tensor:
    """The second pass as SPN4CIR's released code has it: without image, every place is treated as text."""
    former = model.model.qformer
    states = former.layernorm(torch.cat([fused, model.model.embeddings(input_ids=tokens["input_ids"])], dim=1))
    seen = torch.cat([torch.ones(fused.shape[:2]), tokens["attention_mask"]], dim=1).bool()[:, None, None]
    for layer in former.encoder.layer:
        attention, width = layer.attention.attention, layer.attention.attention.attention_head_size
        query, key, value = (
            part(states).unflatten(-1, (-1, width)).transpose(1, 2)
            for part in (attention.query, attention.key, attention.value)
        )
        weights = (query @ key.mT / width**0.5).masked_fill(~seen, float("-inf")).softmax(-1)
        attended = layer.attention.output((weights @ value).transpose(1, 2).flatten(2), states)
        states = layer.output(layer.intermediate(attended), attended)
    return unit(model.model.text_projection(states[:, fused.shape[1]]))


@torch.no_grad()
def test_a_blip2_query_is_the_first_text_token_read_after_the_fused_states() -> None:
    model = tiny_retriever("blip2")
    pixels, tokens = inputs_of(model)
    references = model.encode_references(pixels)
    fused, _ = model._fuse(references, tokens)
    torch.testing.assert_close(model.compose(references, tokens), read_plainly(model, fused, tokens))


@torch.no_grad()
def test_the_fusing_pass_of_blip2_stays_as_stage_one_left_it() -> None:
    model = tiny_retriever("blip2")
    pixels, tokens = inputs_of(model)
    references = model.encode_references(pixels)
    before, _ = model._fuse(references, tokens)
    model.prepare_stage_two()
    assert model.reader is not None
    perturb(model.reader.parameters())
    assert torch.equal(model._fuse(references, tokens)[0], before)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ('  Make the "Dress" RED; no sleeves!! ', "make the dress red no sleeves"),
        ("has a v-neck, isn't (too) long...", "has a v-neck, isn't too long"),
        ("same\n\nshape", "same shape"),
    ],
)
def test_blip2_texts_lose_case_and_most_punctuation(text: str, plain: str) -> None:
    assert plain_caption(text) == plain


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_all_but_tgcir_pad_wide_images(family: str) -> None:
    """A white picture four times as wide as high: padding puts black above it, a plain crop does not."""
    pixels = tiny_retriever(family).preprocess(Image.new("RGB", (4 * SIDE, SIDE), "white"))
    top = pixels[:, 0, SIDE // 2] * torch.tensor(DEVIATION) + torch.tensor(MEAN)
    torch.testing.assert_close(top, torch.full((3,), 1.0 if family == "tgcir" else 0.0), atol=1e-6, rtol=0)
