"""Which images of a benchmark a copy lacks: downloads of FashionIQ and COCO have holes.

Annotations alone are enough to score embeddings; a copy that has some of the images promises the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cirgen.sources.cirr import CIRR
from cirgen.sources.fashioniq import FashionIQ


def absent_of(source: FashionIQ | CIRR, names: Iterable[str]) -> frozenset[str]:
    """Return which names have no image in a copy that allows missing ones; none where it has no image at all."""
    if not source.count():
        return frozenset()
    return frozenset(names) - {item.source_id for item in source.items()}


def absent_files(files: Mapping[str, str], folders: Sequence[Path]) -> frozenset[str]:
    """Return the ids whose file lies in none of some folders; none where no file lies there at all.

    Args:
        files: file name by image id.
        folders: any of them may be missing.
    """
    there = {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}
    absent = frozenset(image for image, name in files.items() if name not in there)
    return frozenset() if len(absent) == len(files) else absent
