"""Beats and bars of a recording: tempo, the first downbeat, and how sure both are.

Every tempo that the onsets could have, every place of the beat and every place of the bar line is
a reading of the recording.  Folded onto one bar, the right reading looks like a bar: the bass on
the first beat, the backbeat on the second and fourth, the harmony changing at the bar line.  How a
bar looks was learned by `benchmarks/bars.py` (`bars.json`); a softmax over the readings says how
sure the best one is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from . import FloatArray
from .rises import FRAME_RATE, Doubles, first_sound_s, onset_rows
from .tempo import tempo_scores

Kind = Literal["drums", "piano"]

RATIOS = (1 / 2, 2 / 3, 3 / 4, 1.0, 4 / 3, 3 / 2, 2.0)
"""What the strongest period of the onsets may be to the beat."""

SLOWEST_BPM = 45.0
FASTEST_BPM = 215.0
STEPS_IN_BEAT = 4

_FLOOR = 0.2
ONSET_DELAY_S = 0.008
"""From the frame in which the spectrum rises most to the stroke, measured on drums."""

_NEAR_BEATS = 0.25


@dataclass(frozen=True)
class Reading:
    """One way to hear a recording."""

    bpm: float
    beats_in_bar: int
    downbeat_s: float
    """A bar line, within the first bar of the recording."""

    features: Doubles
    """What the softmax reads: how a bar of four looks, a bar of three, and a few figures."""


@dataclass(frozen=True)
class Beats:
    """The beats of a recording, counted from the first one in it."""

    bpm: float
    beats_in_bar: int
    beat_s: float
    """When the first beat is."""

    certainty: float
    """Probability that tempo and beat are right."""

    bars: Doubles
    """Probability of each of the first beats to begin a bar, shape (beats_in_bar,)."""

    sound_s: float
    """When the recording begins to sound."""

    stray_beats: float = 0.0
    """How far the beat strays from an even one, in beats."""

    def first_downbeat_s(self, beat: int) -> float:
        """Return the first bar line in the sounding recording, where `beat` begins a bar."""
        period = 60.0 / self.bpm
        bar = period * self.beats_in_bar
        line = self.beat_s + beat * period
        before = np.floor((line - self.sound_s + _NEAR_BEATS * period) / bar)
        return float(line - before * bar)


def find_beats(audio: FloatArray, kind: Kind) -> Beats | None:
    """Return the beats of `audio` (at 44.1 kHz), or None where it has none to speak of.

    Shape: (C, N); a minute is enough, and below four seconds there is no answer.
    """
    rows = onset_rows(audio)
    return None if rows is None else beats_of(rows, kind)


def beats_of(rows: Doubles, kind: Kind) -> Beats | None:
    """Return the beats of a recording of which `onset_rows` gave `rows`, or None."""
    readings = list(read_bars(rows))
    if not readings:
        return None
    scores = np.array([each.features for each in readings]) @ _weights(kind)
    chances = np.exp(scores - scores.max())
    chances /= chances.sum()
    best = readings[int(np.argmax(chances))]
    period = 60.0 / best.bpm
    beat_s = best.downbeat_s % period
    bars = np.zeros(best.beats_in_bar)
    for each, chance in zip(readings, chances, strict=True):
        place = (each.downbeat_s - beat_s) / period
        if (each.bpm, each.beats_in_bar) == (best.bpm, best.beats_in_bar):
            if abs(place - round(place)) < 0.05:
                bars[round(place) % best.beats_in_bar] += chance
    certainty = float(bars.sum())
    return Beats(
        best.bpm,
        best.beats_in_bar,
        beat_s,
        certainty,
        bars / certainty,
        first_sound_s(rows),
    )


def read_bars(rows: Doubles) -> Iterator[Reading]:
    """Yield every reading of a recording.

    Args:
        rows: from `onset_rows`.
    """
    onsets = rows[0]
    scores, tempi = tempo_scores(onsets)
    if not len(tempi):
        return
    weight = np.exp(-0.5 * (np.log2(tempi / 110.0) / 0.9) ** 2)
    strongest = float(tempi[int(np.argmax(np.maximum(scores, 0) * weight))])
    kernel = np.hanning(7)
    kernel /= kernel.sum()
    smooth = np.stack([np.convolve(row, kernel, mode="same") for row in rows])
    sound_s = first_sound_s(rows)
    spectrum = beat_spectrum(onsets)
    for ratio in RATIOS:
        if not SLOWEST_BPM <= strongest * ratio <= FASTEST_BPM:
            continue
        bpm = sharpened_bpm(spectrum, strongest * ratio)
        step = 60.0 / bpm / STEPS_IN_BEAT * FRAME_RATE
        places, values = _on_grid(smooth, step)
        for beats in (4, 3):
            steps = beats * STEPS_IN_BEAT
            if len(places) < steps:
                continue
            turn = np.arange(len(places)) % steps
            counts = np.bincount(turn, minlength=steps)
            bar = np.stack([np.bincount(turn, row, minlength=steps) for row in values]) / counts
            octaves = np.log2(bpm / 110.0)
            figures = (bar[0].mean(), np.log(bar[0].max() + 1e-9), octaves**2, octaves)
            # Every shift at once: (shift, row, step).
            shifts = np.arange(steps)
            looks = np.log(bar + _FLOOR)[:, (shifts[:, None] + shifts) % steps].swapaxes(0, 1)
            looks = looks.reshape(steps, -1)
            other = np.zeros((steps, len(rows) * (7 - beats) * STEPS_IN_BEAT))
            downbeats = (places[0] + shifts * step) / FRAME_RATE
            away = (sound_s - downbeats) * FRAME_RATE / step
            away = (away + steps / 2) % steps - steps / 2
            features = np.concatenate(
                [
                    *((looks, other) if beats == 4 else (other, looks)),
                    np.tile(figures, (steps, 1)),
                    np.exp(-0.5 * (away / 0.5) ** 2)[:, None],
                    np.full((steps, 1), float(beats == 3)),
                ],
                axis=1,
            )
            for downbeat_s, row in zip(downbeats, features, strict=True):
                yield Reading(bpm, beats, float(downbeat_s) + ONSET_DELAY_S, row)


def _on_grid(smooth: Doubles, step: float) -> tuple[Doubles, Doubles]:
    """Return the grid of so many frames a step that most begins on, and what begins there.

    Shape: (R, T) -> (S,), (R, S).
    """
    frames = np.arange(smooth.shape[1])
    grid = np.arange(int(len(frames) / step) + 1) * step
    offsets = np.linspace(0.0, step, 24, endpoint=False)
    sums = [np.interp(grid + offset, frames, smooth[0], right=0.0).sum() for offset in offsets]
    places = grid + offsets[int(np.argmax(sums))]
    return places, np.stack([np.interp(places, frames, row, right=0.0) for row in smooth])


def beat_spectrum(onsets: Doubles) -> tuple[Doubles, float]:
    """Return the spectrum of the onsets, and how many of its bins make 1 Hz."""
    count = 1 << int(np.ceil(np.log2(len(onsets) * 16)))
    shape = np.hanning(len(onsets))
    return np.abs(np.fft.rfft((onsets - onsets.mean()) * shape, count)), count / FRAME_RATE


def sharpened_bpm(spectrum: tuple[Doubles, float], bpm: float, span: float = 0.03) -> float:
    """Return the tempo near `bpm` at which beats, half beats and quarter beats recur."""
    values, bins_in_hz = spectrum
    tempi = bpm * np.linspace(1 - span, 1 + span, 801)
    places = np.arange(len(values))
    strength = sum(np.interp(tempi / 60.0 * k * bins_in_hz, places, values) for k in (1, 2, 4))
    return float(tempi[int(np.argmax(strength))])


@cache
def _weights(kind: Kind) -> Doubles:
    table = json.loads((Path(__file__).parent / "bars.json").read_text(encoding="utf-8"))
    return np.array(table[kind])
