"""A small picture in every format, mode and variant that Pillow writes and cirgen reads."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator

from PIL import Image, features

from cirgen.pictures import decode, formats, suffixes
from ingest_runs import tiny

MODES = ("RGB", "L", "1", "P", "RGBA", "LA", "I;16", "I", "F", "CMYK", "YCbCr", "LAB")
VARIANTS = {
    "JPEG": [
        {"progressive": True},
        {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"},
    ],
    "PNG": [{"compress_level": 0}, {"save_all": True}],
    "WEBP": [{"lossless": True}, {"save_all": True}],
    "GIF": [{"save_all": True}],
    "TIFF": [{"compression": kind} for kind in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits", "group4")],
}
"""Options of a format beside the plain ones; `save_all` writes two frames."""


def every_kind() -> dict[str, bytes]:
    """Return file bytes by a name that tells what they are, each of which decodes."""
    found = {}
    for name, data in _written():
        try:
            decode(data)
        except OSError:
            continue  # a format that is written and not read, or read by other programs
        found[name] = data
    return found


def suffix_for(kind: str) -> str:
    """Return a suffix of a format by which folders know a picture; decoders go by the bytes."""
    known = [suffix for suffix, name in Image.registered_extensions().items() if name == kind and suffix in suffixes()]
    return min(known, default=".png")


def _written() -> Iterator[tuple[str, bytes]]:
    readable = {*formats(), "MPO"} & set(Image.SAVE)
    for kind in sorted(readable):
        if kind == "AVIF" and not features.check("avif"):
            continue
        for mode in MODES:
            for number, options in enumerate([{}, *VARIANTS.get(kind, [])]):
                picture = tiny(7, 24).convert("L" if mode in ("I;16", "LAB") else mode)
                picture = _as(picture, mode)
                more = (
                    {"append_images": [_as(tiny(8, 24).convert(picture.mode), mode)]} if "save_all" in options else {}
                )
                buffer = io.BytesIO()
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        picture.save(buffer, kind, **options, **more)
                except Exception:
                    continue
                yield f"{kind}-{mode.replace(';', '')}-{number}", buffer.getvalue()


def _as(picture: Image.Image, mode: str) -> Image.Image:
    if mode == "LAB":
        from PIL import ImageCms

        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        lab = ImageCms.applyTransform(picture.convert("RGB"), ImageCms.buildTransform(*profiles, "RGB", "LAB"))
        assert lab is not None
        return lab
    return picture.convert(mode) if picture.mode != mode else picture
