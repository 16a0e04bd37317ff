"""`creative-mix evaluate`: scores of the model and of plain rules, as a table and as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from creative_mix.newfile import NewFile

if TYPE_CHECKING:
    from creative_mix.evaluation.baselines import Render
    from creative_mix.evaluation.report import Report
    from creative_mix.evaluation.systems import Device

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--pairs", "pack", type=FOLDER, help="Pairs with known truth, as `pairs` makes them.")
@click.option("--material", type=FOLDER, help="Make validation pairs from this material instead.")
@click.option("--count", type=click.IntRange(1), help="How many pairs.  [default: 60, or all]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="First seed.")
@click.option(
    "--duration",
    type=click.FloatRange(2.0),
    default=10.0,
    show_default=True,
    help="Seconds of a made pair.",
)
@click.option(
    "--floor", is_flag=True, help="With --material: also score the truth rendered a second time."
)
@click.option(
    "--real",
    nargs=2,
    type=FOLDER,
    metavar="DRUMS PIANO",
    help="Two folders of recordings: every drum file with every piano file.",
)
@click.option("--model", type=FILE, help="An ONNX model file.  [default: the shipped one]")
@click.option("--systems", help="Comma-separated choice of systems.  [default: all]")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where the model runs.",
)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--json", "json_path", type=FILE, help="Write all scores here.")
@click.option("--force", is_flag=True, help="Overwrite the JSON file.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def evaluate(
    pack: Path | None,
    material: Path | None,
    count: int | None,
    seed: int,
    duration: float,
    floor: bool,
    real: tuple[Path, Path] | None,
    model: Path | None,
    systems: str | None,
    device: Device,
    jobs: int,
    json_path: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Score the model beside plain rules, chance, and the known truth.

    Give pairs with a known truth (--pairs or --material), real recordings (--real), or both. Every
    mean comes with its 95 % bootstrap interval over the pairs.

    \b
    creative-mix evaluate --pairs data/validation
    creative-mix evaluate --pairs data/validation --model mine.onnx --count 12 --json scores.json
    creative-mix evaluate --real drums pianos --systems model,gate,restriker
    """
    if pack and material and not floor:
        raise click.UsageError("--pairs and --material go together only with --floor; drop one")
    if not (pack or material or real):
        raise click.UsageError("nothing to evaluate on; give --pairs, --material or --real")
    if floor and not material:
        raise click.UsageError("--floor needs --material, to render the truth again")
    from creative_mix.evaluation import sources
    from creative_mix.evaluation.systems import choose_systems

    with _kept(json_path, force) as result:
        threads = max(1, (os.cpu_count() or 1) // jobs)
        chosen = choose_systems(systems, model, device, threads=threads)
        if pack or material:
            cases = (
                sources.pack_cases(pack, count, material if floor else None)
                if pack
                else sources.made_cases(_given(material), count or 60, seed, duration, floor)
            )
            report = _run(cases, chosen, None, jobs, quiet)
            result["truth"] = _show(report, f"{len(cases)} pairs with known truth", True)
        if real:
            cases, partners = sources.recorded_cases(*real)
            report = _run(cases, chosen, partners, jobs, quiet)
            result["real"] = _show(report, f"{len(cases)} pairs of recordings", False)


@contextlib.contextmanager
def _kept(path: Path | None, force: bool) -> Iterator[dict[str, Any]]:
    """Give a place for the scores, and write it to `path`, if that is asked for, at the end."""
    file = None if path is None else NewFile(path, force)
    result: dict[str, Any] = {"format_version": 1}
    try:
        yield result
        if file is not None:
            file.fill((json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
            file.give_name()
    finally:
        if file is not None:
            file.discard()


def _given(material: Path | None) -> Path:
    assert material is not None
    return material


def _run(
    cases: list[Any],
    systems: dict[str, Render],
    partners: list[int] | None,
    jobs: int,
    quiet: bool,
) -> Report:
    from creative_mix.evaluation.runner import evaluate_cases

    if quiet or not sys.stderr.isatty():
        return evaluate_cases(cases, systems, partners, jobs)
    with click.progressbar(length=len(cases), label="pairs", file=sys.stderr) as bar:
        return evaluate_cases(
            cases, systems, partners, jobs, lambda done, _: bar.update(done - bar.pos)
        )


def _show(report: Report, title: str, with_truth: bool) -> dict[str, Any]:
    from creative_mix.evaluation import targets

    click.echo(f"\n## {title}\n")
    click.echo("mean [95 % interval] (chance, or the mismatched source's score)\n")
    click.echo(report.table())
    wins = report.wins_table()
    if wins:
        click.echo(f"\n### Wins of the model, pair by pair\n\n{wins}")
    outcomes = targets.check_targets(report, with_truth)
    if outcomes:
        click.echo(f"\n### Goals\n\n{targets.targets_table(outcomes)}")
    return {**report.to_json(), "targets": targets.targets_json(outcomes)}
