"""GeneCIS (CVPR 2023, arXiv 2306.07969): four tasks, each query with a small gallery of its own.

The reference is never in the gallery. The files name the target apart from the other images; here the target is the
first of each gallery, which wins no tie (see `ranks`). Where a gallery holds the target's very picture a second time
(once in `change_object`), that copy does not compete. Figures are R@1, 2 and 3 of each task, and the mean R@1 of all.

The attribute tasks are about objects: what is encoded is `crop` of a Visual Genome image. The object tasks are about
whole images of COCO val2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field, FiniteFloat

from cirgen.errors import UserError
from cirgen.sources.annotations import load_annotations
from cirgen_benchmark.protocols.base import Features, Protocol, Query, Scores
from cirgen_benchmark.protocols.features import check_width, filled, tensor_of
from cirgen_benchmark.protocols.figures import UNKNOWN, Figure, Ranks, recall_at, together
from cirgen_benchmark.protocols.holes import Holes, chosen, settled
from cirgen_benchmark.protocols.images import absent_files
from cirgen_benchmark.protocols.parts import Asked, Part, query_table
from cirgen_benchmark.protocols.ranks import Bools, Rows, Vectors, own_gallery_ranks

Task = Literal["focus_attribute", "change_attribute", "focus_object", "change_object"]
TASKS: tuple[Task, ...] = ("focus_attribute", "change_attribute", "focus_object", "change_object")
RECALLS = (1, 2, 3)
DILATION = 0.7
"""By how much of its own size a box grows (released evaluation code)."""
FOLDERS = {"object": ("val2017",), "attribute": ("VG_100K_all", "VG_100K", "VG_100K_2")}
"""Where copies keep the images, beside the annotations, by kind of task."""
FIX = "set --root to the folder of GeneCIS's JSON files, or name the tasks that you have: --task"

Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels."""


class Entry(NamedTuple):
    """One picture of a task."""

    image_id: int
    """In Visual Genome (attribute tasks) or COCO (object tasks)."""
    box: Box | None = None
    """Of the object that is meant; None for the whole image."""

    @property
    def name(self) -> str:
        """The picture's id in galleries: `153527`, or `2345:10,20,30.5,40` with a box."""
        return str(self.image_id) if self.box is None else f"{self.image_id}:{','.join(f'{x:.10g}' for x in self.box)}"

    @property
    def file_name(self) -> str:
        """Name of the image file as its collection has it."""
        return f"{self.image_id:012d}.jpg" if self.box is None else f"{self.image_id}.jpg"


def crop(image: Image.Image, box: Box) -> Image.Image:
    """Cut an object out as GeneCIS's evaluation does: the box dilated, then padded to a square with black.

    The dilated box begins 0.7 of the box's width left of it and 0.7 of its height above it, no further than the edge,
    and is 1.7 times as wide and high: so it grows to the right and below only by what the edge cut off on the other
    side. Published figures come from such crops.

    Args:
        image: RGB.
        box: in pixels of the image.

    Returns:
        A square image.
    """
    x, y, width, height = box
    left, top = max(0.0, x - DILATION * width), max(0.0, y - DILATION * height)
    right = min(float(image.width), left + (1 + DILATION) * width)
    bottom = min(float(image.height), top + (1 + DILATION) * height)
    part = image.crop((round(left), round(top), round(right), round(bottom)))
    side = max(part.size)
    square = Image.new(image.mode, (side, side))
    square.paste(part, ((side - part.width) // 2, (side - part.height) // 2))
    return square


class _Picture(BaseModel):
    val_image_id: int | None = None
    image_id: int | None = None
    instance_bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat] | None = None

    def entry(self) -> Entry:
        image = self.image_id if self.val_image_id is None else self.val_image_id
        if image is None:
            raise UserError("GeneCIS's files name each picture by `image_id` or `val_image_id`; fetch them again.")
        return Entry(image, self.instance_bbox)


class _Row(BaseModel):
    condition: str
    reference: _Picture
    target: _Picture
    gallery: list[_Picture] = Field(min_length=1)


@dataclass(frozen=True)
class _Asked:
    """One query: the target and the pictures that it must beat."""

    reference: Entry
    condition: str
    gallery: tuple[Entry, ...]
    """The target first."""


class GeneCIS(Protocol):
    """The queries of `{task}.json`; a query's id is its place in that file, from 0.

    The gallery tensor of a task is [Q, G, d] or [Q, G, T, d], the target's row first, then the others in file order;
    or all galleries one after the other, [Q x G, d] or [Q x G, T, d], which is what `galleries` lists.

    Args:
        root: folder of the JSON files, or one with a folder genecis/ that has them; where it has val2017/ or VG_100K/,
            too, holes in these images are found.
        split: there is but one.
        tasks: which to score; the mean is over all four alone.
        allow_missing: go on without images and queries that have no embedding.

    Raises:
        UserError: an annotation file is missing or has another layout.
    """

    def __init__(
        self,
        root: Path,
        split: Literal["all"] = "all",  # noqa: ARG002
        *,
        tasks: Sequence[Task] = TASKS,
        allow_missing: bool = False,
    ) -> None:
        self.name = "genecis"
        self.allow_missing = allow_missing
        self._root = root
        self.tasks = tuple(dict.fromkeys(tasks))
        self._asked = {task: self._read(task) for task in self.tasks}

    def _read(self, task: Task) -> list[_Asked]:
        folder = self._root / "genecis" if (self._root / "genecis").is_dir() else self._root
        path = folder / f"{task}.json"
        rows = load_annotations(path, list[_Row], FIX)
        if not rows:
            raise UserError(f"{path} has no query; fetch it again.")
        return [
            _Asked(row.reference.entry(), row.condition, tuple(one.entry() for one in (row.target, *row.gallery)))
            for row in rows
        ]

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """What each id of a gallery or a reference shows."""
        rows = [row for asked in self._asked.values() for row in asked]
        return {entry.name: entry for row in rows for entry in (row.reference, *row.gallery)}

    def galleries(self) -> Mapping[str, Sequence[str]]:
        """Return the galleries of all queries of each task, one after the other, each with its target first."""
        return {
            f"gallery.{task}": [entry.name for row in asked for entry in row.gallery]
            for task, asked in self._asked.items()
        }

    def queries(self) -> Mapping[str, Sequence[Query]]:
        """Return the queries of each task, in the order of its file."""
        return {
            f"queries.{task}": [Query(row.reference.name, row.condition) for row in asked]
            for task, asked in self._asked.items()
        }

    def query_ids(self) -> Mapping[str, Sequence[str]]:
        """Return the ids of the queries of each task, in the order of its file."""
        return {f"queries.{task}": [str(place) for place in range(len(asked))] for task, asked in self._asked.items()}

    def score(self, features: Features) -> Scores:
        """Return R@1, 2 and 3 of each task, and the mean R@1 of all four.

        Raises:
            UserError: see `Protocol.score`.
        """
        opened = {task: self._opened(task, features) for task in self.tasks}
        name, notes = settled(self.name, [holes for _, holes in opened.values()], self.allow_missing)
        figures = {
            f"{name}.{task}.recall@{k}": Figure({task: recall_at(ranks, k)})
            for task, (ranks, _) in opened.items()
            for k in RECALLS
        }
        if set(self.tasks) == set(TASKS):
            figures[f"{name}.mean.recall@1"] = together(figures[f"{name}.{task}.recall@1"] for task in TASKS)
        parts = [self._part(task) for task in self.tasks]
        return Scores(figures, query_table(parts, {"rank": [ranks for ranks, _ in opened.values()]}), notes)

    def _opened(self, task: Task, features: Features) -> tuple[Ranks, Holes]:
        """Return the rank of each query's target [Q], and what the task lacks."""
        asked = self._asked[task]
        galleries = _Galleries.of([row.gallery for row in asked])
        names = (f"queries.{task}", f"gallery.{task}")
        queries = tensor_of(features, names[0], [str(place) for place in range(len(asked))], (2,))
        gallery = galleries.flat(features, names[1])
        check_width(queries, gallery, names)
        present = filled(gallery) & ~self._absent(task, galleries.entries)
        found = present[galleries.targets]
        answered = filled(queries) & found
        if not answered.any():
            raise UserError(f"No query of '{names[0]}' has an embedding and a target with one; encode them.")
        candidates = present & ~galleries.copies
        ranks = own_gallery_ranks(queries, gallery, galleries.owners, galleries.targets, candidates)
        missing = dict.fromkeys(chosen([entry.name for entry in galleries.entries], ~present))
        unanswered = chosen([str(place) for place in range(len(asked))], ~filled(queries))
        holes = Holes(
            names[1], len(set(galleries.entries)), list(missing),
            names[0], len(asked), unanswered, int(np.count_nonzero(~found)),
        )  # fmt: skip
        return np.where(answered, ranks, UNKNOWN).astype(np.int32), holes

    def _absent(self, task: Task, entries: Sequence[Entry]) -> Bools:
        folders = [self._root / name for name in FOLDERS[task.partition("_")[2]]]
        absent = absent_files({entry.name: entry.file_name for entry in entries}, folders)
        return np.array([entry.name in absent for entry in entries])

    def _part(self, task: Task) -> Part:
        rows = enumerate(self._asked[task])
        asked = [Asked(str(place), row.reference.name, row.condition, (row.gallery[0].name,)) for place, row in rows]
        return Part((), asked, task)


@dataclass(frozen=True)
class _Galleries:
    """The galleries of Q queries, one after the other: M pictures."""

    lengths: NDArray[np.int64]
    """[Q]"""
    entries: Sequence[Entry]
    """[M]"""
    owners: Rows
    """[M]: which query's gallery it is."""
    targets: Rows
    """[Q]: the place of each query's target among the M."""
    copies: Bools
    """[M]: the same picture as the target of its gallery, in another place."""

    @classmethod
    def of(cls, galleries: Sequence[Sequence[Entry]]) -> _Galleries:
        lengths = np.array([len(gallery) for gallery in galleries], dtype=np.int64)
        return cls(
            lengths,
            [entry for gallery in galleries for entry in gallery],
            np.repeat(np.arange(len(galleries)), lengths),
            np.cumsum(lengths) - lengths,
            np.array([place > 0 and entry == own[0] for own in galleries for place, entry in enumerate(own)]),
        )

    def flat(self, features: Features, name: str) -> Vectors:
        """Return a task's gallery tensor as [M, d] or [M, T, d].

        Raises:
            UserError: there is none, it has another shape, or a row is not finite.
        """
        queries, longest = len(self.lengths), int(self.lengths.max(initial=0))
        ids = [entry.name for entry in self.entries]
        tensor = features.get(name)
        if tensor is not None and tensor.ndim in (3, 4) and tensor.shape[:2] == (queries, longest):
            tensor = tensor[np.arange(longest) < self.lengths[:, None]]
        elif tensor is not None and tensor.shape[:1] != (len(ids),):
            raise UserError(
                f"Tensor '{name}' has the shape {list(tensor.shape)}; it must be [{queries}, {longest}, d], the "
                f"target's row first in each gallery, or [{len(ids)}, d]."
            )
        return tensor_of({} if tensor is None else {**features, name: tensor}, name, ids, (2, 3))
