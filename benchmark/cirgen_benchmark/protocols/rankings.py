"""Rankings files: JSON with the images that a model found for each query, best first, as servers take them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cirgen.errors import UserError
from cirgen_benchmark.protocols.figures import BEYOND, UNKNOWN, Ranks
from cirgen_benchmark.protocols.holes import Holes, repeated, such_as
from cirgen_benchmark.protocols.parts import Asked

HEADER = ("version", "metric")
"""Entries that are no list, as CIRR's server has them."""
Lists = Mapping[str, Sequence[str]]
"""Image ids by query id, best first."""


@dataclass(frozen=True)
class RankingsFile:
    """What a rankings file holds."""

    path: Path
    lists: Lists
    header: Mapping[str, str] = field(default_factory=dict)
    """Entries that are no list, such as CIRR's `version` and `metric`."""


@dataclass(frozen=True)
class Rules:
    """What a benchmark asks of its rankings."""

    images: frozenset[str] | None
    """What may be ranked; None where that is not known."""
    length: int
    """Images that each list must have at least."""
    exact: bool = False
    """Whether it may have no more."""
    reference: bool = True
    """Whether a query's reference may be ranked."""


def read_rankings(path: Path) -> RankingsFile:
    """Read a rankings file.

    Raises:
        UserError: it is missing, or no JSON object of lists of image ids.
    """
    try:
        found = json.loads(path.read_text(encoding="utf8"), object_pairs_hook=_once)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as rankings ({error}); give a JSON file.") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} must be a JSON object: query ids, and for each the list of image ids, best first.")
    header = {key: str(found[key]) for key in HEADER if key in found}
    lists = {key: _images(path, key, value) for key, value in found.items() if key not in header}
    return RankingsFile(path, lists, header)


def _once(entries: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object; of two entries with one key Python's own reader would drop the first."""
    twice = repeated(key for key, _ in entries)
    if twice:
        raise ValueError(f"'{twice[0]}' comes twice")
    return dict(entries)


def _images(path: Path, query: str, images: object) -> tuple[str, ...]:
    if not isinstance(images, list) or not all(type(image) in (str, int) for image in images):
        raise UserError(f"Query {query} of {path} must have a list of image ids, best first.")
    return tuple(map(str, images))


def check_lists(source: str, lists: Lists, asked: Sequence[Asked], rules: Rules) -> None:
    """Refuse rankings that a server would refuse, or score wrongly.

    Args:
        source: whose lists these are, for the message.
        lists: by query id.
        asked: the queries of the benchmark; those that have no list are not looked at.
        rules: of the benchmark.

    Raises:
        UserError: says how many queries are wrong, and which.
    """
    known = {one.id for one in asked}
    refuse(source, [query for query in lists if query not in known], "that are not of this split")
    there = [one for one in asked if one.id in lists]
    sized = [one.id for one in there if not _sized(len(lists[one.id]), rules)]
    refuse(source, sized, f"without {'just' if rules.exact else 'at least'} {rules.length} images")
    twice = [one.id for one in there if len(set(lists[one.id])) < len(lists[one.id])]
    refuse(source, twice, "that name an image twice")
    if not rules.reference:
        refuse(source, [one.id for one in there if one.reference in lists[one.id]], "that rank their own reference")
    images = rules.images
    if images is not None:
        strange = [one.id for one in there if not images.issuperset(lists[one.id])]
        refuse(source, strange, "that rank an image from outside the gallery")


def _sized(length: int, rules: Rules) -> bool:
    return length == rules.length if rules.exact else length >= rules.length


def refuse(source: str, queries: Sequence[str], fault: str) -> None:
    """Refuse rankings with queries that have a fault.

    Raises:
        UserError: there are such queries; says how many and which.
    """
    if queries:
        raise UserError(f"{source} has queries {fault}: {len(queries):,}{such_as(queries)}; correct them.")


def unanswered(file: RankingsFile, asked: Sequence[Asked]) -> Holes:
    """Return which queries a file has no list for.

    Raises:
        UserError: it has none at all.
    """
    queries = [one.id for one in asked if one.id not in file.lists]
    if len(queries) == len(asked):
        raise UserError(f"{file.path} ranks images for no query; give the file with all {len(asked):,} lists.")
    return Holes("", 0, (), str(file.path), len(asked), queries)


def positions(lists: Lists, asked: Sequence[Asked]) -> Ranks:
    """Return the places of each query's right images, in the order of `targets` [Q, P].

    `BEYOND` where a list does not reach, and behind queries that have fewer; `UNKNOWN` where there is no list.
    """
    width = max((len(one.targets) for one in asked), default=0)
    found = np.full((len(asked), width), BEYOND, dtype=np.int32)
    for row, one in enumerate(asked):
        if one.id not in lists:
            found[row] = UNKNOWN
            continue
        places = {image: place for place, image in enumerate(lists[one.id], 1)}
        found[row, : len(one.targets)] = [places.get(image, BEYOND) for image in one.targets]
    return found
