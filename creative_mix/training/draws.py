"""Draws that more than one kind of material makes."""

from __future__ import annotations

import numpy as np


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A value between two, both above 0, drawn alike in every octave."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
