"""From file bytes to an upright RGB picture, and the hashes that compare pictures.

What `decode` does with the many kinds of picture there are; each step but the first leaves the note in the last
column:

| the file holds | becomes | note |
|---|---|---|
| RGB, 8 bits | as it is | |
| an EXIF orientation | turned upright | `turned` |
| EXIF that cannot be parsed | taken as upright | `unreadable exif` |
| several frames | the first one | `first frame` |
| a palette | its colours | `palette` |
| transparency | laid over white | `alpha` |
| grey, or black and white | three equal channels | `grey` |
| 16 bits per channel | the upper 8 bits | `16 bits` |
| 32-bit integers or floats | stretched from smallest..largest to 0..255 | `stretched` |
| CMYK | RGB, without colour profile | `cmyk` |
| YCbCr, HSV, LAB | RGB | `colour space` |

Colour profiles are not applied: what a model sees is what most training pipelines see.
"""

from __future__ import annotations

import functools
import hashlib
import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

MAX_PIXELS = 89_478_485
"""Larger pictures are refused as decompression bombs; Pillow's own limit, a quarter of a GiB in RGB."""
COLOR_GRID = (4, 8)
"""Columns and rows of the colour layout; 4 x 8 cells x RGB = 96 bytes."""

_REFUSED = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"})
"""Formats that Pillow names but hands to other programs (Ghostscript runs code) or cannot decode."""
_FOREIGN_SUFFIXES = frozenset(
    {".arw", ".cr2", ".cr3", ".dng", ".eps", ".heic", ".heif", ".jxl", ".nef", ".orf", ".raf", ".rw2", ".svg", ".wmf"}
)
"""Pictures that cannot be decoded here: they become rows with a reason, not files that nobody misses."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of each EXIF orientation upright (EXIF 2.3, tag 0x0112)."""


class PictureError(OSError):
    """These bytes are no picture that can be decoded; the message is the reason."""


class Decoded(NamedTuple):
    """A picture, upright, RGB, 8 bits, and what decoding had to do (see the module's table)."""

    image: Image.Image
    notes: tuple[str, ...]
    format: str


@functools.cache
def formats() -> tuple[str, ...]:
    """Return the names of the formats that are decoded."""
    Image.init()
    return tuple(sorted(set(Image.OPEN) - _REFUSED))


@functools.cache
def suffixes() -> frozenset[str]:
    """Return the lower-case suffixes of files that are taken for pictures."""
    known = {*formats(), "MPO"}
    readable = {suffix for suffix, name in Image.registered_extensions().items() if name in known}
    return frozenset(readable | _FOREIGN_SUFFIXES)


def decode(data: bytes) -> Decoded:
    """Decode the bytes of an image file.

    Raises:
        PictureError: empty, truncated, broken, too large or of an unknown format.
    """
    if not data:
        raise PictureError("the file is empty")
    try:
        return _decode(data)
    except (PictureError, MemoryError):
        raise
    except UnidentifiedImageError as error:  # its message holds a memory address
        raise PictureError("no picture format that can be decoded") from error
    except Exception as error:  # decoders raise every kind of error on broken bytes
        raise PictureError(f"broken picture: {str(error) or type(error).__name__}") from error


def _decode(data: bytes) -> Decoded:
    with Image.open(io.BytesIO(data), formats=formats()) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise PictureError(f"{opened.width} x {opened.height} pixels are more than the limit of {MAX_PIXELS}")
        notes = _frame_notes(opened)
        before = orientation(opened)
        opened.load()
        after = orientation(opened)  # TIFF is turned by `load`; PNG may hold its EXIF after the pixels
        if before is None or after is None:
            notes.append("unreadable exif")
        elif {before, after} & set(_TURNS):
            notes.append("turned")
        image = _to_rgb(opened, notes)
        return Decoded(image.transpose(_TURNS[after]) if after in _TURNS else image, tuple(notes), opened.format or "")


def _frame_notes(image: Image.Image) -> list[str]:
    notes = ["first frame"] if getattr(image, "is_animated", False) else []
    deep = any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    return [*notes, "16 bits"] if deep else notes


def orientation(image: Image.Image) -> int | None:
    """Return the EXIF orientation, 1 without one, None when the EXIF block is broken."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a broken side note must not cost the picture; the caller notes it
        return None


def _to_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode in ("P", "PA"):
        notes.append("palette")
        image = image.convert("RGBA" if image.mode == "PA" or image.has_transparency_data else "RGB")
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image, notes)
    if image.has_transparency_data:
        return _over_white(image, notes)
    return _plain(image, notes)


def _eight_bits(image: Image.Image, notes: list[str]) -> Image.Image:
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode != "F" and low >= 0 and high < 1 << 16:
        _note(notes, "16 bits")
        return Image.fromarray((values / 256).astype(np.uint8))
    notes.append("stretched")
    scale = 255 / (high - low) if high > low else 0.0
    return Image.fromarray(((values - low) * scale).round().astype(np.uint8))


def _over_white(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode in ("L", "LA", "La", "1"):
        notes.append("grey")
    notes.append("alpha")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


def _plain(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode in ("1", "L"):
        notes.append("grey")
    elif image.mode == "CMYK":
        notes.append("cmyk")
    elif image.mode == "LAB":
        notes.append("colour space")
        return _lab_to_rgb(image)
    elif image.mode not in ("RGB", "RGBX"):
        notes.append("colour space")
    return image.convert("RGB")


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    transform = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # None is for in-place use alone
    return converted


def _note(notes: list[str], note: str) -> None:
    if note not in notes:
        notes.append(note)


def pixel_hash(image: Image.Image) -> str:
    """Return the sha256 of mode, size and pixels: equal for pictures that look the same in every pixel."""
    header = f"{image.mode} {image.width} {image.height} ".encode()
    return hashlib.sha256(header + image.tobytes()).hexdigest()


def perceptual_hash(image: Image.Image) -> str:
    """Return 64 bits of grey structure, in hex: pHash, low DCT frequencies against their median (imagehash)."""
    import imagehash

    return str(imagehash.phash(image))


def color_hash(image: Image.Image) -> str:
    """Return the mean colours of a 4 x 8 grid, row by row, RGB, 96 bytes in hex."""
    cells: NDArray[np.uint8] = np.asarray(image.resize(COLOR_GRID, Image.Resampling.BOX))
    return cells.tobytes().hex()
