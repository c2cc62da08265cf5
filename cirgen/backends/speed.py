"""What a model did and how long it took: counted by whoever runs it, kept per stage in a run."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class Speed:
    """Counts of work; those of two calls add up."""

    rows: int = 0
    """Requests answered, or failed."""
    images: int = 0
    """Read by the model, once for every request that shows them."""
    prompt_tokens: int = 0
    """Read, those of images included, those of padding not; what several prompts begin with counts as often as it is
    read."""
    output_tokens: int = 0
    """Those that end an answer included."""
    prompt_slots: int = 0
    """Places for tokens that prompts were read at, padding included."""
    output_slots: int = 0
    """Places that tokens were written at, those of answers that were already done included."""
    seconds: float = 0.0
    """From the first request to the last result, less the time that whoever takes the results spends."""
    model_seconds: float = 0.0
    """Of them, the model was busy."""
    waited_seconds: float = 0.0
    """Of them, the model waited for pictures and prompts."""
    operations: float = 0.0
    """Arithmetic that the tokens and images took, padding left out; 0 where the recipe states no peak."""
    peak_tflops: float = 0.0
    """Of the device, as the recipe states it, in 10^12 operations a second; 0 for none."""
    peak_bytes: int = 0
    """Largest memory: of the GPU where the model is on one, else of the process."""
    operations_per_token: dict[int, float] = field(default_factory=dict, repr=False, compare=False)
    """Images of a request to operations for a token of its prompt; under -1, for a token of an answer."""

    def read(self, lengths: Sequence[int], longest: int, images: int) -> None:
        """Count the prompts of a batch, of like numbers of images, padded to `longest`."""
        self.images += images * len(lengths)
        self.prompt_tokens += sum(lengths)
        self.prompt_slots += longest * len(lengths)
        self.operations += sum(lengths) * self.operations_per_token.get(images, 0.0)

    def read_on(self, lengths: Sequence[int], longest: int, images: int) -> None:
        """Count the rest of prompts whose beginning was read for several at once, and images that this saved."""
        self.images += images
        self.prompt_tokens += sum(lengths)
        self.prompt_slots += longest * len(lengths)
        self.operations += sum(lengths) * self.operations_per_token.get(-1, 0.0)

    def wrote(self, slots: int) -> None:
        """Count the places at which a step wrote tokens."""
        self.output_slots += slots

    def answered(self, tokens: int) -> None:
        """Count an answer."""
        self.rows += 1
        self.output_tokens += tokens
        self.operations += tokens * self.operations_per_token.get(-1, 0.0)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count the time of a block as the model's."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.model_seconds += time.perf_counter() - start

    def record(self) -> dict[str, float]:
        """Return plain counts, as a run keeps them."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "operations_per_token"}
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in plain.items()}


_LARGEST = ("peak_tflops", "peak_bytes")
"""Counts of which two calls have the larger one."""


def together(known: Mapping[str, float], more: Mapping[str, float]) -> dict[str, float]:
    """Return the counts of two calls together."""
    return {
        name: max(known.get(name, 0), value) if name in _LARGEST else round(known.get(name, 0) + value, 3)
        for name, value in more.items()
    }


def told(counts: Mapping[str, float]) -> dict[str, float]:
    """Return what counts say: rates in units per second, shares from 0 to 1, seconds, bytes."""
    seconds = counts.get("seconds", 0.0)
    slots = counts.get("prompt_slots", 0) + counts.get("output_slots", 0)
    # the last place of a prompt yields the first token of its answer
    used = counts.get("prompt_tokens", 0) + counts.get("output_tokens", 0) - counts.get("rows", 0)
    figures = {
        "images_per_second": _ratio(counts.get("images", 0), seconds),
        "rows_per_second": _ratio(counts.get("rows", 0), seconds),
        "output_tokens_per_second": _ratio(counts.get("output_tokens", 0), seconds),
        "padding_share": max(0.0, 1 - _ratio(used, slots)) if slots else 0.0,
        "waited_seconds": counts.get("waited_seconds", 0.0),
        "waited_share": _ratio(counts.get("waited_seconds", 0.0), seconds),
        "peak_bytes": counts.get("peak_bytes", 0),
    }
    if counts.get("peak_tflops"):
        figures["model_flop_utilisation"] = _ratio(counts["operations"], seconds * counts["peak_tflops"] * 1e12)
    return figures


def in_words(figures: Mapping[str, float]) -> str:
    """Return what `told` says as people read it."""
    parts = [
        f"{figures['images_per_second']:,.3g} images/s",
        f"{figures['rows_per_second']:,.3g} texts/s",
        f"{figures['output_tokens_per_second']:,.3g} new tokens/s",
        f"padding {figures['padding_share']:.1%}",
        f"waited for pictures {figures['waited_seconds']:,.1f} s ({figures['waited_share']:.1%})",
        f"peak memory {figures['peak_bytes'] / 2**30:,.1f} GiB",
    ]
    if "model_flop_utilisation" in figures:
        parts.append(f"{figures['model_flop_utilisation']:.1%} of the stated peak")
    return ", ".join(parts)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def peak_bytes(device: Any) -> int:
    """Return the largest memory so far: of the GPU where the model is on one, else of this process."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024  # Linux counts in KiB


def operations(model: Any, inputs: Mapping[str, Any]) -> float:
    """Return the operations of one pass over one row: a multiplication and its addition are two."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.inference_mode(False), torch.no_grad(), counter:
        model(**inputs, logits_to_keep=1, use_cache=False)
    return float(counter.get_total_flops())
