"""The models of furniture that come with a checkout: they load as any model does, and know what they were shown."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import AutoModel, AutoModelForImageTextToText, AutoProcessor

from cirgen.resources import local_path
from cirgen.world.build import IMAGES, TABLE, read_truth, shipped_furniture
from cirgen.world.furniture.grammars import caption
from cirgen.world.furniture.parser import parse, parse_caption

pytestmark = pytest.mark.integration

ENCODERS = ("furniture-filter-encoder", "furniture-judge-encoder")
MLLM = "furniture-mllm"
MEGABYTES = 10
"""Pictures and models together stay below."""
ASKED = 24


@pytest.fixture(scope="module")
def shown() -> list[tuple[Image.Image, object]]:
    """Pictures of the evaluation collection, with their attributes: combinations that no training showed."""
    folder = shipped_furniture("evaluation")
    truth = read_truth(folder / TABLE)
    rows = random.Random(0).sample(range(len(truth.image_ids)), ASKED)
    return [
        (Image.open(folder / IMAGES / f"{truth.image_ids[row]}.webp").convert("RGB"), truth.figures[row])
        for row in rows
    ]


def answers(pictures: list[list[Image.Image]], question: str) -> list[str]:
    from cirgen.world.accuracy import Answerer

    return Answerer(str(local_path(f"cirgen:{MLLM}"))).answers([(some, question) for some in pictures])


@pytest.mark.parametrize("name", (MLLM, *ENCODERS))
def test_a_model_loads_with_the_stock_classes(name: str) -> None:
    folder = str(local_path(f"cirgen:{name}"))
    kind = AutoModelForImageTextToText if name == MLLM else AutoModel
    assert kind.from_pretrained(folder).num_parameters() < 3_000_000
    AutoProcessor.from_pretrained(folder)


def test_captions_can_be_read_and_most_name_the_right_kind(shown: list[tuple[Image.Image, object]]) -> None:
    from cirgen.world.training.tasks import ask

    texts = answers([[picture] for picture, _ in shown], ask("caption-attributes", "").question)
    read = [parse_caption(text) for text in texts]
    assert sum(one is not None for one in read) > 0.8 * ASKED
    right = [one is not None and one.get("kind") == item.kind for one, (_, item) in zip(read, shown, strict=True)]  # type: ignore[attr-defined]
    assert sum(right) > ASKED / 2


def test_changes_can_be_read(shown: list[tuple[Image.Image, object]]) -> None:
    from cirgen.world.training.tasks import ask

    pictures = [picture for picture, _ in shown]
    pairs = [[one, other] for one, other in pairwise(pictures)]
    texts = answers(pairs, ask("change-images", "", intent="", examples=()).question)
    assert sum(parse(text) is not None for text in texts) > 0.8 * len(texts)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_puts_a_picture_next_to_its_caption(name: str, shown: list[tuple[Image.Image, object]]) -> None:
    from cirgen.world.zero_shot import Encoder

    encoder = Encoder(str(local_path(f"cirgen:{name}")))
    rng = random.Random(0)
    texts = encoder.texts([caption(item, rng) for _, item in shown])  # type: ignore[arg-type]
    scores = (texts @ encoder.images([picture for picture, _ in shown]).T).numpy()
    ranks = (scores > np.diag(scores)[:, None]).sum(axis=1)
    assert (ranks < 5).mean() > 0.5


def test_the_accuracy_that_is_told_is_of_collections_that_no_training_showed() -> None:
    folder = local_path(f"cirgen:{MLLM}")
    told = json.loads((folder / "ACCURACY.json").read_text(encoding="utf8"))
    assert told["collection"] in ("development", "evaluation")
    assert {"change-images, greedy: correct", "caption-attributes: exact"} <= told["marks"].keys()


def test_pictures_and_models_stay_small() -> None:
    folder = shipped_furniture("corpus").parent
    files = [path for path in Path(folder).rglob("*") if path.suffix in (".webp", ".safetensors", ".json", ".parquet")]
    assert sum(path.stat().st_size for path in files) < MEGABYTES * 1e6
