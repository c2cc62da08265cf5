"""What makes a generated row the same row: a key over everything that can change the answer, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY_SCHEME = 1
"""Raise when the meaning of a key changes: every row is then generated again."""

LEFT_OUT: Mapping[str, str] = {
    "name": "a label of the run; it reaches no prompt",
    "mllm.model": "the content hash of the files stands for it: the same weights at another path are the same model",
    "mllm.revision": "as mllm.model",
    "mllm.batch_size": "changes speed alone: greedy fp32 texts do not depend on their batch companions",
    "mllm.device": "changes speed alone",
    "llm.model": "as mllm.model",
    "llm.revision": "as mllm.model",
    "llm.batch_size": "as mllm.batch_size",
    "llm.device": "changes speed alone",
    "encoder.model": "as mllm.model",
    "encoder.revision": "as mllm.model",
    "encoder.device": "changes speed alone",
    "filter.model.model": "as mllm.model",
    "filter.model.revision": "as mllm.model",
    "filter.model.batch_size": "as mllm.batch_size",
    "filter.model.device": "changes speed alone",
    "filter.encoders.model": "as mllm.model",
    "filter.encoders.revision": "as mllm.model",
    "filter.encoders.device": "changes speed alone",
    "filter.classifier.model": "as mllm.model",
    "filter.classifier.revision": "as mllm.model",
    "filter.classifier.device": "changes speed alone",
    "filter.*.words": "the content hash of the word list stands for it (filters.files)",
    "filter.*.against": "the content hash of the pictures or lists stands for it (filters.files)",
    "filter.*_fit.labels": "the content hash of the file stands for it (filters.fitted)",
    "export.layouts": "what is written beside the dataset changes no row of it",
    "publish": "where a finished corpus goes does not change it",
}
"""Recipe fields that enter neither a row key nor the recipe hash, each with its reason."""


def canonical(value: Any) -> bytes:
    """Serialise plain data to the one byte string that is hashed: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(*parts: Any) -> str:
    """Return the sha256 (64 hex digits) of plain data."""
    return hashlib.sha256(canonical(parts)).hexdigest()


def generation_key(
    prompt: str,
    image_ids: tuple[str, ...],
    model: Mapping[str, Any],
    sampling: Mapping[str, Any],
    seed: int,
    sample_index: int,
) -> str:
    """Return the key of one generated text.

    Args:
        prompt: the rendered prompt.
        image_ids: in the order in which the model sees them.
        model: a backend's identity: content hash, backend kind, dtype, quantisation, pixel limits.
        sampling: the requested policy, retry ladder included.
        seed: the recipe's.
        sample_index: which of several texts asked for with the same words.
    """
    return digest("generation", KEY_SCHEME, prompt, image_ids, dict(model), dict(sampling), seed, sample_index)


def draw(*parts: Any) -> float:
    """Return a uniform number in [0, 1) that depends on `parts` alone: a seeded draw without state or order."""
    return int(digest(*parts)[:13], 16) / 16**13


def recipe_hash(recipe: Mapping[str, Any], models: Mapping[str, str], prompts: Mapping[str, str]) -> str:
    """Hash what a resolved recipe means: its fields less `LEFT_OUT`, the content of its models and of its prompts."""
    return digest("recipe", KEY_SCHEME, without(recipe, LEFT_OUT), dict(models), dict(prompts))


def without(fields: Mapping[str, Any], left_out: Mapping[str, str], prefix: str = "") -> dict[str, Any]:
    """Return `fields` without the dotted paths in `left_out`, in which the items of a list have no name."""
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        path = f"{prefix}{name}"
        if path not in left_out:
            kept[name] = _without(value, left_out, f"{path}.")
    return kept


def _without(value: Any, left_out: Mapping[str, str], prefix: str) -> Any:
    if isinstance(value, Mapping):
        return without(value, left_out, prefix)
    return [_without(item, left_out, prefix) for item in value] if isinstance(value, list | tuple) else value
