"""What `datasets` must be told about a Parquet file, from its Arrow schema alone."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
"""How `datasets` stores an Image: encoded bytes, or a path or URL to read them from."""

_SPELLINGS = {"double": "float64", "float": "float32"}


def features(schema: pa.Schema) -> dict[str, Any]:
    """Return the features of a schema, as `datasets.Features.to_dict` spells them."""
    return {field.name: _feature(field.type) for field in schema}


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if kind.equals(IMAGE):
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"dtype": _SPELLINGS.get(str(kind), str(kind)), "_type": "Value"}


def card_features(schema: pa.Schema) -> list[dict[str, Any]]:
    """Return the features of a schema, as `dataset_info` in the front matter of a card spells them."""
    return [{"name": field.name, **_card_feature(field.type)} for field in schema]


def _card_feature(kind: pa.DataType) -> dict[str, Any]:
    if kind.equals(IMAGE):
        return {"dtype": "image"}
    if pa.types.is_list(kind):
        item = _card_feature(kind.value_type)
        return {"list": item.get("dtype", item.get("struct"))}
    if pa.types.is_struct(kind):
        return {"struct": card_features(pa.schema(list(kind)))}
    return {"dtype": _SPELLINGS.get(str(kind), str(kind))}


def described(schema: pa.Schema) -> pa.Schema:
    """Return the schema with the metadata that makes `datasets` see an Image where the file has a struct."""
    info = {"info": {"features": features(schema)}}
    return schema.with_metadata({b"huggingface": json.dumps(info).encode()})
