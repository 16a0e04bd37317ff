"""A sound reduced to what can be drawn: waveform, mel spectrogram and chroma, in few columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..audio import FloatArray
from ..audio.levels import LevelMeter
from ..audio.tempo import onset_strength
from ..constants import HOP_LENGTH, SAMPLE_RATE

Doubles = npt.NDArray[np.float64]

MOST_COLUMNS = 1200
"""Columns of a picture: more than that, no screen shows side by side."""

MEL_BANDS = 96
MEL_RANGE_HZ = (40.0, 16000.0)
FLOOR_DB = -70.0
"""Beside the loudest band and frame; what is quieter is drawn black."""

_WINDOW = 2048
_CHROMA_WINDOW = 8192
_CHROMA_RANGE_HZ = (60.0, 4000.0)
_GROUP = 256
_LISTEN_FRAMES = 5168
"""A minute, in which onsets are looked for at a time."""

_MARGIN_FRAMES = 64
_RISE_SAMPLES = 512
"""From the beginning of the later of two windows to where what rises between them begins."""

_ONSET_REACH = 3
_ONSET_SHARE = 0.12
"""Of the sound's strong onsets: what rises by less is none."""


class Readable(Protocol):
    """A recording at 44.1 kHz of which any stretch can be read."""

    @property
    def length(self) -> int: ...

    def read(self, start: int, stop: int) -> FloatArray: ...


@dataclass(frozen=True)
class Sketch:
    """What can be drawn of a sound, in K columns that share its time out evenly."""

    duration_s: float
    loudness_lufs: float
    peak: float
    waveform: FloatArray
    """Lowest and highest sample of any channel, shape (2, K)."""

    mel_db: FloatArray
    """Level of each mel band beside the loudest, FLOOR_DB..0, shape (MEL_BANDS, K)."""

    chroma: FloatArray
    """Strength of the twelve pitch classes from C on, 0..1 in each column, shape (12, K)."""

    onsets_s: Doubles
    """Where something begins, shape (S,)."""


def draw_sketch(sound: Readable, columns: int) -> Sketch:
    """Return what can be drawn of a sound, in one pass and bounded memory.

    Args:
        sound: at 44.1 kHz.
        columns: K; `columns_of` says how many suit its length.
    """
    waveform, meter = _waveform(sound, columns)
    mel = np.log10(np.maximum(_bands(sound, _WINDOW, HOP_LENGTH, _mel_matrix(), columns), 1e-20))
    level_db = np.maximum(10 * (mel - mel.max()), FLOOR_DB)
    if meter.peak == 0:
        level_db = np.full_like(level_db, FLOOR_DB)
    chroma = np.sqrt(_bands(sound, _CHROMA_WINDOW, _WINDOW, _chroma_matrix(), columns))
    strongest = chroma.max(axis=0)
    # Near silence, what stands out is noise.
    heard = strongest > 1e-3 * max(1e-9, float(strongest.max()))
    chroma = np.where(heard, chroma / np.maximum(strongest, 1e-12), 0.0)
    return Sketch(
        sound.length / SAMPLE_RATE,
        meter.loudness_lufs,
        meter.peak,
        waveform,
        level_db.astype(np.float32),
        chroma.astype(np.float32),
        find_onsets(sound),
    )


def columns_of(length: int) -> int:
    """Return how many columns suit a sound: one a frame, as far as a screen shows them."""
    return max(1, min(MOST_COLUMNS, -(-length // HOP_LENGTH)))


def pooled(values: FloatArray, columns: int) -> FloatArray:
    """Return the means of evenly shared out stretches of some rows; nothing stays nothing.

    Shape: (R, T) -> (R, columns).
    """
    count = values.shape[1]
    if not count:
        return np.zeros((values.shape[0], columns), np.float32)
    edges = (np.arange(columns) * count) // columns
    sums = np.add.reduceat(values.astype(np.float64), edges, axis=1)
    return (sums / np.diff(np.append(edges, count)).clip(min=1)).astype(np.float32)


def find_onsets(sound: Readable) -> Doubles:
    """Return where the sound rises most among its neighbours, in seconds.

    Shape: (S,).
    """
    parts = []
    frames = -(-sound.length // HOP_LENGTH)
    for first in range(0, frames, _LISTEN_FRAMES):
        begin = max(0, first - _MARGIN_FRAMES)
        end = first + _LISTEN_FRAMES + _MARGIN_FRAMES
        strength = onset_strength(sound.read(begin * HOP_LENGTH, end * HOP_LENGTH))
        parts.append(strength[first - begin :][:_LISTEN_FRAMES])
    strength = np.concatenate(parts)
    if not strength.any():
        return np.zeros(0)
    reach = np.pad(strength, _ONSET_REACH)
    around = np.lib.stride_tricks.sliding_window_view(reach, 2 * _ONSET_REACH + 1)
    strong = float(np.quantile(strength[strength > 0], 0.98))
    peaks = (strength >= around.max(axis=1)) & (strength > _ONSET_SHARE * strong)
    samples = (np.flatnonzero(peaks) + 1) * HOP_LENGTH + _RISE_SAMPLES
    return np.asarray(samples / SAMPLE_RATE, np.float64)


def _waveform(sound: Readable, columns: int) -> tuple[FloatArray, LevelMeter]:
    meter = LevelMeter(SAMPLE_RATE)
    out = np.zeros((2, columns), np.float32)
    for column in range(columns):
        start, stop = _share(column, columns, sound.length)
        block = sound.read(start, stop)
        meter.add(block)
        if block.size:
            out[:, column] = block.min(), block.max()
    return out, meter


def _share(column: int, columns: int, length: int) -> tuple[int, int]:
    return column * length // columns, (column + 1) * length // columns


def _bands(
    sound: Readable, window: int, hop: int, matrix: FloatArray, columns: int
) -> npt.NDArray[np.float32]:
    """Return the mean power of the channels in some bands, pooled to columns.

    Shape: matrix (bands, F) -> (bands, columns).
    """
    frames = max(1, -(-sound.length // hop))
    shape = np.hanning(window).astype(np.float32)
    rows = []
    for first in range(0, frames, _GROUP):
        last = min(frames, first + _GROUP)
        # Frame t is centred on its hop.
        lead = (window - hop) // 2
        start = first * hop - lead
        stop = (last - 1) * hop - lead + window
        held = sound.read(max(0, start), min(sound.length, stop))
        held = np.pad(held, ((0, 0), (max(0, -start), max(0, stop - sound.length))))
        views = np.lib.stride_tricks.sliding_window_view(held, window, axis=1)[:, ::hop]
        power = (np.abs(np.fft.rfft(views * shape)) ** 2).mean(axis=0)
        rows.append(power.astype(np.float32) @ matrix.T)
    found = np.concatenate(rows).T
    if found.shape[1] >= columns:
        return pooled(found, columns)
    return found[:, np.arange(columns) * found.shape[1] // columns]


def _mel_matrix() -> FloatArray:
    """Return triangles, evenly spaced on the mel scale of O'Shaughnessy: (MEL_BANDS, F)."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in MEL_RANGE_HZ)
    edges = 700 * (10 ** (np.linspace(low, high, MEL_BANDS + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE)
    # Low bands are narrower than a bin: each holds at least the bin that is nearest.
    width = np.maximum(np.diff(edges), SAMPLE_RATE / _WINDOW)
    centre = edges[1:-1, None]
    rise = 1 - (centre - hertz) / width[:-1, None]
    fall = 1 - (hertz - centre) / width[1:, None]
    shape = np.maximum(0, np.minimum(rise, fall))
    return (shape / shape.sum(axis=1, keepdims=True)).astype(np.float32)


def mel_places(hertz: Doubles) -> Doubles:
    """Return how high frequencies lie in the picture, 0 at its foot, 1 at its top."""
    low, high = (2595 * np.log10(1 + edge / 700) for edge in MEL_RANGE_HZ)
    return (2595 * np.log10(1 + hertz / 700) - low) / (high - low)


def _chroma_matrix() -> FloatArray:
    """Return which pitch class each bin belongs to, in tune with 440 Hz: (12, F)."""
    hertz = np.fft.rfftfreq(_CHROMA_WINDOW, 1 / SAMPLE_RATE)
    low, high = _CHROMA_RANGE_HZ
    inside = (hertz >= low) & (hertz <= high)
    pitch = 69 + 12 * np.log2(np.maximum(hertz, 1.0) / 440)
    away = (pitch[None, :] - np.arange(12)[:, None] + 6) % 12 - 6
    # Low bins are wider than a semitone and so are shared.
    weights = np.exp(-0.5 * (away / 0.35) ** 2) * inside / np.maximum(hertz, 1.0)
    return weights.astype(np.float32)
