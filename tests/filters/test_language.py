from __future__ import annotations

import importlib.metadata
import sys

import pytest

from cirgen.errors import UserError
from deciding import make_filter, reason

ENGLISH = make_filter("language")
OTHERS = [
    "mache den Hut rot und entferne den Stuhl",
    "cambia el sombrero por una gorra azul",
    "remplacez le chapeau par une casquette bleue",
    "zamień kapelusz na niebieską czapkę",
    "帽子を赤くする",
    "把帽子换成红色",
    "сделай шляпу красной и убери стул со стола",
]
SHORT = ["make the hat red", "add a blue chair", "remove it", "change hat to beret", "is darker", "blue", "no dog", ""]


@pytest.mark.parametrize("text", OTHERS)
def test_a_sentence_in_another_language_is_rejected(text: str) -> None:
    assert reason(ENGLISH, text) == "another language"


@pytest.mark.parametrize("text", SHORT)
def test_of_few_words_the_detector_is_not_sure_so_they_pass(text: str) -> None:
    assert reason(ENGLISH, text) == ""


def test_another_language_may_be_wanted() -> None:
    german = make_filter("language", languages=["de", "en"])
    assert reason(german, OTHERS[0]) == ""
    assert reason(german, OTHERS[1]) == "another language"
    assert reason(make_filter("language", languages=["de"]), "a man in a red hat sits on the old chair") != ""


def test_short_texts_can_be_judged_too() -> None:
    text = "chapeau rouge"
    assert reason(ENGLISH, text) == ""
    assert reason(make_filter("language", min_words=0, min_confidence=0.05), text) == "another language"


def test_another_detector_or_other_languages_are_scored_again(monkeypatch: pytest.MonkeyPatch) -> None:
    scoring = ENGLISH.scoring()
    assert scoring != make_filter("language", languages=["en", "de"]).scoring()
    assert scoring == make_filter("language", min_confidence=0.9).scoring()
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9")
    assert scoring != make_filter("language").scoring()


def test_without_the_library_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(UserError, match=r"needs py3langid, .* pip install 'cirgen\[language\]'"):
        make_filter("language")


def test_building_a_recipe_loads_no_detector() -> None:
    before = set(sys.modules)
    make_filter("language")
    assert "py3langid" not in set(sys.modules) - before


def test_a_language_is_a_code() -> None:
    with pytest.raises(ValueError, match="match pattern"):
        make_filter("language", languages=["english"])
