"""What tests of the benchmark share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
import torch
from bench_runs import world_corpus

torch.set_num_threads(1)  # some tests fork, and a fork of a process whose pool of threads has begun can hang


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a folder; what `datasets` and the embedded world keep for later is kept there, not in the user's home."""
    folder = tmp_path_factory.mktemp("scratch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "datasets")
        patch.setenv("HF_DATASETS_CACHE", str(folder / "datasets"))
        yield folder


@pytest.fixture(scope="session")
def corpus_folder(scratch: Path) -> Path:
    """Return the dataset folder of a tiny corpus of figures."""
    return world_corpus(scratch / "figures")
