"""Every recipe that names a model of the Hub runs to a dataset.

In the model's place is one of the same architecture, tiny and with random weights; paths of models and images are all
that is overridden, and the window of ranks where it is meant for thousands of images. Every eighth token ends an
answer of these models, so that their texts are short; they mean nothing, and filters say so of most.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from collection_copies import FIGURES, cirr_copy, fashioniq_copy, write_shard
from datasets import load_dataset
from perf.random_models import OF_THE_HUB, build, build_processor
from PIL import Image

from cirgen.backends.base import Request
from cirgen.backends.encoding import Encoder
from cirgen.backends.loaded_model import LoadedModel
from cirgen.errors import NothingAcceptedError, UserError
from cirgen.executors.opening import Where, opened
from cirgen.filters.registry import FILTERS
from cirgen.model_settings import Model
from cirgen.pipeline import run_pipeline
from cirgen.recipe_checks import check_recipe
from cirgen.recipe_file import load_recipe, recipe_names
from cirgen.run_folder import Run
from cirgen.store import Store
from serving import MODEL, VLLM_NAME, vllm_serve

Tiny = Callable[[str], Path]

SIZES = [(640, 480), (480, 640), (900, 700), (333, 500)]
"""Of the pictures, in pixels."""
ENDS_EACH = 8
NEAR = "pair.signals=[{kind: rank_percent, lower: 20, upper: 60}]"
"""In place of a window of ranks that a few pictures do not have."""


def mllm_of(name: str) -> Model:
    model = load_recipe(name).recipe.mllm
    assert model is not None
    return model


def of_the_hub() -> list[str]:
    """Return the recipes whose models are not those that ship."""
    return [name for name in recipe_names() if not mllm_of(name).model.startswith("cirgen:")]


PLAIN = [name for name in of_the_hub() if "/" not in name]
OF_THE_PAPER = [name for name in of_the_hub() if "/" in name]
ONE_OF_EACH_KIND = {"spn4cir/fashioniq-clip-filtered", "spn4cir/cirr-zs", "spn4cir/fashioniq-cc3m"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Return what builds the stand-in of a model of the Hub, once."""
    folder = tmp_path_factory.mktemp("models")

    def stand_in(model: str) -> Path:
        family, _ = OF_THE_HUB[model]
        made = folder / family
        return made if made.exists() else build(family, made, ends_each=ENDS_EACH)

    return stand_in


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(12):
        width, height = SIZES[number % len(SIZES)]
        cells = np.random.default_rng(number).integers(0, 255, (height // 80 + 1, width // 80 + 1, 3))
        Image.fromarray(cells.astype(np.uint8)).resize((width, height)).save(folder / f"{number}.jpg")
    return folder


def run_of(folder: Path, name: str, *overrides: str) -> Run:
    loaded = load_recipe(name, ["encoder.model=cirgen:filter-encoder", *overrides])
    check_recipe(loaded)
    return Run(folder, loaded.recipe, Store(folder / "store"))


def triplets_of(run: Run) -> list[dict[str, Any]]:
    """Return the triplets of a finished run as its users load them, all splits together."""
    splits = load_dataset(str(run.dataset), cache_dir=str(run.folder / "cache"))
    return [row for split in splits.values() for row in split]


def is_told_of_every_text(run: Run) -> bool:
    """Whether each text was accepted, and then is in the dataset, or has a reason."""
    texts = {row["triplet_id"] for row in pq.read_table(run.triplets).to_pylist()}
    reasons = {row["triplet_id"]: row["reason"] for row in pq.read_table(run.verdicts).to_pylist()}
    accepted = {triplet for triplet, reason in reasons.items() if not reason}
    assert texts == set(reasons) != set()
    return {row["triplet_id"] for row in triplets_of(run)} == accepted


@pytest.mark.integration
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("gpu-qwen2.5-vl", "laptop") else pytest.mark.long)
        for name in PLAIN
        if mllm_of(name).backend != "openai"
    ],
)
def test_a_recipe_of_a_model_of_the_hub_runs_to_a_dataset(
    name: str, tiny: Tiny, pictures: Path, tmp_path: Path
) -> None:
    run = run_of(tmp_path / "run", name, f"mllm.model={tiny(mllm_of(name).model)}", f"images.path={pictures}")
    run_pipeline(run)
    assert is_told_of_every_text(run)
    measured = {column for column in triplets_of(run)[0] if column.startswith("score_")}
    asked = [FILTERS.build(settings) for settings in run.recipe.filter if FILTERS.build(settings).asks]
    for part in asked:
        assert any(column.startswith(f"score_{part.settings.name}_") for column in measured)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the override that names the images, by kind of collection."""
    folder = tmp_path_factory.mktemp("collections")
    (folder / "cc3m").mkdir()
    for part in range(0, 193, 32):
        write_shard(folder / "cc3m" / f"part_{part}.tar", FIGURES[part // 8 : part // 8 + 4], part)
    return {
        "fashioniq": f"images.root={fashioniq_copy(folder / 'fashionIQ_dataset')}",
        "cirr": f"images.root={cirr_copy(folder / 'cirr_dataset')}",
        "webdataset": f"images.path={folder / 'cc3m'}",
    }


@pytest.mark.integration
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in ONE_OF_EACH_KIND else pytest.mark.long) for name in OF_THE_PAPER],
)
def test_a_recipe_of_the_paper_runs_to_a_dataset(
    name: str, tiny: Tiny, collections: dict[str, str], tmp_path: Path
) -> None:
    images = load_recipe(name).recipe.images.model_dump()["kind"]
    run = run_of(tmp_path / "run", name, f"mllm.model={tiny(mllm_of(name).model)}", collections[images], NEAR)
    try:
        run_pipeline(run)
    except NothingAcceptedError:  # where texts are captions, filters may reject every one
        assert name.endswith("-filtered")
        reasons = [row["reason"] for row in pq.read_table(run.verdicts).to_pylist()]
        assert reasons
        assert all(reasons)
        assert run.report.is_file()
    else:
        assert is_told_of_every_text(run)


def server_recipe(pictures: Path, port: int) -> list[str]:
    base_url = f"mllm.server.base_url=http://localhost:{port}/v1"
    return [f"mllm.model={MODEL}", base_url, f"images.path={pictures}"]


@pytest.mark.long
@pytest.mark.integration
def test_the_recipe_of_a_server_runs_to_a_dataset(port: int, pictures: Path, tmp_path: Path) -> None:
    overrides = server_recipe(pictures, port)
    with pytest.raises(UserError, match="tells no probabilities of tokens"):  # said before anything runs
        run_pipeline(run_of(tmp_path / "refused", "server", *overrides))
    others = [
        settings.model_dump(mode="json", exclude_defaults=True) | {"name": settings.name}  # type: ignore[attr-defined]
        for settings in load_recipe("server").recipe.filter
        if not FILTERS.build(settings).chooses
    ]
    run = run_of(tmp_path / "run", "server", *overrides, f"filter={json.dumps(others)}")
    run_pipeline(run)
    assert is_told_of_every_text(run)


@pytest.mark.server
@pytest.mark.skipif(find_spec("vllm") is None, reason="no vLLM: pip install 'cirgen[vllm]'; without a GPU: make vllm")
def test_the_recipe_of_a_server_runs_whole_on_vllm(pictures: Path, tmp_path: Path) -> None:
    with vllm_serve(tmp_path) as port:
        name = f"mllm.model={VLLM_NAME}"
        run = run_of(tmp_path / "run", "server", *server_recipe(pictures, port), name)
        try:
            run_pipeline(run)
        except NothingAcceptedError:  # it knows figures alone, and these are none
            pass
        else:
            assert is_told_of_every_text(run)
    verdicts = pq.read_table(run.verdicts).to_pylist()
    assert any("judge.yes" in dict(row["scores"]) for row in verdicts)
    assert not [row["reason"] for row in verdicts if row["reason"].endswith("engine_error")]


@pytest.mark.long
def test_the_recipe_of_a_cluster_runs_on_ray_to_a_dataset(tiny: Tiny, pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'cirgen[ray]'")
    without_gpus = ["ray.gpus=0", "ray.cpus=1"]
    run = run_of(
        tmp_path / "run", "ray", f"mllm.model={tiny(mllm_of('ray').model)}", f"images.path={pictures}", *without_gpus
    )
    with opened(Where.RAY, run) as executor:
        run_pipeline(run, executor)
    assert is_told_of_every_text(run)


LARGE = Image.new("RGB", (4000, 3000))
TOKENS_OF_A_LARGE_PICTURE = {"smolvlm": 64, "llava": 576, "qwen2.5-vl": 512, "qwen3-vl": 512}


@pytest.mark.parametrize("name", [name for name in PLAIN if mllm_of(name).backend != "openai"])
def test_a_recipe_keeps_large_pictures_to_the_tokens_that_it_says(name: str, tmp_path: Path) -> None:
    model = mllm_of(name)
    family, shape = OF_THE_HUB[model.model]
    config = build_processor(family, tmp_path, shape)
    encoder = Encoder(tmp_path, model.model, model.max_pixels)
    request = Request("", 0, "?", ("large",), 0.0, 1.0, 0, 1)
    pictures = encoder.open(request, _Large())
    assert isinstance(pictures, list)
    read = encoder.encode([request], [pictures])["input_ids"][0]
    token = getattr(config, "image_token_id", None)
    found = int((read == (config.image_token_index if token is None else token)).sum())
    assert 0.9 * TOKENS_OF_A_LARGE_PICTURE[family] <= found <= 1.02 * TOKENS_OF_A_LARGE_PICTURE[family]
    assert encoder.processor.image_processor.do_resize


class _Large:
    def open(self, image_id: str) -> Image.Image:
        return LARGE


@pytest.mark.parametrize("name", [name for name in PLAIN if mllm_of(name).backend != "openai"])
def test_a_recipe_has_its_number_format_and_its_attention(name: str, tiny: Tiny) -> None:
    settings = mllm_of(name)
    model = LoadedModel(settings.model_copy(update={"model": str(tiny(settings.model))})).model
    assert str(model.dtype) == f"torch.{settings.dtype}"
    assert {part._attn_implementation for part in (model.config, model.config.get_text_config())} == {"sdpa"}
    assert model.config.vision_config._attn_implementation == "sdpa"
