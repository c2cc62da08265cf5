"""report.html of a verdict: figures, plots, and queries with what two arms find for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cirgen import __version__, yaml_text
from cirgen.report.page import render
from cirgen.report.thumbnails import Thumbnails
from cirgen.shards import write_text
from cirgen_benchmark.verdict import plots
from cirgen_benchmark.verdict.gallery import DEPTH, TOP, compared, shown
from cirgen_benchmark.verdict.plan import planned
from cirgen_benchmark.verdict.preset import Preset
from cirgen_benchmark.verdict.results import Results
from cirgen_benchmark.verdict.runner import Runner
from cirgen_benchmark.verdict.statistics import DRAWS
from cirgen_benchmark.verdict.table import at_words
from cirgen_benchmark.verdict.words import per_cent, points, sentence

TEMPLATE = Path(__file__).with_name("report.html.j2")


def write_report(path: Path, results: Results, runner: Runner, corpus: str) -> None:
    """Write the page, which needs no other file."""
    preset = results.preset
    page = render(
        TEMPLATE,
        version=__version__,
        preset=preset,
        preset_yaml=yaml_text.write_yaml(preset.model_dump(mode="json")).strip(),
        corpus=corpus,
        sentence=sentence(results),
        results=results,
        arms=_arms(results),
        contrasts=results.contrasts(),
        at_words=at_words(preset),
        per_cent=per_cent,
        points=points,
        arm_plots=_arm_plots(results),
        contrast_plot=_contrast_plot(results),
        curves=_curves(results),
        compared=compared(preset),
        shown=shown(results, runner),
        picture=Thumbnails(runner.evaluated_images).uri,
        top=TOP,
        depth=DEPTH,
        draws=DRAWS,
    )
    write_text(path, page)


def _arms(results: Results) -> list[dict[str, Any]]:
    """Return one row an arm: what it is trained on, in words, and its figures by step."""
    about = {name: arm.about for name, arm in results.preset.arms.items()}
    steps = {arm.name: _steps(results.preset, arm.name) for arm in planned(results.preset) if not arm.curve}
    rows: dict[str, dict[str, Any]] = {}
    for arm in results.arms():
        row = rows.setdefault(arm.arm, {"name": arm.arm, "about": about[arm.arm], "steps": steps[arm.arm], "at": {}})
        row["at"][arm.at] = arm
    return list(rows.values())


def _steps(preset: Preset, name: str) -> str:
    arm = preset.arms[name]
    taken = [f"{step.stage} on {step.on}" for step in arm.steps] or ["the base model as it is"]
    return ", then ".join(taken) + ("" if arm.inputs == "both" else f"; {arm.inputs} of the query alone")


def _arm_plots(results: Results) -> dict[str, Any]:
    arms = results.arms()
    return {at: plots.arm_plot([arm for arm in arms if arm.at == at], results.preset.primary) for at in results.ats()}


def _contrast_plot(results: Results) -> Any:
    last = [one for one in results.contrasts() if one.at == "last"]
    return plots.contrast_plot(last, results.preset.primary) if last else None


def _curves(results: Results) -> Sequence[tuple[str, Any]]:
    points_of = results.curves()
    return [
        (name, plots.curve_plot(found, curve.vary, results.preset.primary))
        for name, curve in results.preset.curves.items()
        if (found := [point for point in points_of if point.curve == name and point.at == "last"])
    ]
