"""Every picture that opens is upright, RGB and over white; every other one says why not."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cirgen import pictures
from cirgen.pictures import PictureError, color_hash, decode, formats, perceptual_hash, pixel_hash

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I", "I;16", "F")


def encoded(image: Image.Image, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def picture(mode: str, size: tuple[int, int] = (40, 24)) -> Image.Image:
    if mode == "I;16":
        values = np.linspace(0, 65535, size[0] * size[1]).astype(np.uint16).reshape(size[1], size[0])
        return Image.fromarray(values)
    if mode == "PA":
        return Image.new("RGBA", size, (200, 100, 50, 128)).convert("PA")
    if mode == "LAB":
        return Image.new("LAB", size, (120, 140, 90))
    return Image.linear_gradient("L").resize(size).convert("RGB").convert(mode)


LOST_BY_PILLOW = {("ICNS", "P")}
"""Its reader drops the palette, so the colours are gone."""


def savable() -> list[tuple[str, str]]:
    Image.init()
    found = []
    for name in sorted(set(formats()) & set(Image.SAVE)):
        for mode in MODES:
            try:
                encoded(picture(mode), name)
            except (OSError, ValueError, KeyError):
                continue
            found.append((name, mode))
    return [pair for pair in found if pair not in LOST_BY_PILLOW]


@pytest.mark.parametrize(("name", "mode"), savable())
def test_every_mode_of_every_format_opens(name: str, mode: str) -> None:
    data = encoded(picture(mode), name)
    image, notes, format_name = decode(data)
    assert image.mode == "RGB"
    assert format_name in formats()
    with Image.open(io.BytesIO(data)) as stored:
        stored.load()
        assert image.size == stored.size
        assert bool(notes) == (stored.mode not in ("RGB", "RGBX"))


def test_many_modes_and_formats_are_tried() -> None:
    tried = savable()
    assert len({name for name, _ in tried}) >= 15
    assert {mode for _, mode in tried} == set(MODES)


CORNER = (255, 0, 0)
TURNS = {
    1: (),
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_90,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_270,),
}
"""How a camera that is held so stores an upright scene: the inverse of what a viewer has to do."""


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_comes_out_upright(name: str, orientation: int) -> None:
    scene = Image.new("RGB", (48, 32), "white")
    scene.paste(CORNER, (0, 0, 16, 16))
    stored = scene
    for turn in TURNS[orientation]:
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image, notes, _ = decode(encoded(stored, name, exif=exif))
    assert image.size == scene.size
    assert np.abs(np.asarray(image, int) - np.asarray(scene, int)).mean() < 4
    assert notes == (("turned",) if orientation > 1 else ())


def test_a_picture_with_broken_exif_still_opens() -> None:
    image, notes, _ = decode(encoded(picture("RGB"), "PNG", exif=b"Exif\0\0no exif at all"))
    assert image.size == (40, 24)
    assert notes == ("unreadable exif",)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_laid_over_white(mode: str) -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0)).convert(mode)
    name = "TIFF" if mode == "PA" else "PNG"
    image, notes, _ = decode(encoded(clear, name))
    assert image.getextrema() == ((255, 255),) * 3
    assert "alpha" in notes


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_is_laid_over_white(mode: str) -> None:
    clear = Image.new(mode, (8, 8), 0)
    key: object = (0, 0, 0) if mode == "RGB" else 0
    image, notes, _ = decode(encoded(clear, "PNG", transparency=key))
    assert image.getextrema() == ((255, 255),) * 3
    assert "alpha" in notes


def test_sixteen_bits_keep_the_upper_eight() -> None:
    values = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    image, notes, _ = decode(encoded(Image.fromarray(values), "PNG"))
    assert np.asarray(image)[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    assert notes == ("16 bits", "grey")


def test_sixteen_bit_colour_is_noted() -> None:
    rows = b"".join(b"\0" + b"\x80\x01" * 3 * 4 for _ in range(4))
    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    image, notes, _ = decode(b"\x89PNG\r\n\x1a\n" + body)
    assert image.getpixel((0, 0)) == (128, 128, 128)
    assert notes == ("16 bits",)


def test_floats_are_stretched() -> None:
    image, notes, _ = decode(encoded(Image.fromarray(np.array([[-1.0, 0.0, 1.0]], np.float32)), "TIFF"))
    assert np.asarray(image)[0, :, 0].tolist() == [0, 128, 255]
    assert notes == ("stretched", "grey")


def test_cmyk_becomes_rgb() -> None:
    image, notes, _ = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    red, green, blue = image.getpixel((8, 8))  # type: ignore[misc]
    assert red > 240
    assert max(green, blue) < 20
    assert notes == ("cmyk",)


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP", "TIFF"])
def test_an_animation_is_its_first_frame(name: str) -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue", "lime")]
    data = encoded(frames[0], name, save_all=True, append_images=frames[1:])
    image, notes, _ = decode(data)
    assert image.getpixel((5, 5))[0] > 240  # type: ignore[index]
    assert "first frame" in notes


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"no picture at all", "no picture format"),
        (encoded(picture("RGB", (300, 300)), "PNG")[:200], "broken picture"),
        (encoded(picture("RGB", (300, 300)), "JPEG")[:900], "broken picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", "no picture format"),
    ],
)
def test_what_cannot_be_decoded_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(PictureError, match=reason) as raised:
        decode(data)
    assert " at 0x" not in str(raised.value)


def test_a_decompression_bomb_is_refused_before_it_unpacks() -> None:
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    with pytest.raises(PictureError, match="pixels"):
        decode(b"\x89PNG\r\n\x1a\n" + body)


def test_our_own_limit_holds_below_the_one_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_PIXELS", 40 * 24 - 1)
    with pytest.raises(PictureError, match="40 x 24 pixels are more than the limit"):
        decode(encoded(picture("RGB"), "PNG"))


SEEDS = [encoded(picture("RGB"), name) for name in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_damaged_bytes_never_end_in_another_error(seed: bytes, data: st.DataObject) -> None:
    damaged = bytearray(seed[: data.draw(st.integers(0, len(seed)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert decode(bytes(damaged)).image.mode == "RGB"
    except PictureError as error:
        assert str(error)


def test_the_same_pixels_have_the_same_hash_whatever_file_they_come_from() -> None:
    image = picture("RGB")
    files = [encoded(image, name) for name in ("PNG", "BMP", "TIFF", "PPM")]
    assert len({pixel_hash(decode(data).image) for data in files}) == 1
    assert pixel_hash(image) != pixel_hash(image.transpose(Image.Transpose.ROTATE_90))


def test_hashes_have_the_sizes_that_the_store_promises() -> None:
    for size in ((1, 1), (3, 700), (640, 480)):
        image = picture("RGB", size)
        assert len(bytes.fromhex(perceptual_hash(image))) == 8
        assert len(bytes.fromhex(color_hash(image))) == 96


def test_the_colour_layout_tells_what_the_grey_hash_cannot() -> None:
    red, green = Image.new("RGB", (64, 64), (200, 50, 50)), Image.new("RGB", (64, 64), (50, 127, 50))
    assert perceptual_hash(red) == perceptual_hash(green)
    assert color_hash(red) != color_hash(green)
