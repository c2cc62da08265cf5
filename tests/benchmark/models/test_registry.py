from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import tiny_checkpoint, tiny_retriever
from transformers import (
    AutoTokenizer,
    Blip2Config,
    Blip2ForImageTextRetrieval,
    BlipConfig,
    BlipForImageTextRetrieval,
    BlipImageProcessorPil,
)

from cirgen.errors import UserError
from cirgen.resources import local_path
from cirgen_benchmark.models.registry import FAMILIES, load_retriever
from cirgen_benchmark.models.stock import StockRetriever


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A copy of the tiny CLIP that a test may spoil."""
    return Path(shutil.copytree(tiny_checkpoint("clip"), tmp_path / "model"))


def test_a_family_that_is_unknown_is_answered_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"'clip2' is no family.*clip, combiner, tgcir, blip, blip2"):
        load_retriever("clip2", str(tiny_checkpoint("clip")))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("other", ["clip", "blip", "blip2"])
def test_a_checkpoint_of_another_architecture_is_refused(family: str, other: str) -> None:
    found = json.loads((tiny_checkpoint(other) / "config.json").read_text())["model_type"]
    if found in FAMILIES[family].model_types:
        load_retriever(family, str(tiny_checkpoint(other)))
        return
    with pytest.raises(UserError, match=f"type {found}; name another model or another family"):
        load_retriever(family, str(tiny_checkpoint(other)))


@pytest.mark.parametrize("options", [{"target_padding": 1.25}, {"target_pad": 0.5}, {"text_length": 0}])
def test_a_wrong_option_is_named_and_the_known_ones_listed(options: dict[str, object]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(options))}.*it knows target_pad, text_length"):
        load_retriever("clip", str(tiny_checkpoint("clip")), **options)


def test_a_checkpoint_that_lacks_weights_is_refused_and_they_are_listed(checkpoint: Path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 1 weights.*text_projection\.weight"):
        load_retriever("clip", str(checkpoint))


def test_a_tokenizer_of_another_model_is_found_out(checkpoint: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    tokenizer.add_tokens(["chartreuse"])
    tokenizer.save_pretrained(checkpoint)
    model = load_retriever("clip", str(checkpoint))
    model.tokenize(["make it red"])
    with pytest.raises(UserError, match="no token 'chartreuse'"):
        model.tokenize(["make it chartreuse"])


def test_where_a_model_lies_is_no_part_of_what_it_is(checkpoint: Path) -> None:
    here, there = load_retriever("clip", str(checkpoint)), tiny_retriever("clip")
    assert here.identity == there.identity
    assert here.identity != tiny_retriever("clip", checkpoint_seed=1).identity
    assert here.identity != tiny_retriever("clip", target_pad=None).identity
    assert here.identity != tiny_retriever("combiner").identity


def test_the_encoder_that_ships_with_cirgen_is_a_retrieval_model() -> None:
    model = load_retriever("clip", "cirgen:judge-encoder")
    assert model.compose(torch.zeros(1, 128), model.tokenize(["make it red"])).shape == (1, 128)


@torch.no_grad()
@pytest.mark.parametrize(
    ("family", "stock", "references", "targets"),
    [
        ("blip", lambda: BlipForImageTextRetrieval(BlipConfig(text_config={"vocab_size": 906})), (577, 768), (256,)),
        (
            "blip2",
            lambda: Blip2ForImageTextRetrieval(Blip2Config(qformer_config={"use_qformer_text_input": True})),
            (257, 1408),
            (32, 256),
        ),
    ],
)
def test_published_sizes_have_the_shapes_of_the_paper(
    family: str, stock: Callable[[], Any], references: tuple[int, ...], targets: tuple[int, ...]
) -> None:
    """Without weights: 577 x 768 image tokens of BLIP at 384 pixels, 32 x 256 target tokens of BLIP-2."""
    kind = FAMILIES[family]
    with torch.device("meta"):
        model = stock()
        side = model.config.vision_config.image_size
        retriever: StockRetriever = kind(
            model,
            AutoTokenizer.from_pretrained(local_path("cirgen:judge-encoder")),
            BlipImageProcessorPil(size={"height": side, "width": side}),
            kind.Options(),
        )
        found = retriever.encode_images(torch.empty(2, 3, side, side))
    assert [tuple(states.shape) for states in found] == [(2, *references), (2, *targets)]
