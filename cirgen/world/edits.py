"""The edits that turn one figure into another: one for each part that changed, none of them in words yet."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from cirgen.world.draws import PALETTE_ATTRIBUTES
from cirgen.world.figure import HIDDEN, Figure
from cirgen.world.lexicon import COLOR_ATTRIBUTE, KIND_ATTRIBUTE, part_of
from cirgen.world.vocabulary import NONE

EditKind = Literal["add", "remove", "replace", "recolor", "count", "swap"]


@dataclass(frozen=True)
class Edit:
    """One edit of one part (two for a swap of colours), and the attributes it accounts for."""

    kind: EditKind
    parts: tuple[str, ...]
    attributes: tuple[str, ...]


def edits(reference: Figure, target: Figure) -> list[Edit]:
    """Return the edits that together turn `reference` into `target`, a swap as two recolors."""
    changed = set(reference.differences(target))
    return [
        *_head_edits(target, changed),
        *_clothes_edits(changed),
        *_absence_edits(reference, target, changed),
        *_background_edits(changed),
        *_object_edits(reference, target, changed),
    ]


def with_swap(found: list[Edit], reference: Figure, target: Figure) -> list[Edit] | None:
    """Return `found` with the first two recolors that exchange their colours made one swap, or None if none do."""
    recolors = [edit for edit in found if edit.kind == "recolor" and edit.attributes[0] in PALETTE_ATTRIBUTES]
    for one, other in combinations(recolors, 2):
        first, second = one.attributes[0], other.attributes[0]
        if _value(reference, first) == _value(target, second) and _value(reference, second) == _value(target, first):
            rest = [edit for edit in found if edit not in (one, other)]
            return [Edit("swap", (one.parts[0], other.parts[0]), (first, second)), *rest]
    return None


def copy_sources(edit: Edit, reference: Figure, target: Figure) -> list[str]:
    """Return the attributes whose colour, the same in both figures, is the one that `edit` gives its part."""
    color = color_set_by(edit, target)
    if color is None or color not in PALETTE_ATTRIBUTES:
        return []
    wanted = _value(target, color)
    return [
        name
        for name in PALETTE_ATTRIBUTES
        if name != color and _value(reference, name) == wanted == _value(target, name) != HIDDEN
    ]


def color_set_by(edit: Edit, target: Figure) -> str | None:
    """Return the colour attribute that `edit` sets, if it sets one."""
    if edit.kind not in ("add", "replace", "recolor"):
        return None
    name = COLOR_ATTRIBUTE.get(edit.parts[-1])
    return name if name in edit.attributes and _value(target, name) != HIDDEN else None


def puts_on_hat(edit: Edit, reference: Figure, target: Figure) -> bool:
    """Whether `edit` covers hair with a hat."""
    return "head" in edit.attributes and target.wears_hat and not reference.wears_hat


def takes_off_hat(edit: Edit, reference: Figure, target: Figure) -> bool:
    """Whether `edit` uncovers hair."""
    return puts_on_hat(edit, target, reference)


def _value(figure: Figure, name: str) -> str:
    return str(getattr(figure, name))


def _edit(kind: EditKind, part: str, changed: set[str], names: tuple[str, ...]) -> Edit:
    return Edit(kind, (part,), tuple(name for name in names if name in changed))


def _head_edits(target: Figure, changed: set[str]) -> list[Edit]:
    part = part_of("head", target.head)
    names = ("head", "hair_color", "hat_color")
    if "head" in changed:
        return [_edit("replace", part, changed, names)]
    return [_edit("recolor", part, changed, names)] if changed.intersection(names) else []


def _clothes_edits(changed: set[str]) -> list[Edit]:
    found = []
    if "outfit" in changed:
        found.append(_edit("replace", "top", changed, ("outfit", "shirt_color")))
    elif "shirt_color" in changed:
        found.append(_edit("recolor", "top", changed, ("shirt_color",)))
    found += [_edit("recolor", part, changed, (f"{part}_color",)) for part in ("pants", "shoes")]
    return [edit for edit in found if edit.attributes]


def _presence(attribute: str, reference: Figure, target: Figure) -> EditKind:
    if _value(reference, attribute) == NONE:
        return "add"
    return "remove" if _value(target, attribute) == NONE else "replace"


def _absence_edits(reference: Figure, target: Figure, changed: set[str]) -> list[Edit]:
    names = [name for name in ("glasses", "beard") if name in changed]
    return [Edit(_presence(name, reference, target), (name,), (name,)) for name in names]


def _background_edits(changed: set[str]) -> list[Edit]:
    return [Edit("recolor", ("background",), ("background",))] if "background" in changed else []


def _object_edits(reference: Figure, target: Figure, changed: set[str]) -> list[Edit]:
    names = (KIND_ATTRIBUTE["object"], COLOR_ATTRIBUTE["object"], "object_count")
    if "object_kind" in changed:
        return [_edit(_presence("object_kind", reference, target), "object", changed, names)]
    found = [_edit("recolor", "object", changed, names[1:2]), _edit("count", "object", changed, names[2:])]
    return [edit for edit in found if edit.attributes]
