"""Filters that ask a classifier: unsafe texts, and contradictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cirgen.classifiers.transformers import TransformersClassifier
from cirgen.errors import UserError
from cirgen.filters.base import Filter, Score
from cirgen.filters.contradiction import labelled
from cirgen.filters.tools import Tools
from cirgen.model_settings import Classifier
from cirgen.schemas import TRIPLET
from deciding import make_filter, triplets
from tiny_classifiers import NLI, save

CAPTIONS = {"reference_caption": "a man in a blue hat", "target_caption": "a man in a red hat"}


def score(part: Filter, *rows: dict[str, Any] | str) -> list[Score]:
    settings = part.classifier()
    classifier = TransformersClassifier(settings) if settings else None
    if classifier:
        part.check_labels(classifier.labels)
    tools = Tools(classifier=classifier)
    return part.score(pa.RecordBatch.from_pylist(triplets(*rows), schema=TRIPLET), tools)


def test_a_contradiction_is_asked_of_the_targets_caption_and_an_entailment_of_the_references(tmp_path: Path) -> None:
    model = {"model": save(tmp_path / "nli"), "batch_shape": 2}
    part = make_filter("contradiction", classifier=model, max_target=0.5)
    [found] = score(part, {"text": "make the hat red", **CAPTIONS})
    shares = TransformersClassifier(Classifier(**model)).probabilities(
        list(CAPTIONS.values()), ["make the hat red"] * 2
    )
    assert found.values == {"target": shares[1][0], "reference": shares[0][2]}


def test_without_a_caption_nothing_contradicts(tmp_path: Path) -> None:
    part = make_filter("contradiction", classifier={"model": save(tmp_path / "nli")}, max_target=0.5)
    none, both = score(part, "make the hat red", {"text": "make the hat red", **CAPTIONS})
    assert none.values == {"target": 0.0, "reference": 0.0}
    assert all(both.values.values())


@pytest.mark.parametrize(
    ("labels", "place"),
    [
        (NLI, 0),
        (("entailment", "neutral", "contradiction"), 2),
        (("Neutral", "Contradict", "Entail"), 1),
        (("not_entailment", "entailment", "_contradiction"), 2),
    ],
)
def test_the_label_is_found_however_a_model_writes_it(tmp_path: Path, labels: tuple[str, ...], place: int) -> None:
    model = TransformersClassifier(Classifier(model=save(tmp_path / "nli", labels=labels)))
    assert labelled(model.labels, "contradict") == place
    assert labels[labelled(model.labels, "entail")].casefold().startswith("entail")


@pytest.mark.parametrize("labels", [("LABEL_0", "LABEL_1", "LABEL_2"), ("entailment", "not_entailment")])
def test_a_model_whose_labels_say_nothing_is_told_in_one_sentence(tmp_path: Path, labels: tuple[str, ...]) -> None:
    part = make_filter("contradiction", classifier={"model": save(tmp_path / "nli", labels=labels)}, max_target=0.5)
    with pytest.raises(
        UserError,
        match=rf"needs one label that begins with 'contradict' and finds none among {', '.join(labels)}; name",
    ):
        score(part, {"text": "make the hat red", **CAPTIONS})


def test_unsafe_labels_that_exclude_each_other_add_up_and_others_do_not(tmp_path: Path) -> None:
    labels = ("safe", "hate", "sexual")
    unsafe = {"labels": ["sexual", "hate"], "max_probability": 0.5}
    one = {"model": save(tmp_path / "one", labels=labels)}
    many = {"model": save(tmp_path / "many", labels=labels, problem_type="multi_label_classification")}
    text = "make the hat red"
    for model, join in ((one, sum), (many, max)):
        shares = TransformersClassifier(Classifier(**model)).probabilities([text])[0]
        [found] = score(make_filter("unsafe", classifier=model, **unsafe), text)
        assert found.values["probability"] == pytest.approx(join(shares[1:]))


def test_a_label_that_the_model_lacks_is_told(tmp_path: Path) -> None:
    part = make_filter("unsafe", classifier={"model": save(tmp_path / "one")}, labels=["toxic"], max_probability=0.5)
    with pytest.raises(UserError, match="has no label toxic; choose among CONTRADICTION, NEUTRAL, ENTAILMENT"):
        score(part, "make the hat red")


def test_a_list_of_words_needs_no_classifier(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("# insults\nugly\nstupid hat\n\n", encoding="utf8")
    part = make_filter("unsafe", words=str(path))
    texts = ["an Ugly hat", "a stupid, hat!", "uglyness", "a stupid red hat", ""]
    found = score(part, *texts)
    assert [one.values for one in found] == [{"probability": 0.0, "listed": n} for n in (1, 1, 0, 0, 0)]
    assert [one.detail for one in found[:2]] == ["ugly", "stupid hat"]
    table = pa.table({name: [one.values[name] for one in found] for name in part.score_notes})
    assert part.decide(table) == ["lists a word", "lists a word", "", "", ""]


def test_of_a_list_the_content_is_a_part_of_the_key(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one.txt", "two.txt", "three.txt")]
    for path, text in zip(paths, ("ugly\nbad", "bad\n# a remark\nugly\n", "ugly"), strict=True):
        path.write_text(text)
    one, same, other = (make_filter("unsafe", words=str(path)).scoring() for path in paths)
    assert one == same != other


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "nothing says what is unsafe"),
        ({"classifier": {"model": "a/b"}, "max_probability": 0.5}, "a classifier and its unsafe labels go together"),
        ({"words": "w.txt", "labels": ["toxic"]}, "a classifier and its unsafe labels go together"),
        ({"words": "w.txt", "max_probability": 0.5}, "a classifier and max_probability go together"),
        ({"classifier": {"model": "a/b"}, "labels": ["toxic"]}, "without a bound"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_filter("unsafe", **settings)
