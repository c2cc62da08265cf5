"""Every source that a recipe can name."""

from __future__ import annotations

from cirgen.registry import Registry
from cirgen.sources.base import Source
from cirgen.sources.folder import Folder

SOURCES: Registry[Source] = Registry("kind", Folder)
