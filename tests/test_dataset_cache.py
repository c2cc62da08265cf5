"""What `datasets` keeps of a folder belongs to the folder as it is now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cirgen.dataset_cache import cache_of


def a_folder(path: Path, text: str = "a\n") -> Path:
    path.mkdir(parents=True)
    (path / "train.csv").write_text(text)
    return path


def test_a_folder_that_did_not_change_keeps_its_place(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "one")
    assert cache_of(str(folder)) == cache_of(f"{folder}/") == cache_of(str(folder)) is not None


@pytest.mark.parametrize("change", ["content", "time", "file", "folder"])
def test_whatever_changes_gets_another_place(tmp_path: Path, change: str) -> None:
    folder = a_folder(tmp_path / "one")
    before = cache_of(str(folder))
    if change == "content":
        (folder / "train.csv").write_text("a\nb\n")
    elif change == "time":
        os.utime(folder / "train.csv", (1, 1))
    elif change == "file":
        (folder / "test.csv").write_text("a\n")
    else:
        folder = a_folder(tmp_path / "other" / "one")
    assert cache_of(str(folder)) != before


def test_what_is_no_folder_has_the_place_of_datasets(tmp_path: Path) -> None:
    assert cache_of("somebody/something") is None
    assert cache_of(str(tmp_path / "gone")) is None


def test_a_folder_is_read_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = a_folder(tmp_path / "one", "text\nfirst\n")

    def texts() -> list[str]:
        loaded = datasets.load_dataset(str(folder), split="train", cache_dir=cache_of(str(folder)))
        return list(loaded["text"])

    assert texts() == ["first"]
    (folder / "train.csv").write_text("text\nother\n")
    assert texts() == ["other"]
