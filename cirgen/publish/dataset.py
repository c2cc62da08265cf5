"""The dataset repository folder of a run: Parquet, card, licence, recipe, manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from cirgen.images import RunImages
from cirgen.publish.card import card
from cirgen.publish.card_pictures import CARD_SIDE, card_pictures
from cirgen.publish.counts import Counts
from cirgen.publish.images import PREVIEW_SIDE, ImageMode, Pictures, image_batches, images_schema, preview_batches
from cirgen.publish.license import license_file
from cirgen.publish.manifest import MANIFEST_NAME, manifest
from cirgen.publish.measured import sections
from cirgen.publish.origins import public_recipe_yaml
from cirgen.publish.parquet import GROUP_ROWS, Written, write_split
from cirgen.publish.tables import PREVIEW, SPLITS, Tables
from cirgen.run_folder import Run

IMAGE_GROUP_ROWS = 32
"""Pictures per row group: what a reader of one of them has to fetch."""


def build_dataset(run: Run, root: Path, counts: Counts) -> None:
    """Write the dataset of a run into an empty folder."""
    with run.store.connect() as connection:
        tables = Tables(run, connection)
        licenses = tables.licenses()
        mode = image_mode(run, licenses)
        written = write_tables(run, root, tables, mode)
        shown = card_pictures(root, tables, pictures_of(run, CARD_SIDE)) if mode == "embed" else {}
        texts = {
            "README.md": card(run, tables, counts, written, licenses, mode, sections(run, root), shown),
            "LICENSE": license_file(run.recipe.export.license, licenses, mode == "embed"),
            "recipe.yaml": public_recipe_yaml(run),
        }
        for name, text in texts.items():
            (root / name).write_text(text, encoding="utf8")
        record = manifest(run, root, counts, written, tables.scores)
        (root / MANIFEST_NAME).write_text(record, encoding="utf8")


def write_tables(run: Run, root: Path, tables: Tables, mode: ImageMode) -> list[Written]:
    """Write every config that a run has."""
    written = [*_accepted(run, root, tables), *_images(run, root, tables, mode)]
    if mode == "embed":
        written += _preview(run, root, tables)
    if run.recipe.export.rejected:
        written += _rejected(run, root, tables)
    return written


def image_mode(run: Run, licenses: Mapping[str, int]) -> ImageMode:
    """Return what the recipe wants of images; unsaid, they are embedded where every licence is known."""
    if run.recipe.export.images is not None:
        return run.recipe.export.images
    if "" not in licenses:
        return "embed"
    run.progress.say(
        f"The dataset goes without its images, since {licenses['']:,} of them have no known licence: "
        "name it under 'images.license', or set 'export.images' to 'embed'."
    )
    return "none"


def _accepted(run: Run, root: Path, tables: Tables) -> Iterator[Written]:
    for split in SPLITS:
        rows = tables.triplets(split, _recipe_hash(run))
        count = tables.count(split, accepted=True)
        yield from write_split(root, "triplets", split, tables.triplet_schema, rows, count=count)


def _rejected(run: Run, root: Path, tables: Tables) -> Iterator[Written]:
    for split in SPLITS:
        rows = tables.rejected(split, _recipe_hash(run))
        count = tables.count(split, accepted=False)
        yield from write_split(root, "rejected", split, tables.rejected_schema, rows, count=count)


def _recipe_hash(run: Run) -> str:
    return str(run.read_facts()["recipe_hash"])


def _images(run: Run, root: Path, tables: Tables, mode: ImageMode) -> Iterator[Written]:
    pictures = pictures_of(run, run.recipe.export.max_side)
    group_rows = IMAGE_GROUP_ROWS if mode == "embed" else GROUP_ROWS
    count = tables.image_count()
    with run.progress.step("Export images", count) as step:

        def rows() -> Iterator[pa.RecordBatch]:
            for batch in image_batches(tables, pictures, mode, group_rows):
                yield batch
                step.advance(batch.num_rows)

        yield from write_split(root, "images", "train", images_schema(mode), rows(), group_rows, count=count)


def _preview(run: Run, root: Path, tables: Tables) -> Iterator[Written]:
    shown = tables.draw(run.recipe.export.preview, "split = 'train' AND reason = ''", "preview")
    sizes = tables.sizes(row[end] for row in shown for end in ("reference_id", "target_id"))
    side = min(PREVIEW_SIDE, run.recipe.export.max_side or PREVIEW_SIDE)
    rows = preview_batches(shown, sizes, pictures_of(run, side))
    yield from write_split(root, "preview", "train", PREVIEW, rows, IMAGE_GROUP_ROWS)


def pictures_of(run: Run, max_side: int | None) -> Pictures:
    """Return what makes pictures of a run fit for publication, of this side at most."""
    return Pictures(
        RunImages(run.catalog, run.store.root / "ingest"), max_side, strip=run.recipe.export.strip_metadata
    )
