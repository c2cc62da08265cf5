"""What makes a generated row the same row: a key over everything that can change the answer, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY_SCHEME = 1
"""Raise when the meaning of a key changes: every row is then generated again."""

MODEL_LEFT_OUT: Mapping[str, str] = {
    "model": "the content hash stands for it: of local files, so that the same weights at another path are the same "
    "model; of hub id and commit; of a served model's name, its revision as the recipe tells it, and the hub id that "
    "the server's list of models gives as its root",
    "revision": "as model",
    "batch_size": "changes speed alone: greedy fp32 texts do not depend on their batch companions",
    "batch_tokens": "as batch_size",
    "device": "changes speed alone",
    "attention": "as device: another way to the same sums",
    "workers": "changes speed alone",
    "peak_tflops": "changes what is told, no answer",
    "price": "changes what is counted, no answer",
    "server.base_url": "where a model is served changes no answer of it",
    "server.api_key_env": "who asks changes no answer",
    "server.concurrency": "changes speed alone",
    "server.requests_per_minute": "changes speed alone",
    "server.tokens_per_minute": "changes speed alone",
    "server.timeout": "decides whether there is an answer, not which",
    "server.retries": "as server.timeout",
    "server.backoff": "as server.timeout",
    "server.limit_name": "another name of the longest answer, which is a part of the sampling",
    "server.send_seed": "a sampled answer is one draw, with the seed sent or without",
    "engine.tensor_parallel_size": "how work is split over devices is as batch_size",
    "engine.pipeline_parallel_size": "as engine.tensor_parallel_size",
    "engine.data_parallel_size": "as engine.tensor_parallel_size",
    "engine.enable_expert_parallel": "as engine.tensor_parallel_size",
    "engine.mm_encoder_tp_mode": "as engine.tensor_parallel_size",
    "engine.distributed_executor_backend": "as engine.tensor_parallel_size",
    "engine.gpu_memory_utilization": "room for caches changes speed alone",
    "engine.kv_cache_memory_bytes": "as engine.gpu_memory_utilization",
    "engine.cpu_offload_gb": "where weights lie changes speed alone",
    "engine.swap_space": "as engine.gpu_memory_utilization",
    "engine.block_size": "as engine.gpu_memory_utilization",
    "engine.max_num_seqs": "as batch_size",
    "engine.max_num_batched_tokens": "as batch_size",
    "engine.enable_chunked_prefill": "as batch_size",
    "engine.enable_prefix_caching": "a cached prefix is the same prefix",
    "engine.mm_processor_cache_gb": "a cached picture is the same picture",
    "engine.mm_processor_cache_type": "as engine.mm_processor_cache_gb",
    "engine.enforce_eager": "changes speed alone, but for the last bits of bf16",
    "engine.download_dir": "where weights lie changes no answer",
    "engine.load_format": "how weights are read changes no answer",
    "engine.disable_log_stats": "changes what is told, no answer",
}
"""Fields of a generative model that enter neither a row key nor the recipe hash, each with its reason.

What else stands under `engine` and `server.extra_body` enters both: an option that nobody listed here may change an
answer.
"""

LEFT_OUT: Mapping[str, str] = {
    "name": "a label of the run; it reaches no prompt",
    **{
        f"{role}.{field}": reason
        for role in ("mllm", "llm", "filter.model")
        for field, reason in MODEL_LEFT_OUT.items()
    },
    "encoder.model": "the content hash of the files stands for it",
    "encoder.revision": "as encoder.model",
    "encoder.device": "changes speed alone",
    "filter.encoders.model": "as encoder.model",
    "filter.encoders.revision": "as encoder.model",
    "filter.encoders.device": "changes speed alone",
    "filter.classifier.model": "as encoder.model",
    "filter.classifier.revision": "as encoder.model",
    "filter.classifier.device": "changes speed alone",
    "filter.*.words": "the content hash of the word list stands for it (filters.files)",
    "filter.*.against": "the content hash of the pictures or lists stands for it (filters.files)",
    "filter.*_fit.labels": "the content hash of the file stands for it (filters.fitted)",
    "export.layouts": "what is written beside the dataset changes no row of it",
    "ray": "where the work is done changes no row",
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
