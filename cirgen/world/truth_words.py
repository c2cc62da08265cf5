"""What `cirgen world truth` means by its words, as its table and its help say it; `truth` defines them exactly."""

from __future__ import annotations

MEANINGS = {
    "correct": "the text claims a change, and all that it claims is true of the two images",
    "exhaustive": "the reference changed as the text says is the target: nothing is left out",
    "unique": "no image of the dataset but those with the very attributes of the target fits as well as it does",
    "composed": "neither the text alone nor the reference alone finds the target: more than ten images fit either",
    "good": "all four",
    "unparsable": "the text is outside the grammars of its world; it counts as none of the above",
    "held-out pairs": "an image shows values together, as a green hoodie or a red lounge chair, that no training did",
}
"""Word to meaning."""

SMALL_GALLERY = 200
"""Fewer images than this seldom hold more than ten that fit a half of a query."""


def small_gallery(images: int) -> str:
    """Return why next to nothing is composed among few images, and so good; '' where there are enough."""
    if images >= SMALL_GALLERY:
        return ""
    return (
        f"Mind: of {images} images hardly ever more than ten fit a text or a reference alone, so little or nothing "
        "counts as composed, and so as good. Take more images to measure that."
    )
