"""CIRR's layout (arXiv 2108.04024, annotations rc2), readable by whatever reads CIRR.

`captions/cap.rc2.{train,val,test1}.json`, `image_splits/split.rc2.{...}.json`, pictures under `train/`, `dev/` and
`test1/`. A picture's name is its image id. `target_soft` has the other known targets, `img_set` the hard negatives:
reference, target and up to four mined ones. Unlike CIRR's, `test1` keeps its targets.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cirgen.publish.exports.corpus import DatasetFolder, JsonFile, Row, write_pictures

SPLIT_NAMES = {"train": "train", "validation": "val", "test": "test1"}
FOLDERS = {"train": "train", "validation": "dev", "test": "test1"}
SET_SIZE = 6
"""Members of CIRR's image sets, reference and target among them."""


def write_cirr(corpus: DatasetFolder, root: Path) -> dict[str, int]:
    """Write the layout; returns split to rows."""
    return {split: _write_split(corpus, root, split) for split in corpus.splits}


def _write_split(corpus: DatasetFolder, root: Path, split: str) -> int:
    name, count = SPLIT_NAMES[split], 0
    with JsonFile(root / "captions" / f"cap.rc2.{name}.json", "[]") as captions:
        for count, row in enumerate(corpus.triplets(split), 1):
            captions.add(caption(row, count - 1))
    with (
        JsonFile(root / "image_splits" / f"split.rc2.{name}.json", "{}") as images,
        corpus.named(split) as named,
    ):
        write_pictures(
            corpus,
            named,
            lambda image_id, suffix: root / FOLDERS[split] / image_id[:2] / f"{image_id}{suffix}",
            lambda image_id, path: images.add(f"./{path.relative_to(root).as_posix()}", image_id),
        )
    return count


def caption(row: Row, pairid: int) -> dict[str, Any]:
    """Return a triplet as an entry of a caption file."""
    mined = [one["image_id"] for one in row["hard_negatives"]]
    members = list(dict.fromkeys((row["reference_id"], row["target_id"], *mined)))[:SET_SIZE]
    return {
        "pairid": pairid,
        "reference": row["reference_id"],
        "target_hard": row["target_id"],
        "target_soft": dict.fromkeys((row["target_id"], *row["positive_ids"]), 1.0),
        "caption": row["text"],
        "img_set": {"id": pairid, "members": members, "reference_rank": 0, "target_rank": 1},
        "triplet_id": row["triplet_id"],
    }
