"""How much of a caption a text gives away.

A target leak makes the text a caption of the target, which text alone then finds; the measure is the share of the
target caption's content words that the text holds. A reference leak is the same of the reference's caption: the text
retells what the image shows already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cirgen.audit.corpus import Corpus, Row
from cirgen.audit.figures import Figure, Section, missing, percent
from cirgen.filters.words import content_words
from cirgen.intervals import of_means, share

FULL = 0.8
"""A text with so large a share of a caption's content words nearly is that caption."""
End = Literal["target", "reference"]
ENDS: tuple[End, ...] = ("target", "reference")
ABOUT = (
    "Of the content words of a caption (no function words, no words of change, plurals stripped), the share that the "
    f"text holds; and how many texts hold {FULL:.0%} or more. Captions are the corpus's: a wrong one hides a leak."
)


def leaks_section(corpus: Corpus) -> Section:
    """Return how far texts leak captions, of the rows whose caption is known."""
    figures = [figure for end in ENDS for figure in _figures(corpus, end)]
    return Section("leaks", "Leaks", tuple(figures), ABOUT)


def leaked(corpus: Corpus, end: End) -> NDArray[np.float64]:
    """Return each triplet's share of the caption's content words that its text holds [triplets]; NaN without any."""
    return np.array([_share(row.text, corpus, getattr(row, end)) for row in corpus.triplets], dtype=np.float64)


def _share(text: str, corpus: Corpus, image_id: str) -> float:
    facts = corpus.facts.get(image_id)
    return coverage(text, facts.caption if facts else "")


def coverage(text: str, caption: str) -> float:
    """Return the share of a caption's different content words that a text holds; NaN where it has none."""
    wanted = set(content_words(caption))
    return len(wanted & set(content_words(text))) / len(wanted) if wanted else float("nan")


def _figures(corpus: Corpus, end: End) -> Iterator[Figure]:
    names = (
        (f"{end}_mean", f"{end} caption's words in the text, mean"),
        (f"{end}_full", f"texts with {FULL:.0%} or more of the {end} caption"),
    )
    found = leaked(corpus, end)
    known = np.flatnonzero(~np.isnan(found))
    if not len(known):
        reason = "the corpus has no captions of its images; name their columns with --column target_caption=NAME"
        yield from missing(reason, names)
        return
    references = _references(corpus.triplets, known)
    values = found[known]
    yield percent(*names[0], of_means(values[:, None], references, lambda means: means[..., 0]))
    yield percent(*names[1], share(values >= FULL, references))


def _references(rows: Sequence[Row], places: NDArray[np.int64]) -> list[str]:
    return [rows[place].reference for place in places]
