"""`cirgen prompts`: the versioned templates."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cirgen.cli.copying import free_file
from cirgen.cli.options import JsonOption
from cirgen.errors import UserError

if TYPE_CHECKING:
    from cirgen.prompts import Prompt

app = typer.Typer(help="Versioned prompt templates: list, show, compare, copy.", no_args_is_help=True)

PromptArgument = Annotated[str, typer.Argument(help="name (newest version), name@version, or a .md file.")]


@app.command("ls")
def list_all(as_json: JsonOption = False) -> None:
    """List the shipped prompts.

    Example: cirgen prompts ls
    """
    from rich.table import Table

    from cirgen.cli.printing import printer
    from cirgen.prompts import list_prompts

    prompts = list_prompts()
    if as_json:
        typer.echo(json.dumps([_record(prompt) for prompt in prompts], indent=2))
        return
    table = Table("prompt", "task", "note", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for prompt in prompts:
        table.add_row(prompt.reference, prompt.task, prompt.note)
    printer().print(table)


def _record(prompt: Prompt) -> dict[str, object]:
    return {**prompt.model_dump(mode="json"), "hash": prompt.hash}


@app.command()
def show(prompt: PromptArgument, as_json: JsonOption = False) -> None:
    """Show one prompt in full, with the hash that rows made with it carry.

    Example: cirgen prompts show change-images
    """
    from cirgen.prompts import load_prompt

    found = load_prompt(prompt)
    if as_json:
        typer.echo(json.dumps(_record(found), indent=2))
        return
    typer.echo(f"{found.reference}  {found.hash}")
    for name in ("task", "images", "author", "note"):
        typer.echo(f"{name}: {getattr(found, name)}")
    typer.echo(f"slots: {', '.join(found.slots) or 'none'}")
    examples = {str(number): example for number, example in enumerate(found.examples, 1)}
    pools = {"intents": found.intents, "examples": examples}
    for title, pool in pools.items():
        if pool:
            typer.echo("\n".join([f"{title}:", *(f"  {name}: {words}".rstrip() for name, words in pool.items())]))
    typer.echo(f"\n{found.body}")


@app.command()
def copy(
    prompt: PromptArgument,
    destination: Annotated[Path, typer.Argument(help="File to write, e.g. my-change.md; its name names the prompt.")],
) -> None:
    """Copy a prompt, to change it: a recipe takes the path of a .md file wherever it takes a name.

    Example: cirgen prompts copy change-images my-change.md
    """
    from cirgen.prompts import load_prompt

    found = load_prompt(prompt)
    target = free_file(destination, f"{found.name}.md", f"cirgen prompts copy {prompt}")
    if target.suffix != ".md":
        raise UserError(f"A prompt is a .md file; name one: cirgen prompts copy {prompt} {target.with_suffix('.md')}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(_renamed(_file(found, prompt).read_text(encoding="utf8"), target.stem), encoding="utf8")
    typer.echo(f"{target}, a copy of {found.reference}. To check it: cirgen prompts show {shlex.quote(str(target))}")
    section = SECTIONS.get(found.task)
    if section:
        setting = shlex.quote(f"{section}.prompts=[{target}]")
        typer.echo(f"To try it: cirgen preview RECIPE --set {setting}; to keep it, write that into the recipe.")


SECTIONS = {"caption": "caption", "change": "modify", "rewrite": "modify", "template": "modify"}
"""Task of a prompt to the section of a recipe that takes it."""


def _file(prompt: Prompt, reference: str) -> Path:
    from cirgen.resources import data_folder

    if reference.endswith(".md"):
        return Path(reference).expanduser()
    return data_folder("prompts") / f"{prompt.name}.v{prompt.version}.md"


def _renamed(text: str, name: str) -> str:
    """Give a prompt file a name of its own: rows say which prompt wrote them by name and version."""
    plain = re.sub(r"[^\w.-]+", "-", name)
    named = re.sub(r"^name: .*$", f"name: {plain}", text, count=1, flags=re.MULTILINE)
    return re.sub(r"^version: .*$", "version: 1", named, count=1, flags=re.MULTILINE)


@app.command()
def diff(
    before: PromptArgument,
    after: Annotated[str | None, typer.Argument(help="Without it: the version before, against the newest.")] = None,
) -> None:
    """Show how two prompts, or the two newest versions of one, differ.

    Example: cirgen prompts diff spn-instead spn-unlike
    """
    from difflib import unified_diff

    from cirgen.prompts import load_prompt

    old, new = (load_prompt(before), load_prompt(after)) if after else _newest_two(before)
    lines = unified_diff(_lines(old), _lines(new), old.reference, new.reference, lineterm="")
    typer.echo("\n".join(lines) or f"{old.reference} and {new.reference} send the same words.")


def _newest_two(name: str) -> tuple[Prompt, Prompt]:
    from cirgen.prompts import list_prompts, load_prompt

    newest = load_prompt(name)
    older = [p for p in list_prompts() if p.name == newest.name and p.version < newest.version]
    if not older:
        raise UserError(f"'{newest.reference}' is the only version; name another prompt to compare it with.")
    return older[-1], newest


def _lines(prompt: Prompt) -> list[str]:
    pools = [
        *(f"intent {name}: {words}" for name, words in prompt.intents.items()),
        *(f"example: {example}" for example in prompt.examples),
    ]
    return [*prompt.body.splitlines(), *pools]


@app.command()
def lock(
    folder: Annotated[Path | None, typer.Argument(help="Folder of prompts; the shipped ones by default.")] = None,
) -> None:
    """Note the hash of every prompt that has none yet; for those who add prompts to cirgen.

    Example: cirgen prompts lock prompts
    """
    from cirgen.prompts import LOCK_NAME, check_lock, list_prompts, read_lock
    from cirgen.resources import data_folder
    from cirgen.shards import write_text

    where = folder or data_folder("prompts")
    locked, prompts = read_lock(where), list_prompts(where)
    for prompt in prompts:
        check_lock(prompt, locked, where / LOCK_NAME)
    hashes = {**locked, **{prompt.reference: prompt.hash for prompt in prompts}}
    write_text(where / LOCK_NAME, json.dumps(hashes, indent=1, sort_keys=True) + "\n")
    typer.echo(f"{len(hashes)} prompts in {where / LOCK_NAME}, {len(hashes) - len(locked)} of them new.")
