"""What recipes say of memory and speed is what the arithmetic of benchmark/perf/cost_estimate.py says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from perf.cost_estimate import DOCS, ENCODERS, GPUS, Asked, Load, Sizes, head, load_of, sizes_of, table
from perf.random_models import OF_THE_HUB, build, build_processor, parameters
from PIL import Image
from transformers import CLIPConfig, CLIPModel

from cirgen.backends.base import Request
from cirgen.backends.loaded_model import LoadedModel
from cirgen.backends.speed import operations
from cirgen.model_settings import Model
from cirgen.recipe_file import find_recipe, recipe_names

PARAMETERS = {
    "smolvlm-256m": 256_484_928,
    "llava-1.5-7b": 7_063_427_072,
    "qwen2.5-vl-7b": 8_292_166_656,
    "qwen3-vl-8b": 8_767_123_696,
}
"""As the Hub counts them in the files of the models."""
LARGE_CLIP = {
    "projection_dim": 768,
    "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
    "vision_config": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 14,
    },
}
ESTIMATED = [name for name in recipe_names() if "/" not in name and load_of(name) is not None]


def test_recipes_for_one_gpu_a_server_and_a_cluster_are_estimated() -> None:
    assert set(ESTIMATED) == {"gpu-llava-1.5", "gpu-qwen2.5-vl", "gpu-qwen3-vl", "ray", "server"}


@pytest.mark.parametrize("name", ESTIMATED)
def test_a_recipe_says_what_the_arithmetic_says(name: str) -> None:
    load = load_of(name)
    assert load is not None
    assert head(load) in find_recipe(name).read_text(encoding="utf8"), "python benchmark/perf/cost_estimate.py --write"


def test_the_table_of_the_docs_says_what_the_arithmetic_says() -> None:
    loads = [load for name in ESTIMATED if (load := load_of(name)) is not None]
    assert table(loads) in DOCS.read_text(encoding="utf8"), "python benchmark/perf/cost_estimate.py --write"


@pytest.mark.parametrize(("family", "shape"), OF_THE_HUB.values())
def test_a_shape_has_as_many_parameters_as_the_model_that_it_stands_for(
    family: str, shape: str, tmp_path: Path
) -> None:
    assert sum(parameters(build_processor(family, tmp_path, shape)).values()) == PARAMETERS[shape]


@pytest.mark.parametrize(("name", "config"), [("large-patch14", LARGE_CLIP), ("base-patch32", {})])
def test_encoders_have_as_many_parameters_as_is_said(name: str, config: dict[str, object]) -> None:
    with torch.device("meta"):
        model = CLIPModel(CLIPConfig(**config))
    assert sum(weights.numel() for weights in model.parameters()) == ENCODERS[f"openai/clip-vit-{name}"]


@pytest.mark.parametrize("family", sorted({family for family, _ in OF_THE_HUB.values()}))
def test_the_operations_of_a_prompt_are_near_those_that_torch_counts(family: str, tmp_path: Path) -> None:
    loaded = LoadedModel(Model(model=str(build(family, tmp_path, "small"))))
    sizes = sizes_of(family, "small", tmp_path)
    words = "Which change turns the first image into the second? " * 4
    request = Request("", 0, words, ("one",), 0.0, 1.0, 0, 1)
    inputs = loaded.on_device(loaded.encode([request], [[Image.new("RGB", (224, 224))]]))
    read = inputs["input_ids"][0]
    pictures = int((read == sizes.image_token).sum())
    assert sizes.operations(len(read), pictures) == pytest.approx(operations(loaded.model, inputs), rel=0.2)


SMALL = Load(
    name="x",
    sizes=Sizes(6_000, 500, 600, 100, 500, 10, 20, 4, 7),
    encoder=100,
    served=False,
    rows=8,
    batch_tokens=10**9,
    width=2,
    captions=[Asked("caption", 400, 300, 21, 64)],
    texts=[Asked("text", 800, 600, 21, 64), Asked("judge", 800, 600, 1, 1)],
    texts_per_image=2,
)


def test_hours_grow_with_rejected_texts_and_fall_with_texts_of_each_caption() -> None:
    gpu = GPUS["A100 80GB"]
    assert replace(SMALL, accepted=0.25).hours(gpu) == pytest.approx(2 * SMALL.hours(gpu))
    captions = 100_000 / 0.5 / 2 * SMALL.seconds(gpu, SMALL.captions) / 3600
    texts = 100_000 / 0.5 * SMALL.seconds(gpu, SMALL.texts) / 3600
    assert SMALL.hours(gpu) == pytest.approx(captions + texts)
    assert replace(SMALL, texts_per_image=4).hours(gpu) == pytest.approx(captions / 2 + texts)


def test_room_is_kept_for_the_longest_answer() -> None:
    assert replace(SMALL, batch_tokens=4 * (800 + 64)).rows_of(SMALL.texts[0]) == 4
    assert replace(SMALL, batch_tokens=10).rows_of(SMALL.texts[0]) == 1
    assert SMALL.rows_of(SMALL.texts[0]) == 8
