"""Features files: safetensors with the embeddings of galleries and queries, and the checks that they must pass.

Rows come in the order of the benchmark's annotation files. A file whose copy of the images has holes, or that is in
another order, names its rows in the header (`metadata` of safetensors' `save_file`), as JSON lists of ids:
`gallery_ids` and `query_ids`, or `gallery_ids.dress` and `query_ids.dress` for tensors `gallery.dress` and
`queries.dress`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cirgen.errors import UserError
from cirgen_benchmark.protocols.base import Features, Protocol
from cirgen_benchmark.protocols.holes import chosen, such_as
from cirgen_benchmark.protocols.ranks import Vectors, norms

UNIT = 1e-2
"""Vectors whose norms are no further from 1 count as normalised; half precision is off by up to 5e-4."""


@dataclass(frozen=True)
class FeaturesFile:
    """What a features file holds."""

    path: Path
    tensors: Features
    ids: Mapping[str, Sequence[str]]
    """What the rows of a tensor are, for those tensors whose rows the file names."""


def read_features(path: Path) -> FeaturesFile:
    """Read a features file.

    Raises:
        UserError: it is missing, or no safetensors file of float tensors with ids as described above.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            tensors = {name: _numbers(path, name, file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read as a features file ({error}); write float32 tensors with "
            "safetensors.numpy.save_file."
        ) from error
    return FeaturesFile(path, tensors, _named_rows(path, tensors, metadata))


def _numbers(path: Path, name: str, tensor: NDArray[Any]) -> NDArray[Any]:
    if tensor.dtype.kind != "f":
        raise UserError(f"Tensor '{name}' of {path} holds {tensor.dtype}; write embeddings as float32.")
    return tensor.astype(np.float32) if tensor.dtype == np.float16 else tensor


def _named_rows(path: Path, tensors: Features, metadata: Mapping[str, str]) -> dict[str, Sequence[str]]:
    return {
        tensor: _ids(path, key, metadata[key], tensors[tensor].shape[:1])
        for tensor in tensors
        if (key := _ids_key(tensor)) in metadata
    }


def _ids_key(tensor: str) -> str:
    """Return the name of a tensor's ids in the header: `gallery.dress` to `gallery_ids.dress`."""
    kind, dot, part = tensor.partition(".")
    return f"{kind.replace('queries', 'query')}_ids{dot}{part}"


def _ids(path: Path, key: str, text: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UserError(f"{key} in the header of {path} is no JSON ({error}); write a list of ids.") from error
    if not isinstance(found, list) or (len(found),) != shape:
        raise UserError(f"{key} in the header of {path} must be a list of {sum(shape):,} ids, one for each row.")
    ids = tuple(map(str, found))
    if len(set(ids)) < len(ids):
        twice = next(one for one in ids if ids.count(one) > 1)
        raise UserError(f"{key} in the header of {path} names {twice} twice; keep one row of each.")
    return ids


def arranged(file: FeaturesFile, protocol: Protocol) -> Features:
    """Put the rows that a file names into the protocol's order, with zeros for what it lacks.

    Tensors whose rows are not named stay as they are.

    Raises:
        UserError: a row is named that the benchmark does not have.
    """
    orders = {**protocol.galleries(), **protocol.query_ids()}
    return {
        name: _arranged(file, name, orders[name]) if name in file.ids and name in orders else tensor
        for name, tensor in file.tensors.items()
    }


def _arranged(file: FeaturesFile, name: str, order: Sequence[str]) -> Vectors:
    places = {one: row for row, one in enumerate(order)}
    foreign = [one for one in file.ids[name] if one not in places]
    if foreign:
        raise UserError(
            f"'{name}' in {file.path} names rows that are not of this split: {len(foreign):,}{such_as(foreign)}; give "
            "the features of the split that is scored."
        )
    tensor = file.tensors[name]
    whole = np.zeros((len(order), *tensor.shape[1:]), dtype=tensor.dtype)
    whole[[places[one] for one in file.ids[name]]] = tensor
    return whole


def normalised(features: Features) -> Features:
    """Return the features with every vector of a gallery scaled to norm 1, zeros as they are: cosines are compared."""
    return {name: _unit(tensor) if name.startswith("gallery") else tensor for name, tensor in features.items()}


def _unit(vectors: Vectors) -> NDArray[Any]:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1.0, lengths))


def norm_remark(features: Features) -> str:
    """Say that the vectors of galleries have several norms, which a model compared by cosine would not have."""
    for name, tensor in features.items():
        if name.startswith("gallery") and tensor.ndim > 1 and tensor.size and np.isfinite(tensor).all():
            lengths = norms(tensor.reshape(-1, tensor.shape[-1]))
            lengths = lengths[lengths > 0]
            if len(lengths) and (abs(lengths - 1) > UNIT).any():
                return (
                    f"The vectors of '{name}' have norms from {lengths.min():.3g} to {lengths.max():.3g}; they are "
                    "compared by dot product, as they are (--normalize: by cosine)."
                )
    return ""


def tensor_of(features: Features, name: str, ids: Sequence[str], dimensions: Sequence[int]) -> Vectors:
    """Return a tensor whose rows are as many as ids.

    Args:
        features: by name.
        name: of the tensor.
        ids: of its rows.
        dimensions: how many it may have, e.g. 2 for [N, d].

    Raises:
        UserError: there is none, it has another shape, or a row is not finite.
    """
    tensor = features.get(name)
    if tensor is None:
        raise UserError(f"The features have no tensor '{name}' (there are: {', '.join(sorted(features)) or 'none'}).")
    if tensor.ndim not in dimensions or 0 in tensor.shape[1:]:
        forms = " or ".join(f"[{len(ids)}, {'T, ' * (number - 2)}d]" for number in dimensions)
        raise UserError(f"Tensor '{name}' has the shape {list(tensor.shape)}; it must be {forms}.")
    if len(tensor) != len(ids):
        raise UserError(
            f"Tensor '{name}' has {len(tensor):,} rows and the benchmark {len(ids):,}; give one for each, in the "
            f"order of the annotation file, or name the rows in the header as {_ids_key(name)}."
        )
    check_finite(tensor, name, ids)
    return tensor


def check_finite(tensor: Vectors, name: str, ids: Sequence[str]) -> None:
    """Refuse rows that hold NaN or infinity.

    Raises:
        UserError: there are such rows; says how many and which.
    """
    wrong = chosen(ids, np.asarray(~np.isfinite(tensor).reshape(len(tensor), -1).all(axis=1)))
    if wrong:
        raise UserError(
            f"NaN or infinity in {len(wrong):,} of {len(ids):,} rows of '{name}'{such_as(wrong)}; encode them again."
        )


def check_width(queries: Vectors, gallery: Vectors, names: tuple[str, str]) -> None:
    """Refuse queries that live in another space than their gallery.

    Raises:
        UserError: they have different numbers of dimensions.
    """
    if queries.shape[-1] != gallery.shape[-1]:
        raise UserError(
            f"'{names[0]}' has {queries.shape[-1]} dimensions and '{names[1]}' {gallery.shape[-1]}; both must come "
            "from one model."
        )


def filled(tensor: Vectors) -> NDArray[np.bool_]:
    """Return which rows are embeddings, that is not zero all over."""
    return np.asarray(tensor.reshape(len(tensor), -1).any(axis=1))
