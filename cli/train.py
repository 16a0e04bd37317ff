"""`creative-mix train`: a training run from a configuration file."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..errors import OptionError

RED_FLAG = 3
"""Exit code of a strict run that raised a red flag."""


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--resume",
    metavar="PATH|auto",
    help="Checkpoint to go on from; `auto` takes the newest whole one of the output folder, if "
    "there is any. Weights of another model are taken over as far as they fit.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a setting.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to train.",
)
@click.option("--strict", is_flag=True, help="End with exit code 3 at the first red flag.")
@click.option("--force", is_flag=True, help="Begin anew in an output folder that holds a run.")
@click.option(
    "--export",
    type=click.Path(dir_okay=False, path_type=Path),
    help="At the end, write the best checkpoint as this ONNX file.",
)
def train(
    config: Path,
    resume: str | None,
    settings: tuple[str, ...],
    device: str,
    strict: bool,
    force: bool,
    export: Path | None,
) -> None:
    """Train a model as CONFIG (a JSON file) says.

    For several processes: torchrun --nproc-per-node=N -m creative_mix.training CONFIG.

    \b
    creative-mix train config.json
    creative-mix train config.json --resume auto --set steps=5000
    creative-mix train config.json --export mine.onnx --strict
    """
    overrides = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise OptionError(f"--set {setting}: write it as KEY=VALUE")
        overrides[key] = value
    if export is not None:
        from creative_mix.cli.export import check_output

        check_output(export, force)
    from ..training.config import TrainingConfig
    from ..training.running import run

    outcome = run(
        TrainingConfig.from_file(config, overrides),
        resume,
        device=device,
        strict=strict,
        force=force,
        say=click.echo,
        live=sys.stdout.isatty(),
    )
    if outcome.flags and strict:
        sys.exit(RED_FLAG)
    if export is not None and outcome.first and outcome.finished:
        from creative_mix.cli.export import write_onnx

        click.echo(write_onnx(outcome.best, export))
