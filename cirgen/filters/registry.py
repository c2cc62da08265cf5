"""Every filter that a recipe can name, in the order in which a default stack runs them: cheap ones first."""

from __future__ import annotations

from cirgen.filters.base import Filter
from cirgen.filters.lint import Lint
from cirgen.registry import Registry

FILTERS: Registry[Filter] = Registry("name", Lint)
