"""FashionIQ's layout (arXiv 1905.12794), readable by whatever reads FashionIQ.

`captions/cap.{category}.{split}.json`, `image_splits/split.{category}.{split}.json`, pictures under `images/`; a
picture's name is its image id. An entry is an ordered pair with two captions: the first two accepted texts of the
pair, or its one text twice. Categories are the source's where it has FashionIQ's; other references are dealt out among
the three by their id, since readers ask for all of them. Unlike FashionIQ's, `test` keeps its targets.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from cirgen.publish.exports.corpus import DatasetFolder, JsonFile, write_pictures
from cirgen.sources.fashioniq import Category

SPLIT_NAMES = {"train": "train", "validation": "val", "test": "test"}
CATEGORIES: tuple[Category, ...] = get_args(Category)
_PAIRS = """
SELECT reference_id, target_id, list(text ORDER BY triplet_id) AS texts, list(triplet_id ORDER BY triplet_id) AS ids
FROM rows WHERE {where} GROUP BY reference_id, target_id ORDER BY reference_id, target_id
"""


def write_fashioniq(corpus: DatasetFolder, root: Path) -> dict[str, int]:
    """Write the layout; returns split to entries."""
    return {
        split: sum(_write_part(corpus, root, split, category) for category in CATEGORIES) for split in corpus.splits
    }


def _where(category: Category) -> str:
    """Return the condition of a category's rows, on their reference."""
    listed = ", ".join(f"'{name}'" for name in CATEGORIES)
    own = f"list_filter(aliases, lambda a: a.category IN ({listed}))[1].category"
    dealt = f"[{listed}][CAST('0x' || image_id[:8] AS BIGINT) % {len(CATEGORIES)} + 1]"
    return f"reference_id IN (SELECT image_id FROM pictures WHERE coalesce({own}, {dealt}) = '{category}')"


def _write_part(corpus: DatasetFolder, root: Path, split: str, category: Category) -> int:
    name, where, count = SPLIT_NAMES[split], _where(category), 0
    with (
        JsonFile(root / "captions" / f"cap.{category}.{name}.json", "[]") as captions,
        corpus.query(split, _PAIRS.format(where=where)) as pairs,
    ):
        for row in pairs:
            captions.add(caption(row))
            count += 1
    with (
        JsonFile(root / "image_splits" / f"split.{category}.{name}.json", "[]") as images,
        corpus.named(split, where) as named,
    ):
        write_pictures(
            corpus,
            named,
            lambda image_id, suffix: root / "images" / f"{image_id}{suffix}",
            lambda image_id, _: images.add(image_id),
        )
    return count


def caption(row: dict[str, Any]) -> dict[str, Any]:
    """Return a pair as an entry of a caption file."""
    texts = list(dict.fromkeys(row["texts"]))
    return {
        "target": row["target_id"],
        "candidate": row["reference_id"],
        "captions": [texts[0], texts[1] if len(texts) > 1 else texts[0]],
        "triplet_ids": row["ids"],
    }
