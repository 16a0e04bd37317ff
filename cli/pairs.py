"""`creative-mix pairs`: make training pairs whose answer is known."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from creative_mix.training.material import Material
    from creative_mix.training.pairs import PairMaker

_maker: PairMaker | None = None  # each worker process's own


@click.command("pairs", context_settings={"show_default": True})
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--material",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with piano/, drums/ and, if you have them, midi/drums/ and midi/piano/.",
)
@click.option("--count", default=100, type=click.IntRange(1), help="How many pairs.")
@click.option("--seed", default=0, type=click.IntRange(0), help="Seed of the first pair.")
@click.option(
    "--split",
    default="train",
    type=click.Choice(["train", "validation"]),
    help="Instruments and files of this split only; one without another beside it is in both.",
)
@click.option("--duration", default=10.0, type=click.FloatRange(2.0, 600.0), help="Seconds each.")
@click.option(
    "--bias-share",
    default=0.3,
    type=click.FloatRange(0.0, 1.0),
    help="Share of pairs with a selector bias and a truth to match.",
)
@click.option(
    "--loop-share",
    default=0.0,
    type=click.FloatRange(0.0, 1.0),
    help="Share of pairs whose drums are as in loops: synthesised, or with a bass, a voice or "
    "chords beside them (of a SoundFont, where one is given), or both.",
)
@click.option(
    "--assembled-kits",
    default=0.0,
    type=click.FloatRange(0.0, 1.0),
    help="Share of pairs whose drums are taken from several kits, each time otherwise.",
)
@click.option(
    "--synthesised-pianos",
    default=0.0,
    type=click.FloatRange(0.0, 1.0),
    help="Share of pairs played by a piano that no samples are of, each time another.",
)
@click.option(
    "--voiced-share",
    default=0.0,
    type=click.FloatRange(0.0, 1.0),
    help="Share of pairs whose recorded piano sounds as if it were another, each time otherwise.",
)
@click.option(
    "--hissing-share",
    default=0.0,
    type=click.FloatRange(0.0, 1.0),
    help="Share of pairs whose recorded piano's strokes bring a hiss along, each time another.",
)
@click.option(
    "--exchanged-hands",
    default=0.0,
    type=click.FloatRange(0.0, 1.0),
    help="Share of the performances from files whose left hand is another's.",
)
@click.option(
    "--soft-share",
    default=0.0,
    type=click.FloatRange(0.0, 1.0),
    help="Share of pairs whose recordings were made at too low a level, by up to 36 dB.",
)
@click.option(
    "--coded-share",
    default=0.0,
    type=click.FloatRange(0.0, 1.0),
    help="Share of pairs of which one recording, or both, comes through MP3.",
)
@click.option(
    "--soundfont",
    "soundfonts",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A .sf2 file whose acoustic pianos and drum kits play too (needs FluidSynth).",
)
@click.option(
    "--program",
    "programs",
    multiple=True,
    type=click.IntRange(0, 127),
    help="General MIDI program of the SoundFont that plays the piano's part, instead of every "
    "piano: 4 is an electric piano, 6 a harpsichord. More than one may be given.",
)
@click.option("--workers", default=1, type=click.IntRange(1, 256), help="Processes.")
@click.option("--force", is_flag=True, help="Make pairs again that are there already.")
def pairs(
    out: Path,
    material: Path,
    count: int,
    seed: int,
    split: str,
    duration: float,
    bias_share: float,
    loop_share: float,
    assembled_kits: float,
    synthesised_pianos: float,
    voiced_share: float,
    hissing_share: float,
    exchanged_hands: float,
    soft_share: float,
    coded_share: float,
    soundfonts: tuple[Path, ...],
    programs: tuple[int, ...],
    workers: int,
    force: bool,
) -> None:
    """Make COUNT pairs of drums, piano and truth in the folder OUT.

    A pair follows from its seed alone: the number of workers changes nothing, and a run that was
    stopped goes on where it was when started again.

    \b
    creative-mix pairs data/train --material my_samples --count 1500 --seed 1000 --workers 2
    creative-mix pairs data/validation --material my_samples --split validation --bias-share 0
    """
    from creative_mix.training.pairs import pair_stems

    out.mkdir(parents=True, exist_ok=True)
    there = set() if force else set(pair_stems(out))
    seeds = [s for s in range(seed, seed + count) if _stem(s) not in there]
    if len(seeds) < count:
        click.echo(
            f"{count - len(seeds)} of {count} pairs are there already; --force makes them anew",
            err=True,
        )
    shares = {
        "bias_share": bias_share,
        "loop_share": loop_share,
        "assembled_kits": assembled_kits,
        "synthesised_pianos": synthesised_pianos,
        "voiced_share": voiced_share,
        "hissing_share": hissing_share,
        "exchanged_hands": exchanged_hands,
        "soft_share": soft_share,
        "coded_share": coded_share,
    }
    settings = (material, soundfonts, programs, split, duration, shares)
    _make_all(out, seeds, settings, min(workers, max(1, len(seeds))))
    click.echo(f"{count} pairs in {out}")


def _make_all(
    out: Path,
    seeds: Sequence[int],
    settings: tuple[Path, tuple[Path, ...], tuple[int, ...], str, float, dict[str, float]],
    workers: int,
) -> None:
    """Make the pairs of some seeds, in this process or in several."""
    # In any case: what is missing or amiss is told once, before the workers start.
    for line in _amiss(_begin(*settings), settings[0], settings[3]):
        click.echo(line, err=True)
    with click.progressbar(length=len(seeds), label="pairs", file=sys.stderr) as bar:
        if workers == 1:
            for seed in seeds:
                _make(out, seed)
                bar.update(1)
            return
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor, as_completed

        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, _begin, settings) as pool:
            jobs = [pool.submit(_make, out, seed) for seed in seeds]
            try:
                for job in as_completed(jobs):
                    job.result()
                    bar.update(1)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _begin(
    material: Path,
    soundfonts: tuple[Path, ...],
    programs: tuple[int, ...],
    split: str,
    duration: float,
    shares: dict[str, float],
) -> Material:
    from creative_mix.training.material import Material
    from creative_mix.training.pairs import PairMaker

    global _maker
    found = Material.from_folder(material, soundfonts, programs)
    _maker = PairMaker(found, split, duration, **shares)
    return found


def _amiss(material: Material, folder: Path, split: str) -> list[str]:
    """What one might not expect of the material, line by line."""
    from creative_mix.training.inventory import Inventory, tell_unused

    inventory = Inventory()
    tell_unused(folder, material, inventory)
    lines = inventory.lines()
    if split == "validation" and material.in_both_splits:
        names = ", ".join(material.in_both_splits)
        lines.append(
            f"in both splits, for want of others: {names}; these pairs do not tell how instruments "
            "sound that were not learnt from"
        )
    return lines


def _make(out: Path, seed: int) -> None:
    from creative_mix.training.pairs import write_pair

    assert _maker is not None
    write_pair(_maker.make(seed), out, _stem(seed))


def _stem(seed: int) -> str:
    return f"{seed:08}"
