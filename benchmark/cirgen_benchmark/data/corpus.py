"""A cirgen corpus as training data: its accepted and rejected triplets, and its pictures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.pictures import PictureError
from cirgen.triplets import CorpusPictures, load_config, load_pictures, splits_of
from cirgen_benchmark.images import PixelImages
from cirgen_benchmark.triplets import Triplet

SIMILARITY = "score_similarity_cosine"
WEIGHT = "score_shortcut_weight"
REQUIRED = ("triplet_id", "reference_id", "text", "target_id")
COLUMNS = (*REQUIRED, "positive_ids", "change_type", "hard_negatives", SIMILARITY, WEIGHT, "reason")


class CorpusImages(PixelImages):
    """The pictures of a corpus by image id."""

    def __init__(self, pictures: CorpusPictures) -> None:
        super().__init__()
        self._pictures = pictures
        rows = pictures.table.select_columns(["image_id", "group"]).with_format("arrow")[:]
        ids, groups = (rows[name].to_pylist() for name in ("image_id", "group"))
        if not all(ids) or len(set(ids)) < len(ids):
            raise UserError("The images of the corpus lack an image_id, or have one twice; export it again.")
        self._groups: dict[str, str] = dict(zip(ids, groups, strict=True))

    @property
    def ids(self) -> Sequence[str]:
        """Every image id, sorted as published."""
        return tuple(self._groups)

    def open(self, image_id: str) -> Image.Image:
        """Decode one picture."""
        if image_id not in self._groups:
            raise KeyError(image_id)
        try:
            return self._pictures.open(image_id)
        except PictureError as error:
            raise UserError(f"Image {image_id} of the corpus cannot be decoded ({error}); export it again.") from error

    def group(self, image_id: str) -> str:
        """Return the near-duplicate group that ingest gave the image."""
        return self._groups[image_id]


@dataclass(frozen=True)
class CorpusRow:
    """One row of a corpus, accepted or not."""

    triplet_id: str
    triplet: Triplet
    change_type: str
    similarity: float | None
    """Cosine of reference and target, where the corpus has that score."""
    reason: str
    """Why it was rejected; empty where it was accepted."""
    weight: float | None = None
    """What the filter `shortcut` with `action: weight` makes of the row, 0 to 1, where the corpus has that score."""


class Corpus:
    """A dataset that `cirgen run` wrote, or one of its layout on the Hub.

    Args:
        path_or_repo: dataset folder or repository.
        splits: of these the triplets train.
        images: folder of the original images, for a corpus that goes without them.
    """

    def __init__(
        self,
        path_or_repo: str | Path,
        splits: Sequence[str] = ("train",),
        *,
        revision: str | None = None,
        images: str | Path | None = None,
    ) -> None:
        self.name = str(path_or_repo)
        self._splits = tuple(splits)
        self._revision = revision
        self._originals = images

    def of_split(self, split: str) -> Corpus:
        """Return the same corpus with the triplets of another split."""
        return Corpus(self.name, (split,), revision=self._revision, images=self._originals)

    @cached_property
    def images(self) -> CorpusImages:
        """Every picture of the corpus.

        Raises:
            UserError: the corpus, or a part of it, is not there.
        """
        return CorpusImages(load_pictures(self.name, revision=self._revision, images=self._originals))

    @cached_property
    def accepted(self) -> tuple[CorpusRow, ...]:
        """The rows that the filters let through, by triplet id.

        Raises:
            UserError: the corpus has none in these splits, or rows that are no triplets, which are counted and named.
        """
        rows = tuple(row for split in self._splits for row in self._rows("triplets", split))
        if not rows:
            raise UserError(f"The corpus '{self.name}' has no triplets in {', '.join(self._splits)}.")
        self._refuse(rows, "have no text", lambda row: not row.triplet.texts[0].strip())
        self._refuse(rows, "ask for their own reference", lambda row: row.triplet.reference == row.triplet.target)
        return rows

    @cached_property
    def rejected(self) -> tuple[CorpusRow, ...]:
        """The rows that a filter rejected, as far as they are published; those without a text cannot train."""
        rows = (row for split in self._splits for row in self._published_rejects(split))
        return tuple(row for row in rows if row.triplet.texts[0].strip())

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what can train, all rows and the ids of all images, whatever the folder is called."""
        rows = [astuple(row) for row in (*self.accepted, *self.rejected)]
        return digest("corpus", rows, self.images.ids)

    def _published_rejects(self, split: str) -> Iterator[CorpusRow]:
        if split in splits_of(self.name, "rejected", self._revision):
            yield from self._rows("rejected", split)

    def _rows(self, config: str, split: str) -> Iterator[CorpusRow]:
        table = load_config(self.name, config, split, self._revision)
        missing = set(REQUIRED).difference(table.column_names)
        if missing:
            raise UserError(
                f"The corpus '{self.name}' lacks the columns {', '.join(sorted(missing))} in {config}/{split}; "
                "give a dataset that cirgen wrote."
            )
        rows = [_row(row) for row in table.select_columns([name for name in COLUMNS if name in table.column_names])]
        seen = Counter(row.triplet_id for row in rows)
        self._refuse(rows, f"of {config}/{split} lack an id", _has_hole)
        self._refuse(rows, f"of {config}/{split} have the triplet_id of another", lambda row: seen[row.triplet_id] > 1)
        yield from rows

    def _refuse(self, rows: Sequence[CorpusRow], what: str, wrong: Callable[[CorpusRow], bool]) -> None:
        found = [row.triplet_id for row in rows if wrong(row)]
        if found:
            raise UserError(
                f"{len(found):,} of {len(rows):,} rows of the corpus '{self.name}' {what}, such as triplet "
                f"{found[0]}; leave them out, or export it again."
            )


def _has_hole(row: CorpusRow) -> bool:
    triplet = row.triplet
    return None in (row.triplet_id, triplet.reference, triplet.target)


def _row(row: Mapping[str, Any]) -> CorpusRow:
    wrong = [negative["image_id"] for negative in row.get("hard_negatives") or ()]
    triplet = Triplet(
        reference=row["reference_id"],
        target=row["target_id"],
        texts=(row["text"] or "",),
        positives=tuple(row.get("positive_ids") or ()),
        hard_negatives=tuple(wrong),
        origin="synthetic",
    )
    return CorpusRow(
        row["triplet_id"], triplet, row.get("change_type") or "", _finite(row.get(SIMILARITY)),
        row.get("reason") or "", _finite(row.get(WEIGHT)),
    )  # fmt: skip


def _finite(score: float | None) -> float | None:
    """Return a score; None where there is none, as there is of a pair that a filter could not score."""
    return score if score is not None and math.isfinite(score) else None
