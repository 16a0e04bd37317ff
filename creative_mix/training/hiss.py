"""Recorded pianos whose strokes bring their recording's noise along.

Microphones and preamplifiers hiss, and a sampler plays the hiss with each stroke: it begins with
the key, ends with it, and so is part of what a strike restarts. Sampled pianos differ by more than
20 dB in it.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import scipy.signal

from creative_mix.constants import SAMPLE_RATE
from creative_mix.training.draws import log_uniform
from creative_mix.training.instruments import SampledPiano
from creative_mix.training.rooms import rms_db, shelf_section
from creative_mix.training.samples import Audio, SampleStore, Stroke

Rng = np.random.Generator

LEVEL_DB = (-98.0, -68.0)
"""Root mean square of the hiss against a stroke's peak; strokes lie about it by STROKE_DB."""
STROKE_DB = 2.0
BED_S = 12.0
"""How much hiss is made; strokes take theirs from anywhere in it."""
FADE_S = 0.3


def draw_hiss(rng: Rng) -> Audio:
    """Coloured noise at the level against a stroke's peak of 1. Shape: (2, samples)."""
    white = rng.standard_normal((2, round(BED_S * SAMPLE_RATE)), dtype=np.float32)
    sections = [
        shelf_section(log_uniform(rng, 100.0, 500.0), float(rng.uniform(0.0, 12.0)), False),
        shelf_section(log_uniform(rng, 1500.0, 8000.0), float(rng.uniform(-12.0, 6.0)), True),
    ]
    bed = scipy.signal.sosfilt(np.asarray(sections), white, axis=-1)
    gain_db = float(rng.uniform(*LEVEL_DB)) - rms_db(bed)
    return np.asarray(bed * 10.0 ** (gain_db / 20.0), np.float32)


def add_hiss(stroke: Stroke, bed: Audio, rng: Rng) -> Audio:
    """A stroke's audio with a piece of the hiss, as long as it is. Shape: (2, samples)."""
    samples = stroke.data.shape[1]
    start = int(rng.integers(max(1, bed.shape[1] - samples)))
    piece = bed[:, start : start + samples]
    curve = np.full(piece.shape[1], 32767.0 * 10.0 ** (float(rng.normal(0, STROKE_DB)) / 20.0))
    fade = min(curve.size, round(FADE_S * SAMPLE_RATE))
    curve[curve.size - fade :] *= np.linspace(1.0, 0.0, fade)
    out = stroke.data.astype(np.float32)
    out[:, : piece.shape[1]] += piece * curve.astype(np.float32)
    return np.asarray(out * np.float32(stroke.scale), np.float32)


def hissing(piano: SampledPiano, rng: Rng) -> SampledPiano:
    """A piano whose recordings hiss, the same for the same draws."""
    store = _HissingStore(piano.store, draw_hiss(rng), int(rng.integers(2**32)))
    return SampledPiano(
        f"{piano.name}, hissing", piano.files, store, piano.velocity_map.own.tolist()
    )


class _HissingStore(SampleStore):
    """The strokes of another store, each with its own piece of a hiss."""

    def __init__(self, recorded: SampleStore, bed: Audio, seed: int) -> None:
        super().__init__()
        self._recorded, self._bed, self._seed = recorded, bed, seed

    def _make(self, path: Path, semitones: float) -> Audio:
        own = zlib.crc32(f"{path.name} {semitones:.3f}".encode())
        rng = np.random.default_rng([self._seed, own])
        return add_hiss(self._recorded.get(path, semitones), self._bed, rng)
