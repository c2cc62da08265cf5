"""Human triplets of FashionIQ and CIRR, with the texts that training draws from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, Field

from cirgen.errors import UserError
from cirgen.sources.annotations import load_annotations
from cirgen.sources.cirr import CIRR, CIRRSettings
from cirgen.sources.fashioniq import FashionIQ, FashionIQSettings
from cirgen_benchmark.data.files import SourceImages
from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.triplets import Triplet

CATEGORIES = ("dress", "shirt", "toptee")


class HumanTriplets(NamedTuple):
    """Triplets that people wrote, and the images of their split."""

    triplets: tuple[Triplet, ...]
    images: ImageCollection
    left_out: int = 0
    """Triplets without one of their images, where holes are allowed."""


class _FashionIQRow(BaseModel):
    candidate: str
    target: str
    captions: Annotated[list[str], Field(min_length=2)]


class _CIRRRow(BaseModel):
    reference: str
    target_hard: str
    caption: str


def fashioniq_triplets(root: Path, allow_missing: bool = False) -> HumanTriplets:
    """Read the training triplets of FashionIQ, all categories in one set (arXiv 2404.11317).

    Raises:
        UserError: the layout is another one, or images are missing and that is not allowed.
    """
    source = FashionIQ(FashionIQSettings(root=str(root), split="train", allow_missing=True))
    rows = [
        row
        for category in CATEGORIES
        for row in load_annotations(root / "captions" / f"cap.{category}.train.json", list[_FashionIQRow])
    ]
    triplets = [Triplet(row.candidate, row.target, joined_captions(row.captions)) for row in rows]
    return _with_images(triplets, SourceImages.of(source, "fashioniq train", allow_missing), allow_missing)


def joined_captions(captions: list[str]) -> tuple[str, ...]:
    """Return the four texts of a FashionIQ triplet: both orders of its captions, and each alone.

    The released code of CLIP4Cir and SPN4CIR draws one of them, all as likely, at every access; each caption is
    stripped of `.?, `.
    """
    first, second = (caption.strip(".?, ") for caption in captions[:2])
    return (f"{first} and {second}", f"{second} and {first}", first, second)


def cirr_triplets(root: Path, allow_missing: bool = False) -> HumanTriplets:
    """Read the training triplets of CIRR: `target_hard` and the caption as it is.

    Raises:
        UserError: as `fashioniq_triplets`.
    """
    source = CIRR(CIRRSettings(root=str(root), split="train", allow_missing=True))
    rows = load_annotations(source.captions_file, list[_CIRRRow])
    triplets = [Triplet(row.reference, row.target_hard, (row.caption,)) for row in rows]
    return _with_images(triplets, SourceImages.of(source, "cirr train", allow_missing), allow_missing)


def _with_images(triplets: list[Triplet], images: SourceImages, allow_missing: bool) -> HumanTriplets:
    known = set(images.ids)
    whole = [triplet for triplet in triplets if {triplet.reference, triplet.target} <= known]
    left_out = len(triplets) - len(whole)
    if left_out and not allow_missing:
        absent = next(t for t in triplets if not {t.reference, t.target} <= known)
        raise UserError(
            f"{left_out} of {len(triplets)} training triplets name an image that the split file lacks, such as "
            f"{absent.reference} -> {absent.target}; fetch the annotations again, or allow missing images."
        )
    if not whole:
        raise UserError("No training triplet has both of its images; check the folder of images.")
    return HumanTriplets(tuple(whole), images, left_out)
