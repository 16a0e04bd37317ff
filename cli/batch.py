"""`creative-mix batch DRUMS PIANOS -o OUT`: the main job for folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..cli.batch_display import BatchDisplay, clock
from ..cli.mixing_options import mixing_options
from ..cli.session_options import device_option, model_option
from ..options import ENGINES, OUTPUT_FORMATS, PAIR_RULES, SUBTYPES

if TYPE_CHECKING:
    from ..batch import BatchOptions, Summary
    from ..mixing import Settings


@click.command()
@click.argument("drums")
@click.argument("pianos")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="OUT",
    help="Folder to write to; made where it does not exist.",
)
@click.option(
    "--pair",
    type=click.Choice(PAIR_RULES),
    default="zip",
    show_default=True,
    help="zip: the first drums with the first piano, in the order of their names, and so on. "
    "product: each with every one. name: those of the same name, also funk.drums.wav with "
    "funk.piano.wav.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(OUTPUT_FORMATS),
    default="wav",
    show_default=True,
    help="Files to write.",
)
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="Render what is there already, and replace files from elsewhere.",
)
@mixing_options
@click.option(
    "--subtype",
    type=click.Choice(SUBTYPES, case_sensitive=False),
    metavar="SUBTYPE",
    help=f"Sample format of the outputs: {', '.join(SUBTYPES)}.  [default: each piano's]",
)
@click.option(
    "--dither/--no-dither",
    default=True,
    show_default=True,
    help="Whether outputs of up to 24 bits are dithered.",
)
@device_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Renders at a time, each in a process of its own.  [default: one for every core]",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="CPU threads of each worker; last bits may differ.  [default: the cores, shared out]",
)
@model_option
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="local",
    show_default=True,
    help="local: this machine. ray: a Ray cluster, with a worker on every GPU where it has some. "
    "All its machines must have creative-mix, and see the recordings, OUT and --model under the "
    "same paths, on a file system that they share.",
)
@click.option(
    "--address",
    metavar="ADDRESS",
    help="Of the Ray cluster, such as 10.0.0.1:6379; local for a new one on this machine.  "
    "[default: the one that runs here, or RAY_ADDRESS]",
)
@click.option(
    "--summary",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what became of every pair as JSON; it is in OUT/batch-summary.json, too.",
)
@click.option("--dry-run", is_flag=True, help="Print the pairs and their outputs, and do nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def batch(
    context: click.Context,
    drums: str,
    pianos: str,
    output: Path,
    pair: Any,
    file_format: Any,
    force: bool,
    settings: Settings,
    subtype: str | None,
    dither: bool,
    device: Any,
    workers: int | None,
    threads: int | None,
    model: Path | None,
    engine: Any,
    address: str | None,
    summary: Path | None,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Render the drums and pianos of two folders into the folder OUT.

    DRUMS and PIANOS are folders, with all folders in them, or patterns in quotes, such as
    'loops/**/*.wav'. The tree of DRUMS is kept in OUT; with --pair product, that of PIANOS follows
    in it.

    What OUT holds already, from the same recordings, options and model, is not rendered again: the
    same command goes on where it was stopped. A pair that fails is named, the others go on, and
    the exit code is 1.

    \b
    creative-mix batch drums pianos -o out
    creative-mix batch 'loops/*.drums.wav' 'loops/*.piano.wav' --pair name -o out
    creative-mix batch drums pianos --pair product --format flac -o out --engine ray
    """
    from ..batch import BatchOptions, run_batch

    if address is not None and engine != "ray":
        raise click.UsageError("--address goes with --engine ray")
    options = BatchOptions(
        pair=pair,
        format=file_format,
        settings=settings,
        subtype=subtype,
        dither=dither,
        engine=engine,
        address=address,
        workers=workers,
        threads=threads,
        device=device,
        model_path=model,
        force=force,
    )
    if dry_run:
        _print_pairs(drums, pianos, output, options)
        return
    try:
        with BatchDisplay(quiet) as display:
            done = run_batch(drums, pianos, output, options, display, summary)
    except KeyboardInterrupt:
        click.echo("what is done is whole; the same command goes on from there", err=True)
        raise
    if not quiet:
        click.echo(_describe(done, output))
    if done.count("failed"):
        context.exit(1)


def _print_pairs(drums: str, pianos: str, output: Path, options: BatchOptions) -> None:
    from ..batch import find_pairs

    pairing = find_pairs(drums, pianos, output, options)
    for each in pairing.pairs:
        click.echo(f"{each} -> {output / each.output}")
    for path in pairing.alone:
        click.echo(f"{path}: without a partner of the same name")


def _describe(done: Summary, output: Path) -> str:
    line = (
        f"{output}: {done.count('rendered')} rendered, {done.count('skipped')} there already, "
        f"{done.count('failed')} failed"
    )
    if done.rendered_s:
        line += (
            f"; {clock(done.rendered_s)} of audio in {clock(done.took_s)} "
            f"({done.rendered_s / done.took_s:.1f} x real time)"
        )
    return line
