from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cirgen.cli.app import main
from cirgen.stages.ingest import ingest
from commands import cirgen, said
from ingest_runs import fill, make_run


def test_a_list_of_a_folder_says_how_many_pictures_and_how_to_use_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(tmp_path / "bench", 4)
    (folder / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(SystemExit) as caught:
        main(["fingerprint", str(folder), "-o", str(tmp_path / "list.parquet"), "--name", "CIRR test1"])
    assert not caught.value.code
    printed = capsys.readouterr().out
    assert "4 pictures of 'CIRR test1'" in printed
    assert "since they cannot be decoded: 1" in printed
    assert "broken.jpg: no picture format" in printed
    assert "name: decontamination" in printed


def test_figures_come_as_json_and_names_only_when_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, path = fill(tmp_path / "bench", 4), tmp_path / "list.parquet"
    with pytest.raises(SystemExit):
        main(["fingerprint", str(folder), "-o", str(path), "--names", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts == {"list": str(path), "name": "bench", "pictures": 4, "unreadable": []}
    assert pq.read_table(path).column("name").to_pylist() == [f"000{number}.png" for number in range(4)]


def test_a_run_has_a_list_without_its_pictures_being_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(tmp_path / "bench", 5)
    run = make_run(tmp_path / "run", {"kind": "folder", "path": str(folder)})
    ingest(run)
    from cirgen.changes import save_recipe

    save_recipe(run.folder, run.recipe)
    lists = [tmp_path / "folder.parquet", tmp_path / "run.parquet"]
    for place, path in zip((folder, run.folder), lists, strict=True):
        with pytest.raises(SystemExit) as caught:
            main(["fingerprint", str(place), "-o", str(path), "--names"])
        assert not caught.value.code, capsys.readouterr().err
        for picture in folder.glob("*.png") if place == run.folder else ():
            picture.unlink()
    of_folder, of_run = (sorted(map(str, pq.read_table(path).to_pylist())) for path in lists)
    assert of_folder == of_run


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    assert "There is no folder at" in said(cirgen(tmp_path, "fingerprint", "none", "-o", "list.parquet"))
    assert "write --output list.parquet" in said(cirgen(tmp_path, "fingerprint", ".", "-o", "list.json"))
