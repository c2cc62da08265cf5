"""A dataset goes to object storage and loads from there; what is there already is not sent again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'cirgen[s3]'")
pytest.importorskip("moto.server", reason="the S3 server of the tests is not installed: pip install 'cirgen[dev]'")

from buckets import BUCKET, Bucket, bucket_server
from cirgen.cli.app import main
from cirgen.errors import UserError
from cirgen.progress import Silent
from cirgen.publish.storage import send
from cirgen.stages.export import export
from runs import make_run

URL = f"s3://{BUCKET}/corpora/toys"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with bucket_server(monkeypatch) as made:
        yield made


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    run = make_run(tmp_path)
    export(run)
    return run.dataset


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_dataset_loads_from_the_bucket_that_it_was_sent_to(bucket: Bucket, dataset: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    send(dataset, URL, Silent())
    assert bucket.keys() == {f"corpora/toys/{name}" for name in names(dataset)}
    assert all(bucket.get(f"corpora/toys/{name}") == (dataset / name).read_bytes() for name in names(dataset))
    files = f"{URL}/triplets/train-*.parquet"
    rows = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert rows[0]["text"]


def test_what_is_there_is_not_sent_again_and_what_is_no_more_goes(bucket: Bucket, dataset: Path) -> None:
    first = send(dataset, URL, Silent())
    assert first.same_files == 0
    again = send(dataset, URL + "/", Silent())
    assert (again.sent_files, again.same_files, again.removed_files) == (1, first.sent_files - 1, 0)
    bucket.remove("corpora/toys/README.md")
    bucket.put("corpora/toys/notes.txt", b"somebody else's")
    assert send(dataset, URL, Silent()).sent_files == 2


def test_a_dataset_without_a_split_takes_away_that_of_the_last_version(bucket: Bucket, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    export(run)
    send(run.dataset, URL, Silent())
    smaller = make_run(tmp_path / "smaller", export={"license": "cc0-1.0", "rejected": False})
    export(smaller)
    sent = send(smaller.dataset, URL, Silent())
    assert sent.removed_files > 0
    assert bucket.keys() == {f"corpora/toys/{name}" for name in names(smaller.dataset)}


def test_a_folder_of_something_else_is_left_alone(bucket: Bucket, dataset: Path) -> None:
    bucket.put("corpora/toys/photo.png", b"a photo")
    with pytest.raises(UserError, match="name an empty folder"):
        send(dataset, URL, Silent())
    assert bucket.keys() == {"corpora/toys/photo.png"}


def test_the_command_takes_a_url_for_a_repository(
    bucket: Bucket, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["push", str(dataset), URL])
    assert not left.value.code
    assert f'data_files="{URL}/triplets/train-*.parquet"' in capsys.readouterr().out
    assert bucket.get("corpora/toys/manifest.json")


def test_a_storage_that_cannot_be_reached_is_one_sentence(bucket: Bucket, dataset: Path) -> None:
    with pytest.raises(UserError, match="s3://no-such-bucket/toys"):
        send(dataset, "s3://no-such-bucket/toys", Silent())


def test_a_url_as_run_folder_is_refused_with_the_option_to_take(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["run", "demo", "--output", URL])
    assert left.value.code == 1
    assert "give the url to --push" in capsys.readouterr().err
