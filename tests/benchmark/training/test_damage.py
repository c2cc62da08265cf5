"""What a disk damaged is never read: weights are refused, encodings are made again; a full disk is told."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_training import ToyImages, ToyRetriever, toy_triplets

from cirgen.errors import UserError
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.models.weights import load_weights, save_retriever
from cirgen_benchmark.training.disk import mapped_array
from cirgen_benchmark.training.features import encode_collection
from cirgen_benchmark.training.settings import StageSettings
from cirgen_benchmark.training.trainer import Trained, train

SETTINGS = StageSettings(loss="in_batch", steps=4, batch=4)
Harm = Callable[[Path], object]


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    found = bytearray(path.read_bytes())
    found[-2] ^= 0x40  # in the last number of a tensor, or the last bracket of a JSON file
    path.write_bytes(bytes(found))


HARMS: list[Harm] = [halved, flipped, lambda path: path.write_bytes(b"")]
NAMES = ["halved", "one bit flipped", "empty"]


def trained(folder: Path, settings: StageSettings = SETTINGS, **options: Any) -> Trained:
    return train(ToyRetriever(), toy_triplets(12, 9), ToyImages(9), settings, folder=folder, **options)


@pytest.mark.parametrize("harm", HARMS, ids=NAMES)
@pytest.mark.parametrize("name", ["step-000004.safetensors", "result.json", "provenance.json"])
def test_a_damaged_stage_is_refused_and_trained_anew_once_its_folder_is_gone(
    name: str, harm: Harm, tmp_path: Path
) -> None:
    whole = trained(tmp_path / "stage")
    before = {path.name: path.read_bytes() for path in (tmp_path / "stage").iterdir()}
    harm(tmp_path / "stage" / name)
    with pytest.raises(UserError, match=rf"stage/{name} is damaged; remove the folder .*stage, and that stage"):
        trained(tmp_path / "stage")
    for path in (tmp_path / "stage").iterdir():
        path.unlink()
    assert trained(tmp_path / "stage").losses == whole.losses
    assert {path.name: path.read_bytes() for path in (tmp_path / "stage").iterdir()} == before


def test_weights_that_are_gone_are_told(tmp_path: Path) -> None:
    trained(tmp_path / "stage").last.unlink()
    with pytest.raises(UserError, match=r"step-000004\.safetensors is gone; remove the folder"):
        trained(tmp_path / "stage")


@pytest.mark.parametrize("harm", HARMS, ids=NAMES)
def test_a_damaged_checkpoint_is_never_gone_on_from(harm: Harm, tmp_path: Path) -> None:
    def interrupted(_: Retriever) -> float:
        if checkpoint.exists():
            raise InterruptedError
        return 0.0

    checkpoint = tmp_path / "stage" / "checkpoint.safetensors"
    settings = SETTINGS.model_copy(update={"evaluate_every": 1})
    with pytest.raises(InterruptedError):
        trained(tmp_path / "stage", settings, evaluate=interrupted, checkpoint_every_seconds=0)
    harm(checkpoint)
    with pytest.raises(UserError, match=r"checkpoint\.safetensors is damaged; remove the folder"):
        trained(tmp_path / "stage", settings, evaluate=lambda _: 0.0)


@pytest.mark.parametrize("harm", [*HARMS, Path.unlink], ids=[*NAMES, "gone"])
@pytest.mark.parametrize("name", ["targets.npy", "references.npy", "contents.json"])
def test_damaged_encodings_are_made_again(name: str, harm: Harm, tmp_path: Path) -> None:
    images, model = ToyImages(5), ToyRetriever()
    first = encode_collection(model, images, images.ids, folder=tmp_path)
    (path,) = tmp_path.glob(f"*/{name}")
    harm(path)
    again = encode_collection(model, images, images.ids, folder=tmp_path)
    assert torch.equal(again.targets, first.targets)
    assert torch.equal(again.references_of(images.ids), first.references_of(images.ids))
    assert len(list(tmp_path.iterdir())) == 1
    opened = len(images.opened)
    encode_collection(model, images, images.ids, folder=tmp_path)
    assert len(images.opened) == opened


@pytest.mark.parametrize("name", ["retriever.safetensors", "retriever.json"])
def test_damaged_weights_of_a_retriever_are_refused(name: str, tmp_path: Path) -> None:
    save_retriever(ToyRetriever(), tmp_path)
    halved(tmp_path / name)
    with pytest.raises(UserError, match=rf"{name} is damaged .*save the retriever anew"):
        load_weights(ToyRetriever(), tmp_path)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let this process write no larger files: the same error numbers come from a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_room_is_told_as_the_system_tells_it(tmp_path: Path) -> None:
    with files_of_at_most(1000), pytest.raises(OSError, match="File too large") as told:
        save_retriever(ToyRetriever(), tmp_path)
    assert told.value.errno == errno.EFBIG
    assert not list(tmp_path.iterdir())


def test_room_for_a_mapped_array_is_asked_for_before_it_is_written(tmp_path: Path) -> None:
    """A hole in a sparse file that the disk has no room for would kill the process that writes into it."""
    mapped_array(tmp_path / "array.npy", (1000, 32), "float32")
    assert (tmp_path / "array.npy").stat().st_blocks * 512 >= 1000 * 32 * 4
    with files_of_at_most(1000), pytest.raises(OSError, match="File too large"):
        mapped_array(tmp_path / "large.npy", (1000, 32), "float32")
