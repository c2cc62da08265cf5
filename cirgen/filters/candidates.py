"""The images among which a target must be told: near ones that pairing mined, the reference among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cirgen.keys import digest


def distractors(row: Mapping[str, Any], most: int) -> list[str]:
    """Return up to `most` images that are not the target: the reference, then mined neighbours, nearest first."""
    mined = [negative["image_id"] for negative in row["hard_negatives"]]
    others = dict.fromkeys([row["reference_id"], *mined])
    return [image_id for image_id in others if image_id != row["target_id"]][:most]


def shuffled(image_ids: list[str], row: Mapping[str, Any], turn: int) -> list[str]:
    """Return the images in an order that belongs to the triplet and the turn."""
    asked = (row["reference_id"], row["text"], row["target_id"], turn)
    return sorted(image_ids, key=lambda image_id: digest("shuffle", *asked, image_id))
