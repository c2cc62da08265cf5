"""A probability depends on its text, or pair of texts, alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from cirgen.classifiers.transformers import TransformersClassifier
from cirgen.errors import UserError
from cirgen.model_settings import Classifier
from tiny_classifiers import CONFIGS, NLI, change_config, save

TEXTS = ["make the hat red", "a man in a blue hat", "", "remove the chair " * 90, "make the hat red", "ugly"]
SECONDS = ["a dog", "make the hat red", "a cat is on the chair", "the man", "", "add a hat " * 90]


def classifier(folder: str, **settings: object) -> TransformersClassifier:
    return TransformersClassifier(Classifier(model=folder, batch_shape=4, tokens=24, **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("pairs", [False, True])
def test_no_bit_of_a_probability_depends_on_its_companions(tmp_path: Path, kind: str, pairs: bool) -> None:
    found = classifier(save(tmp_path / kind, kind))
    seconds = SECONDS if pairs else None
    together = found.probabilities(TEXTS, seconds)
    alone = [found.probabilities([text], [SECONDS[n]] if pairs else None) for n, text in enumerate(TEXTS)]
    assert (together == np.concatenate(alone)).all()
    np.testing.assert_allclose(together.sum(axis=1), 1)
    assert len({row.tobytes() for row in together}) > 3
    assert (together[0] == together[4]).all() == (not pairs)


@pytest.mark.parametrize("kind", CONFIGS)
def test_probabilities_are_those_that_transformers_gives(tmp_path: Path, kind: str) -> None:
    folder = save(tmp_path / kind, kind)
    mine = classifier(folder).probabilities(TEXTS[:2], SECONDS[:2])
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
    )
    for row, text, second in zip(mine, TEXTS, SECONDS, strict=False):
        logits = model(**tokenizer(text, second, return_tensors="pt")).logits
        np.testing.assert_allclose(row, torch.softmax(logits, -1)[0].detach().numpy(), atol=1e-5)


def test_labels_of_a_multi_label_model_are_questions_of_their_own(tmp_path: Path) -> None:
    folder = save(tmp_path / "m", labels=("toxic", "insult"), problem_type="multi_label_classification")
    found = classifier(folder)
    assert not found.exclusive
    assert found.labels == ("toxic", "insult")
    assert (abs(found.probabilities(TEXTS).sum(axis=1) - 1) > 1e-3).any()


def test_a_single_label_is_a_question_of_its_own(tmp_path: Path) -> None:
    found = classifier(save(tmp_path / "m", labels=("toxic",)))
    assert not found.exclusive
    assert ((found.probabilities(TEXTS) < 1) & (found.probabilities(TEXTS) > 0)).all()


def test_the_identity_is_the_content_and_the_shape(tmp_path: Path) -> None:
    folder = save(tmp_path / "one")
    shutil.copytree(folder, tmp_path / "copy")
    base = Classifier(model=folder)
    others = [{"batch_shape": 4}, {"tokens": 64}, {"dtype": "bfloat16"}, {"model": save(tmp_path / "two", seed=1)}]
    identities = [TransformersClassifier(base.model_copy(update=other)).identity for other in ({}, *others)]
    assert len(set(identities)) == 5
    assert TransformersClassifier(base.model_copy(update={"model": str(tmp_path / "copy")})).identity == identities[0]


def test_other_labels_are_another_model(tmp_path: Path) -> None:
    folder = save(tmp_path / "one")
    before = TransformersClassifier(Classifier(model=folder)).identity
    change_config(tmp_path / "one", id2label=dict(enumerate(reversed(NLI))))
    assert TransformersClassifier(Classifier(model=folder)).identity != before


def test_no_text_is_no_error(tmp_path: Path) -> None:
    assert classifier(save(tmp_path / "one")).probabilities([]).shape == (0, 3)


def test_what_classifies_no_texts_is_told(tmp_path: Path) -> None:
    folder = save(tmp_path / "one")
    change_config(tmp_path / "one", architectures=["BertModel"])
    with pytest.raises(UserError, match="classifies no texts"):
        classifier(folder)
    with pytest.raises(UserError, match="There is no model folder"):
        classifier(str(tmp_path / "none"))
    for path in (tmp_path / "one").glob("token*"):
        path.unlink()
    with pytest.raises(UserError, match="has a model but no tokenizer; save its AutoTokenizer there too"):
        classifier(folder)
