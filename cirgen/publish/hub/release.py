"""What a push puts on the Hub: the files of a dataset folder, and a card that knows its repository and its versions.

The folder itself stays as it is. Data files go byte for byte; of the texts, `README.md` gets the repository's name in
place of `path/to/dataset` and the list of versions, and `manifest.json` those versions and the hash of every file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cirgen.errors import UserError
from cirgen.progress import Progress
from cirgen.publish.card import PLACE
from cirgen.publish.hub.versions import Version, rendered
from cirgen.publish.manifest import MANIFEST_NAME
from cirgen.yaml_text import NotYamlError, read_yaml

CARD_NAME = "README.md"
_VERSIONS = re.compile(r"(<!-- cirgen:versions -->\n).*?(<!-- /cirgen:versions -->)", re.DOTALL)
_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class LocalFile:
    """One file as it is to lie in the repository."""

    path: str
    content: Path | bytes
    size: int
    sha256: str

    @cached_property
    def git_oid(self) -> str:
        """Its name in git: what the Hub tells of a file that is no large one."""
        digest = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        if isinstance(self.content, bytes):
            digest.update(self.content)
        else:
            with self.content.open("rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    digest.update(block)
        return digest.hexdigest()


@dataclass(frozen=True)
class Release:
    """A dataset folder, ready to be pushed."""

    files: Mapping[str, LocalFile]
    """By path in the repository."""
    manifest: Mapping[str, Any]
    """As the folder has it, with every file of the folder under `files`."""
    rows: Mapping[str, Mapping[str, int]]
    """Config to split to its number of rows, as the card says."""
    download_bytes: int
    """Of all configs together."""

    @property
    def configs(self) -> tuple[str, ...]:
        """Return the folders of Parquet files."""
        return tuple(self.rows)

    def named(self, repo: str, versions: list[Version]) -> Release:
        """Return the release as it lies in a repository.

        Args:
            repo: its name.
            versions: all of them, this one first.
        """
        card = _text(self.files[CARD_NAME]).replace(PLACE, repo)
        card = _VERSIONS.sub(lambda match: f"{match[1]}{rendered(versions)}{match[2]}", card)
        files = {path: file for path, file in self.files.items() if path != MANIFEST_NAME}
        files[CARD_NAME] = _of_text(CARD_NAME, card)
        manifest = {
            **self.manifest,
            "versions": [version.record() for version in versions],
            "files": {path: file.sha256 for path, file in sorted(files.items())},
        }
        files[MANIFEST_NAME] = _of_text(MANIFEST_NAME, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
        return Release(files, manifest, self.rows, self.download_bytes)


def _text(file: LocalFile) -> str:
    content = file.content if isinstance(file.content, bytes) else file.content.read_bytes()
    return content.decode("utf8")


def _of_text(path: str, text: str) -> LocalFile:
    content = text.encode("utf8")
    return LocalFile(path, content, len(content), hashlib.sha256(content).hexdigest())


def read_release(folder: Path, progress: Progress) -> Release:
    """Read a dataset folder and hold every file to the manifest.

    Raises:
        UserError: it is no dataset that cirgen wrote, or a file changed since.
    """
    manifest = _manifest(folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(folder)))
    files: dict[str, LocalFile] = {}
    with progress.step("Hash files", len(paths)) as step:
        for path in paths:
            name = path.relative_to(folder).as_posix()
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            files[name] = LocalFile(name, path, path.stat().st_size, sha256)
            step.advance()
    _hold_to_manifest(folder, files, manifest["files"])
    manifest["files"] = {name: file.sha256 for name, file in files.items() if name != MANIFEST_NAME}
    rows, download_bytes = _described(folder / CARD_NAME)
    return Release(files, manifest, rows, download_bytes)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_NAME
    if not path.is_file() or not (folder / CARD_NAME).is_file():
        raise UserError(f"{folder} is no dataset that cirgen wrote; give a run, or its folder `dataset`.")
    try:
        manifest = json.loads(path.read_text(encoding="utf8"))
        if isinstance(manifest["files"], dict):
            return dict(manifest)
    except (ValueError, LookupError, TypeError):
        pass
    raise UserError(f"{path} is damaged; export the dataset again: cirgen run.")


def _hold_to_manifest(folder: Path, files: Mapping[str, LocalFile], known: Mapping[str, str]) -> None:
    changed = sorted(path for path, sha256 in known.items() if path not in files or files[path].sha256 != sha256)
    if changed:
        raise UserError(
            f"{len(changed)} of {len(known)} files of {folder} are not those that manifest.json names, first "
            f"{changed[0]}: somebody changed or removed them; export the dataset again before you publish it."
        )
    strange = sorted(path for path in files if path not in known and path != MANIFEST_NAME)
    if strange:
        raise UserError(
            f"{folder} holds {len(strange)} files that are not of the dataset, first {strange[0]}, and all of it "
            "would be published; take them out."
        )


def _described(card: Path) -> tuple[dict[str, dict[str, int]], int]:
    """Return rows by config and split, and the bytes of a download, from the front matter of a card."""
    try:
        front = read_yaml(card.read_text(encoding="utf8").split("---\n")[1]).data
        infos = front["dataset_info"]
        infos = infos if isinstance(infos, list) else [infos]
        rows = {
            str(info["config_name"]): {str(split["name"]): int(split["num_examples"]) for split in info["splits"]}
            for info in infos
        }
        return rows, sum(int(info["download_size"]) for info in infos)
    except (NotYamlError, UnicodeDecodeError, LookupError, TypeError, ValueError) as error:
        raise UserError(
            f"{card} does not say how many rows each split has ({error!r}); export the dataset again."
        ) from error
