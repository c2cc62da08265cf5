"""A dataset that cirgen wrote: a folder, or a repository of its layout on the Hub."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cirgen.audit.corpora.options import Options
from cirgen.audit.corpus import Corpus, Facts, ModelFact, Pictures, Row, named_gallery
from cirgen.audit.record import AUDITED
from cirgen.errors import UserError
from cirgen.publish.manifest import MANIFEST_NAME
from cirgen.triplets import CorpusPictures, load_config, load_pictures, splits_of

CONFIG = "triplets"
REQUIRED = ("triplet_id", "reference_id", "text", "target_id")
COLUMNS = (*REQUIRED, "positive_ids", "change_type", "hard_negatives")
WHOLE = "all images of the corpus"


def is_ours(name: str, revision: str | None = None) -> bool:
    """Return whether a folder or repository has the configs of a cirgen dataset."""
    return bool(splits_of(name, CONFIG, revision)) and bool(splits_of(name, "images", revision))


def read_ours(name: str, options: Options, shown: str) -> Corpus:
    """Read a dataset; `shown` is what a reader knows it by.

    Raises:
        UserError: it lacks the config or the split.
    """
    config = options.config or CONFIG
    splits = [options.split] if options.split else splits_of(name, config, options.revision)
    if not splits:
        raise UserError(f"The corpus '{name}' has no config '{config}'; take {CONFIG} or rejected.")
    tables = {split: load_config(name, config, split, options.revision) for split in splits}
    images = load_config(name, "images", "train", options.revision)
    gallery = "its split's images" if options.split else WHOLE
    rows, named = [], set[str]()
    for split, table in tables.items():
        for row in _rows(name, config, table):
            rows.append(_row(row, split, gallery))
            named.update(wrong["image_id"] for wrong in row.get("hard_negatives") or ())
    facts = dict(_facts(images))
    of_split = tuple(sorted({*named_gallery(rows), *named}))
    pictures, reason = _pictures(name, options)
    manifest = _manifest(name, options.revision)
    return Corpus(
        name=shown if config == CONFIG else f"{shown}, {config}",
        kind="a dataset that cirgen wrote",
        rows=tuple(rows),
        galleries={gallery: of_split if options.split else tuple(facts)},
        facts=facts,
        pictures=pictures,
        no_pictures=reason,
        models=tuple(ModelFact(m["role"], m["model"], m["content"]) for m in manifest.get("models", ())),
        files={path: sha for path, sha in manifest.get("files", {}).items() if path.startswith(AUDITED)},
    )


def _rows(name: str, config: str, table: Any) -> Iterator[Mapping[str, Any]]:
    missing = set(REQUIRED).difference(table.column_names)
    if missing:
        raise UserError(f"The corpus '{name}' lacks {', '.join(sorted(missing))} in {config}; export it again.")
    yield from table.select_columns([column for column in COLUMNS if column in table.column_names])


def _row(row: Mapping[str, Any], split: str, gallery: str) -> Row:
    return Row(
        row["triplet_id"],
        split,
        gallery,
        row["reference_id"],
        row["text"] or "",
        row["target_id"],
        tuple(row.get("positive_ids") or ()),
        row.get("change_type") or "",
    )


def _facts(images: Any) -> Iterator[tuple[str, Facts]]:
    known = [name for name in ("image_id", "caption", "group", "license") if name in images.column_names]
    for row in images.select_columns(known):
        yield row["image_id"], Facts(row.get("caption") or "", row.get("group"), row.get("license"))


def _pictures(name: str, options: Options) -> tuple[Pictures | None, str]:
    try:
        found = load_pictures(name, revision=options.revision, images=options.images)
    except UserError as error:
        if options.images is not None:
            raise
        return None, str(error)
    return OurPictures(found), ""


class OurPictures:
    """The pictures of a cirgen dataset."""

    def __init__(self, pictures: CorpusPictures) -> None:
        self._pictures = pictures

    def has(self, image_id: str) -> bool:
        """Return whether the config `images` lists it."""
        return self._pictures.has(image_id)

    def read(self, image_id: str) -> bytes:
        """Return the published bytes, or those of the original.

        Raises:
            OSError: it is not where the corpus says.
        """
        try:
            return self._pictures.read(image_id)
        except UserError as error:
            raise OSError(str(error)) from error


def _manifest(name: str, revision: str | None) -> dict[str, Any]:
    path = Path(name).expanduser() / MANIFEST_NAME
    if not Path(name).expanduser().is_dir():
        fetched = _fetched(name, revision)
        if fetched is None:
            return {}
        path = fetched
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf8"))
    except ValueError as error:
        raise UserError(f"{path} is no readable JSON ({error}); export the dataset again.") from error
    return found


def _fetched(repo: str, revision: str | None) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repo, MANIFEST_NAME, repo_type="dataset", revision=revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError):
        return None
