"""`creative-mix train`: a training run from a configuration file."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import OptionError


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--resume", type=click.Path(path_type=Path), help="State to go on from (last.safetensors)."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a setting.")
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
def train(config: Path, resume: Path | None, settings: tuple[str, ...], device: str) -> None:
    """Train a model as CONFIG (a JSON file) says."""
    from ..training.config import TrainingConfig
    from ..training.loop import Trainer

    overrides = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise OptionError(f"--set {setting}: write it as KEY=VALUE")
        overrides[key] = value
    trainer = Trainer(TrainingConfig.from_file(config, overrides), device)
    if resume is not None:
        trainer.resume(resume)
    trainer.train(click.echo)
