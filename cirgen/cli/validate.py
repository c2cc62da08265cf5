"""`cirgen validate`: every mistake of a recipe at once."""

from __future__ import annotations

from typing import Annotated

import typer

from cirgen.cli.options import RecipeArgument, SetOption


def validate(
    recipe: RecipeArgument,
    settings: SetOption = None,
    files: Annotated[
        bool, typer.Option("--files/--no-files", help="Also look for the images and the local models.")
    ] = True,
) -> None:
    """Check a recipe without running anything: keys, values, prompts, models, images.

    Example: cirgen validate my-recipe.yaml --no-files
    """
    from cirgen.recipe_checks import check_recipe
    from cirgen.recipe_file import load_recipe

    loaded = load_recipe(recipe, settings or ())
    check_recipe(loaded, files)
    typer.echo(f"{loaded.path} is a valid recipe. To see a few rows: cirgen preview {recipe}")
