from __future__ import annotations

import io
import json
from dataclasses import replace
from hashlib import sha256
from itertools import product
from math import comb
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cirgen.errors import UserError
from cirgen.world.build import IMAGES, TABLE, build, read_truth, shipped
from cirgen.world.cli import app
from cirgen.world.families import COLLECTIONS, collection
from cirgen.world.oracle import _top_share, oracles
from cirgen.world.render import png_bytes, render
from cirgen.world.vocabulary import Level
from figures import BASE

COLORS = ("red", "orange", "yellow", "green", "blue", "purple")


def rows_of(figures, families=None):
    return {row.pairs_of: row for row in oracles(figures, families or [0] * len(figures))}


def cube():
    """Six colours of shirt and pants, and three outfits: enough for three changes."""
    choices = product(COLORS, COLORS, ("hoodie", "overalls", "plain shirt"))
    return [replace(BASE, shirt_color=s, pants_color=p, outfit=o, object_color="pink") for s, p, o in choices]


def test_oracles_on_a_cube_are_what_counting_says():
    rows = rows_of(cube())
    # One change: 5 + 5 + 2 siblings tie for the ten first places of the image-only oracle.
    assert rows["1 change"].image_only == pytest.approx(10 / 12)
    # Three stated values fit one image.
    assert rows["3 changes"].text_only == 1.0
    # Two stated colours fit three images, a stated colour and outfit six.
    assert rows["2 changes"].text_only == 1.0
    assert rows["2 changes"].image_only == 0.0


def test_a_stated_value_that_many_images_show_is_a_matter_of_luck():
    # A shirt colour fits 18 images; the reference has another one. An outfit fits 36.
    rows = rows_of(cube())
    pairs = {"shirt or pants": 10, "outfit": 2}
    expected = (pairs["shirt or pants"] * 10 / 18 + pairs["outfit"] * 10 / 36) / 12
    assert rows["1 change"].text_only == pytest.approx(expected)


def test_of_two_pictures_of_the_target_either_counts():
    tied = np.ones((1, 20), np.int32)
    targets = np.arange(20)[None] < np.array([[1], [2]])
    shares = [float(_top_share(tied, row[None], np.ones((1, 20), bool))[0]) for row in targets]
    assert shares == pytest.approx([10 / 20, 1 - comb(18, 10) / comb(20, 10)])


def test_what_ranks_ahead_takes_places_away():
    scores = np.array([[2] * 8 + [1] * 4], np.int32)
    target = np.arange(12)[None] == 11
    assert _top_share(scores, target, np.ones((1, 12), bool)) == pytest.approx([2 / 4])
    assert _top_share(scores, target, np.arange(12)[None] > 0) == pytest.approx([3 / 4])


def test_a_relative_text_does_not_tell_the_colour():
    rows = rows_of(cube())
    # "The shirt in the colour of the pants": 6 colours x 3 outfits agree, 10 of them come first.
    assert rows["1 or 2, relative"].text_only < rows["2 changes"].text_only
    assert rows["1 or 2, relative"].pairs > 0


def test_taking_objects_off_is_one_change_and_putting_them_on_three():
    bare = replace(BASE, object_kind="none", object_color="", object_count="")
    figures = [replace(figure, outfit=outfit, shirt_color=color) for figure in (BASE, bare)
               for outfit in ("hoodie", "overalls") for color in COLORS[:3]]  # fmt: skip
    with_objects = {row.pairs_of: row.pairs for row in oracles(figures, [0] * len(figures))}
    # within either half: 3 outfits' or colours' neighbours each; off: 6 more with one change
    assert with_objects["1 change"] == 12 * 3 + 6
    assert with_objects["3 changes"] == 6 + 6 * 2


def test_pairs_across_families_do_not_count():
    figures = cube()
    assert rows_of(figures, [0] * 54 + [1] * 54)["1 change"].pairs < rows_of(figures)["1 change"].pairs


def test_figures_without_siblings_are_an_error():
    with pytest.raises(UserError, match="with families"):
        oracles(cube(), range(108))


@pytest.mark.parametrize(("purpose", "level"), list(product(COLLECTIONS, get_args(Level))))
def test_at_least_two_fifths_of_two_change_pairs_need_both_modalities(purpose, level):
    samples = collection(purpose, level)
    rows = oracles([sample.figure for sample in samples], [sample.family for sample in samples], most_pairs=1000)
    assert rows[1].pairs_of == "2 changes"
    assert rows[1].both_needed >= 0.4


def test_the_command_prints_the_figures_as_json():
    result = CliRunner().invoke(app, ["oracle", str(shipped() / TABLE), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.output)[1]["both_needed"] >= 0.4


def test_the_shipped_collection_is_named_by_content_and_its_table_is_complete():
    truth = read_truth(shipped() / TABLE)
    files = sorted((shipped() / IMAGES).glob("*.png"))
    assert [path.stem for path in files] == truth.image_ids
    assert all(sha256(path.read_bytes()).hexdigest() == path.stem for path in files)
    assert len(files) >= 1500


def test_the_shipped_collection_is_the_corpus_of_the_medium_level():
    truth = read_truth(shipped() / TABLE)
    assert sorted(truth.figures) == sorted(sample.figure for sample in collection("corpus"))


def test_the_shipped_pictures_show_their_attributes():
    truth = read_truth(shipped() / TABLE)
    drawn = {sample.figure: sample for sample in collection("corpus")}
    repeated = {figure for figure in truth.figures if truth.figures.count(figure) > 1}
    once = [pair for pair in zip(truth.image_ids, truth.figures, strict=True) if pair[1] not in repeated][::150]
    for image_id, figure in once:
        again = Image.open(io.BytesIO(png_bytes(render(figure, drawn[figure].nuisance)))).convert("RGB")
        kept = Image.open(shipped() / IMAGES / f"{image_id}.png").convert("RGB")
        # Another release of the rasteriser may shift edges by a shade; a goatee more shifts the mean by 0.28.
        assert np.abs(np.asarray(again, np.int16) - np.asarray(kept)).mean() < 0.2


def test_building_twice_writes_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        build("hard", tmp_path / name, images=24, purpose="development", workers=1)
    one, two = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.*")} for n in ("one", "two")
    )
    assert one == two
    assert len(one) == 25


def test_the_command_draws_a_collection_but_never_into_another_one(tmp_path):
    arguments = ["render", "--out", str(tmp_path), "--images", "3", "--workers", "1"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert len(read_truth(tmp_path / TABLE).image_ids) == 3
    with pytest.raises(UserError, match="give a new folder"):
        build("easy", tmp_path, images=3, workers=1)


def test_a_missing_table_names_the_command_that_writes_one(tmp_path):
    with pytest.raises(UserError, match="cirgen world render"):
        read_truth(tmp_path / "attributes.parquet")
