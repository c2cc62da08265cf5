"""Images to pixels: pad to a bounded aspect ratio, resize, crop, normalise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cirgen.errors import UserError

TARGET_PAD = 1.25
"""Largest ratio of the sides after padding (CLIP4Cir, arXiv 2203.16784; SPN4CIR's released code keeps it)."""


@dataclass(frozen=True)
class PixelTransform:
    """Target padding, bicubic resize of the shorter side, centre crop, normalisation; the same in training and after.

    Images come out as they go in, without augmentation, as in SPN4CIR's released code.
    """

    side: int
    """Pixels of the square that comes out."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    target_pad: float | None = TARGET_PAD
    """Largest ratio of the sides after padding with black; None pads nothing, which is CLIP's own transform."""

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the pixels [3, side, side] float32 of one image."""
        padded = (
            image.convert("RGB") if self.target_pad is None else pad_to_ratio(image.convert("RGB"), self.target_pad)
        )
        square = centre_crop(resize_shorter_side(padded, self.side), self.side)
        values = torch.from_numpy(np.array(square, dtype=np.float32)).permute(2, 0, 1) / 255
        return (values - torch.tensor(self.mean).view(3, 1, 1)) / torch.tensor(self.std).view(3, 1, 1)


def pad_to_ratio(image: Image.Image, ratio: float) -> Image.Image:
    """Pad the shorter sides with black, evenly, until the ratio of the sides is at most `ratio`, to a pixel."""
    long_side = max(image.size)
    if long_side < ratio * min(image.size):
        return image
    across, down = (max(int((long_side / ratio - side) / 2), 0) for side in image.size)
    padded = Image.new(image.mode, (image.width + 2 * across, image.height + 2 * down))
    padded.paste(image, (across, down))
    return padded


def resize_shorter_side(image: Image.Image, side: int) -> Image.Image:
    """Resize, bicubic, so that the shorter side has `side` pixels and the ratio stays."""
    shorter = min(image.size)
    width, height = (max(side, side * length // shorter) for length in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def centre_crop(image: Image.Image, side: int) -> Image.Image:
    """Cut the central square of `side` pixels out of an image that is at least as large."""
    left, top = (round((length - side) / 2) for length in image.size)
    return image.crop((left, top, left + side, top + side))


def pixel_transform(image_processor: Any, target_pad: float | None) -> PixelTransform:
    """Take size, mean and deviation from a model's own image processor.

    Raises:
        UserError: the processor names no square size.
    """
    size = image_processor.crop_size if getattr(image_processor, "do_center_crop", False) else image_processor.size
    mean, std = (tuple(float(value) for value in values) for values in _statistics(image_processor))
    return PixelTransform(_side(size), mean, std, target_pad)  # type: ignore[arg-type]  # three channels each


def _statistics(image_processor: Any) -> tuple[Any, Any]:
    if not image_processor.do_normalize:
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return image_processor.image_mean, image_processor.image_std


def _side(size: Mapping[str, int]) -> int:
    sides = {int(value) for value in dict(size).values() if value is not None}
    if len(sides) != 1:
        raise UserError(f"The model's image processor has no square size ({dict(size)}); use a model that has.")
    return sides.pop()
