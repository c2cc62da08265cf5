"""Published triplets with their pictures, for training."""

from __future__ import annotations

import errno
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cirgen.corpus_folder import RUNS, corpus_folder
from cirgen.dataset_cache import cache_of
from cirgen.errors import UserError
from cirgen.pictures import decode
from cirgen.resources import local_path
from cirgen.yaml_text import NotYamlError, read_yaml

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL.Image import Image

ENDS = {"reference_id": "reference", "target_id": "target"}
"""Id column to the column that its picture appears under."""
CAUSE_CHARACTERS = 200
"""So much is quoted of what a library says is wrong."""


def load_triplets(
    path_or_repo: str | Path,
    split: str = "train",
    *,
    config: str = "triplets",
    revision: str | None = None,
    images: str | Path | None = None,
) -> Dataset:
    """Load the triplets of a corpus, each with its two pictures.

    The result is a `datasets.Dataset`: index, slice, `select`, `shuffle`, or hand it to a DataLoader. Its rows have
    the columns of `triplets`, and `reference` and `target`: PIL images, RGB, upright, decoded when a row is read.

    Args:
        path_or_repo: a dataset folder, the run that it is of, or a dataset repository on the Hub.
        split: train, validation or test, as far as the corpus has it.
        config: `triplets`, or `rejected`.
        revision: branch, tag or commit of the repository.
        images: folder of the original images (`cirgen:images` for what ships), for a corpus that goes without them;
            they are found by the `source_id` of their source, else by name anywhere below, and held to their hash.
            A corpus within its run knows the folder that the recipe names.

    Raises:
        UserError: no such corpus or split, or a picture that the corpus does not have.
    """
    triplets = load_config(path_or_repo, config, split, revision)
    join = load_pictures(path_or_repo, revision=revision, images=images)
    return triplets.with_transform(partial(_with_pictures, join))


def load_pictures(
    path_or_repo: str | Path, *, revision: str | None = None, images: str | Path | None = None
) -> CorpusPictures:
    """Load the pictures of a corpus by image id; arguments and errors as of `load_triplets`."""
    pictures = load_config(path_or_repo, "images", "train", revision)
    if images is None and "image" not in pictures.column_names:
        images = _originals_of_run(Path(_name(path_or_repo)).parent)
    return CorpusPictures(pictures, None if images is None else _Originals(local_path(str(images))))


def _originals_of_run(folder: Path) -> Path | None:
    """Return where a run took its pictures from, None where that is no folder that is still there."""
    recipe = folder / "recipe.yaml"
    if not recipe.is_file():
        return None
    try:
        source = read_yaml(recipe.read_text(encoding="utf8")).data["images"]
        path = local_path(str(source["path"]))
    except (OSError, ValueError, LookupError, TypeError, NotYamlError):
        return None
    found = {"folder": path, "manifest": path.parent}.get(str(source.get("kind")))
    return found if found is not None and found.is_dir() else None


def load_config(path_or_repo: str | Path, config: str, split: str, revision: str | None = None) -> Dataset:
    """Load one split of one config of a corpus, as it is published.

    Raises:
        UserError: no such corpus, config or split, or files that are not those that its card describes.
    """
    from datasets import load_dataset

    name = _name(path_or_repo)
    splits = splits_of(name, config, revision)
    if split not in splits:
        raise UserError(_without_split(name, config, split, splits, revision))
    with _told(name):
        return load_dataset(name, config, split=split, revision=revision, cache_dir=cache_of(name))


def _without_split(name: str, config: str, split: str, splits: Sequence[str], revision: str | None) -> str:
    configs = _configs(name, revision)
    if "triplets" not in configs:
        return f"'{name}' is no corpus that cirgen wrote; give a run, its dataset folder, or a repository of one."
    known = f"{config}: {', '.join(splits)}" if splits else f"configs {', '.join(configs)}"
    return f"The corpus '{name}' has no {config}/{split}; it has {known}."


def splits_of(path_or_repo: str | Path, config: str, revision: str | None = None) -> list[str]:
    """Return the splits of one config of a corpus; none where it lacks the config.

    Raises:
        UserError: no such corpus.
    """
    from datasets import get_dataset_split_names

    name = _name(path_or_repo)
    if config not in _configs(name, revision):
        return []
    with _told(name):
        found: list[str] = get_dataset_split_names(name, config, revision=revision)
    return found


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Tell in one sentence what `datasets` cannot read; it raises much of its own, and ValueErrors.

    Raises:
        UserError: files are damaged, missing or too many, or the Hub cannot be reached.
    """
    from datasets.exceptions import DatasetGenerationError, DatasetsError

    try:
        yield
    except ConnectionError as error:
        raise UserError(
            f"There is no folder '{name}' here, and the Hub cannot be reached for a repository of that name "
            f"({error}); correct the path, or try again."
        ) from error
    except FileNotFoundError:  # there is no such corpus, which others tell
        raise
    except (DatasetsError, ValueError) as error:
        cause = error.__cause__ if isinstance(error, DatasetGenerationError) and error.__cause__ else error
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise cause from error
        said = " ".join(f"{type(cause).__name__}: {cause}".split())[:CAUSE_CHARACTERS]
        raise UserError(
            f"The files of the corpus '{name}' are not those that its card describes ({said}); export or download it "
            "again."
        ) from error


def _name(path_or_repo: str | Path) -> str:
    """Return what `datasets` is to open.

    Raises:
        UserError: a run that is not there, or has no dataset yet.
    """
    folder = Path(path_or_repo).expanduser()
    if folder.parts[:1] == RUNS.parts and RUNS.is_dir() and not folder.exists():
        raise UserError(f"There is no corpus at '{path_or_repo}': correct the path, or make it with `cirgen run`.")
    return str(corpus_folder(folder)) if folder.is_dir() else str(path_or_repo)


def _configs(name: str, revision: str | None) -> list[str]:
    from datasets import get_dataset_config_names
    from datasets.exceptions import DatasetNotFoundError

    try:
        with _told(name):
            found: list[str] = get_dataset_config_names(name, revision=revision)
    except (DatasetNotFoundError, FileNotFoundError) as error:
        if Path(name).is_dir() and set(name) & set("[]*?"):
            raise UserError(f"`datasets` takes [ ] * and ? in '{name}' for a pattern; rename it.") from error
        raise UserError(f"There is no corpus at '{name}': give a dataset folder or a repository ({error}).") from error
    return found


class CorpusPictures:
    """Finds the pictures of a corpus by image id; workers of a DataLoader may pickle it."""

    def __init__(self, pictures: Dataset, originals: _Originals | None) -> None:
        from datasets import Image as ImageFeature

        if "image" in pictures.column_names:
            pictures = pictures.cast_column("image", ImageFeature(decode=False))
        elif originals is None:
            raise UserError(_without_images(pictures[0]["aliases"][0]))
        self.table = pictures
        """The rows of the config `images`, pictures as encoded bytes."""
        self._originals = originals
        ids: NDArray[np.bytes_] = np.asarray(pictures.with_format(None)["image_id"], dtype="S64")
        self._order = np.argsort(ids, kind="stable")
        self._ids = ids[self._order]

    def open(self, image_id: str) -> Image:
        """Return a picture, RGB, upright.

        Raises:
            UserError: the corpus, or the folder of originals, does not have it.
        """
        return decode(self.read(image_id)).image

    def has(self, image_id: str) -> bool:
        """Return whether the corpus lists a picture."""
        place = self._place(image_id)
        return place < len(self._ids) and bool(self._ids[place] == image_id.encode())

    def read(self, image_id: str) -> bytes:
        """Return the bytes of a picture's file.

        Raises:
            UserError: the corpus, or the folder of originals, does not have it.
        """
        if not self.has(image_id):
            raise UserError(f"The corpus has no image {image_id}; it was cut or changed after export.")
        row: Mapping[str, Any] = self.table[int(self._order[self._place(image_id)])]
        if self._originals is not None:
            return self._originals.read(row)
        if row["image"] is None:
            raise UserError(f"The corpus holds no picture of image {image_id}; export it again, or give `images`.")
        return _content(row["image"])

    def _place(self, image_id: str) -> int:
        return int(np.searchsorted(self._ids, image_id.encode()))


def _without_images(alias: Mapping[str, str]) -> str:
    return (
        "This corpus goes without its images: give `images` (--images), the folder that holds the originals of its "
        f"source '{alias['source']}', such as '{alias['source_id']}'; or have it made again with "
        "'export.images: embed' and their licence under 'images.license'."
    )


class _Originals:
    """Finds the original files of a corpus in a folder."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"There is no folder {folder}; set `images` to the folder of the original files.")
        self._folder = folder

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        """The files by name, and by name without suffix: benchmarks name their pictures without one."""
        found: defaultdict[str, list[Path]] = defaultdict(list)
        for path in sorted(self._folder.rglob("*")):
            if path.is_file():
                for name in {path.name, path.stem}:
                    found[name].append(path)
        return dict(found)

    def _candidates(self, names: Sequence[str]) -> Iterator[Path]:
        yield from (path for name in names if (path := self._folder / name).is_file())
        yield from (path for name in names for path in self._by_name.get(PurePosixPath(name).name, ()))

    def read(self, row: Mapping[str, Any]) -> bytes:
        """Return the original of a row of `images`.

        Raises:
            UserError: no file of its names has its hash.
        """
        names = [str(alias["source_id"]) for alias in row["aliases"]]
        for path in self._candidates(names):
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == row["image_id"]:
                return content
        raise UserError(
            f"No original of image {row['image_id']} lies in {self._folder}; it should be {', '.join(names)}."
        )


def _content(image: Mapping[str, Any]) -> bytes:
    """Return the bytes of an image cell, read from where it links to if it does not hold them."""
    import fsspec

    if image["bytes"] is not None:
        return bytes(image["bytes"])
    try:
        with fsspec.open(image["path"], "rb") as file:
            return bytes(file.read())
    except OSError as error:
        raise UserError(f"The corpus links to a picture that cannot be read ({error}); give `images`.") from error


def _with_pictures(join: CorpusPictures, rows: dict[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    pictures = {name: [join.open(i) for i in rows[end]] for end, name in ENDS.items() if end in rows}
    return {**rows, **pictures}
