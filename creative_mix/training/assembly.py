"""Drum kits assembled from others: every drum is some kit's, tuned, damped and coloured otherwise.

There are few recorded kits, and a model that has heard each drum of each of them knows how it
sounds instead of asking what a kick, a snare or a cymbal is. So for a performance every drum is
taken from a kit of its own, which may be a synthesised one, and no two performances share a kit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from creative_mix.constants import SAMPLE_RATE
from creative_mix.training import rooms
from creative_mix.training.draws import log_uniform
from creative_mix.training.instruments import RecordedKit, SampledKit
from creative_mix.training.notes import Hit
from creative_mix.training.samples import Audio, SampleFile, SampleStore, shift_pitch
from creative_mix.training.synthesis import draw_kit
from creative_mix.training.voicing import Voicing

Rng = np.random.Generator

TUNED = 3.0
"""One sigma, and a half of the most, by which a drum is tuned otherwise, semitones."""
DAMPED = 0.5
"""Share of the drums that are damped."""
LEVELS = 3
"""About so many of a drum's recorded levels are used: to tune them all takes time."""
RINGING = 0.7
"""Share of the performances in which the kit's other drums ring along."""
LOOSER = 1.6
"""How much further drums' levels lie apart than in a recorded kit."""


class AssembledKit:
    """A kit of which every performance is another: each takes its drums from several kits.

    Args:
        kits: to take drums from; a kit drawn by `creative_mix.training.synthesis` joins them.
    """

    name = "assembled"
    share = 1.0
    has_hands = True

    def __init__(self, kits: Sequence[RecordedKit]) -> None:
        self._kits = tuple(kits)

    def play(self, hits: Sequence[Hit], samples: int, rng: Rng, loose_db: float = 0.0) -> Audio:
        """Stereo audio of the hits, on drums drawn by `rng`. Shape: (2, samples)."""
        kit = assemble([kit.sampled() for kit in self._kits], rng)
        audio = kit.play(hits, samples, rng, LOOSER * loose_db)
        return audio + ring_along(audio, rng) if rng.random() < RINGING else audio


def assemble(kits: Sequence[SampledKit], rng: Rng) -> SampledKit:
    """A kit of these kits' drums, and of a synthesised one's, the same for the same draws.

    It has the usual balance, however loud each drum was where it comes from.
    """
    sources = [*kits, draw_kit(rng)]
    store = _AssembledStore()
    files: list[SampleFile] = []
    for sound in sorted({sound for kit in sources for sound in kit.sounds}):
        having = [kit for kit in sources if sound in kit.sounds]
        kit = having[int(rng.integers(len(having)))]
        drum = _some_strokes([file for file in kit.files if file.sound == sound], rng)
        store.add(drum, kit.store, *_draw_drum(rng))
        files += drum
    return SampledKit(AssembledKit.name, files, store, levelled=True)


def _some_strokes(files: Sequence[SampleFile], rng: Rng) -> list[SampleFile]:
    """A drum's strokes at a few levels, the loudest among them, one of each."""
    layers = sorted({file.layer for file in files}, reverse=True)
    kept = layers[:: max(1, len(layers) // LEVELS)]
    takes = [[file for file in files if file.layer == layer] for layer in kept]
    return [take[int(rng.integers(len(take)))] for take in takes]


def _draw_drum(rng: Rng) -> tuple[float, Voicing]:
    """By how many semitones a drum is tuned otherwise, and how it sounds beside its recording."""
    semitones = float(np.clip(rng.normal(0.0, TUNED), -2.0 * TUNED, 2.0 * TUNED))
    colour = log_uniform(rng, 60.0, 12_000.0)
    bright = log_uniform(rng, 1500.0, 9000.0)
    sections = [
        rooms.peak_section(colour, float(rng.normal(0.0, 5.0)), float(rng.uniform(0.5, 2.0))),
        rooms.shelf_section(bright, float(rng.normal(0.0, 4.0)), True),
    ]
    decay_db = log_uniform(rng, 3.0, 100.0) if rng.random() < DAMPED else 0.0
    return semitones, Voicing(np.asarray(sections), 0.0, decay_db)


def ring_along(audio: Audio, rng: Rng) -> Audio:
    """What else of a kit sounds when it is hit, and is no hit: skins, snare wires, cymbals.

    Skins are resonators that the sound drives; wires and cymbals are noise that follows it.

    Shape: (2, samples) -> (2, samples).
    """
    mono = audio.mean(axis=0)
    rung = np.zeros_like(mono)
    for _ in range(int(rng.integers(1, 4))):
        hertz, decay_s = log_uniform(rng, 60.0, 450.0), log_uniform(rng, 0.05, 0.5)
        radius = np.exp(-1.0 / (decay_s * SAMPLE_RATE))
        turn = 2.0 * np.pi * hertz / SAMPLE_RATE
        skin = scipy.signal.lfilter([1.0], [1.0, -2.0 * radius * np.cos(turn), radius**2], mono)
        rung += _levelled(skin, mono, float(rng.uniform(-34.0, -14.0)))
    for low_hz, high_hz, shortest_s, longest_s, loudest_db in (
        (1200.0, 9000.0, 0.03, 0.2, -14.0),  # wires
        (3500.0, 18_000.0, 0.1, 0.8, -20.0),  # cymbals
    ):
        edges = (log_uniform(rng, low_hz, 2.0 * low_hz), high_hz)
        band = scipy.signal.butter(2, edges, "bandpass", fs=SAMPLE_RATE, output="sos")
        noise = scipy.signal.sosfilt(band, rng.standard_normal(mono.size))
        kept = np.exp(-1.0 / (log_uniform(rng, shortest_s, longest_s) * SAMPLE_RATE))
        followed = scipy.signal.lfilter([1.0 - kept], [1.0, -kept], np.abs(mono))
        level_db = float(rng.uniform(-40.0, loudest_db))
        rung += _levelled(noise * followed, mono, level_db)
    return np.broadcast_to(rung, audio.shape).astype(np.float32)


def _levelled(sound: NDArray[np.float64], beside: Audio, level_db: float) -> Audio:
    """A sound at a level beside another's. Shape: (samples,) each."""
    plain = sound.astype(np.float32)
    gain_db = rooms.rms_db(beside) + level_db - rooms.rms_db(plain)
    return plain * np.float32(10.0 ** (gain_db / 20.0))


class _AssembledStore(SampleStore):
    """The strokes of several stores, each drum's tuned and voiced its own way."""

    def __init__(self) -> None:
        super().__init__()
        self._drums: dict[Path, tuple[SampleStore, float, Voicing]] = {}

    def add(
        self, files: Sequence[SampleFile], store: SampleStore, semitones: float, voicing: Voicing
    ) -> None:
        """Take over a drum: its files in their own store, and how they are to sound."""
        for file in files:
            self._drums[file.path] = (store, semitones, voicing)

    def _make(self, path: Path, semitones: float) -> Audio:
        store, tuned, voicing = self._drums[path]
        return shift_pitch(voicing.apply(store.get(path)), semitones + tuned)
