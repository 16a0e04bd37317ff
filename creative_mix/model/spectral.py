"""Short-time Fourier analysis and synthesis in real arithmetic, as two small matrix products.

A dense DFT costs 8.4 MFLOP a frame of 2048 points; split as 2048 = 32 x 64 (Cooley and Tukey 1965)
it costs 0.8. Only ops that every ONNX runtime has are used, and no complex numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from creative_mix.constants import HOP_LENGTH

WINDOW_LENGTH = 2048
BINS = WINDOW_LENGTH // 2
"""Bins kept: DC up to the one below Nyquist (the bin at 22,050 Hz is left out)."""
EDGE = (WINDOW_LENGTH - HOP_LENGTH) // 2
"""Samples by which a frame's window reaches beyond the frame's own 512 on either side."""
_ROWS = 32


def frame_count(samples: int) -> int:
    """Frames of a signal: ceil(samples / 512)."""
    return (samples + HOP_LENGTH - 1) // HOP_LENGTH


class Spectrum(nn.Module):
    """Lowest bins of the spectra of Hann-windowed frames that are centred on each hop.

    Audio outside the given samples counts as silence.

    Parameters
    ----------
    length : samples of the window, a multiple of the hop and of ``rows``
    bins : how many bins are kept, a multiple of ``rows``
    rows : factor of the length that the first matrix product takes

    Shape: (..., N) -> (..., T, 2, F), real and imaginary parts.
    """

    first: Tensor
    second: Tensor
    window: Tensor

    def __init__(self, length: int = WINDOW_LENGTH, bins: int = BINS, rows: int = _ROWS) -> None:
        super().__init__()
        self.length, self.bins, self.rows = length, bins, rows
        self.edge = (length - HOP_LENGTH) // 2
        n1, n2 = torch.arange(rows).double(), torch.arange(length // rows).double()
        k1, k2 = torch.arange(rows).double(), torch.arange(bins // rows).double()
        angle = 2 * math.pi / rows * k1[:, None] * n1[None, :]
        first = torch.stack([torch.cos(angle), -torch.sin(angle)], 1).reshape(2 * rows, rows)
        turn = (
            2
            * math.pi
            / length
            * n2[None, :, None]
            * (k1[:, None, None] + rows * k2[None, None, :])
        )
        cos, sin = torch.cos(turn), torch.sin(turn)  # (k1, n2, k2)
        second = torch.cat(
            [torch.cat([cos, -sin], 2), torch.cat([sin, cos], 2)], 1
        )  # (k1, [re n2, im n2], [re k2, im k2])
        window = torch.hann_window(length, periodic=True, dtype=torch.float64)
        for name, value in (("first", first), ("second", second), ("window", window)):
            self.register_buffer(name, value.float(), persistent=False)

    def frames_of(self, audio: Tensor) -> Tensor:
        """Windows before weighting: (M, N) -> (M, T, length)."""
        samples = audio.shape[-1]
        count, reach = frame_count(samples), self.length // HOP_LENGTH
        whole = (count + reach - 1) * HOP_LENGTH
        padded = functional.pad(audio, (self.edge, whole - self.edge - samples))
        hops = padded.view(audio.shape[0], count + reach - 1, HOP_LENGTH)
        return torch.cat([hops[:, i : i + count] for i in range(reach)], 2)

    def forward(self, audio: Tensor) -> Tensor:
        lead = audio.shape[:-1]
        windows = self.frames_of(audio.reshape(-1, audio.shape[-1])) * self.window
        streams, count = windows.shape[:2]
        with torch.autocast(windows.device.type, enabled=False):
            columns = self.length // self.rows
            rows = self.first @ windows.float().view(streams * count, self.rows, columns)
            rows = rows.view(streams * count, self.rows, 2 * columns).transpose(0, 1)
            spectra = rows @ self.second  # (k1, streams * T, 2 * k2)
        spectra = spectra.view(self.rows, streams * count, 2, self.bins // self.rows)
        return spectra.permute(1, 2, 3, 0).reshape(*lead, count, 2, self.bins)


class Stft(Spectrum):
    """Spectra of 2048 points, and the way back.

    ``inverse``: (..., T, 2, F) -> (..., 512 T), F = 1024; analysis then synthesis is the identity,
    but for the Nyquist bin.
    """

    def __init__(self) -> None:
        super().__init__()

    def inverse(self, spectra: Tensor) -> Tensor:
        lead, count = spectra.shape[:-3], spectra.shape[-3]
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
        audio = self._overlap_add(windows.view(-1, count, 4, HOP_LENGTH))
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


class FineEnergy(nn.Module):
    """Log energies in 24 bands every 64 samples, eight times a frame: where in a frame it begins.

    Shape: (M, N) -> power (M, T, 8 * 24); the caller averages channels before the logarithm.
    """

    WINDOW = 256
    STEP = 64
    STEPS = HOP_LENGTH // STEP
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

    def forward(self, audio: Tensor) -> Tensor:
        samples = audio.shape[-1]
        count = frame_count(samples)
        steps, reach = count * self.STEPS, self.WINDOW // self.STEP
        edge = (self.WINDOW - self.STEP) // 2
        tail = (steps + reach - 1) * self.STEP - edge - samples
        pieces = functional.pad(audio, (edge, tail)).view(audio.shape[0], -1, self.STEP)
        windows = torch.cat([pieces[:, i : i + steps] for i in range(reach)], 2)
        with torch.autocast(audio.device.type, enabled=False):
            parts = windows.float() @ self.basis
        bands = len(self.BINS)
        power = parts[..., :bands] ** 2 + parts[..., bands:] ** 2
        return power.reshape(audio.shape[0], count, self.features)
