"""`cirgen validate`: every mistake of a recipe at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cirgen.cli.options import RecipeArgument, SetOption, command_line

if TYPE_CHECKING:
    from cirgen.recipe import Recipe


def validate(
    recipe: RecipeArgument,
    settings: SetOption = None,
    files: Annotated[
        bool, typer.Option("--files/--no-files", help="Also look for the images and the local models.")
    ] = True,
) -> None:
    """Check a recipe without running anything: keys, values, prompts, local models, images.

    Hub ids of models are not looked up: a run does that, and needs the network for it.

    Example: cirgen validate my-recipe.yaml --no-files
    """
    from cirgen.recipe_checks import check_recipe
    from cirgen.recipe_file import load_recipe

    loaded = load_recipe(recipe, settings or ())
    check_recipe(loaded, files)
    typer.echo(f"{loaded.path} is a valid recipe.")
    for title, names in _extent(loaded.recipe, files).items():
        if names:
            typer.echo(f"{title}: {', '.join(names)}")
    typer.echo(f"To see a few rows: {command_line('preview', recipe, settings)}")


def _extent(recipe: Recipe, files: bool) -> dict[str, list[str]]:
    """Return what was looked at beyond the recipe itself, and what was not."""
    from cirgen.model_files import local_model_folder
    from cirgen.recipe_checks import models, served

    named = models(recipe)
    asked = [f"{section} {model}" for section, model in served(recipe).items()]
    pictures = recipe.images.model_dump()
    images = f"images {pictures.get('path') or pictures.get('root') or pictures['kind']}"
    if not files:
        return {"not looked at": [images, *(f"{section} {model}" for section, model in named.items()), *asked]}
    local = [section for section, model in named.items() if local_model_folder(model)]
    return {
        "looked at": [images, *(f"{section} {named[section]}" for section in local)],
        "not looked up on the Hub, where a run will fetch it": [
            f"{section} {model}" for section, model in named.items() if section not in local
        ],
        "not asked of its server, which a run will ask": asked,
    }
