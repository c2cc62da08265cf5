"""Presets by name or path."""

from __future__ import annotations

from collections.abc import Sequence

from cirgen.settings_file import Shelf, load_settings
from cirgen_benchmark.verdict.preset import Preset

PRESETS = Shelf("presets", "preset", "cirgen presets ls")


def load_preset(path_or_name: str, overrides: Sequence[str] = ()) -> Preset:
    """Read a preset.

    Args:
        path_or_name: a file, or the name of a shipped preset.
        overrides: `key.path=value`.

    Raises:
        UserError: there is no such preset, or every mistake of it.
    """
    return load_settings(PRESETS.find(path_or_name), Preset, PRESETS.noun, overrides).settings
