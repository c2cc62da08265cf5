"""What the annotation files of benchmarks have in common: JSON beside a folder of images that may have holes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cirgen.errors import UserError


def load_annotations(path: Path) -> Any:
    """Read a JSON file of annotations.

    Raises:
        UserError: it is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf8"))
    except FileNotFoundError as error:
        raise UserError(
            f"There is no annotation file {path}; set images.root to the folder of captions/ and image_splits/."
        ) from error
    except ValueError as error:
        raise UserError(f"{path} is no readable JSON ({error}); fetch it again.") from error


def missing_remark(missing: Sequence[str], total: int) -> str:
    """Say how many images are missing, and name the first few."""
    examples = ", ".join(missing[:3])
    return f"{len(missing)} of {total} images are missing, such as {examples}"


def check_missing(missing: Sequence[str], total: int, folder: Path, allowed: bool) -> None:
    """Refuse a collection with holes unless the recipe allows them.

    Raises:
        UserError: images are missing and that is not allowed, or all of them are.
    """
    if len(missing) == total:
        raise UserError(f"None of the {total} images lies under {folder}; set images.root to where they are.")
    if missing and not allowed:
        raise UserError(
            f"{missing_remark(missing, total)} under {folder}; fetch them, or set images.allow_missing to true."
        )
