"""What numbers training computes with: bfloat16 where the processor has instructions for it, float32 elsewhere.

Where bfloat16 is emulated, a step takes six times as long as in float32 (33 s for 5 s, one core of an EPYC with AVX2).
"""

from __future__ import annotations

import torch


def has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16 by itself."""
    told = getattr(torch.cpu, "get_capabilities", None)  # an older torch does not tell
    return told is not None and bool(told().get("avx512_bf16"))


DTYPE = torch.bfloat16 if has_bfloat16() else torch.float32


def autocast() -> torch.autocast:
    """Return the context that a step computes its loss in."""
    return torch.autocast("cpu", torch.bfloat16, enabled=DTYPE is torch.bfloat16)
