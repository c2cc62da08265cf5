"""Every family goes through both stages, is saved and loaded: the loss goes down, what is frozen does not move."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import TINY_FAMILIES, tiny_images, tiny_retriever, tiny_texts
from torch import Tensor, nn

from cirgen.errors import UserError
from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.training.settings import OptimiserSettings, StageSettings
from cirgen_benchmark.training.trainer import load_trained, train
from cirgen_benchmark.triplets import Triplet

COUNT = 16
ONE = StageSettings(steps=12, batch=8, temperature=0.1, optimiser=OptimiserSettings(rate=1e-3))
TWO = ONE.model_copy(update={"loss": "bank", "trains": "query", "learn_temperature": True})


class TinyPictures(ImageCollection):
    """Random pictures of several sizes."""

    def __init__(self) -> None:
        self._pictures = dict(zip((f"picture-{n}" for n in range(COUNT)), tiny_images(COUNT), strict=True))

    @property
    def ids(self) -> Sequence[str]:
        return list(self._pictures)

    def open(self, image_id: str) -> Image.Image:
        return self._pictures[image_id]

    def content(self, image_id: str) -> str:
        picture = self._pictures[image_id]
        return hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).hexdigest()


IMAGES = TinyPictures()
TRIPLETS = [
    Triplet(f"picture-{number}", f"picture-{(number + 3) % COUNT}", (text,))
    for number, text in enumerate(tiny_texts(COUNT))
]


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def names(model: Retriever, parameters: Sequence[nn.Parameter]) -> set[str]:
    wanted = {id(parameter) for parameter in parameters}
    return {name for name, parameter in model.named_parameters() if id(parameter) in wanted}


def goes_down(losses: Sequence[float]) -> bool:
    return bool(np.mean(losses[-3:]) < np.mean(losses[:3]))


def outputs(model: Retriever) -> list[Tensor]:
    pixels = torch.stack([model.preprocess(IMAGES.open(name)) for name in IMAGES.ids[:4]])
    with torch.no_grad():
        references, targets = model.encode_images(pixels)
        return [targets, references, model.compose(references, model.tokenize(tiny_texts(4)))]


@pytest.mark.integration
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_a_family_goes_through_both_stages(family: str, mode: str, tmp_path: Path) -> None:
    model, one, two = tiny_retriever(family), *(stage.model_copy(update={"mode": mode}) for stage in (ONE, TWO))
    start = state(model)
    first = train(model, TRIPLETS, IMAGES, one, folder=tmp_path / "one")
    assert goes_down(first.losses)
    assert moved(start, state(model)) <= names(model, list(model.stage_one_parameters()))

    model.prepare_stage_two()
    between, kept = state(model), outputs(model)
    second = train(model, TRIPLETS, IMAGES, two, folder=tmp_path / "two")
    assert goes_down(second.losses)
    changed = moved(between, state(model))
    assert changed
    assert changed <= names(model, list(model.stage_two_parameters()))
    assert all(torch.equal(now, then) for now, then in zip(outputs(model)[:2], kept, strict=False))

    loaded = tiny_retriever(family)
    load_trained(loaded, first.last)
    load_trained(loaded, second.last)
    assert not moved(state(model), state(loaded))
    assert all(torch.equal(one, other) for one, other in zip(outputs(model), outputs(loaded), strict=True))


@pytest.mark.integration
@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_gradient_checkpointing_changes_memory_and_not_the_result(family: str, tmp_path: Path) -> None:
    plain, thrifty = tiny_retriever(family), tiny_retriever(family)
    calls = count_layer_calls(thrifty)
    settings = ONE.model_copy(update={"steps": 2})
    expected = train(plain, TRIPLETS, IMAGES, settings, folder=tmp_path / "plain")
    thriftily = settings.model_copy(update={"checkpoint_activations": True})
    found = train(thrifty, TRIPLETS, IMAGES, thriftily, folder=tmp_path / "thrifty")
    assert found.losses == expected.losses
    assert not moved(state(plain), state(thrifty))
    once = count_layer_calls(plain)
    train(plain, TRIPLETS, IMAGES, settings, folder=tmp_path / "again")
    assert len(calls) > len(once)  # activations that were forgotten are computed again


def count_layer_calls(model: nn.Module) -> list[int]:
    """Count calls of every attention's query projection from now on."""
    calls: list[int] = []
    for name, module in model.named_modules():
        if name.endswith(("q_proj", "attention.query", "qkv")):
            module.register_forward_hook(lambda *_: calls.append(1))
    return calls


def test_a_model_without_gradient_checkpointing_says_so(tmp_path: Path) -> None:
    from toy_training import ToyImages, ToyRetriever, toy_triplets

    settings = ONE.model_copy(update={"checkpoint_activations": True})
    with pytest.raises(UserError, match="set checkpoint_activations to false"):
        train(ToyRetriever(), toy_triplets(20, 9), ToyImages(9), settings, folder=tmp_path)


@pytest.mark.integration
@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_weights_of_another_frozen_model_are_refused(family: str, tmp_path: Path) -> None:
    model = tiny_retriever(family)
    path = train(model, TRIPLETS, IMAGES, TWO.model_copy(update={"steps": 1}), folder=tmp_path).last
    other = copy.deepcopy(tiny_retriever(family))
    with torch.no_grad():
        trained = names(other, list(model.stage_two_parameters()))
        frozen = next(p for n, p in other.named_parameters() if n not in trained and "vision" in n)
        frozen.add_(0.01)
    with pytest.raises(UserError, match="another frozen model"):
        load_trained(other, path)
