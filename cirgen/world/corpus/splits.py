"""How a published corpus is divided: by family, so that no attribute combination is in two splits."""

from __future__ import annotations

from cirgen.errors import UserError
from cirgen.world.build import Truth
from cirgen.world.corpus.figures import FIGURES
from cirgen.world.corpus.furniture import FURNITURE
from cirgen.world.corpus.subject import Families, Subject

SUBJECTS = (FIGURES, FURNITURE)


def subject_of(images: str) -> Subject:
    """Return what the corpus of a run is made of, by the `images.path` of its recipe.

    Raises:
        UserError: the exact attributes of such images are unknown.
    """
    for subject in SUBJECTS:
        if subject.images == images:
            return subject
    paths = " or ".join(subject.images for subject in SUBJECTS)
    raise UserError(f"A corpus with truth is made of pictures that ship alone (images.path: {paths}).")


def splits(truth: Truth, families: Families, images: str) -> dict[str, str]:
    """Return the split of every image.

    Raises:
        UserError: a family has no split: the collection is another one than the shipped.
    """
    of_family = {family: split for split, members in families.items() for family in members}
    strange = sorted(set(truth.families) - of_family.keys())
    if strange:
        raise UserError(
            f"Family {strange[0]} of these pictures has no split; the corpus is made of the collection that ships "
            f"(images.path: {images})."
        )
    return {name: of_family[family] for name, family in zip(truth.image_ids, truth.families, strict=True)}
