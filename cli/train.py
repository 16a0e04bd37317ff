"""`creative-mix train`: a training run from a configuration file."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..errors import ModelFileError, OptionError

RED_FLAG = 3
"""Exit code of a strict run that raised a red flag."""


def show_settings(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print every setting and end."""
    if wanted and not context.resilient_parsing:
        from ..training.settings import setting_lines

        click.echo("\n".join(setting_lines()))
        context.exit()


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--settings",
    "wanted",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_settings,
    help="Print every setting of CONFIG with its default and its meaning, and end.",
)
@click.option(
    "--resume",
    metavar="PATH|auto",
    help="Checkpoint to go on from, at its step and with its optimizer; `auto` takes the newest "
    "whole one of the output folder, if there is any. Weights of another model are taken over as "
    "far as they fit. To begin anew from weights that fit, set `initial`.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a setting, also one inside another: --set steps=500 --set loss.mel=2.",
)
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
    help="At the end, write the best checkpoint as this ONNX file: that of the least mel distance "
    "on the `validation` pairs, or the last one where nothing is validated.",
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

    The least that CONFIG can say is {"pairs": "FOLDER", "output": "FOLDER"}; --settings lists
    the rest.

    For several processes: torchrun --nproc-per-node=N -m creative_mix.training CONFIG.

    Exit codes: 0 at the end, and after SIGINT or SIGTERM, which save first; 1 for a failure; 2 for
    an option that there is not or that cannot be read; 3 for a red flag under --strict.

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
        from creative_mix.cli.export import check_absent, check_output

        check_absent(export, "or take it away")  # --force is for the run's folder
        check_output(export)
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

        try:
            click.echo(write_onnx(outcome.best, export))
        except ModelFileError as error:
            raise ModelFileError(f"{error}; the weights are in {outcome.best}") from error
