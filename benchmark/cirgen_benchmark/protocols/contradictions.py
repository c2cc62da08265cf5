"""What annotation files may not say: figures of such files would be wrong without a word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cirgen.errors import UserError
from cirgen_benchmark.protocols.holes import repeated, such_as
from cirgen_benchmark.protocols.parts import Asked


def check_gallery(path: Path, images: Sequence[str]) -> None:
    """Refuse a gallery that is empty or names an image twice.

    Raises:
        UserError: it is.
    """
    if not images:
        raise UserError(f"{path} names no image; fetch it again.")
    refuse_annotations(path, repeated(images), "names images more than once")


def check_asked(path: Path, asked: Sequence[Asked], *, removes: bool) -> None:
    """Refuse queries that are none, share an id, or that nothing can answer.

    Args:
        path: of the annotation file.
        asked: its queries.
        removes: whether the reference is taken out of the ranking, and so cannot be the target.

    Raises:
        UserError: says how many queries are wrong, and which.
    """
    if not asked:
        raise UserError(f"{path} has no query; fetch it again.")
    refuse_annotations(path, repeated(one.id for one in asked), "gives several queries one id")
    if any(one.targets for one in asked):
        refuse_annotations(
            path, [one.id for one in asked if not one.targets], "has queries without a target beside others with one"
        )
    if removes:
        own = [one.id for one in asked if one.reference in one.targets]
        refuse_annotations(path, own, "has queries whose target is their reference, which is no candidate")


def refuse_annotations(path: Path, ids: Sequence[str], fault: str) -> None:
    """Refuse an annotation file with a fault.

    Raises:
        UserError: there are ids of images or queries that have it; says how many and which.
    """
    if ids:
        raise UserError(f"{path} {fault}: {len(ids):,}{such_as(ids)}; fetch it again.")
