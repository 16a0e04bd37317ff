"""What the learned parts are worth: the score lost when one of them is taken out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from creative_mix.evaluation.baselines import Audio
from creative_mix.evaluation.features import Features
from creative_mix.evaluation.measures import MEASURES, References, measure_output
from creative_mix.evaluation.report import align, number, show
from creative_mix.evaluation.runner import Case
from creative_mix.evaluation.statistics import Interval, bootstrap_interval

IndexedRender = Callable[[int], Audio]
"""Takes a case's index, returns that case's output (C, N)."""

_BY_KEY = {measure.key: measure for measure in MEASURES}


@dataclass(frozen=True)
class Ablation:
    """What one variant scores, and what it loses against the whole model.

    Attributes:
        name: of the variant.
        score: its mean over the cases.
        loss: mean over the cases of the whole's score minus the variant's.
        chance: the variant's chance level, nan for a measure that has none.
    """

    name: str
    score: Interval
    loss: Interval
    chance: float


def ablate(
    render_variants: Mapping[str, IndexedRender],
    cases: Sequence[Case],
    whole: str = "whole",
    key: str = "strikes_f50",
) -> list[Ablation]:
    """The score and the loss of every variant of a model, over the same cases.

    A variant gets the case's index, not its audio, so that one may take an encoding from another
    case (shuffled across pairs) as easily as zero it.

    Args:
        render_variants: by name; must hold `whole`.
        cases: with known strikes where `key` needs them.
        whole: the name of the variant with nothing taken out.
        key: the measure, one of `measures.MEASURES`.

    Raises:
        KeyError: `whole` is not among the variants.
    """
    values: dict[str, list[float]] = {name: [] for name in render_variants}
    chances: dict[str, list[float]] = {name: [] for name in render_variants}
    beside = _BY_KEY[key].beside
    for index, case in enumerate(cases):
        references = References(
            drums=Features(case.drums),
            piano=Features(case.piano),
            truth=None if case.truth is None else Features(case.truth),
            strikes_s=case.strikes_s,
        )
        for name, render in render_variants.items():
            found = measure_output(Features(render(index)), references)
            values[name].append(found.get(key, math.nan))
            chances[name].append(found.get(beside, math.nan) if beside else math.nan)
    base = np.asarray(values[whole])
    return [
        Ablation(
            name,
            bootstrap_interval(values[name]),
            bootstrap_interval(base - np.asarray(values[name])),
            bootstrap_interval(chances[name]).mean,
        )
        for name in render_variants
    ]


def ablation_table(ablations: Sequence[Ablation], key: str = "strikes_f50") -> str:
    """A Markdown table: a row a variant."""
    measure = _BY_KEY[key]
    rows = [["variant", measure.label, "chance", "lost"]]
    for one in ablations:
        score, loss = show(one.score, measure), show(one.loss, measure, signed=True)
        rows.append([one.name, score, number(one.chance, measure), loss])
    return align(rows)


def shuffled(count: int, seed: int = 0) -> list[int]:
    """An order of the cases in which none stays in its place (for two or more), by seed."""
    order = np.random.default_rng(seed).permutation(count)
    found = np.empty(count, dtype=int)
    found[order] = np.roll(order, 1)
    return [int(index) for index in found]
