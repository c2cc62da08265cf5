"""Images that come more than once: the same pixels, or nearly the same picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from cirgen.audit.catalog import Catalog
from cirgen.audit.corpus import Corpus
from cirgen.audit.figures import Figure, Section, count, missing, percent

ABOUT = (
    "Copies are images with the same pixels; near duplicates have nearly the same grey structure and the same colours "
    "(perceptual hash within 4 of 64 bits, and no cell of a 4 x 8 grid of mean colours off by more than 8 of 255), or "
    "are grouped by the corpus itself."
)
_HASHED = (("copies", "images whose pixels another image has"), ("near", "images with a near duplicate"))


def pictures_section(corpus: Corpus, catalog: Catalog | None) -> Section:
    """Return how many images there are, are missing, and come more than once."""
    figures: list[Figure] = [count("images", "images", len(corpus.image_ids))]
    if catalog is not None:
        pixels = Counter(one.pixel for one in catalog.hashes)
        copies = sum(pixels[one.pixel] > 1 for one in catalog.hashes)
        figures += [
            count("absent", "images without a picture", len(catalog.absent)),
            count("broken", "pictures that cannot be decoded", len(catalog.broken)),
            percent(*_HASHED[0], copies / max(1, len(catalog.ids))),
        ]
    else:
        figures += missing(corpus.no_pictures, _HASHED[:1])
    groups = groups_of(corpus, catalog)
    if groups:
        sizes = Counter(groups.values())
        near = sum(sizes[group] > 1 for group in groups.values())
        figures.append(percent(*_HASHED[1], near / len(groups)))
        figures.append(count("largest_group", "images of the largest near-duplicate group", max(sizes.values())))
    else:
        figures += missing(corpus.no_pictures, _HASHED[1:])
    return Section("images", "Images", tuple(figures), ABOUT)


def groups_of(corpus: Corpus, catalog: Catalog | None) -> Mapping[str, str]:
    """Return image to near-duplicate group: the corpus's own where it has them, else by the hashes; or nothing."""
    own = {i: facts.group for i, facts in corpus.facts.items() if facts.group}
    if own:
        return own
    return catalog.groups() if catalog is not None and catalog.ids else {}
