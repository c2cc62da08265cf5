"""`run.json` says what the recipe uses now; what must never be forgotten is kept apart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cirgen.changes import enter
from cirgen.errors import UserError
from cirgen.pipeline import Models, note_recipe
from cirgen.prompts import load_prompt
from cirgen.recipe_file import load_recipe
from cirgen.run_folder import Run
from cirgen.scratch import CLAIM_SUFFIX
from cirgen.shards import atomic_path
from cirgen.spending import Spending, Usage
from cirgen.store import Store


def run_of(folder: Path, *overrides: str) -> Run:
    return Run(folder, load_recipe("demo", overrides).recipe, Store(folder / "store"))


def test_a_noted_fact_replaces_and_an_added_one_is_kept(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    run.note_facts(models={"mllm": "a", "llm": "b"}, limit=3)
    run.note_facts(models={"mllm": "c"})
    run.add_to_fact("seconds", {"ingest": 1.0})
    run.add_to_fact("seconds", {"caption": 2.0})
    assert run.read_facts() == {"models": {"mllm": "c"}, "limit": 3, "seconds": {"ingest": 1.0, "caption": 2.0}}


def test_no_fact_is_lost_when_many_write_at_once(tmp_path: Path) -> None:
    def write(number: int) -> None:
        run = run_of(tmp_path)
        for _ in range(10):
            run.add_seconds("caption", 0.5)
            run.note_facts(**{f"fact{number}": number})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    facts = run_of(tmp_path).read_facts()
    assert facts == {"seconds": {"caption": 20.0}, **{f"fact{number}": number for number in range(4)}}


def test_what_is_spent_is_kept_as_often_as_rows_are(tmp_path: Path) -> None:
    clock = [0.0]
    spending = Spending(now=lambda: clock[0])
    run = Run(tmp_path, load_recipe("demo").recipe, Store(tmp_path / "store", flush_seconds=2.0), spending=spending)
    run.spending.count("m", Usage(1))
    assert "usage" not in run.read_facts()
    clock[0] = 2.0
    run.spending.count("m", Usage(1))
    assert run.read_facts()["usage"]["m"]["requests"] == 2


def test_prompts_are_those_of_the_recipe_while_the_lock_remembers_all(tmp_path: Path) -> None:
    first = run_of(tmp_path)
    note_recipe(first, Models(first))
    used = first.read_facts()
    second = run_of(tmp_path, "caption.prompts=[]")
    note_recipe(second, Models(second))
    facts = second.read_facts()
    assert set(facts["prompts"]) < set(used["prompts"]) == set(facts["prompt_lock"])
    caption = load_prompt(first.recipe.caption.prompts[0]).reference
    second.add_to_fact("prompt_lock", {caption: "0" * 64})
    assert enter(second) == []
    with pytest.raises(UserError, match="raise its version"):
        enter(first)


def test_leftovers_of_killed_runs_are_removed_and_files_being_written_are_not(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    leftovers = [run.folder / "run.json.1.tmp", run.derived / "pairs.tmp", run.store.root / "caption" / "a.tmp"]
    for path in leftovers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    half = [run.folder / "dataset.0.tmp", run.derived / "scratch.0.tmp"]
    for folder in half:
        folder.mkdir()
        folder.with_name(f"{folder.name}{CLAIM_SUFFIX}").touch()
        (folder / "half").touch()
    with atomic_path(run.catalog) as temporary:
        temporary.write_text("being written")
        run.remove_leftovers()
        assert temporary.exists()
        assert not any(path.exists() for path in (*leftovers, *half))
    assert run.catalog.read_text() == "being written"
