"""What begins when: the rises of a recording's spectrum, and changes of its harmony."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..constants import HOP_LENGTH, SAMPLE_RATE
from . import FloatArray

Doubles = npt.NDArray[np.float64]

FRAME_RATE = SAMPLE_RATE / HOP_LENGTH
SHORTEST_S = 4.0
"""Below it, there is no beat to speak of."""

_WINDOW = 1024
_HARMONY_WINDOW = 8192
_HARMONY_HOP = 2048
_BANDS = 32
_WIDE_HZ = (30.0, 150.0, 400.0, 2000.0, 16000.0)
_SMOOTH_FRAMES = 87
_BLOCK = 256
_LEAST_ONSETS = 8


def onset_rows(audio: FloatArray) -> Doubles | None:
    """Return what begins in every frame: in all bands, in four wide ones, and in the harmony.

    Each row has its mean over a second removed, and a mean of 1; None for silence and for less than
    four seconds.

    Shape: (C, N) -> (6, T), one frame every 512 samples.
    """
    if audio.shape[1] < SHORTEST_S * SAMPLE_RATE:
        return None
    rise, centres = _rises(audio)
    wide = [
        rise[:, (centres >= low) & (centres < high)].sum(axis=1)
        for low, high in zip(_WIDE_HZ, _WIDE_HZ[1:], strict=False)
    ]
    rows = [_above_mean(row) for row in (rise.sum(axis=1), *wide)]
    if np.count_nonzero(_peaks(rows[0])) < _LEAST_ONSETS:
        return None
    table = np.stack([*rows, _harmony_changes(audio, len(rise))])
    scaled: Doubles = table / (table.mean(axis=1, keepdims=True) + 1e-9)
    return scaled


def _peaks(row: Doubles) -> npt.NDArray[np.bool_]:
    """Return where something of some strength begins."""
    padded = np.pad(row, 1)
    highest: npt.NDArray[np.bool_] = (row > 0.25 * row.max()) & (row >= padded[2:])
    return highest & (row > padded[:-2])


def onset_row(audio: FloatArray) -> Doubles:
    """Return what begins in every frame, in all bands together.

    Shape: (C, N) -> (T,), one frame every 512 samples.
    """
    return _above_mean(_rises(audio)[0].sum(axis=1))


def _rises(audio: FloatArray) -> tuple[Doubles, Doubles]:
    """Return by how many powers of ten each band rises in each frame, and the bands' lower ends.

    Shape: (C, N) -> (T, B), (B,) in Hz.
    """
    edges = np.unique(np.geomspace(1, _WINDOW // 2, _BANDS + 1).astype(int))
    power = np.concatenate(
        [
            np.add.reduceat(spectrum**2, edges[:-1], axis=1)
            for spectrum in _spectra(audio, _WINDOW, HOP_LENGTH)
        ]
    )
    floor = 1e-5 * power.max() + 1e-15
    # Silence comes before a recording, and so it may begin with a stroke.
    level = np.log10(np.pad(power, ((1, 0), (0, 0))) + floor)
    rise = np.maximum(np.diff(level, axis=0), 0.0)
    return rise, edges[:-1] * SAMPLE_RATE / _WINDOW


def _above_mean(row: Doubles) -> Doubles:
    kernel = np.full(_SMOOTH_FRAMES, 1.0 / _SMOOTH_FRAMES)
    mean = np.convolve(row, kernel, mode="same")[: len(row)]
    above: Doubles = np.maximum(0.0, row - mean)
    return above


def _spectra(audio: FloatArray, window: int, hop: int) -> Iterator[Doubles]:
    """Yield magnitudes of a few frames after another, summed in power over the channels.

    Shape: each (up to 256, window // 2 + 1).
    """
    taper = np.hanning(window)
    padded = np.pad(audio, ((0, 0), (window // 2, window // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window, axis=1)[:, ::hop]
    for start in range(0, frames.shape[1], _BLOCK):
        block = np.fft.rfft(frames[:, start : start + _BLOCK] * taper)
        yield np.sqrt((np.abs(block) ** 2).sum(axis=0))


def _harmony_changes(audio: FloatArray, count: int) -> Doubles:
    """Return how unlike the chroma after each frame is that before it.

    Shape: (C, N) -> (count,).
    """
    frequencies = np.fft.rfftfreq(_HARMONY_WINDOW, 1.0 / SAMPLE_RATE)
    inside = (frequencies > 55.0) & (frequencies < 2000.0)
    classes = np.round(12 * np.log2(frequencies[inside] / 440.0)).astype(int) % 12
    fold = np.eye(12)[classes]
    chroma = np.concatenate(
        [
            np.sqrt(spectrum[:, inside]) @ fold
            for spectrum in _spectra(audio, _HARMONY_WINDOW, _HARMONY_HOP)
        ]
    )
    chroma /= np.linalg.norm(chroma, axis=1, keepdims=True) + 1e-9
    sums = np.cumsum(np.pad(chroma, ((1, 0), (0, 0))), axis=0)
    number, side = len(chroma), 8
    here = np.arange(number)
    before = sums[here] - sums[np.maximum(0, here - side)]
    after = sums[np.minimum(number, here + side)] - sums[here]
    size = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    change = 1.0 - (before * after).sum(axis=1) / (size + 1e-9)
    change[:2] = change[-2:] = 0.0
    step = _HARMONY_HOP // HOP_LENGTH
    changes: Doubles = np.interp(np.arange(count), here * step, change)
    return changes


def first_sound_s(rows: Doubles) -> float:
    """Return when the first onset of some strength is."""
    return float(np.argmax(_peaks(rows[0]))) / FRAME_RATE
