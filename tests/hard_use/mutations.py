"""Bytes that went wrong the ways bytes go wrong: flipped, cut, repeated, overwritten, spliced with another file."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Sizes and counts that decoders are not meant to meet."""

Mutation = Callable[[bytearray, random.Random, Sequence[bytes]], bytearray]


def mutated(data: bytes, dice: random.Random, others: Sequence[bytes]) -> bytes:
    """Return the bytes of a file after one to four accidents; most of them near its beginning, where headers are."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        changed = dice.choice(_MUTATIONS)(changed, dice, others)
    return bytes(changed)


def _place(data: bytearray, dice: random.Random) -> int:
    if not data:
        return 0
    return dice.randrange(min(len(data), 64) if dice.random() < 0.5 else len(data))


def _flip(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> bytearray:
    for _ in range(dice.choice((1, 1, 2, 8, 64))):
        if data:
            data[_place(data, dice)] ^= 1 << dice.randrange(8)
    return data


def _overwrite(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> bytearray:
    place, size = _place(data, dice), dice.choice((1, 2, 4))
    value = dice.choice(EXTREMES) & ((1 << 8 * size) - 1)
    data[place : place + size] = value.to_bytes(size, dice.choice(("little", "big")))
    return data


def _cut(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> bytearray:
    return data[: dice.randrange(len(data) + 1)]


def _drop(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> bytearray:
    place = _place(data, dice)
    del data[place : place + dice.choice((1, 4, 16, 256))]
    return data


def _repeat(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> bytearray:
    place = _place(data, dice)
    part = data[place : place + dice.choice((4, 32, 512))]
    return data[:place] + part * dice.choice((2, 3, 50)) + data[place:]


def _fill(data: bytearray, dice: random.Random, _: Sequence[bytes]) -> bytearray:
    place, size = _place(data, dice), dice.choice((4, 32, 512))
    data[place : place + size] = bytes([dice.choice((0, 0xFF, dice.randrange(256)))]) * size
    return data


def _splice(data: bytearray, dice: random.Random, others: Sequence[bytes]) -> bytearray:
    other = dice.choice(others)
    return data[: _place(data, dice)] + bytearray(other[dice.randrange(len(other) + 1) :])


_MUTATIONS: tuple[Mutation, ...] = (_flip, _flip, _overwrite, _overwrite, _cut, _drop, _repeat, _fill, _splice)
