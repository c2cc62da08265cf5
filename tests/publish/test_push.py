"""A push to the Hub: the real client, in a process of its own, against a Hub on loopback that fails when told to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

from cirgen import __file__ as package
from cirgen.changes import save_recipe
from cirgen.run_folder import Run
from cirgen.schemas import TRIPLET, VERDICT
from cirgen.shards import write_rows
from cirgen.stages.export import export
from commands import cirgen, said, start
from hub_server import READER, TOKEN, Fault, HubServer
from runs import make_run

ROOT = Path(package).parent.parent
REPO = "owner/toys"
STAGING = "cirgen-push"
UPLOAD = "/_lfs/"
COMMIT = f"/api/datasets/{REPO}/commit/"


class Pusher(NamedTuple):
    """Somebody with a finished run and a token."""

    hub: HubServer
    folder: Path
    run: Run

    def env(self, token: str | None = TOKEN) -> dict[str, str]:
        return self.hub.environment(self.folder / "home", token)

    def push(self, *options: str, token: str | None = TOKEN, before: str = "") -> subprocess.CompletedProcess[str]:
        arguments = ("push", str(self.run.folder), REPO, *(options or ("--public",)))
        return cirgen(self.folder, *arguments, env=self.env(token), before=before)

    def pushed(self, *options: str) -> dict[str, Any]:
        done = self.push("--public", "--json", *options)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def change_a_text(self) -> str:
        """Give one accepted training triplet another text, as a changed recipe might; returns the text."""
        rows = pq.read_table(self.run.triplets).to_pylist()
        row = next(row for row in rows if row["text"].startswith("show") and row["split"] == "train")
        row["text"] = "quite another wish"
        write_rows(self.run.triplets, rows, TRIPLET)
        export(self.run)
        return str(row["text"])

    def drop_a_split(self) -> None:
        """Reject what the test split has."""
        splits = {row["triplet_id"]: row["split"] for row in pq.read_table(self.run.triplets).to_pylist()}
        rows = pq.read_table(self.run.verdicts).to_pylist()
        for row in rows:
            row["scores"] = dict(row["scores"])
            if splits[row["triplet_id"]] == "test":
                row["reason"] = row["reason"] or "lint: too short"
        write_rows(self.run.verdicts, rows, VERDICT)
        export(self.run)


@pytest.fixture
def pusher(hub: HubServer, tmp_path: Path) -> Pusher:
    run = make_run(tmp_path)
    save_recipe(run.folder, run.recipe)
    export(run)
    return Pusher(hub, tmp_path, run)


def _is_published(pusher: Pusher, tag: str = "") -> None:
    """The repository is public, and main is the folder file by file, card and manifest aside."""
    repo = pusher.hub.repos[REPO]
    assert not repo.private
    assert list(repo.heads) == ["main"]
    local = {p.relative_to(pusher.run.dataset).as_posix() for p in pusher.run.dataset.rglob("*") if p.is_file()}
    assert set(pusher.hub.paths(REPO)) == local | {".gitattributes"}
    for path in local - {"README.md", "manifest.json"}:
        assert pusher.hub.stored(REPO, path) == (pusher.run.dataset / path).read_bytes()
    if tag:
        assert repo.tags[tag] == repo.heads["main"][-1]


def test_a_push_creates_uploads_verifies_tags_and_only_then_shows(pusher: Pusher) -> None:
    pusher.hub.page = 5  # long lists come in pages
    done = pusher.push("--public", "--tag", "v1.0.0")
    assert done.returncode == 0, done.stderr
    _is_published(pusher, "v1.0.0")
    order = [(one.method, one.path.removeprefix("/api/datasets/")) for one in pusher.hub.log]
    uploads = [n for n, (method, path) in enumerate(order) if method == "PUT" and path.startswith(UPLOAD)]
    loads = [n for n, (_, path) in enumerate(order) if path.startswith("/_cdn/")]
    [main], [tag], [shown] = (
        [n for n, (method, path) in enumerate(order) if method == wanted and part in path]
        for wanted, part in (("POST", "/commit/main"), ("POST", "/tag/"), ("PUT", "/settings"))
    )
    assert max(uploads) < min(loads) <= max(loads) < main < tag < shown
    assert 'load it: load_dataset("owner/toys", revision="v1.0.0")' in done.stdout
    assert "seen by: everybody" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_token_is_neither_printed_nor_stored(pusher: Pusher) -> None:
    pusher.hub.faults = [Fault("PUT", UPLOAD, 503), Fault("POST", COMMIT, 409)]
    done = pusher.push()
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert "Signature" not in done.stdout + done.stderr
    for path in pusher.folder.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path


@pytest.mark.long
def test_the_card_names_its_repository_and_its_versions(pusher: Pusher) -> None:
    pusher.pushed("--tag", "v1.0.0")
    card = pusher.hub.stored(REPO, "README.md").decode()
    assert 'load_dataset("owner/toys", split="train")' in card and "path/to/dataset" not in card
    assert "- **v1.0.0**, 20" in card and "  - First version: " in card
    pusher.drop_a_split()
    pusher.pushed("--tag", "v1.1.0")
    card = pusher.hub.stored(REPO, "README.md").decode()
    assert card.index("- **v1.1.0**") < card.index("  - `triplets/test`: 0 rows, ") < card.index("- **v1.0.0**")
    manifest = json.loads(pusher.hub.stored(REPO, "manifest.json"))
    assert [one["tag"] for one in manifest["versions"]] == ["v1.1.0", "v1.0.0"]


@pytest.mark.long
def test_a_second_push_sends_what_changed_and_a_third_nothing(pusher: Pusher) -> None:
    pusher.pushed("--tag", "v1.0.0")
    before = dict(pusher.hub.repos[REPO].trees[pusher.hub.repos[REPO].heads["main"][-1]])
    pusher.hub.log.clear()
    pusher.change_a_text()
    assert pusher.pushed()["sent_files"] == 4
    assert len(pusher.hub.asked("PUT", UPLOAD)) == 2
    after = pusher.hub.repos[REPO].trees[pusher.hub.repos[REPO].heads["main"][-1]]
    assert {path for path in after if after[path] != before[path]} == {
        "triplets/train-00000-of-00001.parquet",
        "preview/train-00000-of-00001.parquet",
        "README.md",
        "manifest.json",
    }
    pusher.hub.log.clear()
    assert pusher.pushed()["sent_files"] == 0
    assert not pusher.hub.asked("PUT", UPLOAD) and not pusher.hub.asked("POST", "/commit/")


@pytest.mark.long
def test_files_that_a_version_no_longer_has_go_and_files_of_others_stay(pusher: Pusher) -> None:
    pusher.pushed()
    repo = pusher.hub.repos[REPO]
    tree = dict(repo.trees[repo.heads["main"][-1]])
    repo.add("main", {**tree, "NOTES.md": pusher.hub.keep(b"by a maintainer")}, "notes")
    pusher.drop_a_split()
    assert pusher.pushed()["removed_files"] == 1
    assert "triplets/test-00000-of-00001.parquet" not in pusher.hub.paths(REPO)
    assert pusher.hub.stored(REPO, "NOTES.md") == b"by a maintainer"


def _somebody_commits(hub: HubServer) -> None:
    repo = hub.repos[REPO]
    tree = dict(repo.trees[repo.heads["main"][-1]])
    repo.add("main", {**tree, "theirs.txt": hub.keep(b"x")}, "in between")


PASSING = {
    "503 on upload": Fault("PUT", UPLOAD, 503),
    "line reset in the middle of an upload": Fault("PUT", UPLOAD, reset=True, skip=2),
    "409 on the commit": Fault("POST", COMMIT + STAGING, 409),
    "412 on the commit": Fault("POST", COMMIT + STAGING, 412),
    "500 on the commit": Fault("POST", COMMIT + "main", 500),
    "answer of the commit lost": Fault("POST", COMMIT + "main", reset=True),
    "503 while loading back": Fault("GET", "/_cdn/", 503),
}


@pytest.mark.long
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_a_fault_that_passes_is_waited_out(pusher: Pusher, fault: Fault) -> None:
    pusher.hub.faults = [fault]
    assert pusher.pushed("--tag", "v1")["tag"] == "v1"
    assert fault.times == 0
    _is_published(pusher, "v1")


@pytest.mark.long
def test_somebody_elses_commit_in_between_is_kept(pusher: Pusher) -> None:
    hub = pusher.hub
    hub.faults = [Fault("POST", COMMIT + "main", act=lambda: _somebody_commits(hub))]
    pusher.pushed()
    assert [one.status for one in hub.asked("POST", COMMIT + "main")] == [412, 200]
    assert hub.stored(REPO, "theirs.txt") == b"x"


LASTING: dict[str, tuple[list[Fault], str | None, str]] = {
    "no token": ([], None, "No token of the Hub is known here; give `hf auth login`"),
    "a token that the Hub does not know": ([], "hf_expired", "The Hub does not know this token; make one"),
    "a token that may only read": ([], READER, "The token may only read; make one that may write"),
    "somebody elses name": (
        [Fault("POST", "/api/repos/create", 403, times=9, message="not your organisation")],
        TOKEN,
        "The token may not write to 'owner/toys'",
    ),
    "a commit that is not allowed": (
        [Fault("POST", COMMIT, 403, times=9, message="protected branch")],
        TOKEN,
        "The token may not write to 'owner/toys' (",
    ),
    "a Hub without room": (
        [Fault("PUT", UPLOAD, 507, times=9, message="quota used up")],
        TOKEN,
        "The Hub has no room for 'owner/toys' (",
    ),
}


@pytest.mark.parametrize(
    ("faults", "token", "sentence"),
    [
        pytest.param(*case, id=name, marks=[] if "token" in name else pytest.mark.long)
        for name, case in LASTING.items()
    ],
)
def test_what_only_the_user_can_mend_is_one_sentence(
    pusher: Pusher, faults: list[Fault], token: str | None, sentence: str
) -> None:
    pusher.hub.faults = faults
    told = said(pusher.push(token=token))
    assert sentence in told
    assert "hf_" not in told
    assert all(repo.private for repo in pusher.hub.repos.values())


@pytest.mark.long
def test_a_disk_that_is_full_when_it_is_loaded_back_leaves_nothing_visible_and_the_push_goes_on(
    pusher: Pusher,
) -> None:
    told = said(pusher.push(before="ulimit -f 4"))
    assert "The disk is full under" in told and "give the same command again" in told
    assert pusher.hub.paths(REPO) == [".gitattributes"]
    assert pusher.hub.repos[REPO].private
    pusher.hub.log.clear()
    pusher.pushed()
    assert not pusher.hub.asked("PUT", UPLOAD)
    _is_published(pusher)


POINTS = {
    "upload": Fault("PUT", UPLOAD, skip=3),
    "commit to the branch": Fault("POST", COMMIT + STAGING),
    "load back": Fault("GET", "/_cdn/", skip=1),
    "commit to main": Fault("POST", COMMIT + "main"),
    "tag": Fault("POST", "/tag/"),
    "show": Fault("PUT", "/settings"),
    "clean up": Fault("DELETE", "/branch/"),
}


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
def test_a_push_that_is_killed_goes_on_with_the_same_command(pusher: Pusher, point: str) -> None:
    arguments = ("push", str(pusher.run.folder), REPO, "--public", "--tag", "v1")
    with start(pusher.folder, *arguments, env=pusher.env()) as process:
        fault = POINTS[point]
        pusher.hub.faults = [Fault(fault.method, fault.path, skip=fault.skip, act=lambda: _kill(process))]
        process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert pusher.hub.repos[REPO].private or point in ("show", "clean up")
    there = set(pusher.hub.content)
    pusher.hub.log.clear()
    pusher.pushed("--tag", "v1")
    _is_published(pusher, "v1")
    assert all(one.path.removeprefix(UPLOAD) not in there for one in pusher.hub.asked("PUT", UPLOAD))


def _kill(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.long
def test_main_is_untouched_until_everything_is_verified(pusher: Pusher) -> None:
    pusher.pushed("--tag", "v1")
    before = pusher.hub.repos[REPO].heads["main"][-1]
    pusher.change_a_text()
    seen: list[tuple[str, bool]] = []

    def look() -> None:
        repo = pusher.hub.repos[REPO]
        seen.append((repo.heads["main"][-1], repo.private))

    pusher.hub.faults = [Fault("GET", "/_cdn/", times=99, act=look)]
    pusher.pushed()
    assert set(seen) == {(before, False)}


@pytest.mark.long
def test_a_private_dataset_stays_private_and_the_recipe_says_so_by_default(pusher: Pusher) -> None:
    done = pusher.push("--tag", "v1")
    assert "seen by: its owners alone (--public shows it)" in done.stdout
    assert pusher.hub.repos[REPO].private
    assert not pusher.hub.asked("PUT", "/settings")
    assert not pusher.pushed()["private"]
    assert "is public and stays so" in pusher.push("--tag", "v1").stderr
    assert pusher.push("--private").returncode == 0
    assert pusher.hub.repos[REPO].private


@pytest.mark.long
def test_a_tag_does_not_move(pusher: Pusher) -> None:
    pusher.pushed("--tag", "v1")
    tagged = pusher.hub.repos[REPO].tags["v1"]
    pusher.change_a_text()
    assert "stands for other files already, and does not move" in said(pusher.push("--tag", "v1"))
    pusher.pushed("--tag", "v2")
    assert pusher.hub.repos[REPO].tags == {"v1": tagged, "v2": pusher.hub.repos[REPO].heads["main"][-1]}


@pytest.mark.long
def test_what_others_wrote_is_not_replaced_unless_that_is_said(pusher: Pusher) -> None:
    repo = pusher.hub.create(REPO)
    repo.add("main", {"train.csv": pusher.hub.keep(b"a,b")}, "by hand")
    assert "holds files that cirgen did not write, such as train.csv" in said(pusher.push())
    pusher.pushed("--overwrite")
    tree = dict(repo.trees[repo.heads["main"][-1]])
    repo.add("main", {**tree, "README.md": pusher.hub.keep(b"a better card")}, "edited on the page")
    assert "README.md of 'owner/toys' was edited on the Hub since the last push" in said(pusher.push())
    pusher.pushed("--overwrite")


@pytest.mark.long
@pytest.mark.parametrize("path", ["LICENSE", "triplets/theirs.parquet", "triplets/train-00000-of-00001.parquet"])
def test_no_push_undoes_what_others_changed_or_added_since(pusher: Pusher, path: str) -> None:
    pusher.pushed()
    repo, theirs = pusher.hub.repos[REPO], pusher.hub.keep(b"theirs")
    tree = dict(repo.trees[repo.heads["main"][-1]])
    repo.add("main", {**tree, path: theirs, "notes/theirs.txt": theirs}, "by somebody")
    pusher.change_a_text()
    assert f"{path} of '{REPO}' was edited on the Hub since the last push, or added there" in said(pusher.push())
    assert pusher.hub.stored(REPO, path) == b"theirs"
    pusher.pushed("--overwrite")
    assert "notes/theirs.txt" in pusher.hub.paths(REPO)
    pusher.pushed()


def test_what_lies_in_the_folder_beside_the_dataset_is_not_published(pusher: Pusher) -> None:
    (pusher.run.dataset / "link.txt").symlink_to("/etc/hostname")
    assert "holds 1 files that are not of the dataset, first link.txt" in said(pusher.push())
    assert not pusher.hub.repos


READ = """
import json, sys
from datasets import get_dataset_config_names, load_dataset

repo, old = sys.argv[1:3]
found = {"configs": get_dataset_config_names(repo), "default": load_dataset(repo, split="train").column_names[:4]}
for revision in (None, old):
    for streaming in (False, True):
        for config in found["configs"]:
            loaded = load_dataset(repo, config, revision=revision, streaming=streaming)
            for split, rows in loaded.items():
                rows = list(rows)
                [value.load() for row in rows for value in row.values() if hasattr(value, "load")]
                told = [row.get("text", row.get("image_id")) for row in rows]
                found[f"{revision} {streaming} {config}/{split}"] = told
from cirgen import load_triplets
row = load_triplets(repo)[0]
found["sizes"] = [row["reference"].size, row["target"].size]
print(json.dumps(found))
"""


@pytest.mark.long
def test_readers_load_every_config_whole_and_streamed_and_old_versions_by_their_tag(pusher: Pusher) -> None:
    def texts() -> list[str]:
        table = pq.read_table(pusher.run.dataset / "triplets" / "train-00000-of-00001.parquet")
        return list(table.column("text").to_pylist())

    old = texts()
    pusher.pushed("--tag", "v1.0.0")
    pusher.change_a_text()
    pusher.pushed("--tag", "v1.1.0")
    env = {**os.environ, **pusher.hub.environment(pusher.folder / "reader", token=None)}
    done = subprocess.run(
        [sys.executable, "-c", READ, REPO, "v1.0.0"],
        env=env,
        cwd=pusher.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["configs"] == ["triplets", "images", "preview", "rejected"]
    assert found["default"] == ["triplet_id", "reference_id", "text", "target_id"]
    for streaming in (False, True):
        assert found[f"None {streaming} triplets/train"] == texts()
        assert found[f"v1.0.0 {streaming} triplets/train"] == old
    assert found["None False images/train"] == found["v1.0.0 True images/train"]
    assert found["sizes"][0][0] == 96


@pytest.mark.long
def test_rows_that_do_not_match_the_card_are_never_shown(pusher: Pusher) -> None:
    def stray(hub: HubServer = pusher.hub) -> None:
        repo = hub.repos[REPO]
        head = repo.heads[STAGING][-1]
        tree = repo.trees[head]
        tree["triplets/train-extra.parquet"] = tree["triplets/train-00000-of-00001.parquet"]

    pusher.hub.faults = [Fault("GET", f"/api/datasets/{REPO}/revision/", act=stray)]
    told = said(pusher.push())
    assert "does not load" in told or "rows in triplets/train, and the card says" in told
    assert pusher.hub.paths(REPO) == [".gitattributes"] and pusher.hub.repos[REPO].private


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda root: (root / "LICENSE").write_text("mine"), "are not those that manifest.json names, first LICENSE"),
        (lambda root: (root / "manifest.json").unlink(), "holds no dataset that cirgen wrote"),
        (lambda root: (root / "manifest.json").write_text("{"), "manifest.json is damaged"),
    ],
)
def test_a_folder_that_is_not_what_was_exported_is_refused_before_anything_is_asked(
    pusher: Pusher, break_it: Callable[[Path], object], sentence: str
) -> None:
    break_it(pusher.run.dataset)
    done = cirgen(pusher.folder, "push", str(pusher.run.dataset), REPO, env=pusher.env())
    assert sentence in said(done)
    assert not pusher.hub.log


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("toys",), "'toys' is no name of a repository; write ORG/NAME"),
        (("../up/x",), "is no name of a repository"),
        ((REPO, "--tag", "v 1"), "'v 1' is no tag"),
        ((), "Which repository? Give its name, ORG/NAME, or set publish.repo in the recipe."),
    ],
)
def test_a_wrong_name_is_told(pusher: Pusher, arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in said(cirgen(pusher.folder, "push", str(pusher.run.folder), *arguments, env=pusher.env()))


@pytest.mark.long
@pytest.mark.integration
def test_a_run_that_is_to_be_pushed_asks_for_the_token_first_and_pushes_last(hub: HubServer, tmp_path: Path) -> None:
    arguments = ("run", "demo", "--limit", "40", "--push", REPO, "--set", "publish.tag=v0.1", "--output", "run")
    assert "No token of the Hub" in said(cirgen(tmp_path, *arguments, env=hub.environment(tmp_path / "home", None)))
    assert not (tmp_path / "run").exists()
    done = cirgen(tmp_path, *arguments, env=hub.environment(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert hub.repos[REPO].private and set(hub.repos[REPO].tags) == {"v0.1"}


MAKE = ROOT / ".venv" / "bin" / ".cirgen"


@pytest.mark.long
@pytest.mark.skipif(not MAKE.exists(), reason="`make` sets up .venv by itself, which takes minutes")
def test_make_publish_releases_every_corpus_of_the_folder(pusher: Pusher) -> None:
    cards = pusher.folder / "cards"
    for name in ("one", "two"):
        shutil.copytree(pusher.run.dataset, cards / name)
    command = ["make", "-C", str(ROOT), "-o", str(MAKE.relative_to(ROOT)), "publish", f"CARDS={cards}"]
    env = {**os.environ, **pusher.env(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "ORG=owner", "TAG=v1.0.0"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("one", "two"):
        assert not pusher.hub.repos[f"owner/{name}"].private
        assert set(pusher.hub.repos[f"owner/{name}"].tags) == {"v1.0.0"}
    assert subprocess.run(command, env=env, capture_output=True, check=False).returncode == 2
