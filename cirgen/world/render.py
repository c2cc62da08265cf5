"""Draw toy figures: the figure itself, objects at its feet, and nuisance that no attribute describes."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from importlib import import_module
from multiprocessing import get_context
from typing import Any, NamedTuple

from PIL import Image

from cirgen.errors import UserError
from cirgen.world.figure import Figure
from cirgen.world.style import figure_style
from cirgen.world.vocabulary import (
    BACKGROUND_PALETTE,
    BEARDS,
    GLASSES,
    HAIR_PALETTE,
    HAIRSTYLES,
    HATS,
    NONE,
    OUTFITS,
    PALETTE,
    Level,
)

SIZE = 192
"""Default side of an image in pixels."""
COLORS = 48
"""Colours of a shipped PNG: enough that no flat area shifts visibly."""
CANVAS = 128.0
"""Side of the drawing in units; the style uses the same."""
FEET = (63.0, 120.0)
"""Where the style draws the feet of a figure, in units."""
GROUND = 116.0
"""Height of the ground in the drawing, in units."""
COVERED_HAIR = "#5b4632"
"""Brows and beard under a hat, where the hair colour must not be seen."""
FIXED = {
    "seed": "cirgen",
    "animationVariant": "none",
    "skinColor": ["#d29a6b"],
    "backgroundColor": ["#ffffff00"],
    "jacketColor": ["#3a3a44"],
    "eyesVariant": "open",
    "mouthVariant": "smile",
    "noseVariant": "block",
    "eyebrowsVariant": "flat",
    "eyebrowsProbability": 100,
    "cheeksProbability": 0,
    "topProbability": 100,
}
"""Options of the style that no attribute touches."""


class Jitter(NamedTuple):
    """How far one level moves a figure: shift in units, scale range, tilt in degrees, pieces of clutter."""

    shift: float
    scale: tuple[float, float]
    tilt: float
    clutter: tuple[int, int]


JITTER: dict[Level, Jitter] = {
    "easy": Jitter(2.0, (0.84, 0.88), 0.0, (0, 0)),
    "medium": Jitter(5.0, (0.76, 0.88), 3.0, (2, 4)),
    "hard": Jitter(7.0, (0.68, 0.86), 5.0, (4, 7)),
}


class Nuisance(NamedTuple):
    """What differs between two pictures of one figure: pose, crop, clutter, places of the objects."""

    dx: float
    dy: float
    scale: float
    tilt: float
    clutter: int
    clutter_seed: int

    @classmethod
    def draw(cls, rng: random.Random, level: Level) -> Nuisance:
        """Draw the nuisance of one image of `level`; nothing it does cuts off or covers an attribute."""
        jitter = JITTER[level]
        return cls(
            round(rng.uniform(-jitter.shift, jitter.shift), 2),
            round(rng.uniform(-jitter.shift / 2, jitter.shift / 2), 2),
            round(rng.uniform(*jitter.scale), 3),
            round(rng.uniform(-jitter.tilt, jitter.tilt), 2),
            rng.randint(*jitter.clutter),
            rng.randrange(2**32),
        )


PLAIN = Nuisance(0.0, 0.0, 0.86, 0.0, 0, 0)
"""The middle of the picture, upright, without clutter."""


def _optional(name: str, value: str, variants: dict[str, str]) -> dict[str, Any]:
    if value == NONE:
        return {f"{name}Probability": 0}
    return {f"{name}Variant": variants[value], f"{name}Probability": 100}


def style_options(figure: Figure) -> dict[str, Any]:
    """Return the options that make the style draw exactly `figure` (without its objects and background)."""
    options: dict[str, Any] = {
        "topVariant": (HATS | HAIRSTYLES)[figure.head],
        "hairColor": [COVERED_HAIR if figure.wears_hat else HAIR_PALETTE[figure.hair_color]],
        "outfitVariant": OUTFITS[figure.outfit],
        "shirtColor": [PALETTE[figure.shirt_color]],
        "pantsColor": [PALETTE[figure.pants_color]],
        "shoesColor": [PALETTE[figure.shoes_color]],
    }
    if figure.wears_hat:
        options["hatColor"] = [PALETTE[figure.hat_color]]
    return options | _optional("glasses", figure.glasses, GLASSES) | _optional("beard", figure.beard, BEARDS)


def _check_resolved(wanted: dict[str, Any], resolved: dict[str, Any]) -> None:
    """Fail if the style overrode an option: the truth about the picture would be wrong."""
    fixed = {key: value for key, value in FIXED.items() if key in resolved}
    shown = {key: value for key, value in (fixed | wanted).items() if not key.endswith("Probability")}
    wrong = {key: resolved.get(key) for key, value in shown.items() if resolved.get(key) != value}
    hidden = [key.removesuffix("Probability") for key, value in wanted.items() if value == 0]
    extra = [name for name in hidden if f"{name}Variant" in resolved]
    if wrong or extra:
        raise RuntimeError(f"the style drew {wrong or extra} instead of what was asked for")


@lru_cache(maxsize=512)
def _figure_drawing(figure: Figure) -> str:
    """Return the SVG elements of the figure alone, in the units of the style, on a transparent ground."""
    dicebear, style = figure_style()
    wanted = style_options(figure)
    avatar = dicebear.Avatar(style, FIXED | wanted)
    _check_resolved(wanted, avatar.to_json()["options"])
    svg: str = avatar.to_string()
    return svg[svg.index("<defs>") : svg.rindex("</svg>")]


def _ball(color: str) -> str:
    return (
        f'<circle r="9" fill="{color}" stroke="#222" stroke-opacity=".55" stroke-width="1.2"/>'
        '<ellipse cx="-3" cy="-3.5" rx="3" ry="2.2" fill="#fff" fill-opacity=".55"/>'
    )


def _box(color: str) -> str:
    return (
        f'<path d="M-9-4.5l4-4.5h14v13.5l-4 4.5h-14Z" fill="{color}" stroke="#222" stroke-opacity=".55" '
        'stroke-width="1.2"/><path d="M-9-4.5l4-4.5h14l-4 4.5Z" fill="#fff" fill-opacity=".4"/>'
        '<path d="M5-4.5l4-4.5v13.5l-4 4.5Z" fill="#000" fill-opacity=".28"/>'
    )


def _star(color: str) -> str:
    points = []
    for corner in range(10):
        radius, angle = (10.5 if corner % 2 == 0 else 4.6), math.pi * corner / 5
        points.append(f"{radius * math.sin(angle):.2f},{-radius * math.cos(angle):.2f}")
    return f'<path d="M{" ".join(points)}Z" fill="{color}" stroke="#222" stroke-opacity=".55" stroke-width="1.2"/>'


_OBJECTS = {"ball": _ball, "box": _box, "star": _star}
_PLACES = (-52.0, -31.5, 34.0, 54.0)
"""Where objects may stand, in units from the middle of the figure: clear of its legs, two on either side."""


def _objects(figure: Figure, nuisance: Nuisance) -> Iterator[str]:
    if not figure.count:
        return
    rng = random.Random(f"objects {nuisance.clutter_seed}")
    drawing = _OBJECTS[figure.object_kind](PALETTE[figure.object_color])
    for place in sorted(rng.sample(_PLACES, figure.count)):
        x = min(max(CANVAS / 2 + nuisance.dx * 0.6 + place + rng.uniform(-1, 1), 11.5), CANVAS - 11.5)
        yield f'<g transform="translate({x:.2f} {GROUND + rng.uniform(-1.5, 1):.2f})">{drawing}</g>'


def _cloud(rng: random.Random) -> str:
    width = rng.uniform(9, 15)
    return (
        f'<g fill="#fff" fill-opacity=".6"><ellipse rx="{width:.1f}" ry="4"/>'
        f'<ellipse cx="{width / 4:.1f}" cy="-3" rx="{width / 2:.1f}" ry="4.5"/></g>'
    )


def _plant(rng: random.Random) -> str:
    height = rng.uniform(12, 24)
    return (
        f'<path d="M0 0v-{height:.1f}M0-{height * 0.4:.1f}l-5-5M0-{height * 0.6:.1f}l5-5" fill="none" '
        'stroke="#77807a" stroke-opacity=".6" stroke-width="1.8"/>'
    )


def _confetti(rng: random.Random) -> str:
    strips = (
        f'<path d="M{rng.uniform(-9, 9):.1f} {rng.uniform(-9, 9):.1f}l{rng.uniform(-3, 3):.1f} 2"/>' for _ in range(5)
    )
    return f'<g stroke="#8d8f98" stroke-opacity=".6" stroke-width="1.3">{"".join(strips)}</g>'


def _clutter(nuisance: Nuisance) -> Iterator[str]:
    """Draw pale things behind the figure: no object, no colour of the palette."""
    rng = random.Random(f"clutter {nuisance.clutter_seed}")
    for _ in range(nuisance.clutter):
        piece, top, bottom = rng.choice(((_cloud, 8.0, 50.0), (_plant, 96.0, 108.0), (_confetti, 10.0, 95.0)))
        x = rng.uniform(6, 30) if rng.random() < 0.5 else rng.uniform(98, 122)
        yield f'<g transform="translate({x:.1f} {rng.uniform(top, bottom):.1f})">{piece(rng)}</g>'


def render_svg(figure: Figure, nuisance: Nuisance) -> str:
    """Return the picture as SVG text, `CANVAS` units wide and high."""
    x, y = CANVAS / 2 + nuisance.dx, GROUND + nuisance.dy
    pose = (
        f"translate({x:.2f} {y:.2f}) rotate({nuisance.tilt}) scale({nuisance.scale}) translate(-{FEET[0]} -{FEET[1]})"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {CANVAS:g} {CANVAS:g}" fill="none">'
        f'<rect width="{CANVAS:g}" height="{CANVAS:g}" fill="{BACKGROUND_PALETTE[figure.background]}"/>'
        f'{"".join(_clutter(nuisance))}<g transform="{pose}">{_figure_drawing(figure)}</g>'
        f"{''.join(_objects(figure, nuisance))}</svg>"
    )


def _rasteriser() -> Any:
    try:
        return import_module("resvg_py")
    except ModuleNotFoundError as error:
        raise UserError("drawing toy figures needs resvg_py; run `pip install 'cirgen[world]'`") from error


def render(figure: Figure, nuisance: Nuisance = PLAIN, size: int = SIZE) -> Image.Image:
    """Draw a figure as an RGB image of `size` x `size` pixels."""
    png = _rasteriser().svg_to_bytes(svg_string=render_svg(figure, nuisance), width=size, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGB")


def png_bytes(image: Image.Image) -> bytes:
    """Encode as a PNG of `COLORS` colours without metadata; equal pixels give equal bytes."""
    stream = io.BytesIO()
    palette = image.quantize(COLORS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette.info.clear()
    palette.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _render_png(job: tuple[Figure, Nuisance, int]) -> bytes:
    return png_bytes(render(*job))


def render_many(
    jobs: Iterable[tuple[Figure, Nuisance]], size: int = SIZE, workers: int = 2, chunk: int = 64
) -> Iterator[bytes]:
    """Yield the PNG bytes of every (figure, nuisance) in order, drawn by `workers` processes.

    The processes are spawned: a script that calls this must have an `if __name__ == "__main__"` guard.
    """
    sized = ((figure, nuisance, size) for figure, nuisance in jobs)
    if workers < 2:
        yield from map(_render_png, sized)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_render_png, sized, chunksize=chunk)
