"""The two grammars of furniture: the first, which the embedded models are trained on, and the second, which none is.

Queries and "human-like" triplets are written in the second, by rules; no person wrote them.
"""

from __future__ import annotations

import random

from cirgen.world.furniture.item import Item
from cirgen.world.furniture.writer import Style, Writer

FIRST = Style(
    tongue="first",
    plain_share=0.0,
    recolor=(
        "make the {part} {color}",
        "change the {part} to {color}",
        "turn the {part} {color}",
        "the {part} {be} now {color}",
        "the {part} should be {color}",
        "recolor the {part} {color}",
        "with {new}",
        "{new} instead of the {old}",
        "change the {part} from {old_color} to {color}",
        "give it {new}",
        "let the {part} be {color}",
    ),
    copy=(
        "make the {part} the same colour as the {source}",
        "the {part} in the {source_s} colour",
        "the {part} should match the {source}",
        "give the {part} the colour of the {source}",
        "match the {part} to the {source}",
        "colour the {part} like the {source}",
    ),
    swap=(
        "swap the colours of the {first} and the {second}",
        "swap the colours of {first} and {second}",
        "exchange the colours of the {first} and the {second}",
        "the {first} and the {second} trade colours",
        "let the {first} and the {second} switch colours",
    ),
    replace=(
        "replace the {old_kind} with {a_kind}",
        "swap the {old_kind} for {a_kind}",
        "change the {old_kind} to {a_kind}",
        "turn the {old_kind} into {a_kind}",
        "{a_kind} instead of the {old_kind}",
        "make it {a_kind}",
        "i want {a_kind}",
        "use {a_kind}",
    ),
    turn=(
        "seen {view}",
        "show it {view}",
        "now {view}",
        "view it {view}",
        "{view} instead of {old_view}",
        "turn it to be seen {view}",
    ),
    joins=((", ", " and "), (", ", ", "), (" and ", " and "), ("; ", "; "), (", ", ", then "), (". ", ". ")),
    openings=("please ", "same but ", "just ", "instead, ", "this one but "),
    opening_share=0.2,
    captions=(
        "{a_kind}|with {parts}|seen {view}",
        "{a_kind}|with {parts}|{view}",
        "{a_kind}|that has {parts}|shown {view}",
        "this is {a_kind}|with {parts}|seen {view}",
    ),
)

SECOND = Style(
    tongue="second",
    plain_share=0.5,
    recolor=(
        "has {new}",
        "{new}",
        "{part} {be} {color}",
        "{part} {color}",
        "looking for {new}",
        "{new} not {old_color}",
        "the {part} {be} {color}, not {old_color}",
        "go for {new}",
        "would like {new}",
        "paint the {part} {color}",
    ),
    copy=(
        "{part} same shade as the {source}",
        "{part} {be} the same shade as {source}",
        "{part} {be} like the {source}",
        "{part} in the {source_s} shade",
        "get the {part} like the {source}",
    ),
    swap=(
        "colours of {first} and {second} exchanged",
        "{first} and {second} flip shades",
        "flip the shades of the {first} and the {second}",
        "{first} and {second} with colours flipped",
    ),
    replace=(
        "{a_kind} in place of the {old_kind}",
        "{a_kind}, not the {old_kind}",
        "the {old_kind} becomes {a_kind}",
        "trade the {old_kind} for {a_kind}",
        "is {a_kind}",
        "looking for {a_kind}",
        "{a_kind} replacing the {old_kind}",
    ),
    turn=(
        "photographed {view}",
        "{view}",
        "is shown {view}",
        "{view}, not {old_view}",
        "would like it {view}",
        "picture taken {view}",
    ),
    joins=((" and ", " and "), (", ", ", "), (", ", " and "), (", also ", ", also "), (" plus ", " plus ")),
    openings=("looks the same but ", "similar but ", "this time "),
    opening_share=0.15,
    captions=("{a_kind}|has {parts}|photographed {view}", "i see {a_kind}|with {parts}|{view}"),
)


def caption(item: Item, rng: random.Random, words: int | None = None, style: Style = FIRST) -> str:
    """Return one sentence about `item`: every attribute, or the most salient ones in about `words` words."""
    return Writer(style, rng).caption(item, words)


def change(
    reference: Item, target: Item, rng: random.Random, intent: str = "any", exhaustive: bool = True,
    style: Style = FIRST,
) -> str | None:  # fmt: skip
    """Return an exact modification text for the pair, which leaves nothing out unless `exhaustive` is False.

    None if the items are equal or `intent` does not apply to them.
    """
    return Writer(style, rng).change(reference, target, intent, exhaustive)


def change_parts(reference: Item, target: Item, rng: random.Random) -> tuple[str, list[str]] | None:
    """Return a text of the first grammar and its single changes, each said by itself; None if nothing changes."""
    writer = Writer(FIRST, rng)
    clauses = writer.clauses(reference, target)
    return (writer.join(clauses), clauses) if clauses else None
