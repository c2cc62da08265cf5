"""Turn any collection of images into filtered (reference, modification text, target) triplets."""

from __future__ import annotations

__version__ = "0.1.0"
