"""A small corpus of toy figures, made here, and the one that the project publishes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cirgen.run_folder import Run
from cirgen.world.corpus.build import build_corpus
from toy_corpora import FURNITURE, PUBLISHED, QUESTIONS, Corpus, make_run


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run: true texts, wrong ones, rejected ones, and pairs between families."""
    return make_run(tmp_path_factory.mktemp("toys") / "run")


@pytest.fixture(scope="session")
def small(toy_run: Run) -> Corpus:
    folder = toy_run.folder.parent / "voxel-figures"
    build_corpus(toy_run, folder, each=QUESTIONS)
    return Corpus(folder)


@pytest.fixture(params=["small", PUBLISHED.name, FURNITURE.name])
def corpus(request: pytest.FixtureRequest) -> Iterator[Corpus]:
    """Promises hold of a small corpus, made here, and of the published ones."""
    folder = PUBLISHED.with_name(request.param)
    if request.param == "small":
        yield request.getfixturevalue("small")
    elif (folder / "manifest.json").is_file():
        yield Corpus(folder)
    else:
        pytest.skip("the published corpora are in git alone")
