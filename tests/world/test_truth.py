from __future__ import annotations

import json
import random
from dataclasses import asdict
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from typer.testing import CliRunner

from cirgen.errors import UserError
from cirgen.world import evaluation_grammar, grammar
from cirgen.world.cli import app
from cirgen.world.confusions import confusions
from cirgen.world.figure import Figure
from cirgen.world.gallery import Gallery
from cirgen.world.shares import share
from cirgen.world.truth import MEASURES, Verdict, judge, judge_all, summary
from cirgen.world.truth_report import judge_dataset, slices
from cirgen.world.truth_words import MEANINGS
from cirgen.world.vocabulary import HAIRSTYLES
from figures import BASE, pairs, seeds

SHIRTS = ("red", "blue", "green", "yellow")
GLASSES = ("none", "sunglasses", "visor")
PANTS = ("brown", "black", "grey", "blue")
COUNTS = ("1", "2", "3")


def key(figure: Figure, copy: int = 0) -> str:
    return "/".join((*asdict(figure).values(), str(copy)))


def family() -> list[Figure]:
    return [
        BASE.with_values(shirt_color=shirt, glasses=glasses, pants_color=pants, object_count=count)
        for shirt, glasses, pants, count in product(SHIRTS, GLASSES, PANTS, COUNTS)
    ]


def gallery(*more: Figure) -> Gallery:
    members = [*family(), *more]
    return Gallery([key(figure) for figure in members], members)


GALLERY = gallery()
TARGET = BASE.with_values(shirt_color="blue", glasses="sunglasses")


def verdict(text: str, reference: Figure = BASE, target: Figure = TARGET, among: Gallery = GALLERY) -> Verdict:
    """Judge a text of a pair that joins the gallery."""
    with_pair = Gallery([*among.image_ids, "reference", "target"], [*among.figures, reference, target])
    return judge(with_pair, "reference", text, "target")


def test_a_text_that_tells_both_changes_is_good() -> None:
    found = verdict("make the shirt blue and add sunglasses")
    assert found == Verdict(parsed=True, correct=True, exhaustive=True, unique=True, composed=True)
    assert found.good


@pytest.mark.parametrize(
    "text",
    [
        "make the shirt green and add sunglasses",
        "make the shirt blue and add a visor",
        "make the shirt blue, add sunglasses and remove the balls",
        "make the shirt red and remove the sunglasses",
        "make the pants blue and add sunglasses",
        "make the shirt blue instead of green and add sunglasses",
        "make the hoodie blue and add sunglasses",
        "replace the visor with sunglasses and make the shirt blue",
        "add sunglasses, the shirt in the shoes' colour",
        "one more ball and sunglasses",
        "swap the colours of shirt and pants",
    ],
)
def test_one_false_claim_makes_a_text_incorrect(text: str) -> None:
    found = verdict(text)
    assert found.parsed
    assert not found.correct
    assert not found.unique
    assert not found.good


@given(pair=pairs, seed=seeds)
@settings(max_examples=200, deadline=None)
def test_the_change_back_is_not_the_change(pair: tuple[Figure, Figure], seed: int) -> None:
    reference, target = pair
    text = grammar.change(target, reference, random.Random(seed), "attribute")
    if text is None or "colours" in text:  # a swap is its own inverse
        return
    assert not verdict(text, reference, target).correct


@pytest.mark.parametrize("module", [grammar, evaluation_grammar])
@given(pair=pairs, seed=seeds)
@settings(max_examples=200, deadline=None)
def test_what_a_grammar_writes_is_correct_exhaustive_and_unique(module, pair, seed: int) -> None:
    reference, target = pair
    text = module.change(reference, target, random.Random(seed)) or ""
    found = verdict(text, reference, target)
    assert (found.correct, found.exhaustive, found.unique) == (True, True, True), text


@given(pair=pairs, seed=seeds)
@settings(max_examples=200, deadline=None)
def test_omissions_leave_a_text_correct(pair, seed: int) -> None:
    reference, target = pair
    text = evaluation_grammar.change(reference, target, random.Random(seed), exhaustive=False) or ""
    assert verdict(text, reference, target).correct, text


def test_restating_what_did_not_change_is_not_correct() -> None:
    found = verdict("make the shirt blue, add sunglasses and make the pants brown")
    assert found.exhaustive
    assert not found.correct


def test_a_caption_of_the_target_is_not_a_modification_text() -> None:
    for module in (grammar, evaluation_grammar):
        for seed in range(20):
            assert not verdict(module.caption(TARGET, random.Random(seed))).correct


def test_a_partial_text_is_correct_but_neither_exhaustive_nor_unique() -> None:
    found = verdict("add sunglasses")
    assert (found.correct, found.exhaustive, found.unique) == (True, False, False)


def test_a_partial_text_is_unique_where_the_gallery_has_no_rival() -> None:
    among = Gallery(["r", "t"], [BASE, TARGET])
    found = judge(among, "r", "add sunglasses", "t")
    assert (found.correct, found.exhaustive, found.unique) == (True, False, True)


def test_an_image_with_more_unclaimed_differences_does_not_fit() -> None:
    far = BASE.with_values(shirt_color="blue", pants_color="black", glasses="sunglasses")
    among = Gallery(["r", "t", "far"], [BASE, TARGET, far])
    assert judge(among, "r", "add sunglasses", "t").unique
    assert not judge(among, "r", "add sunglasses", "far").unique


def test_images_with_the_targets_attributes_are_positives_not_rivals() -> None:
    again = Gallery([*GALLERY.image_ids, "again"], [*GALLERY.figures, TARGET])
    assert verdict("make the shirt blue and add sunglasses", among=again).unique
    assert judge(again, key(BASE), "make the shirt blue and add sunglasses", "again").good


@pytest.mark.parametrize("text", ["", "make it nicer", "a red <unk> shirt", "the shirt is blue, i guess"])
def test_what_cannot_be_parsed_is_wrong_in_every_way(text: str) -> None:
    found = verdict(text)
    assert found == Verdict(parsed=False, correct=False, exhaustive=False, unique=False, composed=False)


def test_a_rare_value_is_found_by_the_text_alone() -> None:
    rare = BASE.with_values(beard="goatee")
    found = verdict("add a goatee", target=rare, among=gallery(rare))
    assert (found.correct, found.exhaustive, found.unique, found.composed) == (True, True, True, False)


def test_a_target_among_few_neighbours_is_found_by_the_image_alone() -> None:
    siblings = [BASE.with_values(shirt_color=color) for color in SHIRTS]
    strangers = [TARGET.with_values(head=style, hair_color="ginger", background="rose") for style in HAIRSTYLES]
    strangers += [figure.with_values(pants_color="grey") for figure in strangers]
    among = Gallery([str(row) for row in range(20)], [*siblings, *strangers])
    row = siblings.index(BASE.with_values(shirt_color="blue"))
    found = judge(among, "0", "make the shirt blue", str(row))
    assert (found.correct, found.unique, found.composed) == (True, True, False)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("one more ball", BASE.with_values(object_count="3")),
        ("the shirt in the pants' colour", BASE.with_values(shirt_color="brown")),
        ("swap the colours of shirt and pants", BASE.with_values(shirt_color="brown", pants_color="red")),
    ],
)
def test_relative_texts_are_true_of_their_pair(text: str, target: Figure) -> None:
    found = verdict(text, target=target)
    assert (found.correct, found.exhaustive, found.unique) == (True, True, True)
    assert not verdict(text, target=TARGET).correct


def test_more_without_a_number_is_correct_and_leaves_the_number_open() -> None:
    found = verdict("more balls", target=BASE.with_values(object_count="3"))
    assert (found.correct, found.exhaustive) == (True, False)
    assert not verdict("fewer balls", target=BASE.with_values(object_count="3")).correct


def test_a_relative_text_alone_is_satisfied_by_every_value() -> None:
    brown = BASE.with_values(shirt_color="brown")
    one_color = [
        BASE.with_values(shirt_color=color, pants_color=color, object_count=count)
        for color, count in product(("blue", "black", "grey", "green"), COUNTS)
    ]
    near = [BASE.with_values(shoes_color=shoes, object_count=n) for shoes, n in product(("red", "blue", "pink"), "24")]
    near += [figure.with_values(shoes_color="black") for figure in near]
    members = [BASE, brown, *one_color, *near, *(BASE.with_values(background=b) for b in ("rose", "mint", "sand"))]
    members += [BASE.with_values(object_color=color) for color in ("red", "yellow", "blue", "purple", "pink", "teal")]
    among = Gallery([str(row) for row in range(len(members))], members)
    assert judge(among, "0", "the shirt in the pants' colour", "1").good
    assert not judge(among, "0", "make the shirt brown", "1").composed  # no other shirt is brown


def test_what_is_named_and_not_changed_narrows_the_text_alone() -> None:
    hoodie = BASE.with_values(outfit="hoodie")
    blue = hoodie.with_values(shirt_color="blue")
    near = [hoodie.with_values(shoes_color=c) for c in ("red", "blue", "black", "pink", "yellow")]
    near += [hoodie.with_values(object_color=c) for c in ("red", "yellow", "blue", "purple", "pink")]
    among = gallery(hoodie, blue, *near)
    assert judge(among, key(hoodie), "make the top blue", key(blue)).composed
    assert not judge(among, key(hoodie), "make the hoodie blue", key(blue)).composed


def test_an_image_outside_the_gallery_is_an_error_that_names_the_fix() -> None:
    with pytest.raises(UserError, match="--attributes"):
        judge(GALLERY, "nowhere", "add sunglasses", key(BASE))


def attribute_table(folder: Path, figures: dict[str, Figure]) -> Path:
    file = folder / "attributes.parquet"
    pq.write_table(pa.Table.from_pylist([{"image_id": k, "family": 0} | asdict(f) for k, f in figures.items()]), file)
    return file


def test_a_gallery_is_read_from_the_attribute_table(tmp_path: Path) -> None:
    file = attribute_table(tmp_path, {"b": TARGET, "a": BASE})
    assert Gallery.load(file).image_ids == ("a", "b")
    assert Gallery.load(file, only=["b"]).figure("b") == TARGET
    with pytest.raises(UserError, match="lacks 1 of 2 images"):
        Gallery.load(file, only=["a", "c"])
    with pytest.raises(UserError, match="no attribute table"):
        Gallery.load(tmp_path / "nothing.parquet")
    pq.write_table(pa.table({"image_id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(UserError, match=r"lacks .*beard"):
        Gallery.load(tmp_path / "other.parquet")


def test_an_interval_is_wider_when_rows_come_in_clusters() -> None:
    rng = random.Random(0)
    hits = [hit for hit in (rng.random() < 0.5 for _ in range(100)) for _ in range(10)]
    alone = share(hits, list(range(1000)))
    clustered = share(hits, [row // 10 for row in range(1000)])
    assert alone is not None
    assert clustered is not None
    assert alone.share == clustered.share
    assert alone.low < alone.share < alone.high
    assert 2 < (clustered.high - clustered.low) / (alone.high - alone.low) < 4  # about the root of ten


def test_agreement_of_all_rows_is_not_certainty() -> None:
    found = share([True] * 40, [row // 4 for row in range(40)])
    assert found is not None
    assert found.high == pytest.approx(1.0)
    assert found.low == pytest.approx(0.7225, abs=1e-3)  # Wilson for 10 of 10
    assert share([], []) is None


def test_a_summary_is_the_same_for_the_same_seed() -> None:
    rng = random.Random(0)
    references = [rng.choice(family()) for _ in range(50)]
    rows = [(key(r), "add sunglasses", key(r.with_values(glasses="sunglasses"))) for r in references]
    verdicts = judge_all(GALLERY, rows)
    assert summary(verdicts, [row[0] for row in rows], seed=1) == summary(verdicts, [row[0] for row in rows], seed=1)


def dataset(folder: Path) -> Path:
    """A dataset of 3 accepted and 2 rejected triplets, in the shape that export writes."""
    green = BASE.with_values(shirt_color="green")
    accepted = [
        (BASE, "make the shirt blue and add sunglasses", TARGET),
        (BASE, "make the shirt green", TARGET),
        (BASE, "make it nicer", TARGET),
    ]
    rejected = [(BASE, "make the shirt green", green, "judge"), (BASE, "blue", TARGET, "round-trip")]
    ids = [str(row) for row in range(5)]
    for name, rows in (("triplets", accepted), ("rejected", rejected)):
        (folder / name).mkdir(parents=True)
        table = [
            {"triplet_id": ids.pop(), "reference_id": key(row[0]), "text": row[1], "target_id": key(row[2])}
            | ({"reason": row[3]} if name == "rejected" else {"hard_negatives": ["x"]})
            for row in rows
        ]
        pq.write_table(pa.Table.from_pylist(table), folder / name / "train-00000-of-00001.parquet")
    (folder / "images").mkdir()
    for split, members in (("train", family()[::2]), ("test", family()[1::2])):
        table = pa.table({"image_id": [key(figure) for figure in members]})
        pq.write_table(table, folder / "images" / f"{split}-00000-of-00001.parquet")
    return folder


def test_a_dataset_is_judged_by_what_was_accepted_and_rejected(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "dataset")
    table = attribute_table(
        tmp_path, {key(figure): figure for figure in [*family(), BASE.with_values(beard="goatee")]}
    )
    found = {part.name: part for part in slices(*judge_dataset(folder, table))}
    assert {name: part.rows for name, part in found.items()} == {
        "all": 5, "accepted": 3, "rejected": 2, "rejected: judge": 1, "rejected: round-trip": 1,
    }  # fmt: skip
    assert found["accepted"].measures["good"].share == pytest.approx(1 / 3)
    assert found["accepted"].measures["unparsable"].share == pytest.approx(1 / 3)
    assert found["rejected: judge"].measures["correct"].share == 1.0


def test_the_command_prints_the_same_figures_as_json_and_as_a_table(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "dataset")
    table = attribute_table(tmp_path, {key(figure): figure for figure in family()})
    arguments = ["truth", str(folder), "--attributes", str(table)]
    as_json = CliRunner().invoke(app, [*arguments, "--json"])
    assert as_json.exit_code == 0, as_json.output
    figures = json.loads(as_json.output)
    assert figures["accepted"]["rows"] == 3
    assert figures["accepted"]["good"]["share"] == pytest.approx(1 / 3)
    shown = CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})
    assert "33.3 [" in shown.output
    assert "Filtering took the share of good triplets from" in shown.output
    assert f"of {len(family())} images hardly ever more than ten" in shown.output  # so few say little of composed
    assert figures["filtering"]["accepted"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("word", MEANINGS)
def test_the_words_of_the_table_are_explained_below_it_and_in_the_help(tmp_path: Path, word: str) -> None:
    folder = dataset(tmp_path / "dataset")
    table = attribute_table(tmp_path, {key(figure): figure for figure in family()})
    for arguments in (["truth", str(folder), "--attributes", str(table)], ["truth", "--help"]):
        shown = CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})
        assert MEANINGS[word] in shown.output


def test_every_measure_has_a_meaning() -> None:
    assert set(MEASURES) < set(MEANINGS)


def test_held_out_pairs_are_a_slice(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "dataset")
    shown = BASE.with_values(outfit="hoodie", shirt_color="green")
    pq.write_table(pa.table({"image_id": [key(shown)]}), folder / "images" / "more.parquet")
    row = {"triplet_id": "t", "reference_id": key(BASE), "text": "a green hoodie", "target_id": key(shown)}
    pq.write_table(pa.Table.from_pylist([row]), folder / "triplets" / "more.parquet")
    table = attribute_table(tmp_path, {key(figure): figure for figure in [*family(), shown]})
    found = {part.name: part for part in slices(*judge_dataset(folder, table))}
    assert found["accepted, held-out pairs"].rows == 1
    assert found["accepted, held-out pairs"].measures["exhaustive"].share == 1.0


def test_a_folder_without_a_dataset_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name a run that came to its end, or its dataset folder"):
        judge_dataset(tmp_path, tmp_path / "attributes.parquet")


def test_confusions_name_what_captions_mix_up() -> None:
    rng = random.Random(0)
    mistaken = BASE.with_values(shirt_color="pink")
    found = confusions(
        [(BASE, grammar.caption(BASE, rng))] * 3 + [(mistaken, grammar.caption(BASE, rng)), (BASE, "a blur")]
    )
    rows = {row.attribute: row for row in found.attributes}
    assert (found.captions, found.exact, found.unreadable) == (5, 3 / 5, 1 / 5)
    assert rows["shirt_color"].accuracy == 3 / 5
    assert ("pink", "red", 1) in rows["shirt_color"].mistakes
    assert "hat_color" not in rows
    assert rows["glasses"].seen == 5
