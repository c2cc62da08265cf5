"""A dataset repository on the Hub: the few requests that a push makes, tried again where that helps.

Every step of a push looks at what is there and does what is missing, so a step that failed half-way, whose answer got
lost, or that met another commit (409, 412: `datasets.push_to_hub` gives up on these) is simply taken again.
"""

from __future__ import annotations

import errno
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cirgen.errors import UserError
from cirgen.progress import Progress
from cirgen.publish.hub.release import LocalFile

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.hf_api import GitRefs, RepoFile

MAIN = "main"
TRIES = 6
FIRST_WAIT_SECONDS = 1.0
AGAIN_STATUSES = frozenset((408, 409, 412, 425, 429, 500, 502, 503, 504))
UPLOAD_FILES = 5
"""Large files that travel at once."""
COMMIT_FILES = 100
"""Files of a commit; the Hub advises 50 to 100."""
KEPT = "give the same command again: what was uploaded is kept"

Result = TypeVar("Result")


class Repository:
    """One dataset repository.

    Args:
        name: `ORG/NAME`.
        progress: where retries and uploads report to.
    """

    def __init__(self, name: str, progress: Progress) -> None:
        from huggingface_hub import HfApi
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()  # ours say what is left of all files
        self.name = name
        self.progress = progress
        self._api: HfApi = HfApi()

    @property
    def url(self) -> str:
        """Return its page."""
        return f"{self._api.endpoint}/datasets/{self.name}"

    def check_token(self) -> None:
        """Make sure that there is a token and that the Hub knows it.

        Raises:
            UserError: there is none, it is not accepted, or it may only read.
        """
        from huggingface_hub import get_token

        if not get_token():
            raise UserError(
                "No token of the Hub is known here; give `hf auth login`, or set HF_TOKEN to one that may write."
            )
        told = self.patiently(self._api.whoami)
        if told.get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise UserError(
                f"The token may only read; make one that may write at {self._api.endpoint}/settings/tokens."
            )

    def create(self) -> None:
        """Make the repository, private, where there is none."""
        self.patiently(lambda: self._api.create_repo(self.name, repo_type="dataset", private=True, exist_ok=True))

    def is_private(self) -> bool:
        """Return whether only its owners see it."""
        return bool(self.patiently(lambda: self._api.dataset_info(self.name)).private)

    def show(self, private: bool) -> None:
        """Make it private or public."""
        self.patiently(lambda: self._api.update_repo_settings(self.name, repo_type="dataset", private=private))

    def branches(self) -> dict[str, str]:
        """Return branch to its last commit."""
        return {one.name: one.target_commit for one in self._refs().branches}

    def tags(self) -> dict[str, str]:
        """Return tag to its commit."""
        return {one.name: one.target_commit for one in self._refs().tags}

    def _refs(self) -> GitRefs:
        return self.patiently(lambda: self._api.list_repo_refs(self.name, repo_type="dataset"))

    def branch_off(self, name: str) -> None:
        """Make a branch of `main`, unless there is one of that name."""
        self.patiently(lambda: self._api.create_branch(self.name, branch=name, repo_type="dataset", exist_ok=True))

    def drop_branch(self, name: str) -> None:
        """Remove a branch."""
        from huggingface_hub.errors import RevisionNotFoundError

        def drop() -> None:
            with suppress(RevisionNotFoundError):  # an earlier try had done it
                self._api.delete_branch(self.name, branch=name, repo_type="dataset")

        self.patiently(drop)

    def tag(self, name: str, commit: str) -> None:
        """Tag a commit."""
        self.patiently(
            lambda: self._api.create_tag(self.name, tag=name, revision=commit, repo_type="dataset", exist_ok=True)
        )

    def files(self, revision: str) -> dict[str, RepoFile]:
        """Return the files of a revision, by path."""
        from huggingface_hub.hf_api import RepoFile

        def listed() -> dict[str, RepoFile]:
            found = self._api.list_repo_tree(self.name, recursive=True, revision=revision, repo_type="dataset")
            return {one.path: one for one in found if isinstance(one, RepoFile)}

        return self.patiently(listed)

    def text(self, path: str, revision: str) -> bytes:
        """Return a small file of a revision."""

        def fetched() -> bytes:
            with tempfile.TemporaryDirectory(prefix="cirgen-push-") as folder:
                place = self._api.hf_hub_download(
                    self.name, path, repo_type="dataset", revision=revision, local_dir=folder
                )
                return Path(place).read_bytes()

        return self.patiently(fetched)

    def add(self, branch: str, files: Iterable[LocalFile], gone: Iterable[str], sent: Callable[[str], None]) -> str:
        """Upload files and commit them to a branch; what the Hub has already is not sent again. Returns the commit.

        Args:
            branch: whose last commit is the parent.
            files: to be there afterwards.
            gone: paths to be gone afterwards.
            sent: told each path whose upload is over.
        """
        from huggingface_hub import CommitOperationDelete

        operations: list[CommitOperationAdd] = [_addition(file) for file in files]
        for few in _batches(operations, UPLOAD_FILES):
            self._api.preupload_lfs_files(
                self.name,
                additions=few,
                repo_type="dataset",
                revision=branch,
                num_threads=UPLOAD_FILES,
                free_memory=False,
            )
            for one in few:
                sent(one.path_in_repo)
        head = self.branches()[branch]
        deletions = [CommitOperationDelete(path) for path in gone]
        for many in _batches([*operations, *deletions], COMMIT_FILES):
            head = self._commit(branch, many, head)
        return head

    def copy(self, branch: str, paths: Iterable[str], source: str, gone: Iterable[str], parent: str) -> str:
        """Give a branch the files of another commit, in one commit of its own; returns it.

        Args:
            branch: which gets them.
            paths: the files.
            source: commit that has them.
            gone: paths to be gone afterwards.
            parent: last commit of the branch that was looked at; another one is an error (412).
        """
        from huggingface_hub import CommitOperationCopy, CommitOperationDelete

        copies = [CommitOperationCopy(path, path, src_revision=source) for path in paths]
        return self._commit(branch, [*copies, *(CommitOperationDelete(path) for path in gone)], parent)

    def _commit(self, branch: str, operations: list[Any], parent: str) -> str:
        done = self._api.create_commit(
            self.name,
            operations,
            commit_message="Dataset by cirgen",
            repo_type="dataset",
            revision=branch,
            parent_commit=parent,
        )
        return str(done.oid)

    def patiently(self, step: Callable[[], Result]) -> Result:
        """Take a step, again while the Hub or the line to it fails in a way that passes.

        Raises:
            UserError: it does not pass, or nothing but the user can mend it.
        """
        wait = FIRST_WAIT_SECONDS
        for tries in range(TRIES):
            try:
                return step()
            except Exception as error:
                cause = _cause(error)
                if cause is None or isinstance(cause, UserError):
                    raise
                if _is_full(cause):
                    raise cause from error
                if not _passes(cause) or tries == TRIES - 1:
                    raise UserError(self._sentence(cause)) from error
                self.progress.say(f"{_what(cause)}; trying again in {wait:.0f} s.")
                time.sleep(wait)
                wait *= 2
        raise AssertionError("unreachable")

    def _sentence(self, cause: BaseException) -> str:
        """Return what is wrong and what mends it, by the status that the Hub answered with."""
        status, said = _status(cause), _said(cause)
        known = {
            401: f"The Hub does not know this token; make one that may write at {self._api.endpoint}/settings/tokens, "
            "then give `hf auth login` or set HF_TOKEN.",
            403: f"The token may not write to '{self.name}' ({said}); take a name of your own or of an organisation "
            "that lets you, or a token with the right to write.",
            404: f"The Hub has no '{self.name}' that this token may see ({said}); check the name.",
            **dict.fromkeys((413, 507), f"The Hub has no room for '{self.name}' ({said}); free some, then {KEPT}."),
            **dict.fromkeys(
                (409, 412), f"Somebody else keeps committing to '{self.name}' ({said}); wait for them, then {KEPT}."
            ),
        }
        if status in known:
            return known[status]
        if 0 < status < 500:
            return f"The Hub refuses the push to '{self.name}' ({status}: {said}); mend that, then {KEPT}."
        return f"The Hub cannot be reached, or fails ({_what(cause)}); later {KEPT}."


def _addition(file: LocalFile) -> CommitOperationAdd:
    from huggingface_hub import CommitOperationAdd

    return CommitOperationAdd(file.path, file.content if isinstance(file.content, bytes) else str(file.content))


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    yield from (items[start : start + size] for start in range(0, len(items), size))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_full(cause: BaseException) -> bool:
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _cause(error: BaseException) -> BaseException | None:
    """Return what the Hub or the line to it did, or that a disk is full; None where the error is another one."""
    from huggingface_hub.errors import HfHubHTTPError

    for one in _chain(error):
        if isinstance(one, UserError) or _is_full(one):
            return one
        if isinstance(one, HfHubHTTPError) or type(one).__module__.startswith(("httpx", "httpcore")):
            return one
        if isinstance(one, ConnectionError | TimeoutError):
            return one
    return None


def _status(cause: BaseException) -> int:
    return int(getattr(getattr(cause, "response", None), "status_code", 0) or 0)


def _passes(cause: BaseException) -> bool:
    status = _status(cause)
    return status in AGAIN_STATUSES if status else True


def _what(cause: BaseException) -> str:
    """Say what happened without the address, which may be a signed one."""
    status = _status(cause)
    return f"The Hub answered {status} ({_said(cause)})" if status else f"The line broke ({type(cause).__name__})"


def _said(cause: BaseException) -> str:
    """Return what the Hub says is wrong, less addresses."""
    message = getattr(cause, "server_message", None)
    if not message:
        headers: Mapping[str, str] = getattr(getattr(cause, "response", None), "headers", {})
        message = headers.get("X-Error-Message") or f"status {_status(cause)}"
    return " ".join(word for word in str(message).split() if "://" not in word)[:200]


@contextmanager
def quiet_client() -> Iterator[None]:
    """Keep the Hub's client from warning of what is handled here; what it says of uploads holds signed addresses."""
    import logging

    from huggingface_hub.utils.logging import get_verbosity, set_verbosity

    before = get_verbosity()
    set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        set_verbosity(before)
