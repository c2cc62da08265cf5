"""What a model brings beside its weights: files count by their content, and code is never run."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from cirgen.errors import UserError
from cirgen.model_files import find_model, local_model_folder, opened
from cirgen.resources import local_path

CODE = """
from pathlib import Path

from transformers import CLIPConfig, CLIPModel

Path({marker!r}).touch()



class EvilConfig(CLIPConfig):
    model_type = "evil"


class EvilModel(CLIPModel):
    config_class = EvilConfig
"""
MAPS = {
    "AutoConfig": "evil.EvilConfig",
    "AutoModel": "evil.EvilModel",
    "AutoModelForImageTextToText": "evil.EvilModel",
    "AutoProcessor": "evil.EvilModel",
    "AutoTokenizer": "evil.EvilModel",
}


def with_code(folder: Path, model_type: str = "evil") -> Path:
    """Return the shipped encoder, which says now that its code is in a file beside it; the file leaves a trace."""
    shutil.copytree(local_path("cirgen:filter-encoder"), folder)
    config = folder / "config.json"
    fields = json.loads(config.read_text(encoding="utf8"))
    config.write_text(json.dumps({**fields, "model_type": model_type, "auto_map": MAPS}), encoding="utf8")
    (folder / "evil.py").write_text(CODE.format(marker=str(trace(folder))), encoding="utf8")
    return folder


def trace(folder: Path) -> Path:
    return folder.with_name("ran")


@pytest.mark.parametrize("loader", [AutoConfig, AutoModel, AutoModelForImageTextToText])
def test_code_that_a_model_brings_is_refused_in_one_sentence(tmp_path: Path, loader: type) -> None:
    folder = with_code(tmp_path / "model")
    with pytest.raises(UserError, match="needs code that it brings, which cirgen does not run"):
        opened(loader, folder)
    assert not trace(folder).exists()


@pytest.mark.parametrize("loader", [AutoTokenizer, AutoProcessor])
def test_what_transformers_knows_of_such_a_model_opens_without_its_code(tmp_path: Path, loader: type) -> None:
    folder = with_code(tmp_path / "model")
    assert type(opened(loader, folder)).__module__.startswith("transformers.")
    assert not trace(folder).exists()


def test_code_beside_a_model_that_transformers_knows_is_not_looked_at(tmp_path: Path) -> None:
    folder = with_code(tmp_path / "model", "clip")
    assert type(opened(AutoModel, find_model(str(folder)).folder)).__module__.startswith("transformers.")
    assert not trace(folder).exists()


def test_whoever_asks_for_the_code_has_it_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the tests above would hold whatever cirgen did."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    folder = with_code(tmp_path / "model")
    opened(AutoConfig, folder, trust_remote_code=True)
    assert trace(folder).exists()


def test_nobody_at_a_terminal_is_asked_whether_code_may_run(tmp_path: Path) -> None:
    """Transformers by itself would wait for an answer there, and take "y"."""
    folder = with_code(tmp_path / "model")
    imports = "from cirgen.model_files import opened; from transformers import AutoConfig"
    script = f"{imports}; opened(AutoConfig, {str(folder)!r})"
    ours, theirs = pty.openpty()
    os.write(ours, b"y\n")
    done = subprocess.run([sys.executable, "-c", script], stdin=theirs, capture_output=True, text=True, check=False)
    os.close(ours)
    os.close(theirs)
    assert "UserError" in done.stderr
    assert "Do you wish to run" not in done.stdout
    assert not trace(folder).exists()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda weights: weights.unlink(), r"holds no weights; copy its \*\.safetensors there too"),
        (
            lambda weights: weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 9\n"),
            "only names its weights, as Git LFS does; run `git lfs pull` there",
        ),
    ],
)
def test_a_model_without_its_weights_is_told_before_anything_runs(
    tmp_path: Path, damage: Callable[[Path], Any], told: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(local_path("cirgen:filter-encoder"), folder)
    damage(folder / "model.safetensors")
    with pytest.raises(UserError, match=told):
        local_model_folder(str(folder))


@pytest.mark.parametrize("size", [4, 1_000])
def test_weights_that_are_cut_off_are_one_sentence(tmp_path: Path, size: int) -> None:
    folder = tmp_path / "model"
    shutil.copytree(local_path("cirgen:filter-encoder"), folder)
    os.truncate(folder / "model.safetensors", size)
    with pytest.raises(UserError, match=r"cannot be read \(.*\); copy its files there again"):
        opened(AutoModel, find_model(str(folder)).folder)


def test_a_folder_beside_the_files_of_a_model_is_no_part_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(local_path("cirgen:filter-encoder"), folder)
    before = find_model(str(folder)).content
    (folder / "tokenizer_backup").mkdir()
    assert find_model(str(folder)).content == before
