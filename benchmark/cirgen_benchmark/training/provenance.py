"""What the result of a stage depends on, as plain data: a checkpoint of anything else is never gone on from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import transformers

from cirgen import __version__
from cirgen.keys import digest
from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.training.fingerprints import encoder_hash, model_hash
from cirgen_benchmark.training.indexed import IndexedTriplets
from cirgen_benchmark.training.settings import StageSettings

CODE_FOLDERS = ("training", "models")
"""Whose sources decide what training comes to, beside this package's triplets and images."""


def stage_provenance(
    model: Retriever,
    triplets: IndexedTriplets,
    images: ImageCollection,
    settings: StageSettings,
    seed: int,
    extra_images: Sequence[str],
    further: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what a stage depends on, by name.

    Args:
        model: before its first step.
        triplets: that it is trained on.
        images: their images, told by content.
        settings: of the stage.
        seed: of the stage.
        extra_images: further rows of the bank.
        further: what the caller knows, such as the hash of a corpus.
    """
    groups = [images.group(name) for name in triplets.pictures.ids] if settings.bank.mask_groups else []
    own = {
        "base_weights": model_hash(model),
        "encoder": encoder_hash(model) if settings.trains == "query" else "",
        "triplets": triplets.digest(),
        "extra_images": digest([images.content(name) for name in extra_images]),
        "groups": digest(groups),
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "code": code_version(),
        "libraries": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    twice = own.keys() & further.keys()
    if twice:
        raise ValueError(f"{', '.join(sorted(twice))} is recorded by training itself; give it another name")
    return own | dict(further)


@lru_cache
def code_version() -> str:
    """Return the version of the package, and a hash of the sources that train."""
    root = Path(__file__).parents[1]
    found = hashlib.sha256()
    for folder in CODE_FOLDERS:
        for path in sorted((root / folder).glob("*.py")):
            found.update(f"{folder}/{path.name}\n".encode() + path.read_bytes())
    return f"{__version__}+{found.hexdigest()[:16]}"
