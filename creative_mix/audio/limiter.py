"""A limiter that looks ahead: peaks held below a ceiling without a click and with little pumping.

Everything is done on the whole, stored result, block by block, in two steps: how far the gain has
to come down in every 0.36 ms, then the gain itself, which falls before a peak and recovers after.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import soxr

from . import FloatArray
from .levels import to_gain
from .store import SampleStore

LIMIT_DB = -1.0
"""Highest true peak of a limited result, in dB relative to full scale (EBU R 128's)."""

LOOK_AHEAD_S = 0.005
RELEASE_DB_PER_S = 60.0
"""A tone of 40 Hz driven 6 dB into the ceiling then has 0.5 % of distortion."""

_STEP_S = 1 / 2756
_OVERSAMPLING = 4
_CONTEXT = 2048
_CHUNK_STEPS = 1 << 14
_NEAR_PEAK = 0.5
"""Below this share of the ceiling, no peak between two samples comes up to it."""


class Limiter:
    """Yields a stored result under a ceiling.

    The gain is one for all channels, so that the stereo image stays.  It never exceeds what a step
    of the signal allows: the needed gain recovers at a steady rate in dB, the lowest of the steps
    ahead is taken, and a moving average over as many steps smooths it.

    Args:
        store: the samples.
        gain: applied to them before.
        sample_rate: samples a second.
        ceiling_db: highest true peak, measured between the samples by fourfold oversampling
            (ITU-R BS.1770-4, annex 2).
    """

    def __init__(
        self, store: SampleStore, gain: float, sample_rate: int, ceiling_db: float = LIMIT_DB
    ) -> None:
        self._store = store
        self._gain = np.float32(gain)
        self._ceiling = to_gain(ceiling_db)
        self._step = max(1, round(sample_rate * _STEP_S))
        self._ahead = max(1, round(sample_rate * LOOK_AHEAD_S / self._step))
        self._release_db = RELEASE_DB_PER_S * self._step / sample_rate
        self.most_reduction_db = 0.0
        """How far the gain came down at most in what has been yielded."""

    def blocks(self) -> Iterator[FloatArray]:
        """Yield the limited samples in order.

        Shape: each (C, any).
        """
        ramp = np.arange(self._step) / self._step
        start = 0
        for gains_db in self._gains_db():
            self.most_reduction_db = max(self.most_reduction_db, -float(gains_db.min()))
            gains = 10.0 ** (gains_db / 20.0)
            # From one border of a step to the other, along a line below what both sides allow.
            edges = np.minimum(gains[:-1], gains[1:])
            curve = edges[:-1, None] + np.diff(edges)[:, None] * ramp
            stop = min(start + curve.size, self._store.length)
            samples = self._store.read(start, stop) * self._gain
            yield samples * curve.reshape(-1)[: stop - start].astype(np.float32)
            start = stop

    def _gains_db(self) -> Iterator[npt.NDArray[np.float64]]:
        """Yield the smoothed gain of the next steps, and of one more on either side of them."""
        ahead = self._ahead
        level = 0.0
        # The average of a step reaches as far back as the lowest of the steps reaches ahead.
        held = np.zeros(ahead + 1)
        for needed in itertools.chain(self._chunks(), [None]):
            if needed is None:
                recovered = np.zeros(ahead + 1)
            else:
                recovered, level = self._recover(needed, level)
            held = np.concatenate([held, recovered])
            steps = len(held) - 2 * ahead - 2
            if steps < 1:
                continue
            lowest = np.lib.stride_tricks.sliding_window_view(held, ahead + 1).min(axis=1)
            yield np.lib.stride_tricks.sliding_window_view(lowest, ahead + 1).mean(axis=1)
            held = held[steps:]

    def _recover(
        self, needed: npt.NDArray[np.float64], level: float
    ) -> tuple[npt.NDArray[np.float64], float]:
        """Return `needed` with a recovery at a steady rate, and where it stands at the end."""
        slope = self._release_db * np.arange(1, len(needed) + 1)
        from_before = level + slope
        own = np.minimum.accumulate(needed - slope) + slope
        recovered = np.minimum(np.minimum(own, from_before), 0.0)
        return recovered, float(recovered[-1])

    def _chunks(self) -> Iterator[npt.NDArray[np.float64]]:
        """Yield how far the gain has to come down in every step, in dB."""
        length = _CHUNK_STEPS * self._step
        for start in range(0, self._store.length, length):
            stop = min(start + length, self._store.length)
            first = max(0, start - _CONTEXT)
            samples = self._store.read(first, stop + _CONTEXT) * self._gain
            inside = np.abs(samples[:, start - first : stop - first]).max(axis=0)
            steps = -(-(stop - start) // self._step)
            peaks = _highest(inside, steps, self._step)
            if peaks.max(initial=0.0) > self._ceiling * _NEAR_PEAK:
                between = np.abs(
                    soxr.resample(np.ascontiguousarray(samples.T), 1, _OVERSAMPLING)
                ).max(axis=1)
                offset = (start - first) * _OVERSAMPLING
                cut = between[offset : offset + (stop - start) * _OVERSAMPLING]
                peaks = np.maximum(peaks, _highest(cut, steps, self._step * _OVERSAMPLING))
            yield -20.0 * np.log10(np.maximum(peaks / self._ceiling, 1.0))


def _highest(values: FloatArray, steps: int, width: int) -> npt.NDArray[np.float64]:
    """Return the highest of each step.

    Shape: (N,) -> (steps,).
    """
    padded = np.pad(values.astype(np.float64), (0, max(0, steps * width - len(values))))
    highest: npt.NDArray[np.float64] = padded.reshape(steps, width).max(axis=1)
    return highest
