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
from cirgen_benchmark.protocols.holes import chosen, repeated, such_as
from cirgen_benchmark.protocols.ranks import BLOCK_NUMBERS, Vectors, norms

LARGEST = 1e100
"""Numbers of float64 up to here, and down to its inverse, can be squared and summed."""
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
        UserError: it is missing, or no safetensors file with ids as described above.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            half = {name for name in file.keys() if file.get_slice(name).get_dtype() == "BF16"}  # noqa: SIM118
            tensors = {name: _widened(file.get_tensor(name)) for name in file.keys() if name not in half}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read as a features file ({error}); write float32 tensors with "
            "safetensors.numpy.save_file."
        ) from error
    tensors |= _of_bfloat16(path, half)
    return FeaturesFile(path, tensors, _named_rows(path, tensors, metadata))


def _of_bfloat16(path: Path, names: set[str]) -> Features:
    """Return tensors as float32, which holds every bfloat16: numpy has no such numbers."""
    if not names:
        return {}
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name).float().numpy() for name in sorted(names)}


def _widened(tensor: NDArray[Any]) -> NDArray[Any]:
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
    except (ValueError, RecursionError) as error:
        raise UserError(f"{key} in the header of {path} is no JSON ({error}); write a list of ids.") from error
    if not isinstance(found, list) or (len(found),) != shape:
        raise UserError(f"{key} in the header of {path} must be a list of {sum(shape):,} ids, one for each row.")
    ids = tuple(map(str, found))
    twice = repeated(ids)
    if twice:
        raise UserError(f"{key} in the header of {path} names {twice[0]} twice; keep one row of each.")
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
    known = set(order)
    foreign = [one for one in file.ids[name] if one not in known]
    if foreign:
        raise UserError(
            f"'{name}' in {file.path} names rows that are not of this split: {len(foreign):,}{such_as(foreign)}; give "
            "the features of the split that is scored."
        )
    places = {one: row for row, one in enumerate(file.ids[name])}
    there = [row for row, one in enumerate(order) if one in places]  # GeneCIS shows a picture in several galleries
    tensor = file.tensors[name]
    whole = np.zeros((len(order), *tensor.shape[1:]), dtype=tensor.dtype)
    whole[there] = tensor[[places[order[row]] for row in there]]
    return whole


def normalised(features: Features) -> Features:
    """Return the features with every vector of a gallery scaled to norm 1, zeros as they are: cosines are compared."""
    return {name: _unit(tensor) if _is_gallery(name, tensor) else tensor for name, tensor in features.items()}


def _is_gallery(name: str, tensor: NDArray[Any]) -> bool:
    return name.startswith("gallery") and tensor.ndim > 1 and tensor.size > 0 and tensor.dtype.kind == "f"


def _unit(vectors: Vectors) -> NDArray[Any]:
    """Scale vectors to norm 1 in float64, first by their largest number, so that no square is too large or small."""
    found = np.array(vectors, dtype=np.float64)
    step = max(1, BLOCK_NUMBERS // found[:1].size)
    for start in range(0, len(found), step):
        part = found[start : start + step]
        _divide(part, np.abs(part).max(axis=-1, keepdims=True))
        _divide(part, np.linalg.norm(part, axis=-1, keepdims=True))
    return found


def _divide(part: NDArray[np.float64], sizes: NDArray[np.float64]) -> None:
    np.divide(part, sizes, out=part, where=np.isfinite(sizes) & (sizes > 0))


def norm_remark(features: Features) -> str:
    """Say that the vectors of galleries have several norms, which a model compared by cosine would not have."""
    for name, tensor in features.items():
        if _is_gallery(name, tensor) and np.isfinite(tensor).all() and measurable(tensor).all():
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
        UserError: there is none, it holds no floats, it has another shape, or a row is not finite or not measurable.
    """
    tensor = features.get(name)
    if tensor is None:
        raise UserError(
            f"The features have no tensor '{name}' (there are: {', '.join(sorted(features)) or 'none'}); give one."
        )
    if tensor.dtype.kind != "f":
        raise UserError(f"Tensor '{name}' holds {tensor.dtype}; write embeddings as float32.")
    if tensor.ndim not in dimensions or 0 in tensor.shape[1:]:
        forms = " or ".join(f"[{len(ids)}, {'T, ' * (number - 2)}d]" for number in dimensions)
        raise UserError(f"Tensor '{name}' has the shape {list(tensor.shape)}; it must be {forms}.")
    if len(tensor) != len(ids):
        raise UserError(
            f"Tensor '{name}' has {len(tensor):,} rows and the benchmark {len(ids):,}; give one for each, in the "
            f"order of the annotation file, or name the rows in the header as {_ids_key(name)}."
        )
    check_finite(tensor, name, ids)
    wrong = chosen(ids, ~measurable(tensor))
    if wrong:
        raise UserError(
            f"Numbers too large or small to be squared in {len(wrong):,} of {len(ids):,} rows of '{name}'"
            f"{such_as(wrong)}; scale the vectors and write them as float32."
        )
    return tensor


def check_finite(tensor: Vectors, name: str, ids: Sequence[str]) -> None:
    """Refuse rows that hold NaN or infinity.

    Raises:
        UserError: there are such rows; says how many and which.
    """
    wrong = chosen(ids, np.asarray(~np.isfinite(tensor).all(axis=_beyond_rows(tensor))))
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
    return np.asarray(tensor.any(axis=_beyond_rows(tensor)))


def measurable(tensor: Vectors) -> NDArray[np.bool_]:
    """Return which rows are zero, or have a norm that float64 can compute from squares; those of float32 all do."""
    if tensor.dtype.itemsize <= np.dtype(np.float32).itemsize:
        return np.ones(len(tensor), dtype=np.bool_)
    largest = np.abs(tensor).max(axis=_beyond_rows(tensor), initial=0.0)
    return np.asarray((largest == 0) | ((largest >= 1 / LARGEST) & (largest <= LARGEST)))


def _beyond_rows(tensor: Vectors) -> tuple[int, ...]:
    return tuple(range(1, tensor.ndim))
