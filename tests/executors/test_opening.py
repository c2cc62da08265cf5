"""What `--executor` says of a Ray that is not there, and what it leaves alone."""

from __future__ import annotations

import sys

import pytest

from cirgen.cli.app import main
from cirgen.errors import UserError
from cirgen.executors.ray import Ray
from cirgen.executors.settings import RaySettings
from cirgen.keys import recipe_hash
from cirgen.recipe_file import load_recipe


def test_a_missing_ray_names_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'cirgen\[ray\]'"):
        Ray(RaySettings())


def test_another_executor_is_a_mistake_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["run", "demo", "--executor", "slurm"])
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert "'local'" in told
    assert "'ray'" in told


def test_where_the_work_is_done_is_no_part_of_what_a_recipe_means() -> None:
    hashes = {
        recipe_hash(load_recipe("demo", settings).recipe.resolved(), {}, {})
        for settings in ([], ["ray.gpus=2", "ray.max_replicas=64", "ray.address=10.0.0.1:6379"])
    }
    assert len(hashes) == 1


def test_more_copies_at_least_than_at_most_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="swap them"):
        RaySettings(min_replicas=3, max_replicas=2)
