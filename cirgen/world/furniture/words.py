"""The words for kinds, views and parts in two tongues: the first grammar's, and the second's, never seen in training.

Words for colours are those of the toy figures.
"""

from __future__ import annotations

from cirgen.world.lexicon import Words

KINDS: dict[str, Words] = {
    "armchair": Words(("armchair", "arm chair"), ("chair with armrests", "armed chair")),
    "lounge chair": Words(("lounge chair", "lounger"), ("easy chair", "relaxing chair")),
    "bistro chair": Words(("bistro chair", "bentwood chair"), ("cafe chair", "vienna chair")),
    "bar stool": Words(("bar stool", "barstool"), ("counter stool", "high stool")),
    "kitchen chair": Words(("kitchen chair", "wooden chair"), ("farmhouse chair", "cross-back chair")),
    "camping stool": Words(("camping stool", "folding stool"), ("camp seat", "foldable stool")),
    "piano bench": Words(("piano bench", "piano stool"), ("pianist's bench", "tufted bench")),
    "chesterfield sofa": Words(("chesterfield sofa", "sofa"), ("couch", "settee")),
    "club chair": Words(("club chair", "chesterfield chair"), ("tub chair", "leather armchair")),
    "wooden bed": Words(("wooden bed", "slatted bed"), ("country bed", "barred bed")),
    "low bed": Words(("low bed", "platform bed"), ("futon bed", "flat bed")),
    "tufted bed": Words(("tufted bed", "upholstered bed"), ("padded bed", "princess bed")),
    "desk": Words(("desk", "office desk"), ("writing desk", "work desk")),
    "trestle table": Words(("trestle table", "wooden table"), ("farmhouse table", "refectory table")),
    "drawer cabinet": Words(("drawer cabinet", "chest of drawers"), ("drawer unit", "kitchen drawers")),
    "wardrobe": Words(("wardrobe", "closet"), ("armoire", "clothes cupboard")),
    "refrigerator": Words(("refrigerator", "fridge"), ("icebox", "fridge freezer")),
    "table lamp": Words(("table lamp", "desk lamp"), ("bedside lamp", "mushroom lamp")),
    "wall lamp": Words(("wall lamp", "wall light"), ("sconce", "wall sconce")),
}

VIEWS: dict[str, Words] = {
    "front": Words(("from the front", "in front view"), ("facing us", "head on")),
    "behind": Words(("from behind", "from the back"), ("in rear view", "showing its back")),
    "side": Words(("from the side", "in side view"), ("in profile", "sideways")),
    "above": Words(("from above", "in top view"), ("from overhead", "looking down on it")),
}

PARTS: dict[str, Words] = {
    "seat": Words(("seat", "seat cushion"), ("sitting surface", "upholstery")),
    "blanket": Words(("blanket", "bed cover"), ("bedspread", "quilt")),
    "top": Words(("top", "table top"), ("surface", "worktop")),
    "doors": Words(("doors", "fronts"), ("door panels", "facings")),
    "shade": Words(("shade", "lampshade"), ("lamp hood", "screen")),
    "frame": Words(("frame", "framework"), ("structure", "skeleton")),
    "legs": Words(("legs", "feet"), ("supports", "underframe parts")),
    "body": Words(("body", "case"), ("carcass", "outer shell")),
    "stand": Words(("stand", "base"), ("foot", "holder")),
}
