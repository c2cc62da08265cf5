"""The pictures of the triplets that a card shows: small files in the dataset, since a page takes no embedded ones."""

from __future__ import annotations

from pathlib import Path

from cirgen.publish.card import card_samples
from cirgen.publish.images import Pictures, plain_picture
from cirgen.publish.tables import Tables

FOLDER = "card"
CARD_SIDE = 160  # pixels: five rows fit a screen


def card_pictures(root: Path, tables: Tables, pictures: Pictures) -> dict[str, str]:
    """Write the pictures of a card's triplets; returns image id to the path in the dataset.

    Args:
        root: the new dataset folder.
        tables: what it publishes.
        pictures: makes small ones.
    """
    samples = card_samples(tables)
    ids = list(dict.fromkeys(row[end] for row in samples for end in ("reference_id", "target_id")))
    sizes = tables.sizes(ids)
    (root / FOLDER).mkdir()
    found: dict[str, str] = {}
    for number, image_id in enumerate(ids, 1):
        suffix, content = plain_picture(pictures.make(image_id, *sizes[image_id]).content)
        found[image_id] = f"{FOLDER}/{number}{suffix}"
        (root / found[image_id]).write_bytes(content)
    return found
