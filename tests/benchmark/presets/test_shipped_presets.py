"""What the shipped presets say: they load, the paper's have the paper's numbers, and each tells how to run it."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from cirgen.resources import data_folder
from cirgen_benchmark.models.registry import FAMILIES
from cirgen_benchmark.training.settings import BankSettings, StageSettings
from cirgen_benchmark.verdict.plan import planned
from cirgen_benchmark.verdict.preset import CIRRQueries, FashionIQQueries
from cirgen_benchmark.verdict.preset_file import PRESETS, load_preset

ADAMW = ((0.9, 0.999), 1e-7, 0.01)
ADAMW_OF_SPRC = ((0.9, 0.98), 1e-7, 0.05)
ADAMW_OF_TORCH = ((0.9, 0.999), 1e-8, 0.01)
ADAMW_OF_BLIP = ((0.9, 0.999), 1e-8, 0.05)


class Numbers(NamedTuple):
    """What decides a stage beside its data."""

    batch: int
    epochs: int
    rate: float
    temperature: float
    learned: bool
    adamw: tuple[tuple[float, float], float, float]
    mode: str


STAGE_TWO = {
    "spn4cir-clip-fashioniq": Numbers(256, 3, 2e-5, 0.02, False, ADAMW, "eval"),
    "spn4cir-clip-cirr": Numbers(256, 3, 2e-5, 0.02, False, ADAMW, "eval"),
    "spn4cir-tgcir-fashioniq": Numbers(256, 5, 2e-5, 0.02, False, ADAMW, "eval"),
    "spn4cir-tgcir-cirr": Numbers(256, 5, 2e-5, 0.01, False, ADAMW, "eval"),
    "spn4cir-blip-fashioniq": Numbers(128, 10, 5e-6, 0.03, True, ADAMW, "eval"),
    "spn4cir-blip-cirr": Numbers(128, 3, 6e-6, 0.02, True, ADAMW, "eval"),
    "spn4cir-blip2-fashioniq": Numbers(32, 3, 1e-5, 0.05, True, ADAMW_OF_SPRC, "train"),
    "spn4cir-blip2-cirr": Numbers(32, 3, 1e-5, 0.05, True, ADAMW_OF_SPRC, "train"),
    "spn4cir-zs-fashioniq": Numbers(128, 5, 2e-6, 0.02, False, ADAMW, "eval"),
    "spn4cir-zs-cirr": Numbers(128, 5, 2e-6, 0.02, False, ADAMW, "eval"),
}
"""SPN4CIR's README (commands) and training scripts at 2a413f7."""

STAGE_ONE = {
    "spn4cir-clip-fashioniq": Numbers(128, 100, 2e-6, 0.01, False, ADAMW, "eval"),
    "spn4cir-clip-cirr": Numbers(128, 100, 2e-6, 0.01, False, ADAMW, "eval"),
    "spn4cir-tgcir-fashioniq": Numbers(64, 30, 1e-4, 0.1, False, ADAMW_OF_TORCH, "eval"),
    "spn4cir-tgcir-cirr": Numbers(64, 30, 1e-4, 0.05, False, ADAMW_OF_TORCH, "eval"),
    "spn4cir-blip-fashioniq": Numbers(512, 20, 2e-5, 0.07, True, ADAMW_OF_BLIP, "eval"),
    "spn4cir-blip-cirr": Numbers(512, 40, 2e-5, 0.07, True, ADAMW_OF_BLIP, "eval"),
    "spn4cir-blip2-fashioniq": Numbers(128, 30, 2e-5, 0.07, True, ADAMW_OF_SPRC, "train"),
    "spn4cir-blip2-cirr": Numbers(128, 50, 1e-5, 0.07, True, ADAMW_OF_SPRC, "train"),
    "spn4cir-zs-fashioniq": Numbers(48, 10, 2e-6, 0.01, False, ADAMW, "eval"),
    "spn4cir-zs-cirr": Numbers(48, 10, 2e-6, 0.01, False, ADAMW, "eval"),
}
"""The READMEs and training code of CLIP4Cir, TG-CIR, Candidate-Reranking-CIR and SPRC; zero-shot: SPN4CIR's README."""

REFERENCE = {"clip": "remove", "tgcir": "keep", "blip": "keep", "blip2": "keep", "zs": "remove"}
"""What SPN4CIR's validate.py of each method does with a query's reference in FashionIQ's ranking."""
CAPITALISED = {"tgcir", "blip", "blip2"}
OWN = ("fashioniq", "cirr", "fashioniq-zs", "cirr-zs")

every_preset = pytest.mark.parametrize("name", PRESETS.names())
of_the_paper = pytest.mark.parametrize("name", sorted(STAGE_TWO))


def numbers(stage: StageSettings) -> Numbers:
    optimiser = stage.optimiser
    adamw = (optimiser.betas, optimiser.epsilon, optimiser.weight_decay)
    assert stage.epochs is not None
    return Numbers(
        stage.batch, stage.epochs, optimiser.rate, stage.temperature, stage.learn_temperature, adamw, stage.mode
    )


@every_preset
def test_a_preset_loads_and_says_how_to_run_it_and_what_it_asks(name: str) -> None:
    assert load_preset(name).name == name
    first, second, *_ = (data_folder("presets") / f"{name}.yaml").read_text(encoding="utf8").splitlines()
    assert first.startswith("# To run: cirgen bench ")
    assert f"--preset {name}" in first
    assert second.startswith("# ")
    assert second.endswith((".", "?"))


def test_what_ships_is_the_embedded_worlds_ours_and_the_papers_ten() -> None:
    assert set(PRESETS.names()) == {"demo", "demo-full", "furniture", *OWN, *STAGE_TWO}
    assert len(STAGE_TWO) == 10


@of_the_paper
def test_both_stages_have_the_numbers_of_the_papers_code(name: str) -> None:
    stages = load_preset(name).stages
    assert numbers(stages["bank"]) == STAGE_TWO[name]
    assert numbers(stages["one"]) == STAGE_ONE[name]
    assert stages["bank"].bank == BankSettings()
    assert all(stage.precision == "float16" and stage.select == "last" for stage in stages.values())


SCHEDULES = {
    "tgcir": ((("model", 1e-5),), {"spn4cir-tgcir-fashioniq": (30, 0.01), "spn4cir-tgcir-cirr": (30, 0.01)}),
    "blip": ((), {"spn4cir-blip-fashioniq": (20, 0.00616), "spn4cir-blip-cirr": (10, 0.02447)}),
    "blip2": ((), {"spn4cir-blip2-fashioniq": (30, 1e-6), "spn4cir-blip2-cirr": (80, 4e-6)}),
}
"""By method: rates of parts, and for each preset the share of the rate that is left after so many epochs."""


@of_the_paper
def test_stage_one_has_the_schedule_and_the_rates_of_its_methods_code(name: str) -> None:
    stages = load_preset(name).stages
    method = name.split("-")[1]
    rates, schedules = SCHEDULES.get(method, ((), {}))
    optimiser = stages["one"].optimiser
    assert tuple((part.of, part.rate) for part in optimiser.rates) == rates
    if name not in schedules:
        assert optimiser.schedule is None
    else:
        epochs, left = schedules[name]
        assert optimiser.schedule is not None
        assert optimiser.schedule.share(epochs * 100 - 1, 100) == pytest.approx(left, rel=1e-3)
    assert all(stages[two].optimiser.schedule is None for two in ("in_batch", "bank"))


@of_the_paper
def test_the_protocol_is_that_of_the_methods_row(name: str) -> None:
    preset = load_preset(name)
    _, method, benchmark = name.split("-")
    assert preset.seeds == (42,)
    assert preset.base.family == ("clip" if method == "zs" else method)
    assert preset.base.options == {"target_pad": None if method == "tgcir" else 1.25}
    if benchmark == "cirr":
        assert preset.evaluation == CIRRQueries()
        assert preset.submissions is not None
        assert "corpus, bank" in preset.submissions.arms
    else:
        assert preset.evaluation == FashionIQQueries(reference=REFERENCE[method], capitalised=method in CAPITALISED)
    mixes = [data for data in preset.data.values() if data.corpus]
    assert all(data.pairs == (benchmark == "cirr") for data in mixes)


@of_the_paper
def test_selection_on_the_reported_split_is_marked_and_is_the_papers_supervised_way_alone(name: str) -> None:
    assert load_preset(name).selects_on_reported_split == ("-zs-" not in name)


@pytest.mark.parametrize("name", [*STAGE_TWO, *OWN])
def test_the_arms_of_a_contrast_begin_with_one_stage_one_and_take_as_many_steps(name: str) -> None:
    preset = load_preset(name)
    compared = [
        one for key in ("corpus", "bank") for one in (*preset.contrasts[key].plus, *preset.contrasts[key].minus)
    ]
    trained = [arm for arm in planned(preset) if arm.name in compared and arm.steps]
    first = {arm.steps[0] for arm in trained}
    assert len(first) == 1
    seconds = [arm.steps[1] for arm in trained]
    assert len({(step.epochs_of or step.data).model_dump_json() for step in seconds}) == 1
    alike = {step.stage.model_copy(update={"loss": "in_batch"}).model_dump_json() for step in seconds}
    assert len(alike) == 1
    assert {step.stage.loss for step in seconds} == {"in_batch", "bank"}
    assert all(step.stage.trains == "query" for step in seconds)


@pytest.mark.parametrize("name", OWN)
def test_what_cirgen_recommends_keeps_development_apart_and_has_controls(name: str) -> None:
    preset = load_preset(name)
    assert not preset.selects_on_reported_split
    assert preset.development is not None
    assert preset.development.kind in {"holdout", "corpus"}
    assert len(preset.seeds) >= 3
    assert {data.corpus for data in preset.data.values() if data.corpus} == {"accepted", "all", "random"}
    assert sum(contrast.primary for contrast in preset.contrasts.values()) == 3


@every_preset
def test_options_are_those_of_the_family(name: str) -> None:
    base = load_preset(name).base
    FAMILIES[base.family].Options.model_validate(base.options)


def test_other_galleries_of_the_reported_split_count_as_that_split() -> None:
    """Else a step chosen on val would pass as chosen elsewhere, for ranking the references, too."""
    other = ["development={kind: fashioniq, gallery: val_union, reference: keep}"]
    assert load_preset("spn4cir-clip-fashioniq", other).selects_on_reported_split
    assert load_preset("spn4cir-zs-fashioniq", [*other, "select_by=mean"]).selects_on_reported_split


@pytest.mark.parametrize("name", ["demo", "demo-full"])
def test_every_arm_and_curve_of_the_demo_can_draw_its_batches_from_the_demos_corpus(name: str) -> None:
    preset, accepted = load_preset(name), 2_120
    for step in (step for arm in planned(preset) for step in arm.steps):
        human = preset.human.triplets or 0 if step.data.human is True and preset.human else int(step.data.human)
        wanted = accepted if step.data.ratio is None else round(step.data.ratio * human)
        assert wanted <= accepted
        assert human + (wanted if step.data.corpus else 0) >= step.stage.batch
