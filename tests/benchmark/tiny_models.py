"""Tiny retrieval models of every family: the real architectures, random weights, milliseconds a step.

`tiny_retriever("blip2")` goes the whole way of a user's model: a checkpoint folder is saved, then loaded with
`load_retriever`. Folders live as long as the process.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoTokenizer,
    Blip2Config,
    Blip2ForImageTextRetrieval,
    BlipConfig,
    BlipForImageTextRetrieval,
    BlipImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
)

from cirgen.resources import local_path
from cirgen_benchmark.models.registry import load_retriever
from cirgen_benchmark.models.stock import StockRetriever

TINY_FAMILIES = ("clip", "siglip", "combiner", "tgcir", "blip", "blip2")
"""`siglip` is the family `clip` on a SigLIP checkpoint."""
SIDE = 32
WIDTH = 32
LAYERS = 2
TEXT_LENGTH = 24
VOCABULARY = 904
TOWER: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
}
VISION = TOWER | {"image_size": SIDE, "patch_size": 16}
TEXT = TOWER | {"vocab_size": VOCABULARY, "max_position_embeddings": TEXT_LENGTH, "pad_token_id": 0}
MEAN = (0.5, 0.4, 0.3)
DEVIATION = (0.25, 0.3, 0.35)


def tiny_retriever(family: str, checkpoint_seed: int = 0, **options: Any) -> StockRetriever:
    """Return a tiny retriever of a family in `TINY_FAMILIES`, of the same weights for the same seed."""
    folder = str(tiny_checkpoint(family, checkpoint_seed))
    return load_retriever("clip" if family == "siglip" else family, folder, **options)


@functools.cache
def tiny_checkpoint(family: str, seed: int = 0) -> Path:
    """Return a folder with a tiny random checkpoint that a family is built from."""
    folder = _scratch() / f"{family}-{seed}"
    tokenizer = AutoTokenizer.from_pretrained(local_path("cirgen:judge-encoder"))
    if family == "blip":
        tokenizer.add_special_tokens({"additional_special_tokens": ["[ENC]"]})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, image_processor = _STOCK[family]()
        _spread(model)
    for part in (model, tokenizer, image_processor):
        part.save_pretrained(folder)
    return folder


def tiny_images(count: int, seed: int = 0) -> list[Image.Image]:
    """Return pictures of several sizes, wide and tall ones among them, no two alike."""
    generator = np.random.default_rng(seed)
    sizes = [(48, 40), (40, 90), (100, 36), (32, 32)]
    return [
        Image.fromarray(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize(sizes[index % len(sizes)])
        for index in range(count)
    ]


def tiny_texts(count: int) -> list[str]:
    """Return modification texts of several lengths, no two alike."""
    words = ("red", "blue", "green", "yellow", "black", "white", "brown", "pink")
    patterns = ("make it {}", "the shirt is {} instead", "with {} hair and a hat that is {}", "{}")
    return [
        f"{patterns[index % len(patterns)].format(words[index % len(words)], words[index // len(words) % len(words)])}"
        + " please" * (index // (len(words) * len(patterns)))
        for index in range(count)
    ]


def _spread(model: torch.nn.Module) -> None:
    """Spread the weights: at their usual start, tiny towers give nearly the same output for every input."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter.shape[-1] ** -0.5)


def _clip() -> tuple[Any, Any]:
    text = TEXT | {"bos_token_id": 1, "eos_token_id": 3}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=WIDTH)), _clip_images()


def _siglip() -> tuple[Any, Any]:
    config = SiglipConfig(text_config=TEXT | {"projection_size": WIDTH}, vision_config=VISION)
    size = {"height": SIDE, "width": SIDE}
    return SiglipModel(config), SiglipImageProcessorPil(size=size, image_mean=MEAN, image_std=DEVIATION)


def _blip() -> tuple[Any, Any]:
    text = TEXT | {"vocab_size": VOCABULARY + 1, "bos_token_id": 1, "sep_token_id": 3, "eos_token_id": 3}
    config = BlipConfig(text_config=text, vision_config=VISION, image_text_hidden_size=WIDTH)
    return BlipForImageTextRetrieval(config), _blip_images()


def _blip2() -> tuple[Any, Any]:
    config = Blip2Config(
        vision_config=VISION,
        qformer_config=TEXT | {"use_qformer_text_input": True},
        text_config=TEXT | {"model_type": "opt", "ffn_dim": WIDTH, "word_embed_proj_dim": WIDTH},
        image_text_hidden_size=WIDTH,
    )
    return Blip2ForImageTextRetrieval(config), _blip_images()


def _clip_images() -> Any:
    return CLIPImageProcessorPil(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=MEAN,
        image_std=DEVIATION,
    )


def _blip_images() -> Any:
    return BlipImageProcessorPil(size={"height": SIDE, "width": SIDE}, image_mean=MEAN, image_std=DEVIATION)


_STOCK = {"clip": _clip, "siglip": _siglip, "combiner": _clip, "tgcir": _clip, "blip": _blip, "blip2": _blip2}


@functools.cache
def _scratch() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tiny-models-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
