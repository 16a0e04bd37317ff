"""Short-time Fourier analysis and synthesis in real arithmetic, as two small matrix products.

A dense DFT costs 8.4 MFLOP a frame of 2048 points; split as 2048 = 32 x 64 (Cooley and Tukey 1965)
it costs 0.8. Only ops that every ONNX runtime has are used, and no complex numbers.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from creative_mix.constants import HOP_LENGTH, SAMPLE_RATE

WINDOW_LENGTH = 2048
BINS = WINDOW_LENGTH // 2
"""Bins kept: DC up to the one below Nyquist (the bin at 22,050 Hz is left out)."""
EDGE = (WINDOW_LENGTH - HOP_LENGTH) // 2
"""Samples by which a frame's window reaches beyond the frame's own 512 on either side."""
_ROWS = 32


def frame_count(samples: int) -> int:
    """Frames of a signal: ceil(samples / 512)."""
    return (samples + HOP_LENGTH - 1) // HOP_LENGTH


class Framed(nn.Module, ABC):
    """What is told of windows that are centred on each hop.

    Audio outside the given samples counts as silence. ``over`` takes audio that brings its context
    along, (..., edge + 512 T + edge).
    """

    edge: int
    """Samples that count before and after a frame's own 512."""

    def forward(self, audio: Tensor) -> Tensor:
        samples = audio.shape[-1]
        whole = frame_count(samples) * HOP_LENGTH
        return self.over(functional.pad(audio, (self.edge, whole - samples + self.edge)))

    @abstractmethod
    def over(self, audio: Tensor) -> Tensor:
        """The same of samples with their context: (..., edge + 512 T + edge)."""


class Stft(Framed):
    """Spectra of Hann-windowed frames of 2048 samples, centred on each hop, and the way back.

    ``inverse``: (..., T, 2, F) -> (..., 512 T), F = 1024; analysis then synthesis is the identity,
    but for the Nyquist bin.

    Shape: (..., N) -> (..., T, 2, F), real and imaginary parts.
    """

    edge = EDGE
    first: Tensor
    second: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        n1, n2 = torch.arange(_ROWS).double(), torch.arange(WINDOW_LENGTH // _ROWS).double()
        k1, k2 = torch.arange(_ROWS).double(), torch.arange(BINS // _ROWS).double()
        angle = 2 * math.pi / _ROWS * k1[:, None] * n1[None, :]
        first = torch.stack([torch.cos(angle), -torch.sin(angle)], 1).reshape(2 * _ROWS, _ROWS)
        turn = (
            2
            * math.pi
            / WINDOW_LENGTH
            * n2[None, :, None]
            * (k1[:, None, None] + _ROWS * k2[None, None, :])
        )
        cos, sin = torch.cos(turn), torch.sin(turn)  # (k1, n2, k2)
        second = torch.cat(
            [torch.cat([cos, -sin], 2), torch.cat([sin, cos], 2)], 1
        )  # (k1, [re n2, im n2], [re k2, im k2])
        window = torch.hann_window(WINDOW_LENGTH, periodic=True, dtype=torch.float64)
        for name, value in (("first", first), ("second", second), ("window", window)):
            self.register_buffer(name, value.float(), persistent=False)

    def over(self, audio: Tensor) -> Tensor:
        lead, reach = audio.shape[:-1], WINDOW_LENGTH // HOP_LENGTH
        hops = audio.reshape(*lead, -1, HOP_LENGTH).flatten(0, -3)
        streams, count = hops.shape[0], hops.shape[1] - reach + 1
        windows = torch.cat([hops[:, i : i + count] for i in range(reach)], 2) * self.window
        with torch.autocast(windows.device.type, enabled=False):
            columns = WINDOW_LENGTH // _ROWS
            rows = self.first @ windows.float().view(streams * count, _ROWS, columns)
            rows = rows.view(streams * count, _ROWS, 2 * columns).transpose(0, 1)
            spectra = rows @ self.second  # (k1, streams * T, 2 * k2)
        spectra = spectra.view(_ROWS, streams * count, 2, BINS // _ROWS)
        return spectra.permute(1, 2, 3, 0).reshape(*lead, count, 2, BINS)

    def inverse(self, spectra: Tensor) -> Tensor:
        return self.overlap(self.windows_of(spectra))

    def windows_of(self, spectra: Tensor) -> Tensor:
        """Weighted windows, which overlap: (..., T, 2, F) -> (..., T, 2048)."""
        with torch.autocast(spectra.device.type, enabled=False):
            slots = spectra.float().reshape(-1, 2, BINS // _ROWS, _ROWS).permute(3, 0, 1, 2)
            slots = slots.reshape(_ROWS, -1, 2 * BINS // _ROWS)
            rows = (slots @ self.second.transpose(1, 2)).transpose(0, 1)
            rows = rows.reshape(-1, 2 * _ROWS, WINDOW_LENGTH // _ROWS)
            windows = self.first.t() @ rows
        # Bins 1..1023 stand for their conjugates as well; DC is counted twice too, so halve it.
        mean = spectra.float().reshape(-1, 2, BINS)[:, 0, :1]
        windows = windows.reshape(-1, WINDOW_LENGTH) * 2.0 - mean
        windows = windows * (self.window / WINDOW_LENGTH)
        return windows.view(*spectra.shape[:-2], WINDOW_LENGTH)

    def overlap(self, windows: Tensor) -> Tensor:
        """Windows added where they overlap: (..., T, 2048) -> (..., 512 T)."""
        lead, count = windows.shape[:-2], windows.shape[-2]
        audio = self._overlap_add(windows.reshape(-1, count, 4, HOP_LENGTH))
        # Squared Hann windows at a quarter overlap sum to 1.5, but for the edges of the signal.
        squares = (self.window**2).view(1, 1, 4, HOP_LENGTH).expand(1, count, 4, HOP_LENGTH)
        weight = self._overlap_add(squares)
        return (audio / weight).reshape(*lead, count * HOP_LENGTH)

    @staticmethod
    def _overlap_add(pieces: Tensor) -> Tensor:
        """Windows cut into hops, (M, T, 4, 512), added where they overlap: (M, 512 T)."""
        count = pieces.shape[1]
        total = functional.pad(pieces[:, :, 0], (0, 0, 0, 3))
        for i in range(1, 4):
            total = total + functional.pad(pieces[:, :, i], (0, 0, i, 3 - i))
        audio = total.reshape(pieces.shape[0], (count + 3) * HOP_LENGTH)
        return audio[:, EDGE : EDGE + count * HOP_LENGTH]


class LowSpectrum(Framed):
    """Lowest bins of long Hann-windowed frames, from an eighth of the samples.

    What lies so low needs no more of them: a low-pass filter keeps out what would fold back onto
    the bins, at least 110 dB down.

    Parameters
    ----------
    length : samples of the window, before seven of eight are left out; a multiple of the hop
    bins : how many are kept, up to ``TOP_HZ``

    Shape: (..., N) -> (..., T, 2, F), real and imaginary parts.
    """

    STEP = 8
    """Samples of which one is kept."""
    TOP_HZ = 1500.0
    """Up to here the filter is flat, and from the new rate less this on it lets nothing through."""
    REACH = 64
    """Samples that the filter sees on either side."""
    lowpass: Tensor
    basis: Tensor

    def __init__(self, length: int, bins: int) -> None:
        super().__init__()
        if bins * SAMPLE_RATE / length > self.TOP_HZ:
            raise ValueError(f"{bins} bins of {length} samples reach beyond {self.TOP_HZ} Hz")
        self.length, self.bins = length, bins
        self.edge = (length - HOP_LENGTH) // 2 + self.REACH
        taps = self._taps()
        piece = HOP_LENGTH + 2 * self.REACH
        lowpass = torch.zeros(piece, HOP_LENGTH // self.STEP, dtype=torch.float64)
        for kept in range(HOP_LENGTH // self.STEP):
            lowpass[kept * self.STEP : kept * self.STEP + len(taps), kept] = taps
        count = length // self.STEP
        angle = 2 * math.pi / count * torch.arange(count).double()[:, None] * torch.arange(bins)
        window = torch.hann_window(count, periodic=True, dtype=torch.float64)[:, None]
        basis = torch.cat([window * torch.cos(angle), -window * torch.sin(angle)], 1)
        self.register_buffer("lowpass", lowpass.float(), persistent=False)
        self.register_buffer("basis", basis.float(), persistent=False)

    def _taps(self) -> Tensor:
        """A sinc that ends half way to the new rate, under a Kaiser window: (2 REACH + 1,)."""
        at = torch.arange(-self.REACH, self.REACH + 1).double() / self.STEP
        window = torch.kaiser_window(len(at), False, 11.3, dtype=torch.float64)
        taps = torch.sinc(at) * window
        # An eighth of the samples would add up to an eighth of the spectrum.
        return taps * (self.STEP / taps.sum())

    def over(self, audio: Tensor) -> Tensor:
        lead, reach = audio.shape[:-1], self.length // HOP_LENGTH
        with torch.autocast(audio.device.type, enabled=False):
            hops = functional.pad(audio.float(), (0, HOP_LENGTH - 2 * self.REACH))
            hops = hops.reshape(*lead, -1, HOP_LENGTH)
            pieces = torch.cat([hops[..., :-1, :], hops[..., 1:, : 2 * self.REACH]], -1)
            low = pieces @ self.lowpass
            count = low.shape[-2] - reach + 1
            windows = torch.cat([low[..., i : i + count, :] for i in range(reach)], -1)
            spectra = windows @ self.basis
        return spectra.reshape(*lead, count, 2, self.bins)


class FineEnergy(Framed):
    """Log energies in 24 bands every 64 samples, eight times a frame: where in a frame it begins.

    Shape: (..., N) -> power (..., T, 8 * 24); the caller averages channels before the logarithm.
    """

    WINDOW = 256
    STEP = 64
    STEPS = HOP_LENGTH // STEP
    edge = (WINDOW - STEP) // 2
    BINS = (
        1,
        2,
        3,
        4,
        5,
        6,
        8,
        10,
        12,
        15,
        18,
        21,
        25,
        29,
        34,
        39,
        45,
        52,
        60,
        69,
        78,
        88,
        100,
        115,
    )

    basis: Tensor

    def __init__(self) -> None:
        super().__init__()
        angle = (
            2
            * math.pi
            / self.WINDOW
            * torch.arange(self.WINDOW).double()[:, None]
            * torch.tensor(self.BINS).double()
        )
        window = torch.hann_window(self.WINDOW, periodic=True, dtype=torch.float64)[:, None]
        basis = torch.cat([window * torch.cos(angle), window * torch.sin(angle)], 1)
        self.register_buffer("basis", basis.float(), persistent=False)

    @property
    def features(self) -> int:
        """Values a frame."""
        return self.STEPS * len(self.BINS)

    def over(self, audio: Tensor) -> Tensor:
        lead, reach = audio.shape[:-1], self.WINDOW // self.STEP
        pieces = audio.reshape(*lead, -1, self.STEP)
        steps = pieces.shape[-2] - reach + 1
        windows = torch.cat([pieces[..., i : i + steps, :] for i in range(reach)], -1)
        with torch.autocast(audio.device.type, enabled=False):
            parts = windows.float() @ self.basis
        bands = len(self.BINS)
        power = parts[..., :bands] ** 2 + parts[..., bands:] ** 2
        return power.reshape(*lead, -1, self.features)
