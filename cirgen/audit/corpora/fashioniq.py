"""FashionIQ as people have it, pictures or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_args

from pydantic import BaseModel, Field

from cirgen.audit.corpora.files import benchmark_pictures, chosen_splits
from cirgen.audit.corpora.options import Options
from cirgen.audit.corpus import Corpus, Row
from cirgen.sources.annotations import load_annotations
from cirgen.sources.fashioniq import Category, FashionIQ, FashionIQSettings

CATEGORIES: tuple[Category, ...] = get_args(Category)
SPLITS = ("train", "val", "test")
_FIX = "name the folder of captions/ and image_splits/"
_NO_PICTURES = "this copy has no pictures in images/; fetch them, or name their folder with --images"


class _Triplet(BaseModel):
    candidate: str
    target: str = ""
    captions: Annotated[list[str], Field(min_length=1)]


def is_fashioniq(root: Path) -> bool:
    """Return whether a folder has FashionIQ's caption files."""
    return any(_captions(root, category, split).is_file() for category in CATEGORIES for split in SPLITS)


def _captions(root: Path, category: str, split: str) -> Path:
    return root / "captions" / f"cap.{category}.{split}.json"


def read_fashioniq(root: Path, options: Options, shown: str) -> Corpus:
    """Read the caption files and the galleries of the splits; each category of a split is a gallery.

    Raises:
        UserError: a file is missing or has another layout, or there is no such split.
    """
    there = [split for split in SPLITS if any(_captions(root, one, split).is_file() for one in CATEGORIES)]
    splits = chosen_splits(root, there, options)
    rows = [row for split in splits for category in CATEGORIES for row in _rows(root, category, split, options)]
    galleries = {
        _gallery(category, split): tuple(dict.fromkeys(_names(root, category, split)))
        for split in splits
        for category in CATEGORIES
    }
    sources = (FashionIQ(FashionIQSettings(root=str(root), split=split, allow_missing=True)) for split in splits)
    pictures, reason = benchmark_pictures(sources, options, _NO_PICTURES)
    joined = "The two captions of a triplet are joined by 'and', as benchmarks ask them; --captions each takes each."
    each = "Each of the two captions of a triplet is a row of its own."
    return Corpus(
        name=shown,
        kind="FashionIQ",
        rows=tuple(rows),
        galleries=galleries,
        pictures=pictures,
        no_pictures=reason,
        notes=(f"Splits {', '.join(splits)}.", joined if options.captions == "joined" else each),
    )


def _gallery(category: str, split: str) -> str:
    return f"{category} {split}"


def _names(root: Path, category: str, split: str) -> list[str]:
    return load_annotations(root / "image_splits" / f"split.{category}.{split}.json", list[str], _FIX)


def _rows(root: Path, category: str, split: str, options: Options) -> Iterator[Row]:
    path = _captions(root, category, split)
    for place, one in enumerate(load_annotations(path, list[_Triplet], _FIX)):
        row_id = f"{category}-{split}-{place}"
        texts = [caption.strip() for caption in one.captions]
        named = {f"{row_id}-{number}": text for number, text in enumerate(texts)}
        for name, text in (named if options.captions == "each" else {row_id: _joined(texts)}).items():
            yield Row(name, split, _gallery(category, split), one.candidate, text, one.target)


def _joined(captions: list[str]) -> str:
    """Join captions as CLIP4Cir and SPN4CIR evaluate."""
    return " and ".join(caption.strip(".?, ") for caption in captions)
