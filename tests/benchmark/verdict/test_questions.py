"""What a preset's words for a set of queries come to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench_runs import tiny_preset
from made_benchmarks import write_json
from tiny_models import tiny_images

from benchmark_copies import fashioniq_copy
from cirgen.errors import UserError
from cirgen.progress import Silent
from cirgen_benchmark.data.corpus import Corpus
from cirgen_benchmark.protocols.parts import Part
from cirgen_benchmark.verdict.mixture import Mixture
from cirgen_benchmark.verdict.preset import Preset
from cirgen_benchmark.verdict.questions import questions


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    pictures = [tmp_path / f"{number}.png" for number in range(12)]
    for path, image in zip(pictures, tiny_images(len(pictures)), strict=True):
        image.save(path)
    return fashioniq_copy(tmp_path / "copy", pictures)


def of_people(copy: Path, share: float = 0.4) -> Preset:
    development = {"kind": "holdout", "share": share}
    return tiny_preset(root=str(copy), human={"kind": "fashioniq"}, development=development, curves={})


def part(preset: Preset, mixture: Mixture, which: str) -> Part:
    settings: Any = getattr(preset, which)
    (found,) = questions(settings, mixture, preset, Silent())[0].parts
    return found


def test_a_holdout_asks_what_never_trains_among_all_images_of_people(copy: Path, corpus_folder: Path) -> None:
    preset = of_people(copy)
    mixture = Mixture(preset, Corpus(corpus_folder))
    found, kept = part(preset, mixture, "development"), mixture.holdout
    assert [(one.reference, one.text, one.targets) for one in found.asked] == [
        (triplet.reference, triplet.texts[0], (triplet.target,)) for triplet in kept.development
    ]
    named = {name for triplet in (*kept.training, *kept.development) for name in (triplet.reference, triplet.target)}
    assert list(found.gallery) == sorted(named)


def test_a_triplet_whose_target_is_its_reference_asks_for_nothing(copy: Path, corpus_folder: Path) -> None:
    preset = of_people(copy)
    before = part(preset, Mixture(preset, Corpus(corpus_folder)), "development")
    first = before.asked[0].reference
    category = {"D": "dress", "S": "shirt", "T": "toptee"}[first[3]]
    path = copy / "captions" / f"cap.{category}.train.json"
    rows = json.loads(path.read_text())
    write_json(path, [{**row, "target": first} if row["candidate"] == first else row for row in rows])
    after = part(preset, Mixture(preset, Corpus(corpus_folder)), "development")
    assert [one.reference for one in after.asked] == [one.reference for one in before.asked[1:]]


def test_a_holdout_that_keeps_nothing_is_told(copy: Path, corpus_folder: Path) -> None:
    preset = of_people(copy, share=1e-9)
    with pytest.raises(UserError, match=r"The holdout keeps no triplet; raise development\.share"):
        part(preset, Mixture(preset, Corpus(corpus_folder)), "development")


def test_a_split_of_a_corpus_is_asked_among_all_its_images_with_every_known_right_answer(corpus_folder: Path) -> None:
    preset, corpus = tiny_preset(), Corpus(corpus_folder)
    found = part(preset, Mixture(preset, corpus), "evaluation")
    rows = corpus.of_split("test").accepted
    assert list(found.gallery) == list(corpus.images.ids)
    assert [one.id for one in found.asked] == [row.triplet_id for row in rows]
    for one, row in zip(found.asked, rows, strict=True):
        assert one.targets == (row.triplet.target, *row.triplet.positives)
        assert one.reference not in one.targets
