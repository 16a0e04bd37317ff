"""Loudness after ITU-R BS.1770-4, measured block by block, and gains."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from . import FloatArray

CEILING_DB = -0.1
"""Highest sample peak of a result, in dB relative to full scale."""

GATE_LUFS = -70.0
SLABS_IN_BLOCK = 4


def to_gain(level_db: float) -> float:
    """Return the factor for a level change in dB.

    >>> round(to_gain(-20.0), 6)
    0.1
    """
    return float(10.0 ** (level_db / 20.0))


def to_db(gain: float) -> float:
    """Return the level in dB of a factor; minus infinity for 0."""
    return 20.0 * math.log10(gain) if gain > 0 else -math.inf


class LevelMeter:
    """Collects the loudness and the sample peak of a signal that comes in blocks.

    The K weighting is applied to the spectra of 100 ms slabs, which needs no filter state; blocks
    of 400 ms with 75 % overlap are four slabs.  A signal shorter than 400 ms counts as one block.

    Args:
        sample_rate: samples a second.
    """

    def __init__(self, sample_rate: int) -> None:
        self.peak = 0.0
        self._slab = max(16, sample_rate // 10)
        power = k_weighting(np.fft.rfftfreq(self._slab, 1.0 / sample_rate).astype(np.float64))
        # Parseval for a one-sided spectrum: inner bins stand for two.
        share = np.full(power.shape, 2.0)
        share[0] = 1.0
        if self._slab % 2 == 0:
            share[-1] = 1.0
        # Twice over, for the real and the imaginary parts that lie side by side.
        self._weight = np.repeat(power * share / self._slab**2, 2).astype(np.float32)
        self._energies: list[npt.NDArray[np.float64]] = []
        self._rest: FloatArray | None = None

    def add(self, block: FloatArray) -> None:
        """Count `block`, the next samples.

        Shape: (C, N).
        """
        if not block.shape[1]:
            return
        self.peak = max(self.peak, float(block.max()), -float(block.min()))
        fresh = block if self._rest is None else np.concatenate([self._rest, block], axis=1)
        count = fresh.shape[1] // self._slab
        cut = count * self._slab
        if count:
            self._energies.append(self._energy(fresh[:, :cut]))
        self._rest = fresh[:, cut:].copy()

    def _energy(self, samples: FloatArray) -> npt.NDArray[np.float64]:
        # Scaled to 1, so that float32 holds the squares of any level.
        scale = max(float(samples.max()), -float(samples.min())) or 1.0
        slabs = np.ascontiguousarray(samples / np.float32(scale)).reshape(
            samples.shape[0], -1, self._slab
        )
        spectra = np.fft.rfft(slabs).astype(np.complex64, copy=False).view(np.float32)
        power = np.square(spectra, out=spectra) @ self._weight
        energy: npt.NDArray[np.float64] = power.sum(axis=0, dtype=np.float64) * scale**2
        return energy

    @property
    def loudness_lufs(self) -> float:
        """Gated loudness of what has come so far; minus infinity for silence."""
        energy = np.concatenate(self._energies) if self._energies else np.zeros(0)
        if len(energy) < SLABS_IN_BLOCK:
            return self._short_loudness(energy)
        sums = np.cumsum(np.concatenate([[0.0], energy]))
        blocks = (sums[SLABS_IN_BLOCK:] - sums[:-SLABS_IN_BLOCK]) / SLABS_IN_BLOCK
        blocks = blocks[blocks > _to_energy(GATE_LUFS)]
        if not len(blocks):
            return -math.inf
        blocks = blocks[blocks > blocks.mean() * 0.1]
        return _to_lufs(float(blocks.mean()))

    def _short_loudness(self, energy: npt.NDArray[np.float64]) -> float:
        total, samples = float(energy.sum()) * self._slab, len(energy) * self._slab
        if self._rest is not None and self._rest.shape[1]:
            count = self._rest.shape[1]
            padded = np.pad(self._rest, ((0, 0), (0, self._slab - count)))
            total += float(self._energy(padded).sum()) * self._slab
            samples += count
        return _to_lufs(total / samples) if samples and total > 0 else -math.inf


def _to_lufs(energy: float) -> float:
    return -0.691 + 10.0 * math.log10(energy) if energy > 0 else -math.inf


def _to_energy(lufs: float) -> float:
    return float(10.0 ** ((lufs + 0.691) / 10.0))


def k_weighting(frequencies_hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the power response of the K weighting (BS.1770-4: a shelf, then a high-pass).

    The standard gives both filters at 48 kHz; these are the analogue prototypes behind them, so
    that the curve is the same at every sample rate.

    Shape: as `frequencies_hz`.
    """
    s = 1j * frequencies_hz
    shelf_hz, shelf_q, shelf_gain = 1681.974450955533, 0.7071752369554196, 10 ** (4.0 / 20)
    band_gain = shelf_gain**0.4996667741545416
    numerator = shelf_gain * s**2 + band_gain * shelf_hz / shelf_q * s + shelf_hz**2
    shelf = numerator / (s**2 + shelf_hz / shelf_q * s + shelf_hz**2)
    pass_hz, pass_q = 38.13547087602444, 0.5003270373238773
    high_pass = s**2 / (s**2 + pass_hz / pass_q * s + pass_hz**2)
    response: npt.NDArray[np.float64] = np.abs(shelf * high_pass) ** 2
    return response
