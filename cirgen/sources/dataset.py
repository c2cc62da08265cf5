"""A Hugging Face dataset, or Parquet files, with an image column: from the Hub or from disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from cirgen.dataset_cache import cache_of
from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.resources import local_path
from cirgen.settings import Name
from cirgen.sources.base import Item, Known, KnownField, Source, SourceSettings, file_stamp
from cirgen.sources.parquet import Columns, Shard, cell_text, image_bytes, parquet_items, row_count

HUB_TIMEOUT_SECONDS = 10


class DatasetSettings(SourceSettings):
    """Which dataset, and what its columns mean."""

    kind: Literal["dataset"] = "dataset"
    path: Name
    """Hub id; or a local Parquet file, a folder of Parquet files, or what `save_to_disk` wrote."""
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    """Hub branch, tag or commit; resolved to a commit before anything is read."""
    image_column: str = "image"
    columns: dict[KnownField, str] = Field(default_factory=dict)
    """Which columns tell category, license, author, url or caption of an image."""
    streaming: bool = True
    """Read from the Hub as the run goes; false downloads the dataset into the cache first."""


class HubDataset(Source):
    """The rows of one split."""

    Settings = DatasetSettings

    def __init__(self, settings: DatasetSettings) -> None:
        self.settings = settings

    def items(self) -> Iterator[Item]:
        """Yield the rows in order; identities name the file (on the Hub: the commit) and the row in it.

        Raises:
            UserError: no such dataset, config, split or column, or the Hub cannot be reached.
        """
        if self._shards:
            columns = Columns(self.settings.image_column, self.settings.columns)
            yield from parquet_items(self._shards, columns, self.settings.path, self.settings)
        else:
            yield from self._table_items()

    def count(self) -> int | None:
        """Return the number of rows of local Parquet files."""
        return row_count(self._shards) if self._shards and self._local else None

    @cached_property
    def _local(self) -> Path | None:
        path = local_path(self.settings.path)
        if path.exists():
            return path
        if path.suffix != ".parquet" and re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", self.settings.path):
            return None
        raise UserError(f"There is no dataset at {path}; set images.path to a Parquet file, a folder, or a hub id.")

    @cached_property
    def _shards(self) -> list[Shard]:
        """The Parquet files of the split; none when the dataset is of another format."""
        if self._local and self._local.is_file():
            return [Shard(str(self._local), self._local.name, file_stamp(self._local))]
        if self._saved or not (self._local or self.settings.streaming):
            return []
        files = [str(file) for file in self._files()]
        return [self._shard(file) for file in files] if all(file.endswith(".parquet") for file in files) else []

    def _shard(self, file: str) -> Shard:
        if self._local is not None:
            return Shard(file, Path(file).relative_to(self._local.resolve()).as_posix(), file_stamp(Path(file)))
        return Shard(file, file.partition("@")[2].partition("/")[2], file)  # hf://datasets/NAME@COMMIT/FILE

    def _files(self) -> list[Any]:
        by_split = self._builder.config.data_files or {}
        if self.settings.split not in by_split:
            raise UserError(
                f"Dataset '{self.settings.path}' has no split '{self.settings.split}'; "
                f"set images.split to one of: {', '.join(map(str, by_split)) or 'none'}."
            )
        return list(by_split[self.settings.split])

    @cached_property
    def _saved(self) -> bool:
        """Whether `datasets.save_to_disk` wrote the folder."""
        folder = self._local
        return folder is not None and any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))

    @cached_property
    def _commit(self) -> str | None:
        """The commit that the revision stands for now; None for a local folder."""
        return None if self._local else _hub_commit(self.settings.path, self.settings.revision)

    @cached_property
    def _name(self) -> str:
        return str(self._local.resolve()) if self._local else self.settings.path

    @cached_property
    def _cache(self) -> str | None:
        return cache_of(self._name)

    @cached_property
    def _builder(self) -> Any:
        from datasets import load_dataset_builder

        commit = self._commit
        with _opening(self.settings):
            return load_dataset_builder(self._name, self.settings.config, revision=commit, cache_dir=self._cache)

    def _table_items(self) -> Iterator[Item]:
        from datasets import Image

        table, stamp = self._saved_table() if self._saved else self._loaded_table()
        self._check(table)
        features = table.features or {}
        if isinstance(features.get(self.settings.image_column), Image):
            table = table.cast_column(self.settings.image_column, Image(decode=False))
        labels = {name: getattr(features.get(column), "names", None) for name, column in self.settings.columns.items()}
        with _opening(self.settings):
            for index, row in enumerate(table):
                yield self._table_item(row, f"{self.settings.split}#{index}", f"{stamp}-{index}", labels)

    def _saved_table(self) -> tuple[Any, str]:
        from datasets import DatasetDict, load_from_disk

        with _opening(self.settings):
            loaded = load_from_disk(self._name)
        if isinstance(loaded, DatasetDict):
            if self.settings.split not in loaded:
                raise UserError(f"{self._local} has no split '{self.settings.split}'; it has {', '.join(loaded)}.")
            loaded = loaded[self.settings.split]
        return loaded, digest([file_stamp(Path(file["filename"])) for file in loaded.cache_files])

    def _loaded_table(self) -> tuple[Any, str]:
        from datasets import load_dataset

        stamp = self._commit or str(self._cache or self._builder.hash)
        with _opening(self.settings):
            table = load_dataset(
                self._name,
                self.settings.config,
                split=self.settings.split,
                revision=self._commit,
                streaming=self.settings.streaming,
                cache_dir=self._cache,
            )
        return table, stamp

    def _check(self, table: Any) -> None:
        names = table.column_names or []
        missing = [name for name in (self.settings.image_column, *self.settings.columns.values()) if name not in names]
        if missing:
            raise UserError(
                f"Dataset '{self.settings.path}' has no column '{missing[0]}'; "
                f"set images.image_column and images.columns to some of: {', '.join(names)}."
            )

    def _table_item(
        self, row: dict[str, Any], source_id: str, identity: str, labels: dict[KnownField, list[str] | None]
    ) -> Item:
        texts = {name: cell_text(row[column], labels[name]) for name, column in self.settings.columns.items()}
        read = partial(image_bytes, row[self.settings.image_column], Path())
        known = Known(**texts).or_else(self.settings)
        return Item(self.settings.path, source_id, identity, read, **known._asdict())


def _hub_commit(name: str, revision: str | None) -> str:
    """Resolve a revision in one request that cannot hang."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return str(HfApi().dataset_info(name, revision=revision, timeout=HUB_TIMEOUT_SECONDS).sha)
    except HfHubHTTPError as error:
        raise UserError(
            f"The Hub refuses dataset '{name}' ({error}); check images.path, images.revision and your token."
        ) from error
    except Exception as error:  # the Hub's client passes on the errors of whichever HTTP library it uses
        raise UserError(
            f"The Hub cannot be reached for dataset '{name}' ({error}); connect, or fetch it elsewhere with "
            f"`hf download {name} --repo-type dataset --local-dir FOLDER` and set images.path to that folder."
        ) from error


@contextmanager
def _opening(settings: DatasetSettings) -> Iterator[None]:
    """Turn what `datasets` says of a dataset that it cannot open into one sentence."""
    from datasets.exceptions import DatasetsError

    try:
        yield
    except (OSError, ValueError, LookupError, pa.ArrowException, DatasetsError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise UserError(
            f"Dataset '{settings.path}' cannot be opened ({reason}); check images.config and images.split."
        ) from error
