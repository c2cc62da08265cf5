"""The corpora of `cards/`: on the Hub, in an environment that has `datasets` alone, side by side, and as a page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cirgen import __file__ as package
from commands import cirgen, said
from hub_server import TOKEN, hub_server
from toy_corpora import FURNITURE, PUBLISHED, Corpus

ROOT = Path(package).parent.parent
LOAD = """
import sys
from datasets import get_dataset_config_names, load_dataset
name, revision = sys.argv[1], sys.argv[2] or None
for config in get_dataset_config_names(name, revision=revision):
    for split, rows in load_dataset(name, config, revision=revision).items():
        for row in rows:
            assert all(picture.size > (0, 0) for picture in row.values() if hasattr(picture, "size"))
        print(f"{config}/{split} {len(rows)}")
"""


def rows_of(printed: str) -> dict[str, int]:
    return {name: int(number) for name, number in (line.split() for line in printed.splitlines())}


@pytest.mark.long
@pytest.mark.integration
def test_a_corpus_goes_to_the_hub_and_comes_back_from_it_by_its_tag(small: Corpus, tmp_path: Path) -> None:
    with hub_server() as hub:
        environment = hub.environment(tmp_path / "home", TOKEN)
        arguments = ("push", str(small.folder), "owner/voxel-figures", "--public", "--tag", "v1.0.0")
        done = cirgen(tmp_path, *arguments, env=environment)
        assert done.returncode == 0, done.stderr
        card = hub.stored("owner/voxel-figures", "README.md").decode()
        loaded = subprocess.run(
            [sys.executable, "-c", LOAD, "owner/voxel-figures", "v1.0.0"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
    assert 'load_dataset("owner/voxel-figures", "text_first", split="test")' in card and "path/to/dataset" not in card
    assert rows_of(loaded.stdout) == small.manifest["rows"]


@pytest.mark.long
@pytest.mark.parametrize("published", [PUBLISHED, FURNITURE], ids=lambda folder: folder.name)
def test_a_published_corpus_loads_where_nothing_but_datasets_is_installed(tmp_path: Path, published: Path) -> None:
    """Every config, every split, every picture, in the versions that the project pins."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    constraints = str(ROOT / "constraints.txt")
    subprocess.run([python, "-m", "pip", "install", "-q", "-c", constraints, "datasets[vision]"], check=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [python, "-c", LOAD, str(published), ""],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert rows_of(done.stdout) == Corpus(published).manifest["rows"]


def test_make_publish_finds_the_corpora_of_the_checkout() -> None:
    plan = subprocess.run(
        ["make", "-n", "publish", "ORG=owner", "TAG=v1.0.0"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "for manifest in cards/*/manifest.json" in plan.stdout
    assert PUBLISHED / "manifest.json" in list(ROOT.glob("cards/*/manifest.json"))


def test_the_page_of_corpora_shows_each_side_by_side_with_figures_of_their_own(small: Corpus, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(small.folder, tmp_path / "cards" / name)
    bench = {"verdict": "The corpus helps by 2.0 points.", "corpora": {}}
    (tmp_path / "cards" / "two" / "measured" / "bench.json").write_text(json.dumps(bench))
    done = cirgen(tmp_path, "world", "cards", "cards")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "cards" / "README.md").read_text(encoding="utf8")
    lines = {
        line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1:] for line in page.splitlines() if " | " in line
    }
    assert page.count('load_dataset("cards/') == 2
    manifest = small.manifest
    told = " / ".join(f"{manifest['rows'][f'triplets/{split}']:,}" for split in ("train", "validation", "test"))
    assert lines["mined triplets, train / validation / test"][:2] == [told, told]
    truth = json.loads((small.folder / "measured" / "truth.json").read_text())["slices"]["accepted"]["good"]["share"]
    assert lines["good, of what the filters accepted"][0].startswith(f"{100 * truth:.1f} %")
    assert lines["shortcut rate"][0] == "\u2013", "nobody audited these"
    assert "**one** was not benched." in page
    assert "The corpus helps by 2.0 points." in page
    assert lines["of these left out, between two splits"][0] == f"{manifest['corpus']['left_out']['accepted']:,}"


def test_a_folder_without_corpora_is_told(tmp_path: Path) -> None:
    assert "There is no corpus in" in said(cirgen(tmp_path, "world", "cards", str(tmp_path)))


def test_the_published_page_is_that_of_the_published_corpora(tmp_path: Path) -> None:
    if not (ROOT / "cards" / "README.md").is_file():
        pytest.skip("the published corpora are in git alone")
    shutil.copytree(ROOT / "cards", tmp_path / "cards")
    done = cirgen(tmp_path, "world", "cards", "cards")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cards" / "README.md").read_bytes() == (ROOT / "cards" / "README.md").read_bytes()
