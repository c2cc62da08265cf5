"""audit.json: what an audit found, for programs and for the card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cirgen.audit.figures import SCHEMA, Audit
from cirgen.errors import UserError
from cirgen.shards import write_text

JSON_NAME = "audit.json"
AUDITED = ("triplets/", "images/")
"""Files of a dataset that decide what an audit finds."""


def write_json(path: Path, record: Any) -> None:
    """Write plain data as JSON, atomically."""
    write_text(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_audit(path: Path) -> Audit:
    """Read an audit.json.

    Raises:
        UserError: it is none, or another version of cirgen wrote it.
    """
    try:
        record = json.loads(path.read_text(encoding="utf8"))
        schema = record["schema"]
        found = Audit.of_record(record) if schema == SCHEMA else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no audit that can be read ({error!r}); audit that corpus again.") from error
    if found is None:
        raise UserError(f"{path} was written by another version of cirgen; audit that corpus again.")
    return found
