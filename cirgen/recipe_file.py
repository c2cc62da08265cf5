"""Recipe files: found by path or name, overridden from the command line, checked with every mistake told at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cirgen.recipe import Recipe
from cirgen.settings_file import SUFFIX, SettingsFile, Shelf, load_settings

__all__ = ["RECIPES", "SUFFIX", "LoadedRecipe", "find_recipe", "load_recipe", "recipe_names"]

RECIPES = Shelf("recipes", "recipe", "cirgen recipes ls")


@dataclass(frozen=True)
class LoadedRecipe(SettingsFile[Recipe]):
    """A recipe and the text it came from."""

    @property
    def recipe(self) -> Recipe:
        """Return the recipe."""
        return self.settings


def load_recipe(path_or_name: str | Path, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Read a recipe.

    Args:
        path_or_name: a file, or the name of a shipped recipe such as `demo` or `spn4cir/cirr-clip`.
        overrides: as `load_settings` has them.

    Raises:
        RecipeErrors: every mistake of the file and the overrides, with line numbers.
        UserError: there is no such recipe.
    """
    loaded = load_settings(find_recipe(str(path_or_name)), Recipe, RECIPES.noun, overrides)
    return LoadedRecipe(loaded.settings, loaded.text, loaded.path, loaded.origins)


find_recipe = RECIPES.find
recipe_names = RECIPES.names
