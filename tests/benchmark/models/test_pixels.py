from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_models import DEVIATION, MEAN, SIDE, tiny_images
from transformers import BlipImageProcessorPil, CLIPImageProcessorPil, SiglipImageProcessorPil

from cirgen.errors import UserError
from cirgen_benchmark.models.pixels import PixelTransform, pad_to_ratio, pixel_transform

sides = st.integers(1, 400)


@given(sides, sides, st.floats(1, 3))
def test_padding_bounds_the_ratio_and_keeps_the_picture_in_the_middle(width: int, height: int, ratio: float) -> None:
    padded = np.asarray(pad_to_ratio(Image.new("RGB", (width, height), "white"), ratio))
    long_side, short_side = max(padded.shape[:2]), min(padded.shape[:2])
    assert long_side == max(width, height)
    assert long_side / ratio - short_side < 2  # the rounding of two margins
    rows, columns = np.nonzero(padded[..., 0])
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (height, width)
    assert rows.min() == padded.shape[0] - 1 - rows.max()
    assert columns.min() == padded.shape[1] - 1 - columns.max()


def test_padding_is_that_of_the_published_protocol() -> None:
    """max / min >= 1.25: each margin of the short side is int((max / 1.25 - min) / 2)."""
    assert pad_to_ratio(Image.new("RGB", (100, 81)), 1.25).size == (100, 81)
    assert pad_to_ratio(Image.new("RGB", (200, 51)), 1.25).size == (200, 51 + 2 * 54)
    assert pad_to_ratio(Image.new("L", (30, 300)), 1.25).size == (30 + 2 * 105, 300)


@given(sides, sides)
def test_pixels_are_always_one_square_of_normalised_colours(width: int, height: int) -> None:
    image = Image.new("RGB", (width, height), (255, 0, 51))
    assert PixelTransform(16, MEAN, DEVIATION)(image).shape == (3, 16, 16)
    pixels = PixelTransform(16, MEAN, DEVIATION, target_pad=None)(image)
    assert pixels.shape == (3, 16, 16)
    colour = [(value - mean) / deviation for value, mean, deviation in zip((1, 0, 0.2), MEAN, DEVIATION, strict=True)]
    torch.testing.assert_close(pixels, torch.tensor(colour).view(3, 1, 1).expand(3, 16, 16))


@pytest.mark.parametrize("size", [(48, 40), (40, 90), (100, 36), (32, 32), (64, 33)])
def test_without_padding_it_is_clips_own_transform(size: tuple[int, int]) -> None:
    stock = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, image_mean=MEAN, image_std=DEVIATION
    )
    image = tiny_images(1)[0].resize(size)
    wanted = stock(image, return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(pixel_transform(stock, None)(image), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", [BlipImageProcessorPil, SiglipImageProcessorPil])
def test_side_and_statistics_are_those_of_the_models_own_processor(kind: type) -> None:
    processor = kind(size={"height": 48, "width": 48}, image_mean=MEAN, image_std=DEVIATION)
    assert pixel_transform(processor, 1.25) == PixelTransform(48, MEAN, DEVIATION, 1.25)
    plain = kind(size={"height": 48, "width": 48}, do_normalize=False)
    assert pixel_transform(plain, None) == PixelTransform(48, (0, 0, 0), (1, 1, 1), None)


def test_a_model_for_oblong_pictures_is_refused() -> None:
    with pytest.raises(UserError, match="no square size"):
        pixel_transform(BlipImageProcessorPil(size={"height": 48, "width": 96}), None)
