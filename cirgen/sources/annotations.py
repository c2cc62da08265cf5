"""What the annotation files of benchmarks have in common: JSON beside a folder of images that may have holes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from cirgen.errors import UserError

Shape = TypeVar("Shape")


_HALF_PAIR = "\\ud"
FIX = "set images.root to the folder of captions/ and image_splits/"


def load_annotations(path: Path, shape: type[Shape], fix: str = FIX) -> Shape:
    """Read a JSON file of annotations.

    Args:
        path: the file.
        shape: what it holds, e.g. `list[str]`.
        fix: what to do where there is no such file.

    Raises:
        UserError: it is missing, no JSON, or of another shape.
    """
    try:
        text = path.read_text(encoding="utf8")
        found = json.loads(text)
        if _HALF_PAIR in text.lower():  # Parquet, terminals and file names take no half of a surrogate pair
            json.dumps(found, ensure_ascii=False).encode("utf8")
        return TypeAdapter(shape).validate_python(found)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"There is no annotation file {path}; {fix}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = f" at {'.'.join(map(str, first['loc']))}" if first["loc"] else ""
        raise UserError(f"{path} has another layout{place} ({first['msg']}); fetch it again.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is no readable JSON ({error}); fetch it again.") from error


def missing_remark(missing: Sequence[str], total: int) -> str:
    """Say how many images are missing, and name the first few."""
    examples = ", ".join(missing[:3])
    return f"{len(missing)} of {total} images are missing, such as {examples}"


def check_missing(missing: Sequence[str], total: int, folder: Path, allowed: bool) -> None:
    """Refuse a collection with holes unless the recipe allows them.

    Raises:
        UserError: images are missing and that is not allowed, or all of them are, or none is named.
    """
    if total == 0:
        raise UserError(f"The annotations of the images under {folder} name none; take another split or category.")
    if len(missing) == total:
        raise UserError(f"None of the {total} images lies under {folder}; set images.root to where they are.")
    if missing and not allowed:
        raise UserError(
            f"{missing_remark(missing, total)} under {folder}; fetch them, or set images.allow_missing to true."
        )
