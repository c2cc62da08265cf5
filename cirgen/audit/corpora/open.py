"""Which reader a corpus is for."""

from __future__ import annotations

from pathlib import Path

from cirgen.audit.corpora.cirr import is_cirr, read_cirr
from cirgen.audit.corpora.fashioniq import is_fashioniq, read_fashioniq
from cirgen.audit.corpora.options import Options
from cirgen.audit.corpora.ours import is_ours, read_ours
from cirgen.audit.corpora.table import BUILDERS, read_table
from cirgen.audit.corpus import Corpus
from cirgen.corpus_folder import corpus_folder, run_of
from cirgen.errors import UserError
from cirgen.publish.manifest import MANIFEST_NAME

__all__ = ["Options", "corpus_name", "dataset_folder", "open_corpus"]

PATHS = ("/", ".", "~")
"""A name that starts so is a path, no hub id."""


def open_corpus(name: str, options: Options) -> Corpus:
    """Open a run folder, a dataset folder or repository, a table, or the root of FashionIQ or CIRR.

    Raises:
        UserError: nothing of the kind is there, or it lacks what is asked for.
    """
    shown, path = corpus_name(name), Path(name).expanduser()
    dataset = dataset_folder(name)
    if dataset is not None:
        return read_ours(str(dataset), options, shown)
    if path.is_dir() and is_fashioniq(path):
        return read_fashioniq(path, options, shown)
    if path.is_dir() and is_cirr(path):
        return read_cirr(path, options, shown)
    if not path.exists() and (name.startswith(PATHS) or path.suffix.lower() in BUILDERS):
        raise UserError(f"There is no corpus at {name}; correct the path, or give a hub id.")
    if not path.is_file() and not _was_saved(path) and is_ours(name, options.revision):
        return read_ours(name, options, shown)
    return read_table(name, options, shown)


def _was_saved(path: Path) -> bool:
    """Whether `datasets.save_to_disk` wrote the folder."""
    return any((path / mark).is_file() for mark in ("state.json", "dataset_dict.json"))


def dataset_folder(name: str) -> Path | None:
    """Return the dataset folder that cirgen wrote, of a run or by itself; None where a corpus is something else.

    Raises:
        UserError: a run that has no dataset yet.
    """
    path = Path(name).expanduser()
    if run_of(path) is not None:
        return corpus_folder(path)
    return path if all((path / part).exists() for part in (MANIFEST_NAME, "triplets", "images")) else None


def corpus_name(name: str) -> str:
    """Return what readers know a corpus by: a run by its folder, a repository by its name."""
    path = Path(name).expanduser()
    if not path.exists():
        return name.rpartition("/")[2] or name
    path = path.resolve()
    return path.parent.name if path.name == "dataset" else path.stem if path.is_file() else path.name
