"""A retriever's weights on disk, and hashes of them that caches are keyed by.

A folder holds `retriever.safetensors` and, beside it, `retriever.json`: family, base model with the hash of its files,
options. The JSON is written last: where it is, the weights are whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.shards import atomic_path, write_text
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.models.registry import load_origin
from cirgen_benchmark.models.stock import Origin, StockRetriever

WEIGHTS_FILE = "retriever.safetensors"
ABOUT_FILE = "retriever.json"


def save_retriever(retriever: Retriever, folder: Path) -> None:
    """Write a retriever's weights, and what they are weights of, into a folder."""
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in retriever.state_dict().items()}
    with atomic_path(folder / WEIGHTS_FILE) as temporary:
        save_file(state, temporary)
    origin = retriever.origin if isinstance(retriever, StockRetriever) else None
    about = {
        "identity": retriever.identity,
        "prepared": retriever.prepared,
        "origin": asdict(origin) if origin else None,
    }
    write_text(folder / ABOUT_FILE, json.dumps(about, indent=2) + "\n")


def load_saved(folder: Path, model: str | None = None) -> Retriever:
    """Load a retriever that `save_retriever` wrote, base model included, in evaluation mode.

    Args:
        folder: of the weights.
        model: where the base model is now, where that is not where it was.

    Raises:
        UserError: no such folder, another base model, weights that do not fit, or a retriever that was plugged in.
    """
    about = _about(folder)
    if about["origin"] is None:
        raise UserError(
            f"The weights in {folder} belong to {about['identity']}, which is none of our families; make that object "
            "and call load_weights on it."
        )
    retriever = load_origin(Origin(**about["origin"]), model)
    load_weights(retriever, folder)
    return retriever


def load_weights(retriever: Retriever, folder: Path) -> None:
    """Load weights into a retriever that is like the one they were saved from; every weight must fit.

    Raises:
        UserError: another model, or weights missing, unexpected or of another shape; each is listed.
    """
    about = _about(folder)
    if about["identity"] != retriever.identity:
        raise UserError(f"The weights in {folder} are of another model or other options; load them with those.")
    if about["prepared"]:
        retriever.prepare_stage_two()
    state = load_file(folder / WEIGHTS_FILE)
    _check_weights(retriever.state_dict(), state, folder)
    retriever.load_state_dict(state)


def content(retriever: Retriever) -> str:
    """Hash all that a retriever's outputs depend on: its identity and every weight."""
    return _content(retriever.identity, retriever.prepared, retriever.state_dict().items())


def frozen_content(retriever: Retriever) -> str:
    """Hash all that the outputs of `encode_*` depend on in stage two; no step of it changes the hash.

    Raises:
        RuntimeError: stage two is not prepared, so that both sides may share weights.
    """
    if not retriever.prepared:
        raise RuntimeError("call prepare_stage_two first: until then both sides may share weights")
    trained = _names(retriever, retriever.stage_two_parameters())
    kept = ((name, tensor) for name, tensor in retriever.state_dict().items() if name not in trained)
    return digest("frozen", _content(retriever.identity, True, kept))


def saved_content(folder: Path) -> str:
    """Return what `content` returns for the retriever saved in a folder, without building it."""
    about = _about(folder)
    return _content(about["identity"], about["prepared"], load_file(folder / WEIGHTS_FILE).items())


def _content(identity: str, prepared: bool, state: Iterable[tuple[str, Tensor]]) -> str:
    return digest("retriever", identity, prepared, sorted(_hashes(state)))


def _hashes(state: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, str, list[int], str]]:
    for name, tensor in state:
        flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        yield name, str(tensor.dtype), list(tensor.shape), hashlib.sha256(memoryview(flat.numpy())).hexdigest()


def _names(model: nn.Module, parameters: Iterable[nn.Parameter]) -> set[str]:
    wanted = {id(parameter) for parameter in parameters}
    return {name for name, parameter in model.named_parameters(remove_duplicate=False) if id(parameter) in wanted}


def _about(folder: Path) -> Mapping[str, Any]:
    path = folder / ABOUT_FILE
    if not path.is_file():
        raise UserError(f"There is no {ABOUT_FILE} in {folder}; name a folder that a retriever was saved to.")
    about: dict[str, Any] = json.loads(path.read_text(encoding="utf8"))
    return about


def _check_weights(own: Mapping[str, Tensor], found: Mapping[str, Tensor], folder: Path) -> None:
    problems = {
        "missing": sorted(own.keys() - found.keys()),
        "unexpected": sorted(found.keys() - own.keys()),
        "of another shape": sorted(name for name in own.keys() & found.keys() if own[name].shape != found[name].shape),
    }
    listed = "; ".join(f"{what}: {', '.join(names)}" for what, names in problems.items() if names)
    if listed:
        raise UserError(f"The weights in {folder} do not fit the model ({listed}); load them into what was saved.")
