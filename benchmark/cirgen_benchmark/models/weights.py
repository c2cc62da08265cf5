"""A retriever's weights on disk, and hashes of them that caches are keyed by.

A folder holds `retriever.safetensors` and, beside it, `retriever.json`: family, base model with the hash of its files,
options. The JSON is written last: where it is, the weights are whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.shards import atomic_path, write_text
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.models.fit import check_fit
from cirgen_benchmark.models.registry import load_origin
from cirgen_benchmark.models.stock import Origin, StockRetriever
from cirgen_benchmark.training.disk import telling_full_disks
from cirgen_benchmark.training.fingerprints import tensors_hash

WEIGHTS_FILE = "retriever.safetensors"
ABOUT_FILE = "retriever.json"


def save_retriever(retriever: Retriever, folder: Path) -> None:
    """Write a retriever's weights, and what they are weights of, into a folder."""
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in retriever.state_dict().items()}
    origin = retriever.origin if isinstance(retriever, StockRetriever) else None
    about = {
        "identity": retriever.identity,
        "origin": asdict(origin) if origin else None,
        "prepared": retriever.prepared,
        "content": _content(retriever.identity, state),
    }
    (folder / ABOUT_FILE).unlink(missing_ok=True)
    with telling_full_disks(), atomic_path(folder / WEIGHTS_FILE) as temporary:
        save_file(state, temporary)
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
        UserError: weights missing, unexpected or of another shape, each of them listed; another base model or other
            options; or a file that is not what was saved.
    """
    about = _about(folder)
    state = _weights(folder / WEIGHTS_FILE)
    if about["prepared"]:
        retriever.prepare_stage_two()
    check_fit(retriever.state_dict(), state, folder)
    if about["identity"] != retriever.identity:
        raise UserError(
            f"The weights in {folder} were trained from another base model or with other options "
            f"({about['origin'] or about['identity']}); load them with those."
        )
    if about["content"] != _content(about["identity"], state):
        raise UserError(f"{folder / WEIGHTS_FILE} is not what {ABOUT_FILE} describes; save the retriever anew.")
    retriever.load_state_dict(state)


def content(retriever: Retriever) -> str:
    """Hash all that a retriever's outputs depend on: its identity and every weight."""
    return _content(retriever.identity, retriever.state_dict())


def saved_content(folder: Path) -> str:
    """Return what `content` returns for the retriever saved in a folder, without reading its weights.

    Raises:
        UserError: no such folder.
    """
    found: str = _about(folder)["content"]
    return found


def _content(identity: str, state: Mapping[str, Tensor]) -> str:
    return digest("retriever", identity, tensors_hash(state))


def _about(folder: Path) -> Mapping[str, Any]:
    path = folder / ABOUT_FILE
    if not path.is_file():
        raise UserError(f"There is no {ABOUT_FILE} in {folder}; name a folder that a retriever was saved to.")
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); save the retriever anew.") from error
    return about


def _weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, FileNotFoundError) as error:
        raise UserError(f"{path} is damaged or gone ({error}); save the retriever anew.") from error
