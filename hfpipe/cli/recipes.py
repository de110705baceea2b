"""``hfpipe recipes``: list, show, copy, validate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hfpipe.errors import UserError

app = typer.Typer(help="The recipes: list, show, copy, validate.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A recipe's name, see 'recipes list'.")]


@app.command("list", epilog="Example: hfpipe recipes list")
def list_recipes() -> None:
    """List the recipes, with the kind of model and what each is for."""
    from rich.console import Console
    from rich.table import Table

    from hfpipe.recipe import load_recipe, recipe_names

    table = Table(box=None)
    for column in ("recipe", "model"):
        table.add_column(column, no_wrap=True)
    table.add_column("description")
    for name in recipe_names():
        recipe = load_recipe(name)
        kind = "suite" if recipe.suite.recipes else recipe.model.kind
        table.add_row(name, kind, recipe.description)
    Console().print(table)


@app.command("show", epilog="Example: hfpipe recipes show topics_minilm training.seed=7")
def show(
    name: Name,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", show_default=False)
    ] = None,
) -> None:
    """Print a recipe as composed: its commands, then every key with its value."""
    from hfpipe.recipe import as_yaml, commands, load_recipe

    recipe = load_recipe(name, overrides or [])
    for command in commands(name):
        typer.echo(f"# {command}")
    typer.echo(as_yaml(recipe), nl=False)


@app.command("copy", epilog="Example: hfpipe recipes copy topics_minilm mine.yaml")
def copy(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new .yaml file to edit.")],
) -> None:
    """Write a recipe, composed into one file, for you to edit; run it with --recipe FILE."""
    from hfpipe.recipe import as_yaml, commands, load_recipe

    if file.suffix not in (".yaml", ".yml"):
        raise UserError(f"{file}: a recipe file's name ends in .yaml")
    if file.exists():
        raise UserError(f"{file} exists already; choose another name or remove it")
    if not file.parent.is_dir():
        raise UserError(f"folder {file.parent} does not exist; make it first")
    head = "".join(
        f"# {command.replace(f'--recipe {name}', f'--recipe {file}')}\n"
        for command in commands(name)
    )
    file.write_text(head + as_yaml(load_recipe(name)), encoding="utf-8")
    typer.echo(f"wrote {file}; next: hfpipe finetune --recipe {file} --dataset NS/NAME")


@app.command("validate", epilog="Example: hfpipe recipes validate mine.yaml")
def validate(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE|NAME]...", help="Default: all.", show_default=False),
    ] = None,
) -> None:
    """Check recipes: every key, type, training argument, input and model option."""
    from hfpipe.recipe import load_recipe, recipe_names
    from hfpipe.runs import validate_recipe

    wrong = []
    for name in files or recipe_names():
        try:
            validate_recipe(load_recipe(name))
            typer.echo(f"{name}: valid")
        except UserError as error:
            typer.echo(f"{name}: {error}")
            wrong.append(name)
    if wrong:
        raise UserError(f"{len(wrong)} recipe(s) are not valid: {', '.join(wrong)}")
