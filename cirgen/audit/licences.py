"""What is known of the licences of the images."""

from __future__ import annotations

from collections import Counter

from cirgen.audit.corpus import Corpus
from cirgen.audit.figures import Listed, Section, count, missing, percent

ABOUT = "Of the images of the galleries; a licence that the corpus names is taken at its word."
UNKNOWN = "not known"


def licences_section(corpus: Corpus) -> Section:
    """Return how many images have a known licence, and which."""
    named = {i: corpus.facts[i].license for i in corpus.image_ids if i in corpus.facts}
    told = [license for license in named.values() if license is not None]
    names = (("known", "images with a known licence"),)
    if not told:
        figures = missing(f"{corpus.kind} says nothing of licences", names)
        return Section("licences", "Licences", figures, ABOUT)
    by_name = Counter(license for license in told if license)
    known = sum(by_name.values())
    by_name[UNKNOWN] = len(corpus.image_ids) - known
    listed = Listed("Licences", tuple(sorted((+by_name).items())), len(corpus.image_ids))
    return Section(
        "licences",
        "Licences",
        (
            percent(*names[0], known / len(corpus.image_ids)),
            count("kinds", "different licences", len(by_name) - 1),
        ),
        ABOUT,
        (listed,),
    )
