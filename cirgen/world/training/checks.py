"""What a judge is taught beside what the generator knows: take a text apart, check its claims, compare two changes."""

from __future__ import annotations

import random

from cirgen.world.claims import Among, Claims, Given, Value
from cirgen.world.figure import HIDDEN, Figure
from cirgen.world.grammar import change_parts
from cirgen.world.parser import parse
from cirgen.world.training.faults import FAULTS_OF_THE_JUDGE, Faulty, altered, faulty_text
from cirgen.world.training.probes import claims_probe, shown_probe
from cirgen.world.training.tasks import Lesson, ask, change_images, full_caption, judge_change, true_text
from cirgen.world.truth import hold
from cirgen.world.vocabulary import ATTRIBUTES, Level

TRUE, FALSE, UNSUPPORTED = "true", "false", "unsupported"

CHANGES = 4
"""Texts asked for one pair: a judge that cannot say what changed cannot tell what did not."""
CHECKS = 6
"""Claims checked on one image."""
CHANGE_CHECKS = 1
"""Claims checked on one pair."""
COMPARISONS = 2
"""Texts compared with the observed change of one pair."""
VERDICTS = 2
"""Texts judged in one step, for one pair."""

MISTAKEN_SHARE = 0.25
"""Share of comparisons whose observed change is itself mistaken, as a model's is: the images decide then."""

_ELSEWHERE_SHARE = 0.25
"""Share of claims about what an image does not show at all."""
_TRIES = 12


def is_absolute(claims: Claims) -> bool:
    """Return whether the target alone can show the claims."""
    return all(isinstance(claim, Value | Among | Given) for claim in claims)


def shown(claims: Claims, figure: Figure) -> str:
    """Return the verdict on absolute claims, from one image: `unsupported` where it cannot show what they speak of."""
    found = {_shown(claim, figure) for claim in claims if isinstance(claim, Value | Among)}
    return next((verdict for verdict in (FALSE, UNSUPPORTED) if verdict in found), TRUE)


def _shown(claim: Value | Among, figure: Figure) -> str:
    actual = getattr(figure, claim.attribute)
    values = (claim.value,) if isinstance(claim, Value) else claim.values
    if actual == HIDDEN:
        return UNSUPPORTED
    return TRUE if actual in values else FALSE


def check_target(figure: Figure, rng: random.Random, level: Level) -> Lesson:
    """Ask whether one image shows how it is after a change; as often true as not."""
    told = next(filter(None, (_claim(figure, rng, level) for _ in range(_TRIES))), None)
    if told is None:
        return full_caption(figure, rng)
    claims = parse(told.text) or ()
    lesson = ask("check-target", shown(claims, figure), claim=told.text)
    return lesson._replace(
        probes=(
            claims_probe(figure, figure, told.before, told.after),
            shown_probe(figure, figure, told.before, told.after),
        )
    )


def _claim(figure: Figure, rng: random.Random, level: Level) -> Faulty | None:
    """Tell one edit that leads to what the image shows, to another value, or to what it cannot show."""
    name = rng.choice([a.name for a in ATTRIBUTES if getattr(figure, a.name) != HIDDEN])
    if rng.random() < _ELSEWHERE_SHARE:
        after = altered(figure, rng.choice(("head", "object_kind")), rng, level)
        name = rng.choice(("hat_color", "hair_color", "object_color", "object_count"))
    else:
        after = figure if rng.random() < 0.5 else altered(figure, name, rng, level)
    if getattr(after, name) == HIDDEN:
        return None
    before = altered(after, name, rng, level)
    parts = change_parts(before, after, rng)
    claims = parse(parts[1][0]) if parts and len(parts[1]) == 1 else None
    return Faulty(parts[1][0], before, after) if parts and claims and is_absolute(claims) else None


def check_change(reference: Figure, target: Figure, rng: random.Random, level: Level) -> Lesson:
    """Ask whether one change, relative ones included, is true of a pair."""
    if rng.random() < 0.5:
        told = Faulty(rng.choice((change_parts(reference, target, rng) or ("", [""]))[1]), reference, target)
    else:
        told = faulty_text(reference, target, rng, level)[1]
        told = told._replace(text=rng.choice((change_parts(told.before, told.after, rng) or ("", [told.text]))[1]))
    claims = parse(told.text) or ()
    holds = bool(claims) and hold(claims, reference, target)
    answer = TRUE if holds else UNSUPPORTED if shown(claims, target) == UNSUPPORTED else FALSE
    return ask("check-change", answer, claim=told.text)


def split_claims(reference: Figure, target: Figure, rng: random.Random) -> Lesson:
    """Ask for the single changes of a text."""
    text, parts = change_parts(reference, target, rng) or ("", [])
    marked = (f"{'target' if is_absolute(parse(part) or ()) else 'both'}: {part}" for part in parts)
    return ask("split-claims", "; ".join(marked), text=text)


def compare_changes(reference: Figure, target: Figure, rng: random.Random, level: Level, right: bool) -> Lesson:
    """Ask whether a text, `right` or faulty, says what was observed; now and then what was observed is mistaken."""
    observed = true_text(reference, target, rng)
    if rng.random() < MISTAKEN_SHARE:
        observed = _faulty(reference, target, rng, level).text
    told = Faulty(true_text(reference, target, rng), reference, target)
    if not right:
        told = _faulty(reference, target, rng, level)
    lesson = ask("compare-changes", "yes" if right else "no", observed=observed, text=told.text)
    return lesson._replace(
        probes=(
            claims_probe(reference, target, told.before, told.after),
            shown_probe(reference, target, told.before, told.after),
        )
    )


def _faulty(reference: Figure, target: Figure, rng: random.Random, level: Level) -> Faulty:
    return faulty_text(reference, target, rng, level, FAULTS_OF_THE_JUDGE)[1]


def image_lessons(figure: Figure, rng: random.Random, level: Level) -> list[Lesson]:
    """Return the questions about one image: claims, and every other time a caption."""
    lessons = [check_target(figure, rng, level) for _ in range(CHECKS)]
    return [*lessons, full_caption(figure, rng)] if rng.random() < 0.5 else lessons


def judge_lessons(reference: Figure, target: Figure, rng: random.Random, level: Level) -> list[Lesson]:
    """Return the questions about one pair."""
    return [
        *(change_images(reference, target, rng) for _ in range(CHANGES)),
        split_claims(reference, target, rng),
        *(check_change(reference, target, rng, level) for _ in range(CHANGE_CHECKS)),
        *(compare_changes(reference, target, rng, level, right=turn % 2 == 0) for turn in range(COMPARISONS)),
        *(judge_change(reference, target, rng, level, right=turn % 2 == 0) for turn in range(VERDICTS)),
    ]
