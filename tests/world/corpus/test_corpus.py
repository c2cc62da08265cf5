"""What a reader of the published corpora may count on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from cirgen import __file__ as package
from cirgen.audit.figures import Audit
from cirgen.errors import UserError
from cirgen.publish.manifest import file_hashes
from cirgen.run_folder import Run
from cirgen.stages.export import export
from cirgen.world.corpus.build import Given, audit_of, bench_of, build_corpus
from cirgen.world.furniture.render import SIDE as FURNITURE_SIDE
from cirgen.world.render import SIZE
from toy_corpora import QUESTIONS, Corpus

pytestmark = pytest.mark.integration

ROOT = Path(package).parent.parent
EVALUATED = ("validation", "test")
QUERIES = ("triplets", "text_first")
MEGABYTES = 40


def named(row: dict[str, Any]) -> Iterator[str]:
    """Return every image that a row names."""
    yield from (row["reference_id"], row["target_id"], *row["positive_ids"])
    yield from (wrong["image_id"] for wrong in row["hard_negatives"])


def test_every_image_that_is_named_is_there_with_its_attributes(corpus: Corpus) -> None:
    there = {row["image_id"] for row in corpus.rows("images")}
    assert there == set(corpus.attributes)
    for config in (*QUERIES, "rejected"):
        assert there.issuperset(name for row in corpus.rows(config) for name in named(row))
    assert there.issuperset(name for row in corpus.rows("baselines") for name in row["top_ids"])


def test_splits_share_no_attribute_combination_and_no_group_of_near_duplicates(corpus: Corpus) -> None:
    groups = {row["image_id"]: row["group"] for row in corpus.rows("images")}
    for key in (lambda name: tuple(corpus.attributes[name].values()), groups.__getitem__):
        splits = {(key(name), split) for name, split in corpus.split_of.items()}
        assert len({value for value, _ in splits}) == len(splits)


@pytest.mark.parametrize("config", [*QUERIES, "rejected"])
def test_a_row_names_images_of_its_own_split_alone(corpus: Corpus, config: str) -> None:
    for split in corpus.splits(config):
        assert {corpus.split_of[name] for row in corpus.rows(config, split) for name in named(row)} == {split}


def test_unseen_pairs_of_values_are_kept_out_of_train(corpus: Corpus) -> None:
    shown = corpus.unseen
    assert shown and {corpus.split_of[name] for name in shown} <= ({*EVALUATED} if corpus.is_furniture else {"test"})
    assert shown == {row["image_id"] for row in corpus.rows("attributes") if row["unseen_pair"]}
    for config in QUERIES:
        for row in corpus.rows(config):
            assert ("unseen_pair" in row["slices"]) == bool(shown & {row["reference_id"], row["target_id"]})


def answers(before: str, after: str, value: str) -> bool:
    """Whether a value is what an attribute may become, as the card explains `after`."""
    if after == "*":
        return value not in (before, "none", "")
    if after in ("more", "fewer"):
        return value not in ("", before) and (int(value) > int(before)) == (after == "more")
    return value == after


def test_no_text_first_query_comes_twice_under_its_id_or_with_the_answers_of_another(corpus: Corpus) -> None:
    for split in ("train", "validation", "test"):
        rows = corpus.rows("text_first", split)
        answers = {(row["reference_id"], frozenset([row["target_id"], *row["positive_ids"]])) for row in rows}
        assert len({row["query_id"] for row in rows}) == len(answers) == len(rows)


def test_the_right_answers_of_a_text_first_query_are_all_images_that_its_edit_makes_and_no_others(
    corpus: Corpus,
) -> None:
    for row in corpus.rows("text_first"):
        reference = corpus.attributes[row["reference_id"]]
        edit = {change["attribute"]: change for change in row["changes"]}
        assert all(reference[name] == change["before"] for name, change in edit.items())
        right = {
            name
            for name, values in corpus.attributes.items()
            if all(values[a] == reference[a] for a in values if a not in edit)
            and all(answers(change["before"], change["after"], values[a]) for a, change in edit.items())
        }
        assert right == {row["target_id"], *row["positive_ids"]}
        assert ("open" in row["slices"]) == (len({tuple(corpus.attributes[name].values()) for name in right}) > 1)


def test_whatever_shows_the_targets_attributes_is_a_positive_and_so_is_nothing_else_where_the_target_is_unique(
    corpus: Corpus,
) -> None:
    unique = {row["triplet_id"]: row["unique"] for row in corpus.rows("truth")}
    for row in corpus.rows("triplets"):
        target = corpus.attributes[row["target_id"]]
        twins = {name for name, values in corpus.attributes.items() if values == target}
        twins -= {row["target_id"], row["reference_id"]}
        positives = set(row["positive_ids"])
        assert twins <= positives and not positives & {row["target_id"], row["reference_id"]}
        assert positives == twins or not unique[row["triplet_id"]]


@pytest.mark.parametrize("config", QUERIES)
def test_no_hard_negative_is_a_right_answer_and_each_is_named_once(corpus: Corpus, config: str) -> None:
    for row in corpus.rows(config):
        wrong = [one["image_id"] for one in row["hard_negatives"]]
        assert len(set(wrong)) == len(wrong)
        assert not {row["target_id"], *row["positive_ids"]}.intersection(wrong)
        assert row["hard_negatives"][0] == {"image_id": row["reference_id"], "kind": "reference"}


@pytest.mark.parametrize("config", QUERIES)
def test_a_hard_negative_fails_in_the_way_that_its_kind_says(corpus: Corpus, config: str) -> None:
    seen: set[str] = set()
    for row in corpus.rows(config):
        old, new = corpus.attributes[row["reference_id"]], corpus.attributes[row["target_id"]]
        changed = {name for name in new if old[name] != new[name]}
        for one in row["hard_negatives"]:
            values, kind = corpus.attributes[one["image_id"]], one["kind"]
            apart = {name for name in new if values[name] != new[name]}
            seen.add(kind)
            if kind == "change_missing":
                assert apart and apart < changed and all(values[name] == old[name] for name in apart)
            elif kind == "one_wrong":
                assert len(apart) == 1 and apart <= changed and all(values[name] != old[name] for name in apart)
            elif kind == "too_much":
                assert 1 <= len(apart) <= 2 and not apart & changed
            elif kind == "wrong_direction":
                assert "count" in row["slices"] or "relation" in row["slices"] or "object_count" in changed
                if apart == {"object_count"}:
                    before, wanted, got = (int(one["object_count"]) for one in (old, new, values))
                    assert (got - before) * (wanted - before) < 0
            elif kind == "unlike_reference":
                assert sum(values[name] != old[name] for name in new) >= 3
    assert {"reference", "change_missing", "one_wrong", "too_much", "unlike_reference"} <= seen


def test_the_reworded_text_is_empty_in_train_and_another_one_elsewhere(corpus: Corpus) -> None:
    assert {row["reworded"] for row in corpus.rows("text_first", "train")} == {""}
    for split in EVALUATED:
        rows = corpus.rows("text_first", split)
        assert rows and all(row["reworded"] and row["reworded"] != row["text"] for row in rows)


@pytest.mark.parametrize("split", EVALUATED)
def test_every_query_has_the_rankings_of_three_searches_and_they_say_what_was_found(
    corpus: Corpus, split: str
) -> None:
    right = {
        (config, row.get("query_id") or row["triplet_id"]): (
            {row["target_id"], *row["positive_ids"]},
            row["reference_id"],
        )
        for config in QUERIES
        for row in corpus.rows(config, split)
    }
    methods = ("composed", "text_only", "image_only")
    wordings = (("text_first", "text"), ("text_first", "reworded"), ("triplets", "text"))
    wanted = {(c, q, w, m) for (c, q), (config, w), m in product(right, wordings, methods) if c == config}
    rows = corpus.rows("baselines", split)
    assert {(r["config"], r["query_id"], r["wording"], r["method"]) for r in rows} == wanted
    assert len(rows) == len(wanted)
    for row in rows:
        answers, reference = right[row["config"], row["query_id"]]
        top = row["top_ids"]
        assert len(set(top)) == len(top) == (10 if corpus.is_furniture else 20) and reference not in top
        first = next((place for place, name in enumerate(top, 1) if name in answers), None)
        assert row["rank"] == first if first else row["rank"] > len(top)


def test_the_recalls_are_those_of_the_rankings(corpus: Corpus) -> None:
    rows = corpus.rows("baselines", "test")
    for recall in json.loads((corpus.folder / "measured" / "baselines.json").read_text()):
        if (recall["split"], recall["slice"]) != ("test", "all"):
            continue
        key = ("config", "wording", "method")
        ranks = np.array([row["rank"] for row in rows if all(row[name] == recall[name] for name in key)])
        assert len(ranks) == recall["queries"]
        for k in (1, 5, 10, 50):
            assert recall[f"recall@{k}"]["share"] == pytest.approx((ranks <= k).mean())


def test_every_config_loads_and_has_the_rows_that_card_and_manifest_say(corpus: Corpus, tmp_path: Path) -> None:
    from datasets import get_dataset_config_names, load_dataset

    name, cache, side = str(corpus.folder), str(tmp_path), FURNITURE_SIDE if corpus.is_furniture else SIZE
    assert load_dataset(name, split="train", cache_dir=cache).column_names[:4] == [
        "triplet_id",
        "reference_id",
        "text",
        "target_id",
    ]
    found = {
        f"{config}/{split}": len(rows)
        for config in get_dataset_config_names(name)
        for split, rows in load_dataset(name, config, cache_dir=cache).items()
    }
    assert found == corpus.manifest["rows"]
    assert load_dataset(name, "images", split="train", cache_dir=cache)[0]["image"].size == (side, side)


def test_the_programs_of_the_card_print_what_it_says(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = [part.partition("```")[0] for part in corpus.card.partition("## Load it")[2].split("```python\n")[1:5]]
    told = [part.partition("```")[0] for part in corpus.card.partition("## Load it")[2].split("```text\n")[1:3]]
    scope: dict[str, Any] = {}
    for program in blocks:
        exec(program.replace("path/to/dataset", str(corpus.folder)), scope)
    printed = capsys.readouterr().out
    assert told[0].split() == printed[: len(told[0])].split()
    assert printed.endswith(told[1])
    assert len(scope["protocol"].parts[0].asked) == len(corpus.rows("text_first", "test"))
    assert scope["row"]["reference"].size == scope["row"]["target"].size


def test_the_card_is_of_the_files_beside_it_and_names_no_place_of_a_machine(corpus: Corpus) -> None:
    assert corpus.manifest["files"] == file_hashes(corpus.folder)
    texts = [path.read_text(encoding="utf8") for path in corpus.folder.rglob("*") if path.suffix in (".md", ".json")]
    assert not any(place in text for text in texts for place in ("/tmp/", "/home/", "/work/", "/root/"))


def test_the_card_says_that_it_is_a_diagnostic_and_what_is_bad_about_it(corpus: Corpus) -> None:
    words = " ".join(corpus.card.replace("\n>", "\n").split())
    assert "This is a diagnostic, not pretraining data." in words
    assert "The mined test queries do not measure composition." in words
    assert "are not good by the exact truth" in words
    assert "It cannot tell" in words


def test_the_card_counts_the_texts_that_it_publishes(corpus: Corpus) -> None:
    texts = [str(row["text"]) for row in corpus.rows("triplets")]
    opening, number = min(
        Counter(" ".join(text.lower().split(" ")[:3]) for text in texts).items(), key=lambda one: (-one[1], one[0])
    )
    said = f'{number / len(texts):.1%} of the mined texts open with the same three words ("{opening}"), and '
    assert f"{said}{len(set(texts)) / len(texts):.1%} of them are different" in " ".join(corpus.card.split())


# how it is made


@pytest.mark.long
def test_the_same_run_gives_the_same_bytes(small: Corpus, toy_run: Run, tmp_path: Path) -> None:
    build_corpus(toy_run, tmp_path / "again", each=QUESTIONS)
    assert file_hashes(tmp_path / "again") == file_hashes(small.folder)


def test_truth_changes_no_text_no_score_and_no_verdict_of_the_run(small: Corpus, toy_run: Run) -> None:
    export(toy_run)
    of_run = Corpus(toy_run.dataset)
    same = ("reference_id", "text", "target_id", "score_lint_words", "prompt_hash", "model")
    for config in ("triplets", "rejected"):
        before = {row["triplet_id"]: [row[name] for name in same] for row in of_run.rows(config)}
        after = {row["triplet_id"]: [row[name] for name in same] for row in small.rows(config)}
        assert after.items() <= before.items()
        left_out = small.manifest["corpus"]["left_out"]["accepted" if config == "triplets" else "rejected"]
        assert len(before) == len(after) + left_out
    assert sum(small.manifest["corpus"]["left_out"].values()) > 0, "the run has pairs between families"


def test_what_was_mined_as_wrong_and_fits_is_taken_out(small: Corpus, toy_run: Run) -> None:
    mined = {
        row["triplet_id"]: {wrong["image_id"] for wrong in row["hard_negatives"]}
        for row in pq.read_table(toy_run.triplets).to_pylist()
    }
    for row in small.rows("triplets"):
        assert not mined[row["triplet_id"]].intersection(row["positive_ids"]) & {
            wrong["image_id"] for wrong in row["hard_negatives"]
        }


def test_a_folder_that_is_no_corpus_is_left_alone(toy_run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something else than a corpus; give a new folder with --out"):
        build_corpus(toy_run, tmp_path, each=QUESTIONS)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (lambda path: Given(bench=path), "is no bench.json that can be read"),
        (lambda path: Given(audit=path), "is no audit that can be read"),
    ],
)
def test_figures_that_cannot_be_read_are_refused_and_the_old_corpus_stays(
    small: Corpus, toy_run: Run, tmp_path: Path, given: Any, sentence: str
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    before = file_hashes(small.folder)
    with pytest.raises(UserError, match=sentence):
        build_corpus(toy_run, small.folder, given(broken), each=QUESTIONS)
    assert file_hashes(small.folder) == before


def test_a_bench_or_an_audit_of_other_rows_is_refused(small: Corpus, tmp_path: Path) -> None:
    other = tmp_path / "bench.json"
    other.write_text(json.dumps({"corpora": {"judged": "f" * 64}, "corpus": "another"}))
    with pytest.raises(UserError, match="is of other rows; give the bench"):
        bench_of(small.folder, other)
    other.write_text(json.dumps(Audit("another", "corpus", "0", files={"triplets/x": "f" * 64}).record()))
    with pytest.raises(UserError, match="is an audit of other rows"):
        audit_of(small.folder, other)


def test_corpora_and_the_weights_that_made_them_stay_small() -> None:
    corpora = [path for path in (ROOT / "cards").rglob("*") if path.is_file()]
    weights = list((ROOT / "cirgen" / "world").rglob("*.safetensors"))
    assert sum(path.stat().st_size for path in (*corpora, *weights)) < MEGABYTES * 1_000_000
