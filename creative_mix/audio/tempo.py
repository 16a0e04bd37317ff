"""Tempo from the onsets of a recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..constants import HOP_LENGTH, SAMPLE_RATE
from . import FloatArray
from .store import SampleStore

LISTEN_S = 60.0
"""Only the first minute is listened to."""

SLOWEST_BPM = 50.0
FASTEST_BPM = 210.0
_WINDOW = 1024
_BANDS = 32
_SMOOTH = 87
_CLEAR = 0.12
"""Clarity below which a tempo is a guess."""


@dataclass(frozen=True)
class Tempo:
    """A tempo and how clear it is."""

    bpm: float
    """Beats a minute."""

    clarity: float
    """Share of the onsets' energy that recurs with the beat, 0..1."""


def onset_strength(audio: FloatArray) -> npt.NDArray[np.float64]:
    """Return how much louder each frame of `audio` (at 44.1 kHz) is than the one before.

    Half-wave rectified flux of the logarithm in 32 bands, mean removed over about a second;
    nothing for less than a second.

    Shape: (C, N) -> (T,), one frame every 512 samples.
    """
    power: npt.NDArray[np.float64] | None = None
    window = np.hanning(_WINDOW)
    edges = np.unique(np.geomspace(1, _WINDOW // 2, _BANDS + 1).astype(int))
    for channel in audio:
        if len(channel) < _WINDOW:
            return np.zeros(0)
        frames = np.lib.stride_tricks.sliding_window_view(channel, _WINDOW)[::HOP_LENGTH]
        spectrum = np.abs(np.fft.rfft(frames * window)) ** 2
        bands = np.add.reduceat(spectrum, edges[:-1], axis=1)
        power = bands if power is None else power + bands
    if power is None or not power.any():
        return np.zeros(0)
    log = np.log10(power + 1e-5 * power.max())
    flux = np.maximum(0.0, np.diff(log, axis=0)).sum(axis=1)
    if len(flux) < _SMOOTH:
        return np.zeros(0)
    smooth = np.convolve(flux, np.ones(_SMOOTH) / _SMOOTH, mode="same")
    strength: npt.NDArray[np.float64] = np.maximum(0.0, flux - smooth)
    return strength


def estimate_tempo(audio: FloatArray) -> Tempo | None:
    """Return the tempo of `audio` (at 44.1 kHz), or None where there is none to speak of.

    The autocorrelation of the onset strength, summed over one, two and four beats, weighted
    towards 110 beats a minute.

    Shape: (C, N); the first 60 s count, and below 3 s there is no answer.
    """
    score, tempi = tempo_scores(onset_strength(audio[:, : int(LISTEN_S * SAMPLE_RATE)]))
    if not len(tempi):
        return None
    weight = np.exp(-0.5 * (np.log2(tempi / 110.0) / 0.9) ** 2)
    best = int(np.argmax(np.maximum(score, 0) * weight))
    return Tempo(float(tempi[best]), float(max(0.0, score[best])))


def tempo_scores(
    strength: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return how much of the onsets recurs at each of many tempi, and these in beats a minute.

    Both are empty for less than 3 s and where nothing begins.

    Shape: (T,) -> (600,), (600,) or (0,), (0,).
    """
    frame_rate = SAMPLE_RATE / HOP_LENGTH
    nothing = np.zeros(0), np.zeros(0)
    if len(strength) < 3 * frame_rate or not strength.any():
        return nothing
    count = len(strength)
    spectrum = np.fft.rfft(strength - strength.mean(), 2 * count)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:count] / (count - np.arange(count) * 0.9)
    if correlation[0] <= 0:
        return nothing
    correlation = correlation / correlation[0]
    tempi = np.geomspace(SLOWEST_BPM, FASTEST_BPM, 600)
    lags = 60.0 * frame_rate / tempi
    score = np.zeros(len(tempi))
    total = np.zeros(len(tempi))
    for beats in (1, 2, 4):
        inside = lags * beats < count * 0.75
        score += np.where(inside, np.interp(lags * beats, np.arange(count), correlation), 0.0)
        total += inside
    return score / np.maximum(1, total), tempi


def clear_tempo(store: SampleStore) -> Tempo | None:
    """Return the tempo of a recording at 44.1 kHz, or None where there is no clear one."""
    found = estimate_tempo(store.read(0, int(LISTEN_S * SAMPLE_RATE)))
    return found if found is not None and found.clarity >= _CLEAR else None


def tempi_differ(first: Tempo | None, second: Tempo | None, tolerance: float = 0.04) -> bool:
    """Return whether both are clear and no simple ratio (1, 2, 3 to one or to two) joins them."""
    if first is None or second is None or min(first.clarity, second.clarity) < _CLEAR:
        return False
    ratio = first.bpm / second.bpm
    simple = (1.0, 2.0, 0.5, 3.0, 1 / 3, 1.5, 2 / 3, 4.0, 0.25)
    return all(abs(ratio / each - 1.0) > tolerance for each in simple)
