"""`creative-mix ablate`: what the learned parts are worth, and what each component knows."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import TrainingDataError


@click.command()
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option(
    "--pairs",
    "pack",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Pairs with known truth, as `pairs` makes them.",
)
@click.option("--count", type=click.IntRange(2), help="How many pairs.  [default: all]")
def ablate(model: Path | None, pack: Path, count: int | None) -> None:
    """Score MODEL (the shipped one by default) with each of its parts taken out.

    The first table is the onset F at 50 ms against the known notes, and what it loses; the second
    what a linear probe reads from each component.

    \b
    creative-mix ablate --pairs data/validation
    creative-mix ablate mine.onnx --pairs data/validation --count 12
    """
    from ..evaluation.ablations import ablate as score
    from ..evaluation.ablations import ablation_table
    from ..evaluation.probing import probe_matrix, probe_table
    from ..evaluation.runner import case_of_pair
    from ..evaluation.variants import Variants
    from ..model.checkpoint import load_model
    from ..renderer import WEIGHTS_PATH
    from ..training.pairfiles import pair_stems, read_pair

    pairs = {stem: read_pair(pack, stem) for stem in pair_stems(pack)[:count]}
    if len(pairs) < 2:
        raise TrainingDataError(f"{pack}: holds fewer than two pairs; make more")
    for stem, pair in pairs.items():
        if not pair.hits or not pair.piano_notes:
            raise TrainingDataError(
                f"{pack / stem}.json: tells no hits and notes, by which parts are judged; "
                "`creative-mix pairs` makes pairs that do"
            )
    loaded = load_model(model or WEIGHTS_PATH)
    cases = [case_of_pair(pair, stem) for stem, pair in pairs.items()]
    click.echo(ablation_table(score(Variants(loaded, cases).renders(), cases)))
    click.echo(f"\n{probe_table(probe_matrix(loaded, list(pairs.values())))}")
