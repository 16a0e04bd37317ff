"""`creative-mix weights DRUMS PIANO -o CSV`: what is selected and struck, over time."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..cli.mixing_options import mixing_options
from ..cli.session_options import progress_bar, session_options

if TYPE_CHECKING:
    from ..mixing import Settings


@click.command()
@click.argument("drums", type=click.Path())
@click.argument("piano", type=click.Path())
@click.option(
    "-o",
    "--output",
    default="-",
    type=click.Path(),
    metavar="CSV",
    help="File to write, .csv.  [default: standard output]",
)
@click.option("-f", "--force", is_flag=True, help="Replace CSV if it exists.")
@mixing_options
@session_options
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def weights(
    drums: str,
    piano: str,
    output: str,
    force: bool,
    settings: Settings,
    device: Any,
    threads: int | None,
    model: Path | None,
    quiet: bool,
) -> None:
    """Write the six weights and the strikes over time as CSV, without the audio.

    A line a frame, 86 in a second: time_s is the middle of the frame, the six weights add up to 1,
    strike is the probability that any voice is struck, and low, inner and top are how hard that
    voice is struck, 0 to 1, in the frame in which it is.

    \b
    creative-mix weights drums.wav piano.wav -o weights.csv
    creative-mix weights drums.wav piano.wav --bias input_timbre=+2 | head
    """
    from ..newfile import NewFile
    from ..sidefiles import WEIGHTS_SUFFIXES
    from ..tracing import trace_files

    with ExitStack() as stack:
        file = None
        if output != "-":
            if Path(output).suffix.lower() not in WEIGHTS_SUFFIXES:
                raise click.UsageError(f"{output}: name this file {' or '.join(WEIGHTS_SUFFIXES)}")
            file = NewFile(output, force)
            stack.callback(file.discard)
        progress = stack.enter_context(progress_bar(quiet))
        trace = trace_files(
            drums,
            piano,
            settings=settings,
            device=device,
            threads=threads,
            model_path=model,
            say=None if quiet else lambda line: click.echo(line, err=True),
            progress=progress,
        )
        if file is None:
            click.echo(trace.csv(), nl=False)
            return
        file.fill(trace.csv().encode())
        with file.writing():
            file.give_name()
    if not quiet:
        click.echo(f"{output}: {len(trace.times_s)} frames, {trace.duration_s:.2f} s")
