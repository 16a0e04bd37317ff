"""`creative-mix DRUMS PIANO -o OUTPUT`: the main job."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from ..constants import COMPONENT_NAMES
from ..options import BIAS_RANGE, DEVICES, FITS, SUBTYPES


class Bias(click.ParamType):
    """NAME=+X for one of the six components."""

    name = "NAME=±X"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        name, _, amount = str(value).partition("=")
        if name not in COMPONENT_NAMES:
            self.fail(f"{value!r}: give NAME=X, with a NAME of {', '.join(COMPONENT_NAMES)}")
        try:
            number = float(amount)
        except ValueError:
            self.fail(f"{value!r}: {amount!r} is not a number", param, ctx)
        low, high = BIAS_RANGE
        if not low <= number <= high:
            self.fail(f"{value!r} is not in the range {low:g} to {high:g}", param, ctx)
        return name, number


@click.command()
@click.argument("drums", type=click.Path(path_type=Path))
@click.argument("piano", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="OUTPUT",
    help="File to write, .wav or .flac; as long as the drums.",
)
@click.option("-f", "--force", is_flag=True, help="Replace OUTPUT if it exists.")
@click.option(
    "--fit",
    type=click.Choice(FITS),
    default="loop",
    show_default=True,
    help="A piano shorter than the drums is looped, stretched in time, or followed by silence; a "
    "longer one is cut, or stretched.",
)
@click.option(
    "--mix",
    type=click.FloatRange(0.0, 1.0),
    default=0.0,
    show_default=True,
    metavar="0..1",
    help="Share of the untouched piano in the output.",
)
@click.option(
    "--bias",
    type=Bias(),
    multiple=True,
    help="Draw the selection towards a component (-8 to 8; may be repeated): "
    + ", ".join(COMPONENT_NAMES)
    + ". The input is the drums, the target is the piano.",
)
@click.option(
    "--subtype",
    type=click.Choice(SUBTYPES, case_sensitive=False),
    metavar="SUBTYPE",
    help=f"Sample format of OUTPUT: {', '.join(SUBTYPES)}.  [default: the piano's]",
)
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Where the model runs.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads.  [default: all cores]"
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="ONNX",
    help="Another model, from creative-mix export.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def render(
    drums: Path,
    piano: Path,
    output: Path,
    force: bool,
    fit: Any,
    mix: float,
    bias: tuple[tuple[str, float], ...],
    subtype: str | None,
    device: Any,
    threads: int | None,
    model: Path | None,
    quiet: bool,
) -> None:
    """Let the PIANO play the rhythm of the DRUMS (WAV, FLAC, OGG or MP3)."""
    from ..api import Settings, render_files

    started = time.perf_counter()
    with ExitStack() as stack:
        progress = None
        if sys.stderr.isatty() and not quiet:
            bar = stack.enter_context(
                click.progressbar(length=1000, label="rendering", file=sys.stderr)
            )

            def progress(share: float) -> None:
                bar.update(round(1000 * share) - bar.pos)

        result = render_files(
            drums,
            piano,
            output,
            settings=Settings(fit, mix, dict(bias)),
            subtype=subtype,
            force=force,
            device=device,
            threads=threads,
            model_path=model,
            say=None if quiet else click.echo,
            progress=progress,
        )
    if quiet:
        return
    if result.weights:
        click.echo("selected: " + "  ".join(f"{n} {w:.2f}" for n, w in result.weights.items()))
    took = time.perf_counter() - started
    click.echo(
        f"{result.path}: {result.duration_s:.2f} s, {result.sample_rate} Hz, "
        f"{'stereo' if result.channels == 2 else 'mono'}, {result.subtype}, "
        f"{result.strikes} strikes; took {took:.1f} s ({result.duration_s / took:.1f} x real time)"
    )
