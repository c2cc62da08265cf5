"""Text figures are what anybody would count."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_benchmarks import write_cirr, write_fashioniq

import cirgen
from cirgen.audit.corpora.open import Options, open_corpus
from cirgen.audit.corpus import Row
from cirgen.audit.figures import Section
from cirgen.audit.texts import SAMPLE, texts_section

DATA = Path(cirgen.__file__).parents[2] / "shared" / "data"


def rows(*texts: str) -> list[Row]:
    return [Row(f"r{n}", "train", "g", f"i{n}", text, "t") for n, text in enumerate(texts)]


def values(section: Section) -> dict[str, float]:
    return {figure.name: figure.value for figure in section.figures if figure.value is not None}


def test_a_few_texts_counted_by_hand() -> None:
    found = values(texts_section(rows("Make it red.", "make it RED", "make it blue and red", "")))
    assert (found["texts"], found["unique"], found["unique_share"], found["empty"]) == (4, 3, 75, 25)
    assert found["vocabulary"] == 5
    assert found["words_mean"] == pytest.approx(11 / 4)
    assert found["distinct_1"] == pytest.approx(5 / 11)
    assert found["distinct_2"] == pytest.approx(5 / 8)  # make it, it red, it blue, blue and, and red
    assert found["distinct_3"] == pytest.approx(4 / 5)
    assert found["opening_share"] == 50  # make it red


def test_faults_are_found_by_the_words_that_lint_knows() -> None:
    said = rows("the second image shows a dog", "change the cardinality", "<image> a cat", "make it red")
    found = values(texts_section(said))
    assert (found["meta_talk"], found["taxonomy"], found["residue"]) == (25, 25, 25)


def test_the_commonest_openings_and_texts_are_listed_most_frequent_first() -> None:
    openings, texts = texts_section(rows(*["is red now"] * 3, *["is blue now"] * 2, "has no dots")).lists
    assert openings.items == (("is red now", 3), ("is blue now", 2), ("has no dots", 1))
    assert texts.items == (("is red now", 3), ("is blue now", 2))


@given(st.lists(st.text("ab ", max_size=12), min_size=1, max_size=30), st.randoms())
def test_the_order_of_rows_changes_no_figure(texts: list[str], random: Any) -> None:
    said = rows(*texts)
    shuffled = random.sample(said, len(said))
    for name, value in values(texts_section(said)).items():
        assert values(texts_section(shuffled))[name] == pytest.approx(value)


def test_figures_of_the_sample_do_not_grow_with_the_corpus() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in range(60)]
    said = [" ".join(rng.choice(words, 6)) for _ in range(4 * SAMPLE)]
    small, large = values(texts_section(rows(*said[: 2 * SAMPLE]))), values(texts_section(rows(*said)))
    assert large["distinct_2"] < 0.8 * small["distinct_2"]
    assert large["distinct_2_sample"] == pytest.approx(small["distinct_2_sample"], rel=0.05)


# The same figures by other means: one character at a time, no pattern, no code of cirgen.


def plain_words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", text).casefold()
    found, word = [], ""
    for place, character in enumerate(folded):
        following = folded[place + 1] if place + 1 < len(folded) else " "
        if character.isalnum() or (character in "'\u2019" and word and word[-1].isalnum() and following.isalnum()):
            word += character
        else:
            found.append(word)
            word = ""
    return [one for one in [*found, word] if one]


def plain_figures(texts: list[str]) -> dict[str, float]:
    said = [plain_words(text) for text in texts]
    openings: Counter[str] = Counter(" ".join(one[:3]) for one in said)
    figures: dict[str, float] = {
        "texts": len(texts),
        "unique": len({" ".join(one) for one in said}),
        "vocabulary": len({word for one in said for word in one}),
        "words_mean": sum(map(len, said)) / len(said),
        "words_p50": float(np.median([len(one) for one in said])),
        "opening_share": 100 * max(openings.values()) / len(said),
        "openings": len(openings),
    }
    for n in (1, 2, 3):
        runs = [tuple(one[start : start + n]) for one in said for start in range(len(one) - n + 1)]
        figures[f"distinct_{n}"] = len(set(runs)) / max(1, len(runs))
    return figures


def plain_fashioniq(root: Path, captions: str) -> list[str]:
    texts = []
    for path in sorted((root / "captions").glob("cap.*.json")):
        for row in json.loads(path.read_text(encoding="utf8")):
            each = [caption.strip() for caption in row["captions"]]
            texts += each if captions == "each" else [" and ".join(caption.strip(".?, ") for caption in each)]
    return texts


def plain_cirr(root: Path) -> list[str]:
    files = sorted((root / "captions").glob("cap.rc2.*.json"))
    return [row["caption"].strip() for path in files for row in json.loads(path.read_text(encoding="utf8"))]


def check(root: Path, texts: list[str], options: Options | None = None) -> None:
    found = values(texts_section(open_corpus(str(root), options or Options()).rows))
    for name, value in plain_figures(texts).items():
        assert found[name] == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize("captions", ["joined", "each"])
def test_figures_of_a_made_fashioniq_are_those_of_a_plain_count(tmp_path: Path, captions: Any) -> None:
    root = write_fashioniq(tmp_path)
    check(root, plain_fashioniq(root, captions), Options(captions=captions))


def test_figures_of_a_made_cirr_are_those_of_a_plain_count(tmp_path: Path) -> None:
    root = write_cirr(tmp_path)
    check(root, plain_cirr(root))


def folder(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"the annotation files of {name} are not in {DATA / name}; made ones are audited above")
    return DATA / name


@pytest.mark.parametrize("captions", ["joined", "each"])
def test_figures_of_the_real_fashioniq_are_those_of_a_plain_count(captions: Any) -> None:
    root = folder("fashioniq")
    check(root, plain_fashioniq(root, captions), Options(captions=captions))


def test_figures_of_the_real_cirr_are_those_of_a_plain_count() -> None:
    root = folder("cirr")
    check(root, plain_cirr(root))
