"""`audiossl recipe`: the recipes that come with the package, for those who have no clone of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from audiossl.cli.options import AsJson
from audiossl.cli.tables import add_row, console, new_table

app = typer.Typer(no_args_is_help=True, help="List, show and copy the recipes that come with the package.")

RecipeName = Annotated[str, typer.Argument(help="A name of `audiossl recipe list`.")]


@app.command("list")
def list_recipes(as_json: AsJson = False) -> None:
    """List the recipes with their tasks."""
    from audiossl.experiments.recipe_folders import recipe_folders

    recipes = recipe_folders()
    if as_json:
        typer.echo(json.dumps([recipe._asdict() for recipe in recipes], indent=2))
        return
    made = new_table("recipe", "what", "tasks", folded=("what", "tasks"), box=None, pad_edge=False)
    for recipe in recipes:
        add_row(made, (recipe.name, recipe.title, ", ".join(recipe.tasks)))
    console().print(made)


@app.command()
def show(name: RecipeName) -> None:
    """Print a recipe's README: source and licence of the data, protocol, results."""
    from audiossl.experiments.recipe_folders import recipe_readme

    typer.echo(recipe_readme(name))


@app.command()
def copy(
    name: RecipeName,
    to: Annotated[Path, typer.Option("--out", help="Folder to put it into, beside other recipes.")] = Path("recipes"),
) -> None:
    """Copy a recipe, to run it or to change it."""
    from audiossl.experiments.recipe_folders import copy_recipe

    typer.echo(f"Run it with: {copy_recipe(name, to)}")
