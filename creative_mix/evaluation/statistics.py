"""Means with bootstrap intervals, and wins counted pair by pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Interval:
    """A mean over pairs and the range that holds it.

    Attributes:
        mean: over the pairs that have a value; nan where none has.
        low: lower end.
        high: upper end.
        count: how many pairs have a value.
    """

    mean: float
    low: float
    high: float
    count: int


def bootstrap_interval(
    values: ArrayLike, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> Interval:
    """The mean and its percentile bootstrap interval; nan values are left out.

    Args:
        values: one value a pair.
        level: the interval's coverage, 0 to 1.
        draws: how many times the pairs are drawn again, with replacement.
        seed: of the draws.
    """
    kept = np.asarray(values, dtype=np.float64).ravel()
    kept = kept[np.isfinite(kept)]
    if not len(kept):
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    drawn = np.random.default_rng(seed).integers(0, len(kept), (draws, len(kept)))
    means = kept[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(kept.mean()), float(low), float(high), len(kept))


@dataclass(frozen=True)
class Wins:
    """How often one system beats another on the same pair.

    Attributes:
        rival: the other system's name.
        won: pairs on which the first is better.
        drawn: pairs on which both are equal.
        count: pairs on which both have a value.
        difference: mean of first minus rival, with its interval.
    """

    rival: str
    won: int
    drawn: int
    count: int
    difference: Interval


def count_wins(ours: ArrayLike, theirs: ArrayLike, rival: str, higher_is_better: bool) -> Wins:
    """The wins of `ours` over `theirs`, value by value of the same pairs."""
    difference = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    kept = difference[np.isfinite(difference)]
    won = int(np.sum(kept > 0 if higher_is_better else kept < 0))
    drawn = int(np.sum(kept == 0))
    return Wins(rival, won, drawn, len(kept), bootstrap_interval(difference))
