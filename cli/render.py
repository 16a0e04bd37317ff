"""`creative-mix DRUMS PIANO -o OUTPUT`: the main job."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..cli.mixing_options import mixing_options
from ..cli.session_options import progress_bar, session_options
from ..options import SUBTYPES

if TYPE_CHECKING:
    from ..mixing import Settings


@click.command()
@click.argument("drums", type=click.Path())
@click.argument("piano", type=click.Path())
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="OUTPUT",
    help="File to write, .wav or .flac; as long as the drums. A dash writes a WAV to standard "
    "output.",
)
@click.option("-f", "--force", is_flag=True, help="Replace OUTPUT if it exists.")
@mixing_options
@click.option(
    "--midi",
    type=click.Path(),
    metavar="MID",
    help="Also write what was composed as MIDI: every note that is struck, when and how hard.",
)
@click.option(
    "--weights",
    type=click.Path(),
    metavar="CSV",
    help="Also write the six weights and the strikes over time, a line a frame.",
)
@click.option(
    "--report",
    "reports",
    type=click.Path(),
    multiple=True,
    metavar="HTML|JSON",
    help="Also write a page to look at and listen to (.html), or its figures (.json); may be "
    "repeated.",
)
@click.option(
    "--subtype",
    type=click.Choice(SUBTYPES, case_sensitive=False),
    metavar="SUBTYPE",
    help=f"Sample format of OUTPUT: {', '.join(SUBTYPES)}.  [default: the piano's]",
)
@click.option(
    "--dither/--no-dither",
    default=True,
    show_default=True,
    help="Whether an output of up to 24 bits is dithered.",
)
@session_options
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def render(
    drums: str,
    piano: str,
    output: str,
    force: bool,
    settings: Settings,
    midi: str | None,
    weights: str | None,
    reports: tuple[str, ...],
    subtype: str | None,
    dither: bool,
    device: Any,
    threads: int | None,
    model: Path | None,
    quiet: bool,
) -> None:
    """Let the PIANO play the rhythm of the DRUMS (WAV, FLAC, OGG or MP3).

    One of the two may be a dash, for standard input.

    \b
    creative-mix drums.wav piano.wav -o out.wav
    creative-mix drums.wav piano.wav -o out.flac --density 0.6 --bias target_rhythm=+2
    creative-mix drums.wav piano.wav -o out.wav --midi out.mid --report out.html
    creative-mix drums.wav - -o - < piano.wav | aplay
    """
    from ..api import render_files
    from ..audio.pipes import PIPE, STDOUT_NAME
    from ..errors import OptionError
    from ..sidefiles import SideFiles

    if drums == piano == PIPE:
        raise click.UsageError(
            "DRUMS and PIANO cannot both come from standard input; give one a file"
        )
    try:
        side = SideFiles(midi, weights, reports)
    except OptionError as error:
        raise click.UsageError(str(error)) from error
    started = time.perf_counter()

    def say(line: str) -> None:
        # Where the audio goes to standard output, words must not.
        click.echo(line, err=output == PIPE)

    with progress_bar(quiet) as progress:
        result = render_files(
            drums,
            piano,
            output,
            settings=settings,
            subtype=subtype,
            dither=dither,
            force=force,
            device=device,
            threads=threads,
            model_path=model,
            side=side,
            say=None if quiet else say,
            progress=progress,
        )
    if quiet:
        return
    if result.weights:
        say("selected: " + "  ".join(f"{n} {w:.2f}" for n, w in result.weights.items()))
    took = time.perf_counter() - started
    name = STDOUT_NAME if output == PIPE else result.path
    say(
        f"{name}: {result.duration_s:.2f} s, {result.sample_rate} Hz, "
        f"{'stereo' if result.channels == 2 else 'mono'}, {result.subtype}, "
        f"{result.strikes} strikes; took {took:.1f} s ({result.duration_s / took:.1f} x real time)"
    )
