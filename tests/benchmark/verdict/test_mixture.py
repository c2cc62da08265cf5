"""What an arm trains on is decided by its seed and its numbers alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bench_runs import tiny_preset, world_corpus
from tiny_models import tiny_images

from benchmark_copies import fashioniq_copy
from cirgen.errors import UserError
from cirgen_benchmark.data.corpus import Corpus
from cirgen_benchmark.triplets import Triplet
from cirgen_benchmark.verdict.mixture import Mixture
from cirgen_benchmark.verdict.preset import DataSettings


@pytest.fixture(scope="module")
def mixture(corpus_folder: Path) -> Mixture:
    return Mixture(tiny_preset(), Corpus(corpus_folder))


def drawn(mixture: Mixture, seed: int = 0, **data: Any) -> list[Triplet]:
    return mixture.mixed(DataSettings.model_validate(data), seed)


def origins(triplets: list[Triplet]) -> Counter[str]:
    return Counter(triplet.origin for triplet in triplets)


def test_human_triplets_come_first_and_then_the_selection(mixture: Mixture) -> None:
    both = drawn(mixture, human=30, corpus="accepted")
    assert both == drawn(mixture, human=30) + drawn(mixture, corpus="accepted")
    assert origins(both) == {"human": 30, "synthetic": len(mixture.judged.accepted)}


def test_all_human_triplets_are_as_many_as_the_preset_says(mixture: Mixture) -> None:
    assert len(drawn(mixture, human=True)) == 48
    assert drawn(mixture, human=True) == mixture.triplets("human", 0)


def test_fewer_human_like_triplets_are_the_beginning_of_more_and_another_seed_draws_others(mixture: Mixture) -> None:
    many = drawn(mixture, human=48)
    assert drawn(mixture, human=7) == many[:7]
    assert not set(drawn(mixture, seed=1, human=48)) & set(many)


@pytest.mark.parametrize(("numbers", "rows"), [({"count": 20}, 20), ({"ratio": 1.5}, 45), ({"ratio": 0.001}, 1)])
def test_rows_of_the_corpus_are_drawn_by_count_or_for_every_human_triplet(
    mixture: Mixture, numbers: dict[str, float], rows: int
) -> None:
    found = drawn(mixture, human=30, corpus="accepted", **numbers)
    assert origins(found) == {"human": 30, "synthetic": rows}
    assert len(set(found)) == len(found)
    assert found == drawn(mixture, human=30, corpus="accepted", **numbers)
    assert found[30:] != drawn(mixture, seed=1, human=30, corpus="accepted", **numbers)[30:]


def test_which_rows_are_drawn_does_not_depend_on_the_human_triplets(mixture: Mixture) -> None:
    fewer, more = (drawn(mixture, human=human, corpus="accepted", count=20) for human in (10, 40))
    assert fewer[10:] == more[40:]


def test_pairs_have_all_texts_of_their_rows(mixture: Mixture) -> None:
    rows, pairs = (drawn(mixture, corpus="accepted", pairs=pairs) for pairs in (False, True))
    assert {text for pair in pairs for text in pair.texts} == {text for row in rows for text in row.texts}
    assert len(pairs) == len({(row.reference, row.target) for row in rows}) < len(rows)


def test_more_rows_than_there_are_is_an_error_that_says_how_many(mixture: Mixture) -> None:
    with pytest.raises(UserError, match=r"1,000 rows \(accepted\) of the corpus .* it has 75; lower count"):
        drawn(mixture, corpus="accepted", count=1000)


def test_every_image_that_a_triplet_names_can_be_opened(mixture: Mixture) -> None:
    named = {
        name for triplet in drawn(mixture, human=True, corpus="all") for name in (triplet.reference, triplet.target)
    }
    assert named <= set(mixture.images.ids)
    assert mixture.images.open(min(named)).mode == "RGB"


def test_another_corpus_trains_under_its_name_and_is_read_where_an_arm_uses_it(
    corpus_folder: Path, scratch: Path
) -> None:
    other = str(world_corpus(scratch / "other", each=5))
    data = {"human": {"human": True}, "both": {"human": True, "corpus": "accepted", "of": "other"}}
    preset = tiny_preset(corpora={"other": other, "unused": "nowhere"}, data=data)
    mixture = Mixture(preset, Corpus(corpus_folder))
    found = mixture.triplets("both", 0)
    assert [t.texts for t in found[48:]] == [row.triplet.texts for row in Corpus(other).accepted]
    assert mixture.fingerprints == {"judged": Corpus(corpus_folder).fingerprint, "other": Corpus(other).fingerprint}


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fashioniq")
    pictures = [folder / f"{number}.png" for number in range(9)]
    for path, image in zip(pictures, tiny_images(len(pictures)), strict=True):
        image.save(path)
    return fashioniq_copy(folder / "copy", pictures)


def of_people(corpus_folder: Path, **sections: Any) -> Mixture:
    return Mixture(tiny_preset(human={"kind": "fashioniq"}, curves={}, **sections), Corpus(corpus_folder))


def test_triplets_of_people_are_all_or_a_draw_for_each_seed(benchmark: Path, corpus_folder: Path) -> None:
    mixture = of_people(corpus_folder, root=str(benchmark))
    everything = drawn(mixture, human=True)
    assert len(everything) == 24
    assert drawn(mixture, seed=1, human=True) == everything
    some = [drawn(mixture, seed=seed, human=10) for seed in range(3)]
    assert all(len(set(one)) == 10 and set(one) <= set(everything) for one in some)
    assert len({frozenset(one) for one in some}) == 3
    with pytest.raises(UserError, match="There are 24 human triplets, and 25 are asked for"):
        drawn(mixture, human=25)


def test_a_holdout_never_trains(benchmark: Path, corpus_folder: Path) -> None:
    mixture = of_people(corpus_folder, root=str(benchmark), development={"kind": "holdout", "share": 0.45})
    kept = set(mixture.holdout.development)
    assert kept
    assert not kept & set(drawn(mixture, human=True, corpus="accepted"))
    assert len(kept) + len(drawn(mixture, human=True)) == 24


def test_a_copy_that_nobody_named_is_asked_for(corpus_folder: Path) -> None:
    with pytest.raises(UserError, match="reads a copy of fashioniq; say where it is with --root FOLDER"):
        drawn(of_people(corpus_folder), human=True)


def test_triplets_that_lack_an_image_are_counted(benchmark: Path, corpus_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for folder in ("captions", "image_splits"):
        (copy / folder).symlink_to(benchmark / folder)
    (copy / "images").mkdir()
    for path in sorted((benchmark / "images").iterdir())[1:]:
        (copy / "images" / path.name).symlink_to(path)
    mixture = of_people(corpus_folder, root=str(copy), allow_missing=True)
    left = 24 - len(drawn(mixture, human=True))
    assert left > 0
    assert mixture.remarks == [f"{left} human training triplets lack an image and are left out."]
