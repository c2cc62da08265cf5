"""Trains the models of furniture from scratch on the CPU, with the pictures that `cirgen.world.furniture.render` drew.

    python -m cirgen.world.furniture.train encoder --purpose filter-encoder --out models/filter-encoder
    python -m cirgen.world.furniture.train mllm --out models/mllm
    python -m cirgen.world.furniture.exam models/mllm

A run that was cut off goes on where it was when it is started again.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Train the models of the second embedded world.", no_args_is_help=True)
OutOption = Annotated[Path, typer.Option(help="Model folder; checkpoints lie beside it in FOLDER.work.")]
StepsOption = Annotated[
    int | None, typer.Option(min=1, help="Steps of the last phase; by default the shipped model's.")
]
MinutesOption = Annotated[
    float | None, typer.Option(min=0.01, help="Wall clock instead of steps; ends elsewhere on another machine.")
]
ThreadsOption = Annotated[int, typer.Option(min=1, help="CPU threads.")]
PoolOption = Annotated[Path | None, typer.Option(help="Training pictures; by default where `render pool` puts them.")]


@app.command()
def mllm(
    out: OutOption,
    steps: StepsOption = None,
    minutes: MinutesOption = None,
    pool: PoolOption = None,
    threads: ThreadsOption = 2,
) -> None:
    """Train the multimodal LLM that captions, writes changes and judges them.

    Example: python -m cirgen.world.furniture.train mllm --out models/mllm
    """
    import torch

    from cirgen.world.furniture.training import MLLM, school
    from cirgen.world.training.mllm import train_mllm

    torch.set_num_threads(threads)
    settings = replace(MLLM, steps=steps or MLLM.steps)
    train_mllm(out, settings, school=school(pool), minutes=minutes, report=typer.echo)


@app.command()
def encoder(
    out: OutOption,
    purpose: Annotated[str, typer.Option(help="filter-encoder or judge-encoder: items and seed.")],
    steps: StepsOption = None,
    minutes: MinutesOption = None,
    pool: PoolOption = None,
    threads: ThreadsOption = 2,
) -> None:
    """Train a CLIP: one to mine and filter with, another to measure with.

    Example: python -m cirgen.world.furniture.train encoder --purpose judge-encoder --out models/judge-encoder
    """
    import torch

    from cirgen.errors import UserError
    from cirgen.world.furniture.training import ENCODERS, EncoderSettings, train_encoder

    if purpose not in ENCODERS:
        raise UserError(f"no encoder of furniture `{purpose}`: choose one of {', '.join(ENCODERS)}")
    torch.set_num_threads(threads)
    default = EncoderSettings(purpose)
    settings = replace(default, steps=steps or default.steps)
    train_encoder(out, settings, pool=pool, minutes=minutes, report=typer.echo)


if __name__ == "__main__":
    app()
