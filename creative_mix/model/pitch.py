"""Which keys of the piano sound, which of them each voice is, and which bins they own.

A small network that is the same at every key reads the sounding keys from harmonics stacked on a
logarithmic frequency axis (Bittner et al. 2018; Bittner et al. 2022). From them follow, in closed
form, the lowest, inner and highest note; from a comb of partials for every key, the share of each
bin of a re-strike stream that belongs to the notes which its strike has struck.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from creative_mix.constants import SAMPLE_RATE
from creative_mix.model.encoder import log_power
from creative_mix.model.spectral import BINS, WINDOW_LENGTH

KEYS = 88
LOWEST_HZ = 27.5
STEPS = 3
"""Bins a semitone of the logarithmic axis."""
HARMONICS = (0.5, 1, 2, 3, 4, 5, 6, 8, 10)
_ROWS = KEYS * STEPS
_ABOVE = round(12 * STEPS * math.log2(HARMONICS[-1]))
_BELOW = 12 * STEPS


def logarithmic_axis() -> Tensor:
    """Weights that interpolate the STFT at 36 steps an octave: (F, rows)."""
    rows = torch.arange(_BELOW + _ROWS + _ABOVE).double() - _BELOW - 1
    place = LOWEST_HZ * 2 ** (rows / (12 * STEPS)) * WINDOW_LENGTH / SAMPLE_RATE
    bins = torch.arange(BINS).double()
    reach = (place * (2 ** (1 / (12 * STEPS)) - 1)).clamp(min=1.0)
    weights = (1 - (bins[:, None] - place).abs() / reach).clamp(min=0)
    return (weights / weights.sum(0).clamp(min=1e-6)).float()


def key_combs() -> Tensor:
    """Log power of every key's partials in every bin, a first guess to learn from: (88, F)."""
    bins = torch.arange(BINS).double()
    combs = torch.full((KEYS, BINS), 1e-7, dtype=torch.float64)
    for key in range(KEYS):
        fundamental = LOWEST_HZ * 2 ** (key / 12)
        stiffness = 2e-4 * 2 ** (max(0, key - 24) / 24)
        for partial in range(1, 40):
            hertz = partial * fundamental * math.sqrt(1 + stiffness * partial**2)
            place = hertz * WINDOW_LENGTH / SAMPLE_RATE
            if place > BINS:
                break
            peak = torch.exp(-0.5 * ((bins - place) / 0.9) ** 2)
            skirt = 1e-3 / (1 + ((bins - place) / 4) ** 2)
            combs[key] += partial**-1.5 * (peak + skirt)
    return torch.log(combs).float()


class PitchReader(nn.Module):
    """Logits of the sounding keys, three frames ahead and behind.

    Shape: power (B, T, F) -> (B, 88, T).
    """

    LOOK = 3
    axis: Tensor

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.register_buffer("axis", logarithmic_axis(), persistent=False)
        self.enter = nn.Conv2d(len(HARMONICS), width, (5, 3), padding=(2, 1))
        self.fine = nn.Conv2d(width, width, (5, 3), padding=(2, 1))
        self.fold = nn.Conv2d(width, 2 * width, (STEPS, 1), stride=(STEPS, 1))
        self.octaves = nn.Conv2d(2 * width, 2 * width, (25, 1), padding=(12, 0), groups=2 * width)
        self.keys = nn.Conv2d(2 * width, 2 * width, (3, 3), padding=(1, 1))
        self.place = nn.Parameter(torch.zeros(2 * width, KEYS))
        self.leave = nn.Conv2d(2 * width, 1, 1)
        assert self.leave.bias is not None
        nn.init.constant_(self.leave.bias, -3.0)

    def forward(self, power: Tensor) -> Tensor:
        rows = log_power(power @ self.axis).transpose(1, 2)  # (B, rows, T)
        shifts = [_BELOW + round(12 * STEPS * math.log2(h)) for h in HARMONICS]
        stacked = torch.stack([rows[:, s : s + _ROWS] for s in shifts], 1)
        hidden = functional.gelu(self.enter(stacked))
        hidden = hidden + functional.gelu(self.fine(hidden))
        hidden = self.fold(hidden) + self.place.unsqueeze(2)
        hidden = functional.gelu(hidden + self.octaves(hidden))
        hidden = hidden + functional.gelu(self.keys(hidden))
        return self.leave(hidden).squeeze(1)


def voices_of(sounding: Tensor) -> Tensor:
    """How likely each key is the one that a strike of each voice strikes.

    Low: the lowest. Inner: all but the lowest and the highest, of two the upper, or the only one.
    Top: the highest. Keys count as independent.

    Shape: probabilities (B, 88, T) -> (B, 3, 88, T).
    """
    sounding = sounding.clamp(max=0.99)
    silent = torch.log1p(-sounding)
    below = torch.exp(torch.cumsum(silent, 1) - silent)  # nothing sounds below
    above = torch.exp(silent.sum(1, keepdim=True) - torch.cumsum(silent, 1))
    odds = sounding / (1 - sounding)
    one_below = below * (torch.cumsum(odds, 1) - odds)
    inner = (1 - below) * (1 - above) + above * (below + one_below)
    return torch.stack([below, inner.clamp(0, 1), above], 1) * sounding.unsqueeze(1)


class BinOwners(nn.Module):
    """The share of a stream's bins that belongs to what was struck.

    Shape: struck and heard (B, V, 88, T) -> log share (B, V, F, T), -8 .. 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.combs = nn.Parameter(key_combs())
        self.rest = nn.Parameter(torch.full((BINS,), -12.0))

    def forward(self, struck: Tensor, heard: Tensor) -> Tensor:
        with torch.autocast(struck.device.type, enabled=False):
            combs, rest = torch.exp(self.combs.float()), torch.exp(self.rest.float())
            mine = struck.float().transpose(2, 3) @ combs
            all_of_it = torch.maximum(heard, struck).float().transpose(2, 3) @ combs + rest
            share = torch.log(mine / all_of_it + 3e-4)
        return share.transpose(2, 3)
