"""Recorded pianos voiced anew: the same strokes from another instrument's soundboard and hammers.

There are few recorded pianos, and a model that has heard each key of each of them knows how it
sounds instead of listening. So a piano is regulated and voiced as no technician would, each time
otherwise: its sound moves to other keys, some of its recordings are left out, and every key gets a
colour, a loudness and a decay of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from creative_mix.constants import SAMPLE_RATE
from creative_mix.training.draws import log_uniform
from creative_mix.training.instruments import SampledPiano
from creative_mix.training.rooms import peak_section, shelf_section
from creative_mix.training.samples import Audio, SampleFile, SampleStore, Stroke

Rng = np.random.Generator

MOVED = 4
"""Semitones, at most, by which the sound moves to other keys."""
THINNED = 0.4
"""Share of voiced pianos of which every other recorded key is left out."""
HIGHEST_PARTIAL = 12.0
"""A key's colour lies at most so many times above its pitch."""
LONGEST_S = 5.0
FADE_S = 0.5
"""No voiced stroke sounds longer, and its end fades, seconds."""


@dataclass(frozen=True)
class Voicing:
    """How one key sounds beside its recording.

    Args:
        sections: second-order sections of its colour. Shape: (sections, 6).
        gain_db: by which it is louder.
        decay_db: by which it dies away faster, per second.
    """

    sections: NDArray[np.float64]
    gain_db: float
    decay_db: float

    @classmethod
    def draw(cls, rng: Rng, pitch: int, decay_db: float) -> Voicing:
        """A key's voicing.

        Args:
            rng: what decides.
            pitch: of the key.
            decay_db: of the piano, about which its keys' lie.
        """
        partial = log_uniform(rng, 1.0, HIGHEST_PARTIAL)
        hertz = min(440.0 * 2.0 ** ((pitch - 69) / 12.0) * partial, 12_000.0)
        bright = log_uniform(rng, 1500.0, 9000.0)
        sections = [
            peak_section(hertz, float(rng.normal(0.0, 3.5)), float(rng.uniform(0.5, 2.0))),
            shelf_section(bright, float(rng.normal(0.0, 3.0)), True),
        ]
        return cls(
            np.asarray(sections),
            float(rng.normal(0.0, 1.5)),
            decay_db + float(rng.normal(0.0, 1.5)),
        )

    def apply(self, stroke: Stroke) -> Audio:
        """The stroke's audio as this key sounds. Shape: (2, samples)."""
        samples = min(stroke.data.shape[1], round(LONGEST_S * SAMPLE_RATE))
        time_s = (np.arange(samples) - stroke.attack) / SAMPLE_RATE
        curve_db = self.gain_db - self.decay_db * np.maximum(time_s, 0.0)
        curve = stroke.scale * 10.0 ** (curve_db / 20.0)
        if samples < stroke.data.shape[1]:
            fade = round(FADE_S * SAMPLE_RATE)
            curve[-fade:] *= np.linspace(1.0, 0.0, fade)
        sound = stroke.data[:, :samples] * curve.astype(np.float32)
        return np.asarray(scipy.signal.sosfilt(self.sections, sound, axis=-1), np.float32)


def voice(piano: SampledPiano, rng: Rng) -> SampledPiano:
    """A piano of these recordings as if it were another, the same for the same draws.

    Where its files were levelled each by itself, all keys stay as loud as they were.
    """
    moved = int(rng.integers(-MOVED, MOVED + 1))
    pitches = sorted({file.pitch for file in piano.files})
    if rng.random() < THINNED:
        pitches = pitches[int(rng.integers(2)) :: 2] or pitches
    kept = set(pitches)
    files = [replace(f, pitch=f.pitch + moved) for f in piano.files if f.pitch in kept]
    decay_db = float(rng.uniform(-1.5, 5.0))
    store = _VoicedStore(piano.store, files, moved, decay_db, int(rng.integers(2**32)))
    return SampledPiano(f"{piano.name}, voiced", files, store, piano.velocity_map.own.tolist())


class _VoicedStore(SampleStore):
    """The strokes of another store, voiced by the key that plays them."""

    def __init__(
        self,
        recorded: SampleStore,
        files: Sequence[SampleFile],
        moved: int,
        decay_db: float,
        seed: int,
    ) -> None:
        super().__init__()
        self._recorded, self._moved, self._decay_db, self._seed = recorded, moved, decay_db, seed
        self._pitches = {file.path: file.pitch for file in files}

    def _make(self, path: Path, semitones: float) -> Audio:
        pitch = round(self._pitches[path] + semitones)
        voicing = Voicing.draw(np.random.default_rng([self._seed, pitch]), pitch, self._decay_db)
        return voicing.apply(self._recorded.get(path, semitones + self._moved))
