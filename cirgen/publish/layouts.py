"""Triplets in the files of others, so that code which reads nothing else trains on a run: SPN4CIR's JSON lists.

Shapes as its `get_cir_data.py` writes and its `data_utils.py` reads them (arXiv 2404.11317, released code). An entry
is one ordered pair of pictures with all its accepted texts; only the training split is written. Pictures go by the
names that their source has for them: the first one, where identical pictures have several.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cirgen import __version__
from cirgen.errors import UserError
from cirgen.images import RunImages
from cirgen.parquet_sql import rows_of
from cirgen.publish.folder import remove_folder, replaced_folder
from cirgen.publish.manifest import MANIFEST_NAME, file_hashes
from cirgen.recipe import Layout
from cirgen.run_folder import Run
from cirgen.sources.registry import SOURCES
from cirgen.store import stream

SPLIT = "train"
PICTURES = "images"
"""Folder of the pictures that have no file of their own, such as those in a tar file."""


@dataclass(frozen=True)
class End:
    """The reference or the target of an entry."""

    name: str
    """What the source calls the picture."""
    path: str
    """Absolute path of a file that holds nothing else; empty where the shape asks for none."""
    url: str
    """Empty where the source knows none."""
    caption: str
    """The run's; empty where it has none."""


@dataclass(frozen=True)
class Entry:
    """An ordered pair and its accepted texts, those of the recipe's first prompt first."""

    reference: End
    target: End
    texts: list[str]


@dataclass(frozen=True)
class Shape:
    """One kind of JSON list."""

    files: tuple[str, ...]
    """Where it goes; `{tag}` is the layout's. Several names hold the same list."""
    row: Callable[[Entry], dict[str, Any]]
    paths: bool = False
    """Whether its rows name picture files."""


def _fashioniq(entry: Entry) -> dict[str, Any]:
    return {
        "target": entry.target.name,
        "candidate": entry.reference.name,
        "captions": entry.texts,
        "caption1": entry.reference.caption,
        "caption2": entry.target.caption,
    }


def _cirr(entry: Entry) -> dict[str, Any]:
    return {
        "target_hard": entry.target.name,
        "reference": entry.reference.name,
        "caption": entry.texts,
        "pairid": 0,
        "img_set": {"members": ["xxx"]},  # readers ask for a set and do not look into it
        "caption1": entry.reference.caption,
        "caption2": entry.target.caption,
    }


def _cc(entry: Entry) -> dict[str, Any]:
    return {
        "target": entry.target.path,
        "reference": entry.reference.path,
        "reference_name": entry.reference.url or entry.reference.name,
        "target_name": entry.target.url or entry.target.name,
        "captions": entry.texts,
    }


SPN4CIR = {
    "fashioniq": Shape(("captions/cap.extend_{tag}.train.json",), _fashioniq),
    "cirr": Shape(("captions/cap.rc2.train.extend_{tag}.json",), _cirr),
}
"""Kind of a source to its shape."""
SPN4CIR_CC = Shape(("captions/cap.cc.train.json", "captions/cap.rc2.train.cc.json"), _cc, paths=True)
"""Of every other source; SPN4CIR reads the first file when it goes for FashionIQ, the second for CIRR."""


def write_layouts(run: Run) -> None:
    """Write `RUN/layouts/` as a whole, or remove it where the recipe asks for none.

    Raises:
        UserError: a picture that has to be copied can no longer be read.
    """
    if not run.recipe.export.layouts:
        if run.layouts.exists():
            remove_folder(run.layouts)
        return
    with replaced_folder(run.layouts) as root:
        count = max([_write(run, root, layout) for layout in run.recipe.export.layouts])
        (root / MANIFEST_NAME).write_text(_manifest(run, root, count), encoding="utf8")


def _write(run: Run, root: Path, layout: Layout) -> int:
    """Write one layout; return how many entries it has."""
    shape = SPN4CIR.get(getattr(run.recipe.images, SOURCES.tag), SPN4CIR_CC)
    first, *others = (root / name.format(tag=layout.tag or run.recipe.name) for name in shape.files)
    pictures = _Pictures(run, root) if shape.paths else None
    count = _write_list(first, map(shape.row, _entries(run, pictures)))
    for other in others:
        shutil.copyfile(first, other)
    return count


def _write_list(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write a JSON list in ASCII, which opens the same under every locale, a row a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("w", encoding="ascii") as file:
        for row in rows:
            file.write(f"{',' if count else '['}\n{json.dumps(row)}")
            count += 1
        file.write("\n]\n" if count else "[]\n")
    return count


_PAIRS = """
WITH said AS (
    SELECT t.reference_id, t.target_id, t.text, min(list_position(?::VARCHAR[], t.prompt)) AS place,
           first(t.reference_caption) AS reference_caption, first(t.target_caption) AS target_caption
    FROM {triplets} AS t JOIN {verdicts} AS v USING (triplet_id)
    WHERE v.reason = '' AND t.split = ? GROUP BY t.reference_id, t.target_id, t.text
), pairs AS (
    SELECT reference_id, target_id, list(text ORDER BY place, text) AS texts,
           first(reference_caption) AS reference_caption, first(target_caption) AS target_caption
    FROM said GROUP BY reference_id, target_id
)
SELECT p.*, {columns} FROM pairs AS p
JOIN {catalog} AS r ON r.image_id = p.reference_id
JOIN {catalog} AS t ON t.image_id = p.target_id
ORDER BY r.aliases[1].source_id, t.aliases[1].source_id, p.reference_id, p.target_id
"""
_END_COLUMNS = (
    "{0}.aliases[1].source_id AS {1}_name, {0}.aliases[1].url AS {1}_url, "
    "CASE WHEN {0}.\"offset\" = 0 THEN {0}.path ELSE '' END AS {1}_path"
)


def _entries(run: Run, pictures: _Pictures | None) -> Iterator[Entry]:
    """Yield the accepted pairs of the training split, by the names of their pictures."""
    tables = {"triplets": run.triplets, "verdicts": run.verdicts, "catalog": run.catalog}
    columns = ", ".join(_END_COLUMNS.format(short, end) for short, end in (("r", "reference"), ("t", "target")))
    query = _PAIRS.format(columns=columns, **{name: rows_of(path) for name, path in tables.items()})
    prompts = [run.prompt(reference).reference for reference in run.recipe.modify.prompts]
    with run.store.connect() as connection, run.progress.step("Write layouts") as step:
        for batch in stream(connection, query, [prompts, SPLIT]):
            for row in batch.to_pylist():
                yield Entry(_end(row, "reference", pictures), _end(row, "target", pictures), row["texts"])
                step.advance()


def _end(row: dict[str, Any], end: str, pictures: _Pictures | None) -> End:
    name, url, caption = (row[f"{end}_{field}"] for field in ("name", "url", "caption"))
    path = "" if pictures is None else row[f"{end}_path"] or pictures.copied(row[f"{end}_id"], name)
    return End(name, path, url, caption)


class _Pictures:
    """Gives pictures that have no file of their own one under `layouts/`.

    Args:
        run: whose pictures they are.
        root: the folder that becomes `RUN/layouts/`.
    """

    def __init__(self, run: Run, root: Path) -> None:
        self._reader = RunImages(run.catalog, run.store.root / "ingest")
        self._root = root
        self._final = run.layouts.absolute()

    def copied(self, image_id: str, name: str) -> str:
        """Return the path that a copy of a picture will have."""
        place = PurePosixPath(PICTURES) / f"{image_id}{PurePosixPath(name).suffix}"
        copy = self._root / place
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                copy.write_bytes(self._reader.read(image_id))
            except OSError as error:
                raise UserError(
                    f"Image {image_id} can no longer be read ({error}); restore its file, or take export.layouts out."
                ) from error
        return str(self._final / place)


def _manifest(run: Run, root: Path, count: int) -> str:
    """Return what made the layouts, as JSON."""
    facts = {
        "cirgen": __version__,
        "name": run.recipe.name,
        "recipe_hash": run.read_facts()["recipe_hash"],
        "split": SPLIT,
        "entries": count,
        "files": file_hashes(root),
    }
    return json.dumps(facts, indent=1) + "\n"
