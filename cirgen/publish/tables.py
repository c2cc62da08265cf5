"""The rows of the published dataset: SQL over what the stages derived."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from cirgen.captions import captions
from cirgen.parquet_sql import quoted, rows_of
from cirgen.publish.features import IMAGE
from cirgen.publish.names import source_names
from cirgen.publish.places import public_name
from cirgen.run_folder import Run
from cirgen.schemas import ALIAS, UNWRITTEN
from cirgen.store import stream

if TYPE_CHECKING:
    import duckdb

SPLITS = ("train", "validation", "test")

HARD_NEGATIVE = pa.struct([pa.field("image_id", pa.string()), pa.field("kind", pa.string())])

_TRIPLET_HEAD = [
    pa.field("triplet_id", pa.string()),
    pa.field("reference_id", pa.string()),
    pa.field("text", pa.string()),
    pa.field("target_id", pa.string()),
    pa.field("positive_ids", pa.list_(pa.string())),  # other images known to answer (reference, text)
    pa.field("texts", pa.list_(pa.string())),  # every accepted text of this ordered pair
    pa.field("change_type", pa.string()),
    pa.field("regenerated", pa.int32()),  # 0, or which text this is after rejected ones of its pair
    pa.field("rewrite", pa.string()),  # what was done to the text after it was written, or empty
    pa.field("hard_negatives", pa.list_(HARD_NEGATIVE)),
]
_PROVENANCE = [
    pa.field(name, pa.string()) for name in ("prompt", "prompt_hash", "model", "revision", "backend", "recipe_hash")
]

_MADE = ("positive_ids", "texts", "recipe_hash")
_STORED = [
    *(field.name for field in (*_TRIPLET_HEAD, *_PROVENANCE) if field.name not in _MADE),
    *("split", "reference_caption", "target_caption"),
]
"""Columns of the derived triplets that are published as they are, or that the card shows."""

PART_ROWS = 500_000
"""Triplets that are joined, or sorted, at a time."""
FLUSH_ROWS = 50_000
"""Rows that a thread holds while triplets are told apart by their reference."""

IMAGES = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("image", IMAGE),
        pa.field("width", pa.int32()),  # pixels of the published image, upright
        pa.field("height", pa.int32()),
        pa.field("caption", pa.string()),
        pa.field("aliases", pa.list_(ALIAS)),
        pa.field("license", pa.string()),
        pa.field("author", pa.string()),
        pa.field("url", pa.string()),
        pa.field("sha256", pa.string()),  # of the published bytes
        pa.field("group", pa.string()),  # smallest image_id among near duplicates
    ]
)

PREVIEW = pa.schema(
    [
        pa.field("reference", IMAGE),
        pa.field("text", pa.string()),
        pa.field("target", IMAGE),
        pa.field("triplet_id", pa.string()),
    ]
)

_JUDGED = """
CREATE TEMP VIEW judged AS
SELECT {columns}, t.target_group, v.scores,
       CASE WHEN v.reason IS NOT NULL THEN v.reason
            WHEN t.status <> 'ok' THEN '{unwritten}: ' || t.status
            ELSE error('triplet ' || t.triplet_id || ' has no verdict: filter again before you export') END AS reason
FROM {triplets} AS t LEFT JOIN {verdicts} AS v USING (triplet_id)
"""

# ids are hexadecimal hashes
_SPAN = "CAST('0x' || left(triplet_id, 6) AS BIGINT) * {count} // 16777216"

_PARTS = """
COPY (SELECT *, hash(reference_id) % {parts} AS part FROM judged WHERE triplet_id >= {low} AND triplet_id < {high})
TO {folder} (FORMAT parquet, PARTITION_BY (part))
"""

# Whatever lies in the near-duplicate group of a known target answers the query as well as the target does.
_POSITIVES = """
CREATE OR REPLACE TEMP TABLE positives AS
SELECT k.triplet_id, list(DISTINCT c.image_id ORDER BY c.image_id) AS positive_ids
FROM (
    SELECT triplet_id, reference_id, target_id, target_group AS known FROM {part}
    UNION
    SELECT j.triplet_id, j.reference_id, j.target_id, other.target_group
    FROM {part} AS j JOIN {part} AS other USING (reference_id, text) WHERE other.reason = ''
) AS k
JOIN {catalog} AS c ON c."group" = k.known
WHERE c.image_id <> k.target_id AND c.image_id <> k.reference_id
GROUP BY k.triplet_id
"""

_TEXTS = """
CREATE OR REPLACE TEMP TABLE accepted_texts AS
SELECT reference_id, target_id, list(DISTINCT text ORDER BY text) AS texts
FROM {part} WHERE reason = '' GROUP BY reference_id, target_id
"""

_PUBLISHED = """
COPY (
    SELECT j.* EXCLUDE (hard_negatives, target_group), {span} AS span,
           coalesce(p.positive_ids, []) AS positive_ids,
           coalesce(a.texts, []) AS texts,
           list_filter(j.hard_negatives, lambda n: n.image_id <> j.target_id
                       AND NOT list_contains(coalesce(p.positive_ids, []), n.image_id)) AS hard_negatives
    FROM {part} AS j
    LEFT JOIN positives AS p USING (triplet_id)
    LEFT JOIN accepted_texts AS a USING (reference_id, target_id)
) TO {place} ({form})
"""

_NAMED = """
CREATE TEMP TABLE named AS
SELECT DISTINCT image_id FROM (
    SELECT unnest([reference_id, target_id]) AS image_id FROM published WHERE {kept}
    UNION ALL SELECT unnest(positive_ids) FROM published WHERE {kept}
    UNION ALL SELECT unnest(hard_negatives).image_id FROM published WHERE {kept}
)
"""


class Tables:
    """What a run publishes, as streams of record batches in the order of their ids."""

    def __init__(self, run: Run, connection: duckdb.DuckDBPyConnection) -> None:
        self._run = run
        self._connection = connection
        ((scratch,),) = connection.execute("SELECT current_setting('temp_directory')").fetchall()
        connection.execute(f"SET partitioned_write_flush_threshold = {FLUSH_ROWS}")
        planned = self._count(f"SELECT count(*) FROM {rows_of(run.triplets)}")
        self._spans = _spans(max(1, math.ceil(planned / PART_ROWS)))
        self._publish(Path(scratch) / "published")
        kept = "true" if run.recipe.export.rejected else "reason = ''"
        connection.execute(_NAMED.format(kept=kept))
        self.scores = self._score_columns()

    def _publish(self, folder: Path) -> None:
        """Write the rows to files, which go with the connection: the lists of all would not fit into memory."""
        catalog, written = rows_of(self._run.catalog), folder / "rows"
        written.mkdir(parents=True)
        span, form = "0", "FORMAT parquet"  # one file even where there is no row
        if len(self._spans) > 1:
            span, form = _SPAN.format(count=len(self._spans)), "FORMAT parquet, PARTITION_BY (span)"
        for number, part in enumerate(self._parts(folder / "parts")):
            told = {"part": part, "catalog": catalog, "span": span, "form": form}
            for statement in (_POSITIVES, _TEXTS, _PUBLISHED):
                self._connection.execute(statement.format(**told, place=quoted(str(written / str(number)))))
        shutil.rmtree(folder / "parts", ignore_errors=True)
        self._connection.execute(
            f"CREATE TEMP VIEW published AS FROM {rows_of(*sorted(filter(Path.is_file, written.rglob('*'))))}"
        )

    def _parts(self, folder: Path) -> list[str]:
        """Return relations of some `PART_ROWS` triplets each; all triplets of a reference are in one."""
        triplets, verdicts = (rows_of(path) for path in (self._run.triplets, self._run.verdicts))
        columns = ", ".join(f't."{name}"' for name in _STORED)
        told = {"columns": columns, "triplets": triplets, "verdicts": verdicts, "unwritten": UNWRITTEN}
        self._connection.execute(_JUDGED.format(**told))
        if len(self._spans) == 1:
            return ["judged"]
        for low, high in self._spans:  # both tables are in the order of ids, so that each is read once in all
            place = folder / f"from-{low}"
            place.mkdir(parents=True)
            told = {"low": quoted(low), "high": quoted(high), "folder": quoted(str(place))}
            self._connection.execute(_PARTS.format(parts=len(self._spans), **told))
        names = {path.name for path in folder.glob("*/*")}
        return [rows_of(*sorted(folder.glob(f"*/{name}/*"))) for name in sorted(names)]

    def _score_columns(self) -> dict[str, str]:
        """Return column name to `filter.score`, in the order of the recipe's filters."""
        order = [settings.model_dump()["name"] for settings in self._run.recipe.filter]
        found = self._connection.execute("SELECT DISTINCT unnest(map_keys(scores)) FROM published").fetchall()
        names = sorted(
            (str(name) for (name,) in found),
            key=lambda name: (order.index(f) if (f := name.partition(".")[0]) in order else len(order), name),
        )
        columns = {score_column(name): name for name in names}
        if len(columns) < len(names):
            raise ValueError(f"two of the scores {names} would share a column; rename one")
        return columns

    @property
    def triplet_schema(self) -> pa.Schema:
        """Return the columns of `triplets`: ids and text first, one float per score, provenance last."""
        scores = [pa.field(column, pa.float64()) for column in self.scores]
        return pa.schema([*_TRIPLET_HEAD, *scores, *_PROVENANCE])

    @property
    def rejected_schema(self) -> pa.Schema:
        """Return the columns of `rejected`: those of `triplets`, and why."""
        return self.triplet_schema.append(pa.field("reason", pa.string()))

    def triplets(self, split: str, recipe_hash: str) -> Iterator[pa.RecordBatch]:
        """Yield the accepted triplets of a split."""
        yield from self._triplets(self.triplet_schema, "reason = ''", split, recipe_hash)

    def rejected(self, split: str, recipe_hash: str) -> Iterator[pa.RecordBatch]:
        """Yield the rejected triplets of a split."""
        yield from self._triplets(self.rejected_schema, "reason <> ''", split, recipe_hash)

    def _triplets(self, schema: pa.Schema, condition: str, split: str, recipe_hash: str) -> Iterator[pa.RecordBatch]:
        made = {column: f"map_extract_value(scores, {quoted(name)})" for column, name in self.scores.items()}
        made["recipe_hash"] = quoted(recipe_hash)
        columns = ", ".join(f'{made.get(name, name)} AS "{name}"' for name in schema.names)
        query = (
            f"SELECT {columns} FROM published WHERE split = ? AND {condition} "
            "AND triplet_id >= ? AND triplet_id < ? ORDER BY triplet_id"
        )
        for span in self._spans:
            for batch in stream(self._connection, query, [split, *span]):
                yield _public_models(batch.cast(schema))

    def count(self, split: str, accepted: bool) -> int:
        """Return how many triplets of a split were accepted, or rejected."""
        query = f"SELECT count(*) FROM published WHERE split = {quoted(split)} AND (reason = '') = {accepted}"
        return self._count(query)

    def image_count(self) -> int:
        """Return how many images the published triplets name."""
        return self._count("SELECT count(*) FROM named")

    def licenses(self) -> dict[str, int]:
        """Return licence to the number of named images under it, '' where no source names one."""
        first = "coalesce(list_filter(aliases, lambda a: a.license <> '')[1].license, '')"
        query = f"SELECT {first} AS name, count(*) FROM ({self._named_rows()}) GROUP BY 1 ORDER BY 1"
        return {str(name): int(number) for name, number in self._connection.execute(query).fetchall()}

    def sources(self) -> dict[str, int]:
        """Return source to the number of named images that it offers."""
        query = (
            f"SELECT source, count(*) FROM (SELECT DISTINCT image_id, unnest(aliases).source AS source "
            f"FROM ({self._named_rows()})) GROUP BY 1 ORDER BY 1"
        )
        return {public_name(str(name)): int(number) for name, number in self._connection.execute(query).fetchall()}

    def names(self, image_ids: Iterable[str]) -> dict[str, str]:
        """Return what the sources call images, by id."""
        return source_names(self._connection, self._run.catalog, image_ids)

    def sizes(self, image_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return width and height of images, in pixels."""
        catalog = rows_of(self._run.catalog)
        query = f"SELECT image_id, width, height FROM {catalog} WHERE list_contains(?, image_id)"
        found = self._connection.execute(query, [sorted(set(image_ids))]).fetchall()
        return {str(image_id): (int(width), int(height)) for image_id, width, height in found}

    def openings(self, words: int, count: int) -> list[tuple[str, int]]:
        """Return the most frequent openings of so many words among accepted texts, and how often each comes."""
        query = (
            "SELECT array_to_string(string_split(lower(text), ' ')[:?], ' ') AS opening, count(*) AS n "
            "FROM published WHERE reason = '' GROUP BY 1 ORDER BY n DESC, opening LIMIT ?"
        )
        return [(str(o), int(n)) for o, n in self._connection.execute(query, [words, count]).fetchall()]

    def distinct_texts(self) -> int:
        """Return how many different texts the accepted triplets have."""
        return self._count("SELECT count(DISTINCT text) FROM published WHERE reason = ''")

    def _count(self, query: str) -> int:
        return int(self._connection.execute(query).fetchall()[0][0])

    def image_rows(self) -> Iterator[dict[str, object]]:
        """Yield the catalog row and the caption of every named image, by image_id."""
        for batch in stream(self._connection, f"{self._named_rows()} ORDER BY image_id"):
            yield from batch.to_pylist()

    def _named_rows(self) -> str:
        catalog = rows_of(self._run.catalog)
        unwritten = "''" if self._run.caption_plan.is_file() else "c.caption"
        return (
            f"SELECT c.* EXCLUDE (caption), coalesce(m.text, {unwritten}) AS caption FROM {catalog} AS c "
            f"JOIN named USING (image_id) LEFT JOIN {captions(self._run, self._connection)} AS m USING (image_id)"
        )

    def draw(self, count: int, condition: str, purpose: str) -> list[dict[str, str]]:
        """Return triplets that meet a condition, drawn by seed, purpose and id, in the order of their ids."""
        relation = self._connection.execute(
            "SELECT * FROM (SELECT triplet_id, reference_id, text, target_id, reference_caption, target_caption "
            f"FROM published WHERE {condition} ORDER BY sha256(concat_ws('|', ?::VARCHAR, ?, triplet_id)) LIMIT ?) "
            "ORDER BY triplet_id",
            [self._run.recipe.seed, purpose, count],
        )
        names = [column[0] for column in relation.description]
        return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]


def _spans(count: int) -> list[tuple[str, str]]:
    """Return the bounds of so many ranges of ids, the upper one excluded; `_SPAN` is an id's number among them."""
    lows = (f"{-(-number * 16**6 // count):06x}" for number in range(1, count))
    return list(pairwise(["", *lows, "g"]))


def _public_models(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Name local models by their folder, without the way to it."""
    place = batch.schema.get_field_index("model")
    models = batch.column(place).dictionary_encode()
    names = pa.array([public_name(name) for name in models.dictionary.to_pylist()], pa.string())
    return batch.set_column(place, batch.schema.field(place), names.take(models.indices))


def score_column(name: str) -> str:
    """Return the column of a score: `round-trip.picked` becomes `score_round_trip_picked`."""
    return "score_" + "".join(c if c.isalnum() else "_" for c in name)
