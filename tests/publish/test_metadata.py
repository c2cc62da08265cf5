"""Published pictures tell nothing beside the picture, and look as they did."""

from __future__ import annotations

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from cirgen.pictures import decode
from cirgen.publish.metadata import without_metadata

SECRET = "52.5 N 13.4 E, A. Painter"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def picture(mode: str = "RGB") -> Image.Image:
    ramp = np.arange(24 * 16 * 3, dtype=np.uint32).reshape(16, 24, 3) * 7 % 251
    return Image.fromarray(ramp.astype(np.uint8)).convert(mode)


def exif(turn: int = 1) -> Image.Exif:
    block = Image.Exif()
    block[ExifTags.Base.Orientation] = turn
    block[ExifTags.Base.Artist] = SECRET
    block[ExifTags.Base.Make] = SECRET
    block.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAreaInformation] = SECRET.encode()
    return block


def saved(format_: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    picture(mode).save(file, format_, **options)
    return file.getvalue()


def jpeg_with(*segments: tuple[int, bytes], after: bytes = b"") -> bytes:
    plain = saved("JPEG")
    added = b"".join(struct.pack(">BBH", 0xFF, marker, 2 + len(body)) + body for marker, body in segments)
    return plain[:2] + added + plain[2:] + after


def png_with(kind: bytes, body: bytes, last: bool = False) -> bytes:
    plain = saved("PNG")
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    place = len(plain) - 12 if last else 33
    return plain[:place] + chunk + plain[place:]


def text_chunk() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", SECRET)
    info.add_itxt("XML:com.adobe.xmp", SECRET, zip=True)
    return info


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("JPEG", {"comment": SECRET}),
        ("JPEG", {"progressive": True, "xmp": SECRET.encode()}),
        ("PNG", {"pnginfo": text_chunk()}),
        ("WEBP", {"lossless": True, "xmp": SECRET.encode()}),
        ("WEBP", {}),
        ("TIFF", {}),
    ],
    ids=["jpeg", "progressive", "png", "webp", "lossy-webp", "tiff"],
)
def test_nothing_is_left_beside_the_picture_and_every_pixel_stays(
    format_: str, options: dict[str, object], turn: int
) -> None:
    content = saved(format_, exif=exif(turn), **options)
    assert SECRET.encode() in content
    bare = without_metadata(content)
    assert SECRET.encode() not in bare
    assert decode(bare).image.tobytes() == decode(content).image.tobytes()
    assert decode(bare).image.size == decode(content).image.size
    with Image.open(io.BytesIO(bare)) as image:
        image.load()
        assert set(image.getexif()) <= {ExifTags.Base.Orientation}


@pytest.mark.parametrize(
    "content",
    [
        jpeg_with((0xED, b"Photoshop 3.0\0" + SECRET.encode())),
        jpeg_with((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + SECRET.encode())),
        jpeg_with((0xEB, b"JP\0" + SECRET.encode())),
        jpeg_with((0xE2, b"MPF\0" + SECRET.encode())),
        jpeg_with((0xE0, b"JFXX\0\x10" + SECRET.encode())),
        jpeg_with(after=saved("JPEG", comment=SECRET)),
        png_with(b"caBX", SECRET.encode()),
        png_with(b"eXIf", b"MM\0*\0\0\0\x08\0\0" + SECRET.encode(), last=True),
        saved("PNG") + SECRET.encode(),
        saved("WEBP") + SECRET.encode(),
        saved("GIF", comment=SECRET.encode()),
    ],
    ids=["iptc", "xmp", "c2pa", "mpf", "jfxx", "second", "png-c2pa", "late-exif", "after-png", "after-webp", "gif"],
)
def test_hidden_places_are_emptied_too(content: bytes) -> None:
    assert SECRET.encode() in content
    bare = without_metadata(content)
    assert SECRET.encode() not in bare
    assert decode(bare).image.tobytes() == decode(content).image.tobytes()


def test_the_thumbnail_in_a_jfif_header_goes_since_it_may_show_what_was_cropped() -> None:
    thumbnail = bytes(range(100, 112))  # 2 x 2 pixels
    plain = saved("JPEG")
    fields = plain[6:18]  # JFIF, version and density
    assert fields.startswith(b"JFIF\0")
    body = fields + b"\x02\x02" + thumbnail
    content = plain[:2] + struct.pack(">BBH", 0xFF, 0xE0, 2 + len(body)) + body + plain[20:]
    bare = without_metadata(content)
    assert thumbnail not in bare
    assert bare == plain


@pytest.mark.parametrize(("format_", "mode"), [*itertools.product(["JPEG", "PNG", "WEBP"], ["RGB", "L"])])
def test_a_picture_without_metadata_stays_as_it_is_byte_for_byte(format_: str, mode: str) -> None:
    content = saved(format_, mode)
    assert without_metadata(content) == content


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_the_colour_profile_stays_since_colours_are_wrong_without_it(format_: str) -> None:
    bare = without_metadata(saved(format_, icc_profile=PROFILE, exif=exif()))
    with Image.open(io.BytesIO(bare)) as image:
        assert image.info["icc_profile"] == PROFILE


def test_transparency_cmyk_and_animation_stay() -> None:
    for content in (
        saved("PNG", "RGBA", exif=exif()),
        saved("WEBP", "RGBA", lossless=True, exif=exif()),
        saved("JPEG", "CMYK", exif=exif()),
        saved("PNG", save_all=True, append_images=[picture().rotate(180)], exif=exif()),
        saved("WEBP", save_all=True, append_images=[picture().rotate(180)], exif=exif()),
    ):
        bare = without_metadata(content)
        assert decode(bare)[1:] == decode(content)[1:]
        assert decode(bare).image.tobytes() == decode(content).image.tobytes()
        with Image.open(io.BytesIO(bare)) as one, Image.open(io.BytesIO(content)) as other:
            assert (one.mode, getattr(one, "n_frames", 1)) == (other.mode, getattr(other, "n_frames", 1))


def test_what_cannot_be_cut_cleanly_is_written_again_as_png() -> None:
    plain = saved("JPEG", comment=SECRET)
    gaps = plain[:20] + b"\0\0\0" + plain[20:]  # Pillow forgives bytes between segments
    for content in (gaps, saved("BMP"), saved("GIF")):
        bare = without_metadata(content)
        assert bare.startswith(b"\x89PNG") and SECRET.encode() not in bare
        assert decode(bare).image.tobytes() == decode(content).image.tobytes()


@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.data())
def test_damage_never_lets_metadata_through(format_: str, data: st.DataObject) -> None:
    content = bytearray(saved(format_, exif=exif(6)))
    for _ in range(data.draw(st.integers(0, 2))):
        content[data.draw(st.integers(12, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(20, len(content)))])
    try:
        pixels = decode(damaged).image.tobytes()
    except OSError:
        return
    bare = without_metadata(damaged)
    assert SECRET.encode() not in bare
    assert decode(bare).image.tobytes() == pixels


def test_the_answer_is_the_same_each_time_and_final() -> None:
    for format_ in ("JPEG", "PNG", "WEBP", "GIF"):
        content = saved(format_) if format_ == "GIF" else saved(format_, exif=exif(3))
        bare = without_metadata(content)
        assert without_metadata(content) == bare == without_metadata(bare)
