"""One explicit Arrow schema per stage of the store, from the first row on: no column is ever inferred."""

from __future__ import annotations

from typing import Literal, get_args

import pyarrow as pa

Status = Literal["ok", "truncated", "parse_error", "image_error", "oom", "engine_error"]
STATUSES: tuple[Status, ...] = get_args(Status)
UNWRITTEN = "generation"
"""Begins the reason of a triplet whose text was never written."""
NOT_SCORED = "not scored"
"""Reason of a triplet that a filter could not measure: it may yet be mended, where another text would not help."""
RERUN_STATUSES: tuple[Status, ...] = ("oom", "engine_error")
"""Statuses that say nothing about the row itself: a resumed run tries these again by itself."""

_IDENTITY = [
    pa.field("key", pa.string(), nullable=False),
    pa.field("attempt", pa.int32(), nullable=False),
    pa.field("status", pa.string(), nullable=False),
    pa.field("error", pa.string(), nullable=False),
    pa.field("row_hash", pa.string(), nullable=False),
]

ALIAS = pa.struct(
    [
        pa.field("source", pa.string()),
        pa.field("source_id", pa.string()),
        pa.field("category", pa.string()),
        pa.field("license", pa.string()),
        pa.field("author", pa.string()),
        pa.field("url", pa.string()),
    ]
)
"""One name under which a source knows an image; empty strings where the source says nothing."""

INGEST = pa.schema(
    [
        *_IDENTITY,
        pa.field("image_id", pa.string(), nullable=False),  # sha256 of the original bytes; empty when unreadable
        pa.field("pixel_hash", pa.string(), nullable=False),  # sha256 of mode, size and decoded pixels
        pa.field("perceptual_hash", pa.string(), nullable=False),  # grey structure, 64 bits in hex
        pa.field("color_hash", pa.string(), nullable=False),  # coarse colour layout, 96 bytes in hex
        pa.field("width", pa.int32(), nullable=False),  # pixels, after EXIF orientation
        pa.field("height", pa.int32(), nullable=False),
        pa.field("format", pa.string(), nullable=False),
        pa.field(
            "notes", pa.list_(pa.string()), nullable=False
        ),  # what decoding had to do: alpha, cmyk, first frame ...
        pa.field("path", pa.string(), nullable=False),  # local file that holds the bytes, or empty
        pa.field("blob", pa.string(), nullable=False),  # file beside the shard that holds the bytes, or empty
        pa.field("offset", pa.int64(), nullable=False),  # of the bytes in path or blob
        pa.field("length", pa.int64(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),  # what the source itself says of the image, or empty
        pa.field("alias", ALIAS, nullable=False),
    ]
)

GENERATION = pa.schema(
    [
        *_IDENTITY,
        pa.field("text", pa.string(), nullable=False),
        pa.field("raw", pa.string(), nullable=False),  # the model's answer before clean-up
        pa.field("finish_reason", pa.string(), nullable=False),  # stop, length, template, or empty on error
        pa.field("sampling", pa.string(), nullable=False),  # JSON of the policy that this attempt used
        pa.field("prompt_tokens", pa.int32(), nullable=False),
        pa.field("output_tokens", pa.int32(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),  # name@version
        pa.field("prompt_hash", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("revision", pa.string(), nullable=False),
        pa.field("backend", pa.string(), nullable=False),
    ]
)

EMBEDDING = pa.schema([*_IDENTITY, pa.field("vector", pa.list_(pa.float32()), nullable=False)])

SCORE = pa.schema(
    [
        *_IDENTITY,
        pa.field("scores", pa.map_(pa.string(), pa.float64()), nullable=False),
        pa.field(
            "detail", pa.string(), nullable=False
        ),  # what a reader of the score wants to see, e.g. the matched words
    ]
)


_STAGES = {"ingest": INGEST, "caption": GENERATION, "modify": GENERATION, "embed": EMBEDDING, "observe": GENERATION}
_SCORES = "score-"


def stage_schema(stage: str) -> pa.Schema:
    """Return the schema of a stage folder: `ingest`, `caption`, `modify`, `embed`, `observe`, or `score-NAME`."""
    return SCORE if stage.startswith(_SCORES) else _STAGES[stage]


def is_stage(name: str) -> bool:
    """Return whether a stage may be called so."""
    return name in _STAGES or name.startswith(_SCORES)


CATALOG = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("pixel_hash", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("blob", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),  # of the first alias that has one
        pa.field("aliases", pa.list_(ALIAS), nullable=False),
        pa.field("group", pa.string(), nullable=False),  # smallest image_id among near duplicates
        pa.field("split", pa.string(), nullable=False),  # train, validation or test, by a hash of the group
    ]
)
"""One row per unique picture, sorted by image_id."""

CAPTION_PLAN = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("rendered", pa.string(), nullable=False),
        pa.field("prompt_index", pa.int32(), nullable=False),  # 0 is the caption that later stages read
        pa.field("sample_index", pa.int32(), nullable=False),
    ]
)

PAIR = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("reference_id", pa.string(), nullable=False),
        pa.field("target_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("signal", pa.string(), nullable=False),  # which mining signal chose the pair
        pa.field("similarity", pa.float32(), nullable=False),  # cosine of the image embeddings
        pa.field("rank", pa.int32(), nullable=False),  # of the target among the reference's candidates, 1 is nearest
        pa.field(
            "hard_negatives",
            pa.list_(pa.struct([pa.field("image_id", pa.string()), pa.field("kind", pa.string())])),
            nullable=False,
        ),
    ]
)

MODIFY_PLAN = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("triplet_id", pa.string(), nullable=False),
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("reference_id", pa.string(), nullable=False),
        pa.field("target_id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("rendered", pa.string(), nullable=False),
        pa.field("intent", pa.string(), nullable=False),
        pa.field("direction", pa.string(), nullable=False),  # forward or backward
        pa.field("sample_index", pa.int32(), nullable=False),
        pa.field("regenerated", pa.int32(), nullable=False),  # 0, or which text this is after rejected ones
    ]
)

TRIPLET = pa.schema(
    [
        pa.field("triplet_id", pa.string(), nullable=False),
        pa.field("reference_id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("target_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("signal", pa.string(), nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("change_type", pa.string(), nullable=False),  # the intent asked for
        pa.field("direction", pa.string(), nullable=False),
        pa.field("regenerated", pa.int32(), nullable=False),  # as in MODIFY_PLAN
        pa.field("status", pa.string(), nullable=False),
        pa.field("rewrite", pa.string(), nullable=False),  # what was done to the text: empty, or `tail`: taken off
        pa.field("reference_caption", pa.string(), nullable=False),
        pa.field("target_caption", pa.string(), nullable=False),
        pa.field("reference_group", pa.string(), nullable=False),
        pa.field("target_group", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("prompt_hash", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("revision", pa.string(), nullable=False),
        pa.field("backend", pa.string(), nullable=False),
        pa.field("hard_negatives", PAIR.field("hard_negatives").type, nullable=False),
    ]
)
"""Every planned triplet with its current text, what filters see and export writes, sorted by triplet_id."""

VERDICT = pa.schema(
    [
        pa.field("triplet_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # empty when accepted, else `filter: reason`, without figures
        pa.field("scores", pa.map_(pa.string(), pa.float64()), nullable=False),  # `filter.score` to value
    ]
)
