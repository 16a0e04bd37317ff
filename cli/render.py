"""`creative-mix DRUMS PIANO -o OUTPUT`: the main job."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..cli.mixing_options import mixing_options
from ..options import DEVICES, SUBTYPES

if TYPE_CHECKING:
    from ..mixing import Settings


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
@mixing_options
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
    settings: Settings,
    subtype: str | None,
    device: Any,
    threads: int | None,
    model: Path | None,
    quiet: bool,
) -> None:
    """Let the PIANO play the rhythm of the DRUMS (WAV, FLAC, OGG or MP3)."""
    from ..api import render_files

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
            settings=settings,
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
