"""Beats followed through a whole recording, however long, and how far they stray from even."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..constants import SAMPLE_RATE
from .beats import ONSET_DELAY_S, Beats
from .rises import FRAME_RATE, onset_row
from .store import SampleStore

_WINDOW_S = 10.0
_SHORTEST_WINDOW_S = 4.0
_LEAST_CONTRAST = 1.3
"""A window without a beat, a pause above all, says nothing."""

_LEAST_WINDOWS = 3

_DRIFTS = np.linspace(-0.06, 0.06, 25)
"""How much slower the beat may be than at the beginning."""


def follow_beats(store: SampleStore, beats: Beats) -> Beats:
    """Return `beats` with the tempo of the whole recording, and how far its beat strays.

    In every ten seconds the beat, a little faster or slower than before, is looked for within a
    quarter of a beat of where the ten seconds before lead to; a line through all is the tempo.

    Args:
        store: the recording at 44.1 kHz.
        beats: found at its beginning.
    """
    period = 60.0 / beats.bpm
    kernel = np.hanning(9) / np.hanning(9).sum()
    times: list[float] = []
    offsets: list[float] = []
    last, drift, before = 0.0, 0.0, 0.0
    step = int(_WINDOW_S * SAMPLE_RATE)
    for start in range(0, store.length, step):
        audio = store.read(start, start + step)
        if audio.shape[1] < _SHORTEST_WINDOW_S * SAMPLE_RATE:
            break
        row = np.convolve(onset_row(audio), kernel, mode="same")
        begin, end = start / SAMPLE_RATE, (start + audio.shape[1]) / SAMPLE_RATE
        first = np.ceil((begin - beats.beat_s) / period)
        count = np.floor((end - beats.beat_s) / period) - first + 1
        grid = beats.beat_s + (first + np.arange(count)) * period
        middle = (begin + end) / 2
        centre = last + drift * (middle - before)
        if len(times) >= _LEAST_WINDOWS:
            # Over a pause, several windows lead further than the last one alone.
            slope, shift = np.polyfit(times[-5:], offsets[-5:], 1)
            centre = float(slope * middle + shift)
        tried = centre + np.linspace(-period / 4, period / 4, 61)
        places = grid + tried[:, None, None] + _DRIFTS[:, None] * (grid - middle)
        places = (places - begin - ONSET_DELAY_S) * FRAME_RATE
        sums = np.interp(places, np.arange(len(row)), row, left=0.0, right=0.0).sum(axis=2)
        if sums.max() > _LEAST_CONTRAST * sums.mean():
            at, way = np.unravel_index(int(np.argmax(sums)), sums.shape)
            last, drift, before = float(tried[at]), float(_DRIFTS[way]), middle
            times.append(middle)
            offsets.append(last)
    if len(times) < _LEAST_WINDOWS:
        return beats
    slope, shift = np.polyfit(times, offsets, 1)
    strayed = np.abs(np.asarray(offsets) - slope * np.asarray(times) - shift)
    return replace(
        beats,
        bpm=float(beats.bpm / (1.0 + slope)),
        beat_s=float(beats.beat_s * (1.0 + slope) + shift),
        stray_beats=float(np.percentile(strayed, 90) / period),
    )
