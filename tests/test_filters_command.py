"""`cirgen filters` explains every filter that a recipe can name, on a narrow terminal."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cirgen.cli.app import app, main
from cirgen.described import described
from cirgen.filters.registry import FILTERS
from cirgen.filters.threshold import FIT_SUFFIX, SUFFIX


def shown(*words: str, columns: int = 80) -> str:
    result = CliRunner(env={"COLUMNS": str(columns), "TERM": "dumb"}).invoke(app, ["filters", *words])
    assert result.exit_code == 0
    return result.output


def test_the_list_has_every_filter_in_80_columns() -> None:
    lines = shown("ls").splitlines()
    assert {line.split()[0] for line in lines[1:] if line[:1].strip()} == set(FILTERS.names)
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", FILTERS.names)
def test_every_setting_and_every_score_of_a_filter_is_shown(name: str) -> None:
    text = shown("show", name, columns=200)
    part = FILTERS.find(name)
    for option in part.Settings.model_fields:
        if option != "name" and not option.endswith((SUFFIX, FIT_SUFFIX)):
            assert option in text
    for score in part.score_notes:
        assert score in text
    assert max(map(len, shown("show", name).splitlines())) <= 80


@pytest.mark.parametrize("name", FILTERS.names)
def test_a_default_is_the_one_that_a_recipe_gets(name: str) -> None:
    fields = FILTERS.find(name).Settings.model_fields
    for one in described(FILTERS.find(name).Settings):
        assert one.default == "" if fields[one.name].is_required() else one.default


def test_inherited_settings_have_their_meaning_too() -> None:
    found = {one.name: one for one in described(FILTERS.find("judge").Settings)}
    assert "share fewer of its mistakes" not in found["min_yes"].meaning
    assert "another model than the one that wrote the texts" in found["model"].meaning
    assert found["observed_tokens"].default == "96"


def test_an_unknown_filter_names_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["filters", "show", "liklihood"])
    assert end.value.code == 1
    assert "see `cirgen filters ls`" in capsys.readouterr().err
