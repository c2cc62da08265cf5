"""The images among which triplets are judged, as figures and as an integer matrix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cirgen.errors import UserError
from cirgen.world.figure import HIDDEN
from cirgen.world.worlds import FIGURES, WORLDS, World

NAMES = FIGURES.names
"""The attributes of figures, in the order of the columns of `Gallery.codes`."""
COLUMNS = {name: column for column, name in enumerate(NAMES)}

_VALUES = (HIDDEN, *(value for world in WORLDS for values in world.values for value in values))
CODES = {value: code for code, value in enumerate(dict.fromkeys(_VALUES))}
"""Value to code, the same in every column, so that a colour can be compared across columns."""

Codes = NDArray[np.int16]


class Gallery:
    """The images among which triplets are judged.

    `figures` are those of `world`: figures, or items of furniture; `columns` are the places of its attributes in
    `codes`, int16 [N, attributes]: the code of every value, equal colours with equal codes in every column; `counts`
    is int16 [N]: number of objects.
    """

    def __init__(self, image_ids: Sequence[str], figures: Sequence[Any], world: World = FIGURES) -> None:
        if len(image_ids) != len(figures):
            raise ValueError(f"{len(image_ids)} image ids for {len(figures)} figures")
        self.image_ids = tuple(image_ids)
        self.figures = tuple(figures)
        self.world = world
        self.columns = {name: column for column, name in enumerate(world.names)}
        self.rows = {image_id: row for row, image_id in enumerate(self.image_ids)}
        encoded = [[CODES[value] for value in astuple(figure)] for figure in self.figures]
        self.codes: Codes = np.array(encoded, dtype=np.int16).reshape(-1, len(world.names))
        self.counts: Codes = np.array([figure.count for figure in self.figures], dtype=np.int16)

    def __len__(self) -> int:
        return len(self.image_ids)

    def figure(self, image_id: str) -> Any:
        """Return the figure, or the item, of an image; `UserError` if the gallery lacks it."""
        return self.figures[self.row(image_id)]

    def row(self, image_id: str) -> int:
        """Return the row of an image; `UserError` if the gallery lacks it."""
        if image_id not in self.rows:
            raise UserError(
                f"image {image_id[:12]}… is not in the gallery of {len(self)} images: "
                "pass the attribute table that was written with these images (--attributes)"
            )
        return self.rows[image_id]

    @classmethod
    def load(cls, attributes: Path, only: Iterable[str] | None = None) -> Gallery:
        """Read an attribute table (`cirgen.world.build`), of the images `only` if given, in order of image id.

        `UserError` if the file is missing or lacks a column or one of the images.
        """
        from cirgen.world.build import read_truth

        truth = read_truth(attributes)
        known = dict(zip(truth.image_ids, truth.figures, strict=True))
        wanted = sorted(known if only is None else set(only))
        absent = [image_id for image_id in wanted if image_id not in known]
        if absent:
            raise UserError(
                f"{attributes} lacks {len(absent)} of {len(wanted)} images (first: {absent[0][:12]}…): "
                "pass the attribute table that was written with these images (--attributes)"
            )
        return cls(wanted, [known[image_id] for image_id in wanted], truth.world)
