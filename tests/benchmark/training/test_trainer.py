"""What train() promises: the two stages of the paper, from the same triplets, with nothing frozen moved by a bit."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor
from toy_training import ToyImages, ToyRetriever, toy_triplets

from cirgen.errors import UserError
from cirgen.file_locks import exclusive
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.training import pixels
from cirgen_benchmark.training.batches import Batches
from cirgen_benchmark.training.features import encode_collection
from cirgen_benchmark.training.settings import OptimiserSettings, StageSettings
from cirgen_benchmark.training.trainer import Trained, load_trained, train
from cirgen_benchmark.triplets import Triplet

IMAGES = ToyImages(40, twins={"image-7": "image-3"})
TRIPLETS = toy_triplets(50, 40)
FAST = OptimiserSettings(rate=0.02)


def stage(**fields: Any) -> StageSettings:
    defaults = {"steps": 40, "batch": 10, "temperature": 0.1, "optimiser": FAST}
    return StageSettings.model_validate(defaults | fields)


IN_BATCH = stage(loss="in_batch", trains="all")
BANK = stage(loss="bank", trains="query")


def weights(model: Retriever) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def trained(folder: Path, settings: StageSettings, model: Retriever | None = None, **options: Any) -> Trained:
    return train(model or ToyRetriever(), TRIPLETS, IMAGES, settings, folder=folder, **options)


@pytest.mark.parametrize("settings", [IN_BATCH, BANK, stage(trains="query")])
def test_the_loss_goes_down(settings: StageSettings, tmp_path: Path) -> None:
    losses = trained(tmp_path, settings).losses
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.3


def test_stage_two_moves_the_query_side_alone(tmp_path: Path) -> None:
    model = ToyRetriever()
    before = weights(model)
    trained(tmp_path, BANK, model)
    moved = {name for name, tensor in weights(model).items() if not torch.equal(tensor, before[name])}
    assert moved == {"words.weight"}


def test_stage_two_is_adamw_on_the_plain_formula(tmp_path: Path) -> None:
    """Write the whole of stage two down once more, without any of the package's training code but its order."""
    model, twin = ToyRetriever(), ToyRetriever()
    result = trained(tmp_path, stage(loss="bank", trains="query", steps=12), model, seed=3)
    pictures: dict[str, str] = {}
    for triplet in TRIPLETS:
        for name in (triplet.reference, triplet.target):
            pictures.setdefault(IMAGES.content(name), name)
    with torch.no_grad():
        bank = twin.encode_targets(torch.stack([twin.preprocess(IMAGES.open(name)) for name in pictures.values()]))
    rows = {content: row for row, content in enumerate(pictures)}
    optimiser = torch.optim.AdamW(twin.words.parameters(), lr=0.02, betas=(0.9, 0.999), eps=1e-7, weight_decay=0.01)
    for step, losses in enumerate(result.losses):
        (part,) = Batches(50, BANK, 3).parts(step)
        chosen = [TRIPLETS[number] for number in part.triplets]
        texts = [t.texts[int(draw * len(t.texts))] for t, draw in zip(chosen, part.draws, strict=True)]
        with torch.no_grad():
            references = torch.stack([twin.preprocess(IMAGES.open(t.reference)) for t in chosen])
            encoded = twin.encode_references(references)
        logits = twin.compose(encoded, twin.tokenize(texts)) @ bank.T / 0.1
        targets = torch.tensor([rows[IMAGES.content(t.target)] for t in chosen])
        loss = torch.nn.functional.cross_entropy(logits, targets)
        assert loss.item() == pytest.approx(losses, abs=1e-4)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    torch.testing.assert_close(model.words.weight, twin.words.weight, rtol=1e-3, atol=1e-4)


def test_in_stage_two_each_picture_goes_through_the_model_once(tmp_path: Path) -> None:
    model = ToyRetriever()
    trained(tmp_path, BANK, model)
    pictures = {IMAGES.content(name) for t in TRIPLETS for name in (t.reference, t.target)}
    assert model.encoded == 2 * len(pictures)  # as reference and as target


@pytest.mark.parametrize("settings", [BANK, stage(trains="query")])
def test_images_that_are_encoded_already_are_not_encoded_again(settings: StageSettings, tmp_path: Path) -> None:
    model = ToyRetriever()
    model.prepare_stage_two()
    encoded = encode_collection(model, IMAGES, IMAGES.ids)
    model.encoded = 0
    given = trained(tmp_path / "given", settings, model, encoded=encoded)
    assert model.encoded == 0
    assert given.losses == trained(tmp_path / "built", settings).losses


def test_images_that_another_model_encoded_are_refused(tmp_path: Path) -> None:
    other = ToyRetriever(seed=1)
    other.prepare_stage_two()
    encoded = encode_collection(other, IMAGES, IMAGES.ids)
    with pytest.raises(UserError, match="encoded by another model"):
        trained(tmp_path, BANK, encoded=encoded)


def test_encodings_of_another_number_type_are_another_provenance(tmp_path: Path) -> None:
    model = ToyRetriever()
    model.prepare_stage_two()
    half = encode_collection(model, IMAGES, IMAGES.ids, dtype="float16")
    trained(tmp_path, BANK, model, encoded=half)
    with pytest.raises(UserError, match=r"encoded: torch.float16 there, torch.float32 here"):
        trained(tmp_path, BANK)


def test_arms_share_encoded_images_through_a_cache(tmp_path: Path) -> None:
    model = ToyRetriever()
    trained(tmp_path / "one", BANK, model, cache=tmp_path / "cache", seed=1)
    second = ToyRetriever()
    trained(tmp_path / "two", BANK, second, cache=tmp_path / "cache", seed=2)
    assert second.encoded == 0


def test_nothing_but_the_arguments_decides_the_result(tmp_path: Path) -> None:
    settings = stage(loss="bank", trains="query", mode="train")
    torch.manual_seed(1)
    first = trained(tmp_path / "one", settings, ToyRetriever(dropout=0.5))
    torch.manual_seed(2)
    np.random.seed(3)  # noqa: NPY002
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    again = trained(tmp_path / "two", settings, ToyRetriever(dropout=0.5))
    assert first.losses == again.losses
    assert first.last.read_bytes() == again.last.read_bytes()
    assert torch.equal(state[0], torch.get_rng_state())
    assert (random.getstate(), np.random.get_state()[1].tolist()) == state[1:]  # noqa: NPY002
    assert first.losses != trained(tmp_path / "seed", settings, ToyRetriever(dropout=0.5), seed=1).losses
    assert first.losses != trained(tmp_path / "mode", BANK, ToyRetriever(dropout=0.5)).losses


class Scripted:
    """A development score that is best in the middle, and remembers what it saw."""

    def __init__(self, scores: Sequence[float]) -> None:
        self._scores = list(scores)
        self.seen: list[dict[str, Tensor]] = []

    def __call__(self, model: Retriever) -> float:
        assert not model.training
        assert not torch.is_grad_enabled()
        self.seen.append(weights(model))
        return self._scores[len(self.seen) - 1]


@pytest.mark.parametrize("select", ["last", "best"])
def test_the_model_ends_with_the_selected_weights_and_both_are_kept(select: str, tmp_path: Path) -> None:
    score = Scripted([1.0, 3.0, 3.0, 2.0])
    model = ToyRetriever()
    result = trained(tmp_path, stage(evaluate_every=10, select=select), model, evaluate=score)
    assert result.history == ((10, 1.0), (20, 3.0), (30, 3.0), (40, 2.0))
    assert result.best_step == 20
    assert same(weights(model), score.seen[3 if select == "last" else 1])
    other = ToyRetriever()
    load_trained(other, result.best or Path())
    assert same(weights(other), score.seen[1])
    assert set(result.snapshots) == {20, 40}


def test_snapshots_keep_the_weights_of_every_look(tmp_path: Path) -> None:
    score = Scripted([1.0, 3.0, 2.0])
    result = trained(tmp_path, stage(evaluate_every=15), evaluate=score, snapshots=True)
    assert list(result.snapshots) == [15, 30, 40]
    for seen, path in zip(score.seen, result.snapshots.values(), strict=True):
        model = ToyRetriever()
        load_trained(model, path)
        assert same(weights(model), seen)


def test_without_a_development_set_there_is_a_look_nowhere_and_no_best(tmp_path: Path) -> None:
    result = trained(tmp_path, BANK)
    assert (result.history, result.best, result.best_step) == ((), None, None)
    with pytest.raises(UserError, match="set select to last"):
        trained(tmp_path / "best", stage(select="best"))


def test_by_default_there_is_a_look_after_every_epoch(tmp_path: Path) -> None:
    score = Scripted([0.0] * 3)
    assert [s for s, _ in trained(tmp_path, stage(steps=None, epochs=3), evaluate=score).history] == [5, 10, 15]


def test_a_learned_temperature_moves_and_is_kept(tmp_path: Path) -> None:
    result = trained(tmp_path, stage(loss="bank", trains="query", learn_temperature=True))
    assert result.temperature != pytest.approx(0.1, abs=1e-3)
    assert load_trained(ToyRetriever(), result.last) == result.temperature
    assert trained(tmp_path / "fixed", BANK).temperature == pytest.approx(0.1)


@pytest.mark.parametrize("loss", ["in_batch", "bank"])
def test_parts_of_a_batch_add_up(loss: str, tmp_path: Path) -> None:
    """The bank is the same for every part, and so is what they add up to; in-batch negatives are those of the part."""
    whole = trained(tmp_path / "whole", stage(loss=loss, trains="query"))
    parts = trained(tmp_path / "parts", stage(loss=loss, trains="query", accumulate=5))
    if loss == "bank":
        assert parts.losses == pytest.approx(whole.losses, abs=1e-4)
    else:
        assert parts.losses[0] < whole.losses[0]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains_float32_weights(precision: str, tmp_path: Path) -> None:
    model = ToyRetriever()
    losses = trained(tmp_path / precision, stage(precision=precision), model).losses
    exact = trained(tmp_path / "exact", IN_BATCH).losses
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.3
    assert losses[0] == pytest.approx(exact[0], rel=0.01)
    assert losses != exact
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_pictures_that_do_not_fit_into_memory_give_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = stage(steps=8)
    kept = trained(tmp_path / "kept", settings)
    monkeypatch.setattr(pixels.pixel_batches, "__defaults__", (0, 2))
    streamed = trained(tmp_path / "streamed", settings)
    assert kept.losses == streamed.losses
    assert kept.last.read_bytes() == streamed.last.read_bytes()


def test_masks_and_hard_negatives_change_what_is_compared(tmp_path: Path) -> None:
    hard = ("image-38",)
    triplets = [Triplet(f"image-{n}", f"image-{n % 5 + 20}", ("red",), hard_negatives=hard) for n in range(10)]

    def first(name: str, **fields: Any) -> float:
        settings = stage(steps=1, **fields)
        return train(ToyRetriever(), triplets, IMAGES, settings, folder=tmp_path / name).losses[0]

    plain = first("plain")
    assert first("masked", mask_duplicates=True) < plain  # every target comes twice
    assert first("hard", hard_negatives=1) > plain
    assert first("frozen", hard_negatives=1, trains="query") == pytest.approx(first("hard", hard_negatives=1))


def test_extra_images_are_further_negatives_where_the_settings_say_so(tmp_path: Path) -> None:
    few = TRIPLETS[:10]

    def first(name: str, extra: bool) -> float:
        settings = stage(loss="bank", trains="query", steps=1, bank={"extra_images": extra})
        return train(ToyRetriever(), few, IMAGES, settings, folder=tmp_path / name, extra_images=IMAGES.ids).losses[0]

    assert first("with", True) > first("without", False)


def test_afterwards_the_model_is_ready_to_use(tmp_path: Path) -> None:
    model = ToyRetriever()
    model.train()
    trained(tmp_path, BANK, model)
    assert not any(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed: 0 there, 1 here"),
        (
            {"settings": BANK.model_copy(update={"temperature": 0.2})},
            "settings.temperature: 0.1 there, 0.2 here",
        ),
        ({"model": ToyRetriever(seed=1)}, "base_weights"),
        ({"triplets": TRIPLETS[:-1]}, "triplets"),
        ({"provenance": {"corpus": "another"}}, "corpus: one there, another here"),
        ({"snapshots": True}, "snapshots: False there, True here"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_of_another_provenance_is_refused(
    change: dict[str, Any], named: str, finished: bool, tmp_path: Path
) -> None:
    first = {"model": ToyRetriever(), "triplets": TRIPLETS, "settings": BANK, "provenance": {"corpus": "one"}}
    train(**first, images=IMAGES, folder=tmp_path)  # type: ignore[arg-type]
    if not finished:
        (tmp_path / "result.json").unlink()
    with pytest.raises(UserError, match=f"{named}.*name another folder"):
        train(**(copy.deepcopy(first | change)), images=IMAGES, folder=tmp_path)  # type: ignore[arg-type]


def test_a_folder_in_which_another_process_trains_is_refused(tmp_path: Path) -> None:
    with exclusive(tmp_path / "stage.lock"), pytest.raises(UserError, match="Another process trains"):
        trained(tmp_path, BANK)


def test_a_loss_or_a_score_that_is_no_number_ends_the_stage(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"loss of step \d+ is nan.*learning rate"):
        trained(tmp_path / "loss", stage(optimiser=OptimiserSettings(rate=1e38)))
    with pytest.raises(UserError, match="score after step 5 is nan"):
        trained(tmp_path / "score", stage(evaluate_every=5), evaluate=lambda _: float("nan"))


class Nameless(ToyRetriever):
    """Names a parameter that it does not have."""

    def stage_two_parameters(self) -> list[torch.nn.Parameter]:
        return [torch.nn.Parameter(torch.zeros(2))]


def test_a_model_that_names_no_parameters_of_its_own_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="parameters of its own"):
        trained(tmp_path, BANK, Nameless())


class Broken(ToyImages):
    """Has a picture that cannot be read."""

    def open(self, image_id: str) -> Image.Image:
        if image_id == TRIPLETS[7].target:
            raise UserError("image-x cannot be read; replace it.")
        return super().open(image_id)


@pytest.mark.parametrize("settings", [IN_BATCH, BANK])
def test_a_picture_that_cannot_be_read_ends_the_stage(settings: StageSettings, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        train(ToyRetriever(), TRIPLETS, Broken(40), settings, folder=tmp_path)


def test_weights_of_a_step_that_do_not_fit_are_errors_that_list_them(tmp_path: Path) -> None:
    path = trained(tmp_path / "one", IN_BATCH).last
    with pytest.raises(UserError, match=r"of another shape: pixels.bias, pixels.weight"):
        load_trained(ToyRetriever(vectors=2), path)
    with pytest.raises(UserError, match=r"missing: further.bias, .*; unexpected: unused.bias, unused.weight"):
        load_trained(Renamed(), path)
    with pytest.raises(UserError, match="train the stage first"):
        load_trained(ToyRetriever(), tmp_path / "nothing")


class Renamed(ToyRetriever):
    """Calls one of its layers otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.further = self.unused
        del self.unused


def test_weights_of_stage_two_go_into_the_frozen_model_they_were_trained_on(tmp_path: Path) -> None:
    path = trained(tmp_path, BANK).last
    load_trained(ToyRetriever(), path)
    with pytest.raises(UserError, match="another frozen model"):
        load_trained(ToyRetriever(seed=1), path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 1, "epochs": 1},
        {"steps": None},
        {"loss": "bank", "trains": "all"},
        {"loss": "bank", "trains": "query", "both_directions": True},
        {"loss": "bank", "trains": "query", "hard_negatives": 1},
        {"loss": "in_batch", "bank": {"negatives": 5}},
    ],
)
def test_settings_that_would_be_ignored_are_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        stage(**wrong)
