from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from model_checks import encoded, perturb, queries_of, same
from safetensors.torch import load_file, save_file
from tiny_models import TINY_FAMILIES, tiny_checkpoint, tiny_retriever

from cirgen.errors import UserError
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.models.registry import load_retriever
from cirgen_benchmark.models.weights import (
    ABOUT_FILE,
    WEIGHTS_FILE,
    content,
    load_saved,
    load_weights,
    save_retriever,
    saved_content,
)

every_family = pytest.mark.parametrize("family", TINY_FAMILIES)


def trained(family: str, stage: int = 1) -> Retriever:
    """A retriever with other weights than its base model."""
    model = tiny_retriever(family, text_length=20)
    perturb(model.stage_one_parameters())
    if stage == 2:
        model.prepare_stage_two()
        perturb(model.stage_two_parameters())
    return model


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with a trained CLIP."""
    save_retriever(trained("clip"), tmp_path / "saved")
    return tmp_path / "saved"


def rewrite(folder: Path, **changes: torch.Tensor | None) -> None:
    """Change weights behind the description's back; None takes one away."""
    state = load_file(folder / WEIGHTS_FILE) | {name.replace("__", "."): value for name, value in changes.items()}
    save_file({name: value for name, value in state.items() if value is not None}, folder / WEIGHTS_FILE)


@every_family
@pytest.mark.parametrize("stage", [1, 2])
def test_a_saved_retriever_comes_back_to_the_last_bit(family: str, stage: int, tmp_path: Path) -> None:
    model = trained(family, stage)
    save_retriever(model, tmp_path)
    loaded = load_saved(tmp_path)
    assert same([*encoded(loaded), queries_of(loaded)], [*encoded(model), queries_of(model)])
    assert loaded.prepared == (stage == 2)
    assert not loaded.training
    assert saved_content(tmp_path) == content(loaded) == content(model)


@every_family
def test_weights_of_another_family_are_refused_and_all_are_listed(family: str, tmp_path: Path) -> None:
    other = "blip2" if family != "blip2" else "clip"
    save_retriever(tiny_retriever(other), tmp_path)
    model = tiny_retriever(family)
    with pytest.raises(UserError) as refused:
        load_weights(model, tmp_path)
    for name in model.state_dict().keys() ^ tiny_retriever(other).state_dict().keys():
        assert name in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"model__logit_scale": None}, r"\(missing: model\.logit_scale\)"),
        ({"one__more": torch.zeros(1)}, r"\(unexpected: one\.more\)"),
        ({"model__logit_scale": torch.zeros(2)}, r"\(of another shape: model\.logit_scale\)"),
        ({"model__logit_scale": None, "x": torch.zeros(1)}, r"missing: model\.logit_scale; unexpected: x"),
    ],
)
def test_weights_that_do_not_fit_are_listed_and_none_is_loaded(
    saved: Path, changes: dict[str, torch.Tensor | None], problem: str
) -> None:
    rewrite(saved, **changes)
    model = tiny_retriever("clip", text_length=20)
    before = content(model)
    with pytest.raises(UserError, match=problem):
        load_weights(model, saved)
    assert content(model) == before


def test_weights_that_are_not_those_described_are_refused(saved: Path) -> None:
    rewrite(saved, model__logit_scale=torch.tensor(3.0))
    with pytest.raises(UserError, match=r"is not what retriever\.json describes"):
        load_saved(saved)


def test_weights_of_other_options_are_refused(saved: Path) -> None:
    with pytest.raises(UserError, match=r"other options.*'text_length': 20"):
        load_weights(tiny_retriever("clip"), saved)


def test_a_base_model_that_has_moved_is_named_anew_and_another_one_refused(tmp_path: Path) -> None:
    old = Path(shutil.copytree(tiny_checkpoint("blip"), tmp_path / "old"))
    model = load_retriever("blip", str(old))
    save_retriever(model, tmp_path / "saved")
    moved = old.rename(tmp_path / "new")
    with pytest.raises(UserError, match="no model folder"):
        load_saved(tmp_path / "saved")
    assert torch.equal(queries_of(load_saved(tmp_path / "saved", str(moved))), queries_of(model))
    with pytest.raises(UserError, match="not the model that the weights were trained from"):
        load_saved(tmp_path / "saved", str(tiny_checkpoint("blip", seed=1)))


def test_a_folder_without_a_description_holds_no_retriever(saved: Path) -> None:
    (saved / ABOUT_FILE).unlink()
    for use in (load_saved, saved_content):
        with pytest.raises(UserError, match=r"no retriever\.json"):
            use(saved)


def test_the_hash_of_weights_changes_with_any_of_them_and_with_nothing_else(saved: Path) -> None:
    model = load_saved(saved)
    first = content(model)
    model.to(torch.device("cpu")).train()
    assert content(model) == first
    for parameter in model.parameters():
        kept = parameter.detach().clone()
        perturb([parameter])
        assert content(model) != first
        with torch.no_grad():
            parameter.copy_(kept)
    assert content(model) == first


def test_saving_again_replaces_what_was_there(saved: Path) -> None:
    other = trained("clip", stage=2)
    save_retriever(other, saved)
    assert saved_content(saved) == content(other)
    assert sorted(path.name for path in saved.iterdir()) == [ABOUT_FILE, WEIGHTS_FILE]
    assert json.loads((saved / ABOUT_FILE).read_text())["origin"]["family"] == "clip"
