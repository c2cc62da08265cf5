"""Where the target comes among a gallery, for image alone, text alone, and both.

A gallery is ranked by the cosine with the reference's embedding (image alone), with the text's (text alone), and with
their normalised sum (both). The reference is no candidate. The rank of a query is one more than the number of wrong
candidates that score at least as high as its best right one: ties count against the query. Right are the target and
the other positives that the corpus lists.

Similarities are exact (`cirgen.cosine`), so that equal pictures tie on every machine, and are held for a block of
queries at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cirgen.audit.catalog import Catalog
from cirgen.audit.corpus import Corpus, Row
from cirgen.audit.embeddings import Embedded, Vectors
from cirgen.cosine import Exact, cosines, on_grid
from cirgen.keys import digest
from cirgen.progress import Progress

KINDS = ("both", "text", "image")
"""What of a query is asked."""
BLOCK_NUMBERS = 1 << 22
"""Similarities held at a time, 32 MiB each kind."""
NOBODY = -1

Numbers = NDArray[np.int64]


class Query(NamedTuple):
    """A row as its gallery sees it; all but `row` are rows of the catalog, or of the texts."""

    row: Row
    reference: int
    text: int
    target: int
    rights: tuple[int, ...]
    """The target first."""
    foreign: int
    """The text of another query, which differs; `NOBODY` where none does."""


class Ranks(NamedTuple):
    """What was found for every query that can be asked."""

    queries: tuple[Query, ...]
    encoders: tuple[str, ...]
    ranks: Numbers
    """[encoders, kinds, queries], from 1."""
    cosines: NDArray[np.float64]
    """[encoders, queries] of reference and target."""
    rivals: Numbers
    """[queries] images that every encoder puts as near to text and to reference as the target is, or nearer."""
    rival: Numbers
    """[queries] the first of them for the first encoder and both halves, a row of the catalog; or `NOBODY`."""
    foreign_rivals: Numbers
    """[queries] rivals if the text of another query is put in the place of this one's."""
    candidates: Numbers
    """[queries] images ranked, the right ones included."""
    rights: Numbers
    """[queries] right ones among them."""
    galleries: dict[str, int]
    """Name to number of pictures."""


class _Gallery(NamedTuple):
    members: Numbers
    """[M] rows of the catalog, ascending."""
    queries: list[int]
    """Places of the queries that are asked of it."""


def answerable(corpus: Corpus, catalog: Catalog, texts: Sequence[str]) -> list[Query]:
    """Return the queries whose reference, target and text are there, and whose target is in the gallery."""
    rows = {image_id: row for row, image_id in enumerate(catalog.ids)}
    of_text = {text: row for row, text in enumerate(texts)}
    members = {name: set(gallery) for name, gallery in corpus.galleries.items()}
    found = []
    for row in corpus.triplets:
        if row.reference not in rows or row.target not in rows or row.target not in members[row.gallery]:
            continue
        others = [i for i in row.positives if i in rows and i in members[row.gallery] and i != row.target]
        rights = tuple(dict.fromkeys((rows[row.target], *(rows[i] for i in others if i != row.reference))))
        found.append(Query(row, rows[row.reference], of_text[row.text], rows[row.target], rights, NOBODY))
    return _with_foreign([query for query in found if query.reference != query.target])


def _with_foreign(queries: Sequence[Query]) -> list[Query]:
    """Give each query the text of the next one, in an order by hash, that says something else."""
    order = sorted(range(len(queries)), key=lambda place: digest("audit-foreign", queries[place].row.row_id))
    found = list(queries)
    texts = [queries[place].text for place in order]
    last = next((at for at, text in enumerate(texts) if text != texts[at - 1]), None)
    if last is None:  # all say the same
        return found
    foreign = texts[last]
    for step in range(1, len(order) + 1):  # backwards, from a text whose next one differs
        at = (last - step) % len(order)
        following = texts[(at + 1) % len(order)]
        foreign = following if following != texts[at] else foreign
        found[order[at]] = queries[order[at]]._replace(foreign=foreign)
    return found


def rank(
    corpus: Corpus, catalog: Catalog, queries: Sequence[Query], encoders: Sequence[Embedded], progress: Progress
) -> Ranks:
    """Rank the gallery of every query, by every encoder and kind."""
    found = _empty(queries, encoders)
    galleries = _galleries(corpus, catalog, queries)
    with progress.step("Rank galleries", len(queries)) as step:
        for gallery in galleries.values():
            size = max(1, BLOCK_NUMBERS // max(1, len(gallery.members)))
            for start in range(0, len(gallery.queries), size):
                places = gallery.queries[start : start + size]
                _rank_block(found, gallery.members, np.array(places), encoders)
                step.advance(len(places))
    sizes = {name: len(gallery.members) for name, gallery in galleries.items()}
    return found._replace(galleries=sizes)


def _empty(queries: Sequence[Query], encoders: Sequence[Embedded]) -> Ranks:
    number = len(queries)
    return Ranks(
        tuple(queries),
        tuple(one.encoder for one in encoders),
        np.zeros((len(encoders), len(KINDS), number), dtype=np.int64),
        np.zeros((len(encoders), number)),
        np.zeros(number, dtype=np.int64),
        np.full(number, NOBODY, dtype=np.int64),
        np.zeros(number, dtype=np.int64),
        np.zeros(number, dtype=np.int64),
        np.zeros(number, dtype=np.int64),
        {},
    )


def _galleries(corpus: Corpus, catalog: Catalog, queries: Sequence[Query]) -> dict[str, _Gallery]:
    rows = {image_id: row for row, image_id in enumerate(catalog.ids)}
    asked: defaultdict[str, list[int]] = defaultdict(list)
    for place, query in enumerate(queries):
        asked[query.row.gallery].append(place)
    return {
        name: _Gallery(np.array(sorted(rows[i] for i in corpus.galleries[name] if i in rows)), places)
        for name, places in asked.items()
    }


class _Block(NamedTuple):
    """Queries against a gallery; columns are members."""

    removed: NDArray[np.bool_]
    """[B, M] the reference."""
    right: NDArray[np.bool_]
    """[B, M] right answers."""
    target: Numbers
    """[B] column of the target."""


def _block(queries: Sequence[Query], members: Numbers) -> _Block:
    removed = members[None, :] == np.array([query.reference for query in queries])[:, None]
    right = np.zeros_like(removed)
    for place, query in enumerate(queries):
        right[place, np.searchsorted(members, query.rights)] = True
    target = np.searchsorted(members, [query.target for query in queries])
    return _Block(removed, right, target)


def _rank_block(found: Ranks, members: Numbers, places: Numbers, encoders: Sequence[Embedded]) -> None:
    queries = [found.queries[place] for place in places]
    block = _block(queries, members)
    rows = np.arange(len(queries))
    nearer = ~(block.removed | block.right)
    foreign_nearer = nearer.copy()
    first: Exact | None = None
    for number, encoder in enumerate(encoders):
        images = _similarities([query.reference for query in queries], encoder.images, members, encoder.images)
        texts = _similarities([query.text for query in queries], encoder.texts, members, encoder.images)
        others = _similarities([query.foreign for query in queries], encoder.texts, members, encoder.images)
        found.cosines[number, places] = images[rows, block.target]
        near = _at_least(images, block.target)
        nearer &= near & _at_least(texts, block.target)
        foreign_nearer &= near & _at_least(others, block.target)
        both = images + texts  # a sum of exact cosines is exact
        first = both if first is None else first
        for kind, scores in enumerate((both, texts, images)):
            found.ranks[number, kind, places] = _ranks(scores, block)
    assert first is not None
    found.rivals[places] = nearer.sum(axis=1)
    found.foreign_rivals[places] = foreign_nearer.sum(axis=1)
    best = np.where(nearer, first, -np.inf).argmax(axis=1)
    found.rival[places] = np.where(nearer.any(axis=1), members[best], NOBODY)
    found.candidates[places] = len(members) - block.removed.sum(axis=1)
    found.rights[places] = block.right.sum(axis=1)


def _similarities(rows: Sequence[int], queries: Vectors, members: Numbers, images: Vectors) -> Exact:
    """Return the cosines of some rows of `queries` with the gallery [B, M]."""
    return cosines(on_grid(queries[rows]), images, members)


def _at_least(scores: Exact, target: Numbers) -> NDArray[np.bool_]:
    """Return which candidates score at least as high as the target [B, M]."""
    return np.asarray(scores >= scores[np.arange(len(scores)), target][:, None])


def _ranks(scores: Exact, block: _Block) -> Numbers:
    best = np.where(block.right, scores, -np.inf).max(axis=1, keepdims=True)
    ahead = (scores >= best) & ~block.right & ~block.removed
    return np.asarray(1 + ahead.sum(axis=1))


def first_rivals(ranks: Ranks, catalog: Catalog) -> dict[Row, str]:
    """Return the first rival of each row that has one."""
    named = zip(ranks.queries, ranks.rival.tolist(), strict=True)
    return {query.row: catalog.ids[rival] for query, rival in named if rival != NOBODY}


def chance(candidates: Numbers, rights: Numbers, top: int) -> NDArray[np.float64]:
    """Return the probability that a random order has fewer than `top` wrong candidates before the first right one.

    That is one less the probability that the first `top` are all wrong; top / candidates where one is right.

    Args:
        candidates: [n] the right ones included.
        rights: [n]
        top: of a ranking.
    """
    wrong = candidates - rights
    missed = np.ones(len(candidates))
    for place in range(top):
        missed *= np.maximum(wrong - place, 0) / np.maximum(candidates - place, 1)
    return 1 - missed
