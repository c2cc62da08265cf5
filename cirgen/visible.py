"""Texts of models and users, as they may be shown on a page or in a terminal."""

from __future__ import annotations

import re

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, those that command a terminal among them, and those that turn the direction of what follows."""


def visible(text: str) -> str:
    """Show characters that nobody sees, or that reorder what is around them, as what they are: out of place."""
    return _UNSEEN.sub("\ufffd", text)
