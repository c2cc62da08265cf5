"""Where a model runs and in which number format."""

from __future__ import annotations

import torch

from cirgen.errors import UserError


def pick_device(wanted: str) -> torch.device:
    """Return the device a recipe names; `auto` is a GPU where one is visible."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise UserError(f"'{wanted}' is no device; write auto, cpu or cuda.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("The recipe asks for a GPU and torch sees none; set device to auto or cpu.")
    return device


def pick_dtype(wanted: str, device: torch.device) -> str:
    """Return the number format; `auto` is bfloat16 on a GPU and float32 on a CPU."""
    if wanted != "auto":
        return wanted
    return "bfloat16" if device.type == "cuda" else "float32"


def dtype_of(name: str) -> torch.dtype:
    """Return torch's name of a number format."""
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
