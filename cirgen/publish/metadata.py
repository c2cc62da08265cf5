"""Pictures without what their files tell beside the picture: place, time, camera, people, comments, thumbnails.

JPEG, PNG and WebP are cut, not written again: their compressed pixels stay byte for byte. What showing them needs
stays too: orientation, colour profile, transparency, animation. Everything else goes, known or not, and so does
whatever follows the end of the picture (phones put films there). Other formats, and files that break the rules of
their own, are rewritten as PNG: upright, first frame, the very pixels that models saw (`cirgen.pictures`).

Sources: ITU-T T.81 (JPEG) annex B, JFIF 1.02, ICC.1:2010 annex B.4; PNG third edition, chapter 11; RFC 9649 (WebP);
EXIF 2.3, tag 0x0112.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from cirgen.pictures import decode, formats, orientation

_EOI, _SOS = 0xD9, 0xDA
_APP0, _EXIF = 0xE0, 0xE1
_CODING = frozenset((*range(0xC0, 0xD0), _SOS, 0xDB, 0xDD)) - {0xC8}
"""Markers of frames, tables, scans and restart intervals."""
_NEEDED = {0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
"""Application segments that decide colours, by how they begin."""
_SCAN_END = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_CHUNKS = frozenset(
    (
        *(b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT"),
        *(b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT", b"mDCV", b"cLLI"),
    )
)
_RIFF_CHUNKS = frozenset((b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04


class _MalformedError(ValueError):
    """The file breaks the rules of its format."""


def without_metadata(content: bytes) -> bytes:
    """Return the bytes of a picture without metadata; the same bytes where there is none.

    Raises:
        PictureError: these bytes are no picture that can be decoded.
    """
    try:
        bare = _cut(content, turn=1)
        if bare == content:
            return content
        turn = _orientation(content)
        return bare if turn == 1 else _cut(content, turn)
    except (_MalformedError, struct.error, IndexError):
        return _as_png(content)


def _cut(content: bytes, turn: int) -> bytes:
    if content.startswith(b"\xff\xd8\xff"):
        return b"".join(_jpeg(content, turn))
    if content.startswith(_PNG_HEAD):
        return b"".join(_png(content, turn))
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _webp(content, turn)
    raise _MalformedError("another format")


def _orientation(content: bytes) -> int:
    with Image.open(io.BytesIO(content), formats=formats()) as image:
        image.load()  # PNG may hold its EXIF after the pixels
        turn = orientation(image)
    return turn if turn is not None and 1 <= turn <= 8 else 1


def _exif(turn: int) -> bytes:
    """Return EXIF that holds an orientation alone: a TIFF header and a directory of one short."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, turn, 0, 0)


def _jpeg(content: bytes, turn: int) -> Iterator[bytes]:
    yield content[:2]
    segments = list(_segments(content))
    yield from (_bare_jfif(segment) for marker, segment in segments if marker == _APP0 and segment[4:9] == b"JFIF\0")
    if turn != 1:
        block = b"Exif\0\0" + _exif(turn)
        yield struct.pack(">BBH", 0xFF, _EXIF, 2 + len(block)) + block
    for marker, segment in segments:
        if marker in _CODING or (marker in _NEEDED and segment[4:].startswith(_NEEDED[marker])):
            yield segment
    yield bytes((0xFF, _EOI))


def _bare_jfif(segment: bytes) -> bytes:
    """Return a JFIF header without the thumbnail that may follow it."""
    return segment[:2] + struct.pack(">H", 16) + segment[4:16] + b"\0\0"


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and bytes of every segment between start and end of the picture, scans with their data."""
    place = 2
    while True:
        while content[place : place + 2] == b"\xff\xff":  # fill bytes
            place += 1
        lead, marker = content[place], content[place + 1]
        if lead != 0xFF or marker in (0x00, 0x01, *range(0xD0, _EOI)):
            raise _MalformedError("no marker where one is due")
        if marker == _EOI:
            return
        (length,) = struct.unpack_from(">H", content, place + 2)
        end = place + 2 + length
        if marker == _SOS:
            found = _SCAN_END.search(content, end)
            if found is None:
                raise _MalformedError("no end")
            end = found.start()
        if length < 2 or end > len(content):
            raise _MalformedError("a segment reaches beyond the file")
        yield marker, content[place:end]
        place = end


def _png(content: bytes, turn: int) -> Iterator[bytes]:
    yield _PNG_HEAD
    place, kind = len(_PNG_HEAD), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, place)
        end = place + 12 + length
        if end > len(content) or (place == len(_PNG_HEAD)) != (kind == b"IHDR"):
            raise _MalformedError("chunks out of order")
        if kind in _CHUNKS:
            yield content[place:end]
        if kind == b"IHDR" and turn != 1:
            block = b"eXIf" + _exif(turn)
            yield struct.pack(">I", len(block) - 4) + block + struct.pack(">I", zlib.crc32(block))
        place = end


def _webp(content: bytes, turn: int) -> bytes:
    parts = [_flags(chunk, turn) for chunk in _riff(content) if chunk[:4] in _RIFF_CHUNKS]
    if turn != 1:
        block = _exif(turn)
        parts.append(b"EXIF" + struct.pack("<I", len(block)) + block)
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _riff(content: bytes) -> Iterator[bytes]:
    (size,) = struct.unpack_from("<I", content, 4)
    place, last = 12, 8 + size
    if last > len(content):
        raise _MalformedError("the file ends early")
    while place < last:
        (length,) = struct.unpack_from("<I", content, place + 4)
        end = place + 8 + length + length % 2
        if end > last:
            raise _MalformedError("a chunk reaches beyond the file")
        yield content[place:end]
        place = end


def _flags(chunk: bytes, turn: int) -> bytes:
    if not chunk.startswith(b"VP8X"):
        return chunk
    flags = chunk[8] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if turn != 1 else 0)
    return chunk[:8] + bytes((flags,)) + chunk[9:]


def _as_png(content: bytes) -> bytes:
    image = decode(content).image
    image.info = {}
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
