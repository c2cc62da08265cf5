from __future__ import annotations

import io
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from cirgen.errors import UserError
from cirgen.world import render as drawing
from cirgen.world import style
from cirgen.world.render import FIXED, PLAIN, Nuisance, png_bytes, render, render_many, style_options
from cirgen.world.style import figure_style
from cirgen.world.vocabulary import ATTRIBUTES, BACKGROUND_PALETTE, HAIR_PALETTE, PALETTE
from figures import BASE, figures, levels, seeds

BARE = replace(BASE, object_kind="none", object_color="", object_count="")
"""A figure without objects."""


def rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color.removeprefix("#")))


def pixels_of(image: Image.Image, color: str) -> int:
    distance = np.abs(np.asarray(image, np.int16) - rgb(color)).sum(-1)
    return int((distance < 24).sum())


@settings(max_examples=40, deadline=None)
@given(figures)
def test_the_style_draws_exactly_the_attributes_of_the_figure(figure):
    dicebear, drawn_style = figure_style()
    drawn = dicebear.Avatar(drawn_style, FIXED | style_options(figure)).to_json()["options"]
    assert drawn["shirtColor"] == [PALETTE[figure.shirt_color]]
    assert drawn["pantsColor"] == [PALETTE[figure.pants_color]]
    assert drawn["shoesColor"] == [PALETTE[figure.shoes_color]]
    assert ("glassesVariant" in drawn) == (figure.glasses != "none")
    assert ("beardVariant" in drawn) == (figure.beard != "none")
    if figure.wears_hat:
        assert drawn["hatColor"] == [PALETTE[figure.hat_color]]
    else:
        assert drawn["hairColor"] == [HAIR_PALETTE[figure.hair_color]]


def test_a_picture_that_is_not_what_was_asked_for_is_an_error():
    with pytest.raises(RuntimeError, match="instead of what was asked for"):
        drawing._check_resolved({"shirtColor": ["#ffffff"]}, {"shirtColor": ["#000000"]})
    with pytest.raises(RuntimeError, match="beard"):
        drawing._check_resolved({"beardProbability": 0}, {"beardVariant": "full"})


@settings(max_examples=10, deadline=None)
@given(figures, levels, seeds)
def test_equal_figures_and_nuisance_give_equal_bytes(figure, level, seed):
    nuisance = Nuisance.draw(random.Random(seed), level)
    first = png_bytes(render(figure, nuisance))
    drawing._figure_drawing.cache_clear()
    assert png_bytes(render(figure, Nuisance.draw(random.Random(seed), level))) == first


def test_processes_draw_the_same_bytes_in_the_same_order():
    jobs = [(BASE, Nuisance.draw(random.Random(seed), "medium")) for seed in range(6)]
    assert list(render_many(jobs, workers=2, chunk=2)) == [png_bytes(render(*job)) for job in jobs]


@settings(max_examples=25, deadline=None)
@given(figures, levels, seeds)
def test_the_figure_is_never_cut_off(figure, level, seed):
    nuisance = Nuisance.draw(random.Random(seed), level)._replace(clutter=0)
    alone = replace(figure, object_kind="none", object_color="", object_count="")
    image = np.asarray(render(alone, nuisance, 96))
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (border == rgb(BACKGROUND_PALETTE[figure.background])).all()


@settings(max_examples=25, deadline=None)
@given(levels, seeds)
def test_objects_and_clutter_cover_no_attribute(level, seed):
    nuisance = Nuisance.draw(random.Random(seed), level)
    alone = replace(BARE, shoes_color="pink", pants_color="purple", shirt_color="yellow")
    crowded = replace(alone, object_kind="box", object_color="green", object_count="4")
    without, with_objects = render(alone, nuisance._replace(clutter=0)), render(crowded, nuisance)
    for part in ("pink", "purple", "yellow"):
        assert pixels_of(with_objects, PALETTE[part]) >= 0.9 * pixels_of(without, PALETTE[part]) > 0


@settings(max_examples=10, deadline=None)
@given(levels, seeds)
def test_every_object_more_can_be_seen(level, seed):
    nuisance = Nuisance.draw(random.Random(seed), level)
    counts = [replace(BARE, object_kind="box", object_color="green", object_count=str(n)) for n in range(1, 5)]
    areas = [pixels_of(render(figure, nuisance), PALETTE["green"]) for figure in counts]
    steps = np.diff([0, *areas])
    assert steps.min() > 0.6 * steps.max()


def test_a_hat_hides_the_hair_colour_of_brows_and_beard():
    hatted = [
        replace(BARE, head="cap", hair_color=color, hat_color="red", beard="full beard") for color in HAIR_PALETTE
    ]
    assert len({png_bytes(render(figure)) for figure in hatted}) == 1


@pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda attribute: attribute.name)
def test_every_value_changes_the_picture(attribute):
    shown = {"hat_color": {"head": "cap", "hair_color": ""}}.get(attribute.name, {})
    pictures = [render(replace(BASE, **shown, **{attribute.name: value}), PLAIN, 96) for value in attribute.hard
                if not (attribute.name == "head" and value in ("cap", "beanie", "bunny hood"))
                and not (attribute.name == "object_kind" and value == "none")]  # fmt: skip
    arrays = [np.asarray(picture, np.int16) for picture in pictures]
    differing = [(np.abs(a - b).sum(-1) > 40).sum() for i, a in enumerate(arrays) for b in arrays[:i]]
    assert min(differing) >= 20


def test_a_png_is_small_and_says_nothing_but_pixels():
    data = png_bytes(render(BASE, Nuisance.draw(random.Random(1), "medium")))
    opened = Image.open(io.BytesIO(data))
    assert opened.size == (192, 192)
    assert len(data) < 4096
    assert not opened.info
    assert {data[i : i + 4] for i in chunk_places(data)} == {b"IHDR", b"PLTE", b"IDAT", b"IEND"}


def chunk_places(data: bytes) -> list[int]:
    places, at = [], 8
    while at < len(data):
        places.append(at + 4)
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return places


def test_without_the_extra_the_error_names_what_to_install(monkeypatch):
    def missing(name, *arguments, **options):
        raise ModuleNotFoundError(name, name=name)

    monkeypatch.setattr(style, "import_module", missing)
    figure_style.cache_clear()
    with pytest.raises(UserError, match=r"pip install 'cirgen\[world\]'"):
        figure_style()
