from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from model_checks import encoded, queries_of, same
from tiny_models import TINY_FAMILIES, WIDTH, tiny_checkpoint, tiny_images, tiny_retriever, tiny_texts
from torch import Tensor

import cirgen
from cirgen.errors import UserError
from cirgen_benchmark.models.base import Retriever, Tokens, train_only
from cirgen_benchmark.models.blip2 import Blip2Retriever
from cirgen_benchmark.models.checks import check_retriever
from cirgen_benchmark.models.clip import ClipRetriever
from cirgen_benchmark.models.weights import content, load_saved, load_weights, save_retriever

DOCS = Path(cirgen.__file__).parents[1] / "docs" / "retrieval-model.md"
COUNT = 4


def check(model: Retriever) -> None:
    check_retriever(model, tiny_images(COUNT), tiny_texts(COUNT))


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_every_family_keeps_to_the_interface_and_is_left_as_it_was(family: str) -> None:
    model = tiny_retriever(family)
    model.prepare_stage_two()
    model.train()
    train_only(model, [])
    before = content(model)
    check(model)
    assert content(model) == before
    assert all(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())


class LongQueries(ClipRetriever):
    def compose(self, references: Tensor, tokens: Tokens) -> Tensor:
        return 2 * super().compose(references, tokens)


class NarrowTargets(ClipRetriever):
    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        references, targets = super().encode_images(pixels)
        return references, torch.nn.functional.normalize(targets[:, 1:], dim=-1)


class TrainedTower(ClipRetriever):
    def stage_two_parameters(self) -> Any:
        return [*super().stage_two_parameters(), *self.model.vision_model.parameters()]


class TrainedTemperature(ClipRetriever):
    def stage_two_parameters(self) -> Any:
        return [*super().stage_two_parameters(), self.model.logit_scale]


class NoMask(Blip2Retriever):
    def tokenize(self, texts: Sequence[str]) -> Tokens:
        tokens = dict(super().tokenize(texts))
        return tokens | {"attention_mask": torch.ones_like(tokens["attention_mask"])}


@pytest.mark.parametrize(
    ("family", "broken", "problem"),
    [
        ("clip", LongQueries, "queries are not L2-normalised"),
        (
            "clip",
            NarrowTargets,
            f"queries have {WIDTH} dimensions and targets {WIDTH - 1}; encode_images does not give",
        ),
        ("clip", TrainedTower, "references depend on .*; targets depend on .* that stage two trains"),
        ("clip", TrainedTemperature, "no query depends on 1 of the"),
        ("blip2", NoMask, "padding leak"),
    ],
)
def test_a_model_that_breaks_the_interface_is_told_how(family: str, broken: type, problem: str) -> None:
    model = tiny_retriever(family)
    model.__class__ = broken
    model.prepare_stage_two()
    with pytest.raises(UserError, match=f"{broken.__name__} does not keep to the interface: .*{problem}"):
        check(model)


def test_a_model_that_shares_its_sides_has_to_be_prepared() -> None:
    with pytest.raises(UserError, match="stage two trains nothing"):
        check(tiny_retriever("blip2"))


def test_the_model_of_the_documentation_works_as_printed(tmp_path: Path) -> None:
    """Both blocks are run verbatim, with a tiny CLIP and two pictures at hand."""
    names: dict[str, Any] = {"checkpoint": str(tiny_checkpoint("clip")), "images": tiny_images(2)}
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf8"), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, str(DOCS), "exec"), names)
    model = names["model"]
    save_retriever(model, tmp_path)
    other = names["WeightedSum"](str(tiny_checkpoint("clip", seed=1)))
    assert not same(encoded(other), encoded(model))
    load_weights(other, tmp_path)
    assert same([*encoded(other), queries_of(other.eval())], [*encoded(model), queries_of(model.eval())])
    with pytest.raises(UserError, match="call load_weights on it"):
        load_saved(tmp_path)
