"""CIRR as people have it, pictures or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from cirgen.audit.corpora.files import benchmark_pictures, chosen_splits
from cirgen.audit.corpora.options import Options
from cirgen.audit.corpus import Corpus, Row
from cirgen.sources.annotations import load_annotations
from cirgen.sources.cirr import CIRR, CIRRSettings

SPLITS = ("train", "val", "test1")
VERSION = "rc2"
_FIX = "name the folder of captions/ and image_splits/"
_NO_PICTURES = "this copy has no pictures; fetch them, or name their folder with --images"


class _Triplet(BaseModel):
    pairid: int
    reference: str
    caption: str
    target_hard: str = ""


def annotation_folder(root: Path) -> Path:
    """Return the folder of captions/ and image_splits/: the root, or cirr/ in it."""
    return root / "cirr" if (root / "cirr" / "captions").is_dir() else root


def is_cirr(root: Path) -> bool:
    """Return whether a folder has CIRR's caption files."""
    return any(_captions(root, split).is_file() for split in SPLITS)


def _captions(root: Path, split: str) -> Path:
    return annotation_folder(root) / "captions" / f"cap.{VERSION}.{split}.json"


def read_cirr(root: Path, options: Options, shown: str) -> Corpus:
    """Read the caption files that are there; each split's images are a gallery.

    Raises:
        UserError: a file has another layout, or there is no such split.
    """
    there = [split for split in SPLITS if _captions(root, split).is_file()]
    splits = chosen_splits(root, there, options)
    images = annotation_folder(root) / "image_splits"
    galleries = {
        split: tuple(load_annotations(images / f"split.{VERSION}.{split}.json", dict[str, str], _FIX))
        for split in splits
    }
    sources = (CIRR(CIRRSettings(root=str(root), split=split, allow_missing=True)) for split in splits)
    pictures, reason = benchmark_pictures(sources, options, _NO_PICTURES)
    absent = [split for split in SPLITS if split not in there]
    notes = [f"Splits {', '.join(splits)}."]
    if absent and options.split is None:
        notes.append(f"The captions of {', '.join(absent)} are not in this copy.")
    return Corpus(
        name=shown,
        kind="CIRR",
        rows=tuple(row for split in splits for row in _rows(root, split)),
        galleries=galleries,
        pictures=pictures,
        no_pictures=reason,
        notes=tuple(notes),
    )


def _rows(root: Path, split: str) -> Iterator[Row]:
    for one in load_annotations(_captions(root, split), list[_Triplet], _FIX):
        yield Row(f"{split}-{one.pairid}", split, split, one.reference, one.caption.strip(), one.target_hard)
