"""Turn any collection of images into filtered (reference, modification text, target) triplets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cirgen.triplets import load_triplets

__version__ = "0.1.0"
__all__ = ["__version__", "load_triplets"]


def __getattr__(name: str) -> object:
    """Import `load_triplets` when it is first asked for: the command line starts without its libraries."""
    if name == "load_triplets":
        from cirgen.triplets import load_triplets

        return load_triplets
    raise AttributeError(f"module 'cirgen' has no attribute '{name}'")
