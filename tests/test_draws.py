"""Draws that more than one kind of material makes."""

from __future__ import annotations

import numpy as np

from creative_mix.training.draws import log_uniform


def test_every_octave_is_drawn_alike() -> None:
    rng = np.random.default_rng(3)
    drawn = [log_uniform(rng, 100.0, 800.0) for _ in range(3000)]
    assert 100.0 <= min(drawn) and max(drawn) <= 800.0
    counts = np.histogram(np.log2(drawn), bins=np.log2([100.0, 200.0, 400.0, 800.0]))[0]
    assert np.all(np.abs(counts - 1000) < 120)
