"""Push: from a dataset folder to a repository on the Hub that others can load, one visible change at the end.

1. Create the repository, private, where there is none.
2. Upload to a branch of its own what differs from it; the Hub keeps large files by their hash, so a second try sends
   nothing twice.
3. Verify there: the checksum of every file, then `load_dataset` at that commit in fresh caches, rows counted.
4. Give `main` the verified files in one commit, tag it, show it, remove the branch.

Readers of a public repository see the old version or the new one, never a mix and nothing unverified. Each step looks
at what is there and does what is missing: the same command after any interruption goes on. Nothing is kept on this
machine, the token least of all.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cirgen.errors import UserError
from cirgen.progress import Progress
from cirgen.publish.hub.reader import read_back
from cirgen.publish.hub.release import LocalFile, Release, read_release
from cirgen.publish.hub.repository import MAIN, Repository, quiet_client
from cirgen.publish.hub.versions import next_versions
from cirgen.publish.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

STAGING = "cirgen-push"
"""Branch that a push works on."""
OF_THE_HUB = (".gitattributes",)
"""Files that the Hub itself puts into a repository."""
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
TAG = re.compile(r"[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True)
class Wanted:
    """What a push is asked for."""

    repo: str
    private: bool = False
    """Whether it stays private afterwards; one that is public already becomes private only where `hide` says so."""
    hide: bool = False
    tag: str = ""
    overwrite: bool = False
    """Whether files that cirgen did not write may be replaced."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.repo):
            raise UserError(f"'{self.repo}' is no name of a repository; write ORG/NAME, or your own name and NAME.")
        if self.tag and not TAG.fullmatch(self.tag):
            raise UserError(f"'{self.tag}' is no tag; write one such as v1.0.0.")


@dataclass(frozen=True)
class Pushed:
    """What a push came to."""

    repo: str
    url: str
    commit: str
    tag: str
    private: bool
    sent_files: int
    sent_bytes: int
    """Of the files that differed; what the Hub had already of them was not sent again."""
    same_files: int
    removed_files: int
    rows: int
    """Of all configs and splits, as loaded back."""
    whole: bool
    """Whether everything was downloaded and opened again, or counted in its files' footers."""

    def record(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def check_access(repo: str, progress: Progress) -> None:
    """Make sure that a push can begin, before a long run does.

    Raises:
        UserError: the name is none, or there is no token that may write.
    """
    Repository(Wanted(repo).repo, progress).check_token()


def push(folder: Path, wanted: Wanted, progress: Progress) -> Pushed:
    """Push a dataset folder.

    Raises:
        UserError: anything the user can mend; the same command goes on.
    """
    release = read_release(folder, progress)
    with quiet_client():
        return _Push(release, wanted, Repository(wanted.repo, progress), progress).done()


class _Push:
    def __init__(self, release: Release, wanted: Wanted, repository: Repository, progress: Progress) -> None:
        self._release = release
        self._wanted = wanted
        self._repository = repository
        self._progress = progress
        self._sent: dict[str, int] = {}
        self._removed: set[str] = set()

    def done(self) -> Pushed:
        repository, wanted = self._repository, self._wanted
        repository.check_token()
        repository.create()
        if wanted.private and wanted.hide:
            repository.show(private=True)
        there = repository.files(MAIN)
        published = self._published(there)
        self._refuse_strangers(there, published)
        today = datetime.now(UTC).date().isoformat()
        versions = next_versions(self._release.manifest, published, wanted.tag, today)
        self._release = self._release.named(wanted.repo, versions)
        self._known = set((published or {}).get("files", {})) | set(self._release.files)
        self._refuse_tag()
        staged = self._staged(there)
        whole = self._verified(staged)
        commit = repository.patiently(lambda: self._given_to_main(staged))
        self._check_hashes(commit)
        if wanted.tag:
            repository.tag(wanted.tag, commit)
        private = self._shown()
        repository.drop_branch(STAGING)
        return Pushed(
            repo=wanted.repo,
            url=repository.url,
            commit=commit,
            tag=wanted.tag,
            private=private,
            sent_files=len(self._sent),
            sent_bytes=sum(self._sent.values()),
            same_files=len(self._release.files) - len(self._sent),
            removed_files=len(self._removed),
            rows=sum(sum(splits.values()) for splits in self._release.rows.values()),
            whole=whole,
        )

    def _published(self, there: Mapping[str, RepoFile]) -> dict[str, Any] | None:
        """Return the manifest of what the repository has, None where cirgen has pushed nothing there."""
        if MANIFEST_NAME not in there:
            return None
        try:
            manifest = json.loads(self._repository.text(MANIFEST_NAME, MAIN))
            return manifest if isinstance(manifest["files"], dict) and "cirgen" in manifest else None
        except (ValueError, LookupError, TypeError):
            return None

    def _refuse_strangers(self, there: Mapping[str, RepoFile], published: Mapping[str, Any] | None) -> None:
        """Refuse to replace what cirgen did not write, or what somebody edited on the Hub since."""
        if self._wanted.overwrite:
            return
        if published is None:
            strange = sorted(set(there) - {*OF_THE_HUB})
            if strange:
                raise UserError(
                    f"'{self._wanted.repo}' holds files that cirgen did not write, such as {strange[0]}; take another "
                    "name, or replace them with --overwrite."
                )
            return
        if undone := next(self._undone(there, published["files"]), None):
            raise UserError(
                f"{undone} of '{self._wanted.repo}' was edited on the Hub since the last push, or added there, which "
                "this one would undo; copy what should stay, then give --overwrite."
            )

    def _undone(self, there: Mapping[str, RepoFile], published: Mapping[str, str]) -> Iterator[str]:
        """Yield the files that this push would replace or remove and that the last one did not write so."""
        for path, file in sorted(there.items()):
            mine = self._release.files.get(path)
            if path == MANIFEST_NAME or (mine is not None and _same(mine, file)):
                continue
            if path not in published:
                if mine is not None or self._is_shard(path):
                    yield path
            elif (file.lfs.sha256 if file.lfs else self._hash_of(path)) != published[path]:
                yield path

    def _hash_of(self, path: str) -> str:
        return hashlib.sha256(self._repository.text(path, MAIN)).hexdigest()

    def _refuse_tag(self) -> None:
        """Refuse to move a tag: versions that others cite stay what they are."""
        tag = self._wanted.tag
        tagged = self._repository.tags().get(tag) if tag else None
        if tagged and self._differing(self._repository.files(tagged)):
            raise UserError(
                f"The tag {tag} of '{self._wanted.repo}' stands for other files already, and does not move; "
                "give another --tag."
            )

    def _staged(self, main: Mapping[str, RepoFile]) -> str:
        """Bring the branch to the state of the release; returns its commit."""
        repository = self._repository
        repository.branch_off(STAGING)

        waiting = {file.path: file.size for file in self._differing(repository.files(STAGING))}
        with self._progress.step("Upload bytes", sum(waiting.values())) as step:
            return repository.patiently(lambda: self._upload(main, lambda path: step.advance(waiting.pop(path, 0))))

    def _upload(self, main: Mapping[str, RepoFile], sent: Callable[[str], None]) -> str:
        head = self._repository.branches()[STAGING]
        there = self._repository.files(head)
        differing = self._differing(there)
        gone = [path for path in there if self._is_gone(path) or self._is_left(path, main)]
        self._sent |= {file.path: file.size for file in differing}
        self._removed |= {path for path in gone if path in main}
        if not differing and not gone:
            return head
        texts = [file for file in differing if isinstance(file.content, bytes)]  # a wrong card fails first
        rest = [file for file in differing if not isinstance(file.content, bytes)]
        return self._repository.add(STAGING, [*texts, *rest], gone, sent)

    def _differing(self, there: Mapping[str, RepoFile]) -> list[LocalFile]:
        return [file for path, file in self._release.files.items() if not _same(file, there.get(path))]

    def _is_gone(self, path: str) -> bool:
        """Whether an earlier version had a file that this one has not: by its manifest, or as a shard of a config."""
        return (path in self._known or self._is_shard(path)) and path not in self._release.files

    def _is_shard(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return folder in self._release.configs and fnmatch(name, "*.parquet")

    def _is_left(self, path: str, main: Mapping[str, RepoFile]) -> bool:
        """Whether an interrupted push of something else left a file on the branch."""
        return path not in main and path not in self._release.files

    def _verified(self, commit: str) -> bool:
        """Hold checksums to the folder's, then load it as a reader would."""
        self._check_hashes(commit)
        rows = self._release.rows
        with self._progress.step("Load back splits", sum(map(len, rows.values()))) as step:
            return read_back(self._wanted.repo, commit, rows, self._release.download_bytes, step.advance)

    def _check_hashes(self, commit: str) -> None:
        wrong = self._differing(self._repository.files(commit))
        if wrong:
            raise UserError(
                f"{len(wrong)} files of '{self._wanted.repo}' at {commit[:12]} have another checksum than here, first "
                f"{wrong[0].path}: somebody else pushes there, or the folder changed meanwhile; push again."
            )

    def _given_to_main(self, staged: str) -> str:
        repository = self._repository
        head = repository.branches()[MAIN]
        there = repository.files(head)
        differing = [file.path for file in self._differing(there)]
        gone = [path for path in there if self._is_gone(path)]
        return repository.copy(MAIN, differing, staged, gone, head) if differing or gone else head

    def _shown(self) -> bool:
        """Make the repository public where that is wanted; returns whether it is private."""
        private = self._repository.is_private()
        if private and not self._wanted.private:
            self._repository.show(private=False)
            return False
        if not private and self._wanted.private:
            self._progress.say(f"'{self._wanted.repo}' is public and stays so; --private would hide it.")
        return private


def _same(file: LocalFile, there: RepoFile | None) -> bool:
    if there is None or there.size != file.size:
        return False
    return there.lfs.sha256 == file.sha256 if there.lfs else there.blob_id == file.git_oid
