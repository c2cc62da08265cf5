"""Benchmarks that ask many queries of one gallery, in one part or in several (the categories of FashionIQ)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cirgen.errors import UserError
from cirgen_benchmark.protocols.base import Features, Protocol, Query
from cirgen_benchmark.protocols.features import check_width, filled, tensor_of
from cirgen_benchmark.protocols.figures import BEYOND, UNKNOWN, Ranks
from cirgen_benchmark.protocols.holes import Holes, chosen, settled
from cirgen_benchmark.protocols.ranks import NONE, Block, Bools, Rows, Search

if TYPE_CHECKING:
    import pyarrow as pa


class Asked(NamedTuple):
    """One query of an annotation file."""

    id: str
    reference: str
    text: str
    targets: tuple[str, ...] = ()
    """Every right image, the one that the text was written for first; none where a split withholds them."""


@dataclass(frozen=True)
class Part:
    """One gallery and the queries asked of it."""

    gallery: Sequence[str]
    """Image ids in the order of the gallery tensor [N]."""
    asked: Sequence[Asked]
    """[Q]"""
    name: str = ""
    needed: frozenset[str] | None = None
    """Images that compete, where not all of the gallery do."""
    absent: frozenset[str] = frozenset()
    """Images that a copy of the benchmark lacks on disk."""
    named: Sequence[str] = ()
    """Images beside right ones that the protocol wants in the gallery, such as references."""

    @property
    def gallery_tensor(self) -> str:
        """Name of the tensor with the gallery's embeddings."""
        return f"gallery.{self.name}" if self.name else "gallery"

    @property
    def query_tensor(self) -> str:
        """Name of the tensor with the queries' embeddings."""
        return f"queries.{self.name}" if self.name else "queries"

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """The row of each image of the gallery."""
        return {image: row for row, image in enumerate(self.gallery)}

    def rows_of(self, lists: Sequence[Sequence[str]]) -> Rows:
        """Return the rows of lists of images, `NONE` for what is not in the gallery and behind short lists [Q, P]."""
        width = max(map(len, lists), default=0)
        rows = np.full((len(lists), width), NONE, dtype=np.int64)
        for place, images in enumerate(lists):
            rows[place, : len(images)] = [self.rows.get(image, NONE) for image in images]
        return rows

    @cached_property
    def targets(self) -> Rows:
        """The rows of each query's right images, the target first [Q, P]."""
        return self.rows_of([asked.targets for asked in self.asked])

    def found_targets(self, present: Bools) -> Bools:
        """Return for which queries the target is present; for all of them where the split withholds targets [Q]."""
        if not self.targets.shape[1]:
            return np.ones(len(self.asked), dtype=np.bool_)
        target = self.targets[:, 0]
        return np.asarray((target != NONE) & present[target])

    @cached_property
    def competing(self) -> Bools:
        """Which images of the gallery compete [N]."""
        return np.ones(len(self.gallery), dtype=np.bool_) if self.needed is None else self.mask(self.needed)

    @cached_property
    def references(self) -> Rows:
        """The row of each query's reference [Q]."""
        return self.rows_of([[asked.reference] for asked in self.asked])[:, 0]

    def mask(self, images: Iterable[str]) -> Bools:
        """Return which images of the gallery are among some [N]."""
        found = np.zeros(len(self.gallery), dtype=np.bool_)
        found[[self.rows[image] for image in images if image in self.rows]] = True
        return found


@dataclass(frozen=True)
class Opened:
    """A part with embeddings that were checked; A of its queries are answered."""

    part: Part
    search: Search
    """Of the answered queries."""
    answered: Rows
    """[A]: which queries of the part these are."""
    holes: Holes

    @property
    def targets(self) -> Rows:
        """The rows of the right images that are present [A, P], `NONE` elsewhere."""
        rows = self.part.targets[self.answered]
        return np.asarray(np.where((rows != NONE) & self.search.present[rows], rows, NONE))

    def each(self, rank: Callable[[Block], Ranks]) -> Ranks:
        """Rank block by block; queries that are left out get `UNKNOWN`.

        Args:
            rank: returns [B] or [B, P] ranks of a block.

        Returns:
            [Q] or [Q, P] for all queries of the part.
        """
        found = [rank(block) for block in self.search.blocks()]
        ranks = np.concatenate(found) if found else np.empty(0, dtype=np.int32)
        whole = np.full((len(self.part.asked), *ranks.shape[1:]), UNKNOWN, dtype=np.int32)
        whole[self.answered] = ranks
        return whole


def opened(part: Part, features: Features, remove_references: bool) -> Opened:
    """Check the embeddings of a part, and leave out queries that have none or whose target is missing.

    Args:
        part: of the benchmark.
        features: of the benchmark.
        remove_references: whether a query's reference is no candidate.

    Raises:
        UserError: a tensor is missing, has another shape, or holds what is no number; no query is left.
    """
    gallery = tensor_of(features, part.gallery_tensor, part.gallery, (2, 3))
    queries = tensor_of(features, part.query_tensor, [asked.id for asked in part.asked], (2,))
    check_width(queries, gallery, (part.query_tensor, part.gallery_tensor))
    present = filled(gallery) & ~part.mask(part.absent)
    asked, found = filled(queries), part.found_targets(present)
    answered = np.flatnonzero(asked & found)
    if not len(answered):
        raise UserError(f"No query of '{part.query_tensor}' has an embedding and a target with one; encode them.")
    removed = part.references[answered] if remove_references else np.full(len(answered), NONE)
    holes = _holes(part, present, asked, found)
    return Opened(part, Search(queries[answered], gallery, present & part.competing, removed), answered, holes)


def _holes(part: Part, present: Bools, asked: Bools, found: Bools) -> Holes:
    missing = chosen(part.gallery, part.competing & ~present)
    wanted = [*(image for one in part.asked for image in one.targets), *part.named]
    strange = dict.fromkeys(image for image in wanted if image not in part.rows)
    unanswered = chosen([one.id for one in part.asked], ~asked)
    return Holes(
        part.gallery_tensor, int(part.competing.sum()) + len(strange), [*missing, *strange],
        part.query_tensor, len(asked), unanswered, int(np.count_nonzero(~found)),
    )  # fmt: skip


class GalleryProtocol(Protocol):
    """A benchmark whose queries share a gallery within each part."""

    parts: Sequence[Part]

    @property
    def withheld(self) -> bool:
        """Whether no query has a target."""
        return not any(one.targets for part in self.parts for one in part.asked)

    def check_public(self) -> None:
        """Refuse to score a split that withholds its targets.

        Raises:
            UserError: it does.
        """
        if self.withheld:
            raise UserError(f"{self.name} withholds its targets; write what its server scores: --submission FOLDER.")

    def galleries(self) -> Mapping[str, Sequence[str]]:
        """Return the image ids of each gallery tensor, in the order of its rows."""
        return {part.gallery_tensor: part.gallery for part in self.parts}

    def queries(self) -> Mapping[str, Sequence[Query]]:
        """Return the queries of each query tensor, in the order of its rows."""
        return {part.query_tensor: [Query(one.reference, one.text) for one in part.asked] for part in self.parts}

    def query_ids(self) -> Mapping[str, Sequence[str]]:
        """Return the ids of the queries of each query tensor, in the order of its rows."""
        return {part.query_tensor: [one.id for one in part.asked] for part in self.parts}

    def opened(self, features: Features, remove_references: bool) -> tuple[list[Opened], str, tuple[str, ...]]:
        """Open every part.

        Returns:
            The parts, the prefix of metric keys, and a sentence for each hole.

        Raises:
            UserError: the features do not fit, or there are holes and that is not allowed.
        """
        found = [opened(part, features, remove_references) for part in self.parts]
        name, notes = settled(self.name, [one.holes for one in found], self.allow_missing)
        return found, name, notes


def query_table(parts: Sequence[Part], columns: Mapping[str, Sequence[NDArray[Any]]]) -> pa.Table:
    """Return one row a query: `query`, `part`, `reference`, `target`, and columns of figures.

    Args:
        parts: whose queries these are.
        columns: by name, for each part: ranks [Q] (int32; null where unknown), or figures [Q] (null for NaN).
    """
    import pyarrow as pa

    asked = [(one, part.name) for part in parts for one in part.asked]
    names = {
        "query": [one.id for one, _ in asked],
        "part": [name for _, name in asked],
        "reference": [one.reference for one, _ in asked],
        "target": [one.targets[0] if one.targets else None for one, _ in asked],
    }
    texts = {name: pa.array(values, pa.string()) for name, values in names.items()}
    return pa.table({**texts, **{name: _column(np.concatenate(list(values))) for name, values in columns.items()}})


def _column(values: NDArray[Any]) -> pa.Array:
    import pyarrow as pa

    unknown = np.isnan(values) if values.dtype.kind == "f" else (values == UNKNOWN) | (values == BEYOND)
    return pa.array(values, mask=unknown)
