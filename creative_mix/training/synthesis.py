"""Drum kits that nobody recorded: oscillators and noise, as drum machines have them.

Every kit is drawn anew, so that the sounds of electronic loops are not those of a few samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from creative_mix.constants import SAMPLE_RATE
from creative_mix.training.draws import log_uniform
from creative_mix.training.instruments import SampledKit
from creative_mix.training.notes import Hit
from creative_mix.training.rooms import saturate
from creative_mix.training.samples import Audio, SampleFile, SampleStore

Rng = np.random.Generator
Sound = NDArray[np.float32]
_Draw = Callable[[Rng, float, float], Sound]
"""A stroke from a generator, by how much longer than usual and how much higher, (N,)."""

LONGEST_S = 1.5
"""No stroke sounds longer, seconds."""
FADE = 256
"""Samples over which a stroke ends."""


class SynthesisedKit:
    """A kit of which every performance is another: each draws its sounds from its generator."""

    name = "synthesised"
    share = 1.0
    has_hands = True

    def play(self, hits: Sequence[Hit], samples: int, rng: Rng, loose_db: float = 0.0) -> Audio:
        """Stereo audio of the hits, on sounds drawn by `rng`. Shape: (2, samples)."""
        return draw_kit(rng).play(hits, samples, rng, loose_db)


def draw_kit(rng: Rng) -> SampledKit:
    """A kit with one stroke of every drum."""
    store = SampleStore()
    drive = float(rng.uniform(0.5, 4.0)) if rng.random() < 0.3 else 0.0
    hold = int(rng.integers(2, 9)) if rng.random() < 0.2 else 1
    length = log_uniform(rng, 0.4, 1.6)
    tune = float(rng.normal(0.0, 3.0))
    files = []
    for sound, draw in _SOUNDS.items():
        mono = saturate(draw(rng, length, 2.0 ** (tune / 12.0)), drive)
        if hold > 1:  # a cheap sampler's rate
            mono = np.repeat(mono[::hold], hold)[: mono.size]
        mono[-FADE:] *= np.linspace(1.0, 0.0, FADE, dtype=np.float32)[-mono.size :]
        place = float(np.clip(rng.normal(0.0, 0.25), -0.8, 0.8))
        sides = np.sqrt(np.asarray([[1.0 - place], [1.0 + place]], np.float32) / 2.0)
        path = Path("synthesised") / sound
        store.pin(str(path), sides * mono)
        files.append(SampleFile(path, sound, 0, 1, 1))
    return SampledKit(SynthesisedKit.name, files, store)


def _time(seconds: float) -> Sound:
    """Times of the samples of a stroke, seconds; at most `LONGEST_S`."""
    count = int(min(seconds, LONGEST_S) * SAMPLE_RATE)
    return np.arange(count, dtype=np.float32) / np.float32(SAMPLE_RATE)


def _noise(rng: Rng, count: int, low: float, high: float) -> Sound:
    """Noise between two frequencies, peak 1."""
    edges = (low, min(high, 21000.0))
    band = scipy.signal.butter(2, edges, "bandpass", fs=SAMPLE_RATE, output="sos")
    noise = scipy.signal.sosfilt(band, rng.standard_normal(count)).astype(np.float32)
    return noise / np.float32(max(float(np.max(np.abs(noise))), 1e-9))


def _swept(time_s: Sound, pitch_hz: float, bend: float, bend_s: float) -> Sound:
    """Phase of a tone that begins at ``bend`` times its pitch and comes to it."""
    sweep = (bend - 1.0) * bend_s * (1.0 - np.exp(-time_s / np.float32(bend_s)))
    phase: Sound = np.float32(2.0 * np.pi * pitch_hz) * (time_s + sweep)
    return phase


def _membrane(low_hz: float, high_hz: float, decay_s: float, bend: float) -> _Draw:
    """Kicks, toms and hand drums: a tone that falls (or, bent upwards, rises), and a knock."""

    def draw(rng: Rng, length: float, tune: float) -> Sound:
        decay = decay_s * length * log_uniform(rng, 0.6, 1.6)
        time_s = _time(6.0 * decay)
        start = bend ** float(rng.uniform(-0.1, 1.0))
        pitch_hz = log_uniform(rng, low_hz, high_hz) * tune
        phase = _swept(time_s, pitch_hz, start, log_uniform(rng, 0.004, 0.08))
        tone = np.sin(phase)
        if rng.random() < 0.4:  # partials of a skin
            for ratio in (1.59, 2.14, 2.3)[: int(rng.integers(1, 4))]:
                part = float(rng.uniform(0.05, 0.5))
                quick = np.exp(-time_s / np.float32(decay * 0.5))
                tone = tone + np.float32(part) * quick * np.sin(np.float32(ratio) * phase)
        tone = tone * np.exp(-time_s / np.float32(decay))
        knock = _noise(rng, time_s.size, 300.0, log_uniform(rng, 1500.0, 12000.0))
        knock *= np.exp(-time_s / np.float32(log_uniform(rng, 0.001, 0.012)))
        return tone + np.float32(rng.uniform(0.0, 0.7)) * knock

    return draw


def _snare(rng: Rng, length: float, tune: float) -> Sound:
    decay = log_uniform(rng, 0.04, 0.18) * length
    time_s = _time(6.0 * decay)
    phase = _swept(time_s, log_uniform(rng, 140.0, 340.0) * tune, 1.6, 0.02)
    body = np.sin(phase) * np.exp(-time_s / np.float32(decay * rng.uniform(0.3, 1.0)))
    wires = _noise(
        rng, time_s.size, log_uniform(rng, 300.0, 2500.0), log_uniform(rng, 5000.0, 16000.0)
    )
    wires *= np.exp(-time_s / np.float32(decay))
    return np.float32(rng.uniform(0.1, 1.0)) * body + np.float32(rng.uniform(0.3, 1.0)) * wires


def _clap(rng: Rng, length: float, tune: float) -> Sound:
    decay = log_uniform(rng, 0.04, 0.2) * length
    time_s = _time(6.0 * decay)
    noise = _noise(rng, time_s.size, 500.0 * tune, log_uniform(rng, 2000.0, 9000.0))
    shape = np.zeros_like(time_s)
    gap = round(log_uniform(rng, 0.006, 0.014) * SAMPLE_RATE)
    for burst in range(int(rng.integers(1, 4))):
        begin = burst * gap
        shape[begin:] = np.maximum(
            shape[begin:], np.exp(-time_s[: time_s.size - begin] / np.float32(0.006))
        )
    tail = np.exp(-time_s / np.float32(decay)) * np.float32(rng.uniform(0.2, 0.8))
    return noise * np.maximum(shape, tail)


def _metal(low_s: float, high_s: float) -> _Draw:
    """Hats and cymbals: noise, or six square waves that do not fit together, high-passed."""

    def draw(rng: Rng, length: float, tune: float) -> Sound:
        decay = log_uniform(rng, low_s, high_s) * length
        time_s = _time(6.0 * decay)
        low_hz = log_uniform(rng, 2500.0, 9000.0)
        sound = _noise(rng, time_s.size, low_hz, 20000.0)
        if rng.random() < 0.5:
            squares = np.zeros_like(time_s)
            for _ in range(6):
                phase = np.float32(2.0 * np.pi * log_uniform(rng, 250.0, 1400.0) * tune) * time_s
                squares += np.sign(np.sin(phase))
            high = scipy.signal.butter(2, low_hz, "highpass", fs=SAMPLE_RATE, output="sos")
            ring = scipy.signal.sosfilt(high, squares).astype(np.float32)
            ring /= np.float32(max(float(np.max(np.abs(ring))), 1e-9))
            sound = np.float32(rng.uniform(0.0, 0.6)) * sound + ring
        return sound * np.exp(-time_s / np.float32(decay))

    return draw


def _knock(rng: Rng, length: float, tune: float) -> Sound:
    """Sticks, blocks and claves: a short tone, or a short resonance of noise."""
    decay = log_uniform(rng, 0.005, 0.04) * length
    time_s = _time(6.0 * decay)
    pitch_hz = log_uniform(rng, 500.0, 3000.0) * tune
    if rng.random() < 0.5:
        sound = np.sin(np.float32(2.0 * np.pi * pitch_hz) * time_s)
    else:
        sound = _noise(rng, time_s.size, pitch_hz / 1.3, pitch_hz * 1.3)
    return sound * np.exp(-time_s / np.float32(decay))


def _bell(rng: Rng, length: float, tune: float) -> Sound:
    """Cowbells and metal: one tone that modulates another."""
    decay = log_uniform(rng, 0.03, 0.3) * length
    time_s = _time(6.0 * decay)
    pitch_hz = log_uniform(rng, 300.0, 1800.0) * tune
    index = np.float32(log_uniform(rng, 0.3, 8.0)) * np.exp(-time_s / np.float32(decay * 0.5))
    ratio = float(rng.uniform(0.4, 4.0))
    other = np.sin(np.float32(2.0 * np.pi * pitch_hz * ratio) * time_s)
    phase = np.float32(2.0 * np.pi * pitch_hz) * time_s + index * other
    return np.sin(phase) * np.exp(-time_s / np.float32(decay))


def _shaker(rng: Rng, length: float, tune: float) -> Sound:
    decay = log_uniform(rng, 0.015, 0.07) * length
    time_s = _time(6.0 * decay)
    noise = _noise(rng, time_s.size, log_uniform(rng, 2500.0, 6000.0), 18000.0)
    rise = 1.0 - np.exp(-time_s / np.float32(log_uniform(rng, 0.0005, 0.006)))
    return noise * rise * np.exp(-time_s / np.float32(decay))


_SOUNDS: dict[str, _Draw] = {
    "kick": _membrane(35.0, 90.0, 0.12, 6.0),
    "tom_floor": _membrane(60.0, 120.0, 0.15, 2.0),
    "tom_mid": _membrane(100.0, 200.0, 0.13, 2.0),
    "tom_hi": _membrane(140.0, 300.0, 0.11, 2.0),
    "bongo_hi": _membrane(300.0, 600.0, 0.04, 1.3),
    "bongo_lo": _membrane(200.0, 400.0, 0.05, 1.3),
    "conga_mute": _membrane(220.0, 400.0, 0.02, 1.2),
    "conga_open": _membrane(180.0, 330.0, 0.08, 1.2),
    "conga_low": _membrane(110.0, 220.0, 0.1, 0.7),
    "timbale_hi": _membrane(300.0, 500.0, 0.09, 1.1),
    "timbale_lo": _membrane(200.0, 350.0, 0.11, 1.1),
    "snare": _snare,
    "snare_edge": _snare,
    "clap": _clap,
    "sidestick": _knock,
    "rimshot": _knock,
    "claves": _knock,
    "woodblock_hi": _knock,
    "woodblock_lo": _knock,
    "cowbell": _bell,
    "ride_bell": _bell,
    "hat_closed": _metal(0.008, 0.06),
    "hat_pedal": _metal(0.008, 0.05),
    "hat_open": _metal(0.08, 0.4),
    "ride": _metal(0.1, 0.4),
    "crash": _metal(0.2, 0.6),
    "splash": _metal(0.1, 0.3),
    "china": _metal(0.15, 0.5),
    "tambourine": _shaker,
    "cabasa": _shaker,
    "maracas": _shaker,
}
