"""Which keys of the piano sound, which of them each voice is, and which bins they own.

A network reads the sounding keys, and the key that each voice would strike, from spectra on a
logarithmic frequency axis (Bittner et al. 2018; Hawthorne et al. 2018). From them follow the shares
of the bins of a re-strike stream that belong to the notes which its strike has struck: every key
has a comb of partials, and the keys' levels are those with which the combs explain the spectrum
best (Lee and Seung 2001, a fixed number of steps).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from creative_mix.constants import SAMPLE_RATE
from creative_mix.model.encoder import log_power, mean_power
from creative_mix.model.layers import ContextConv1d, FrameNorm
from creative_mix.model.rhythm import VOICES
from creative_mix.model.spectral import BINS, WINDOW_LENGTH, LowSpectrum

KEYS = 88
LOWEST_HZ = 27.5
STEPS = 3
"""Bins a semitone of the logarithmic axis."""
_ROWS = round(12 * STEPS * math.log2(10)) + KEYS * STEPS
"""Rows of that axis: from the lowest key to ten times the highest, or half the sample rate."""
_SPLIT_HZ = 1390.0
"""Below it the axis is read from a window of twice the length, which tells low partials apart."""


def logarithmic_axis(length: int, bins: int, low_hz: float, high_hz: float) -> Tensor:
    """Weights that interpolate a power spectrum at 36 steps an octave, none outside the band.

    Shape: (F, rows).
    """
    rows = torch.arange(_ROWS).double() - 1
    hertz = LOWEST_HZ * 2 ** (rows / (12 * STEPS))
    place = hertz * length / SAMPLE_RATE
    reach = (place * (2 ** (1 / (12 * STEPS)) - 1)).clamp(min=1.0)
    weights = (1 - (torch.arange(bins).double()[:, None] - place).abs() / reach).clamp(min=0)
    weights = weights / weights.sum(0).clamp(min=1e-6)
    return (weights * ((hertz >= low_hz) & (hertz < high_hz))).float()


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


class KeyBlock(nn.Module):
    """A dilated depthwise convolution over frames and a pointwise MLP around a residual.

    Shape: (B, D, T) -> (B, D, T).
    """

    def __init__(self, dim: int, dilation: int, lookahead: int, expansion: int) -> None:
        super().__init__()
        self.depthwise = ContextConv1d(
            dim, dim, 5, lookahead=lookahead, groups=dim, dilation=dilation
        )
        self.norm = FrameNorm(dim)
        self.expand = nn.Conv1d(dim, dim * expansion, 1)
        self.reduce = nn.Conv1d(dim * expansion, dim, 1)
        self.scale = nn.Parameter(torch.full((dim, 1), 0.2))

    def forward(self, x: Tensor) -> Tensor:
        return self.add(x, self.depthwise(x))

    def add(self, x: Tensor, mixed: Tensor) -> Tensor:
        """What the block makes of its input and of that convolved."""
        hidden = functional.gelu(self.expand(self.norm(mixed)))
        return x + self.scale * self.reduce(hidden)


class KeyLogits(NamedTuple):
    """What is read of the piano's keys, as logits."""

    sounding: Tensor
    """(B, 88, T) a key sounds."""
    voices: Tensor
    """(B, V, 88, T) a strike of the voice would strike it."""
    ends: Tensor
    """(B, 88, T) a note of it ends in this frame."""


class KeyReader(nn.Module):
    """Reads the keys that sound, those that a strike of each voice would strike, and ends of notes.

    Low is the lowest of the sounding keys; inner all but the lowest and the highest, of two the
    upper, or the only one; top the highest. What lies above and below a key decides that, so the
    voices are read with the chances that nothing sounds there beside the features.

    Shape: piano (B, C, N) and its mean power (B, T, F) -> ``KeyLogits``.
    """

    LONG_WINDOW = 4096
    BLOCKS = ((1, 1), (1, 1), (4, 0), (16, 0), (48, 0), (4, 0))
    """Dilation and lookahead of each."""
    FIELD = (
        4 + 1 + sum(4 * dilation - ahead for dilation, ahead in BLOCKS),
        4 + 1 + sum(ahead for _, ahead in BLOCKS),
    )
    """Frames behind and ahead, with those of the long window."""
    axis: Tensor
    long_axis: Tensor

    def __init__(self, width: int, expansion: int, voice_width: int = 256) -> None:
        super().__init__()
        bins = 136  # up to the split, and a neighbour or two
        self.long_spectrum = LowSpectrum(self.LONG_WINDOW, bins)
        long = logarithmic_axis(self.LONG_WINDOW, bins, 0.0, _SPLIT_HZ)
        # Beside the shorter window's power a bin of the longer one holds four times as much.
        self.register_buffer("long_axis", long / 4, persistent=False)
        axis = logarithmic_axis(WINDOW_LENGTH, BINS, _SPLIT_HZ, SAMPLE_RATE / 2)
        self.register_buffer("axis", axis, persistent=False)
        self.enter = ContextConv1d(_ROWS, width, 3, lookahead=1)
        self.in_norm = FrameNorm(width)
        self.blocks = nn.ModuleList(KeyBlock(width, *each, expansion) for each in self.BLOCKS)
        self.out_norm = FrameNorm(width)
        self.leave = nn.Conv1d(width, KEYS, 1)
        self.voices_in = nn.Conv1d(width + 3 * KEYS, voice_width, 1)
        self.voices_out = nn.Conv1d(voice_width, VOICES * KEYS, 1)
        self.ends = ContextConv1d(width, KEYS, 5, lookahead=2)
        for layer, value in ((self.leave, -3.0), (self.voices_out, -4.0), (self.ends, -6.0)):
            assert layer.bias is not None
            nn.init.constant_(layer.bias, value)

    def forward(self, piano: Tensor, power: Tensor) -> KeyLogits:
        rows = self.rows(power, mean_power(self.long_spectrum(piano)))
        hidden = self.in_norm(self.enter(rows))
        for block in self.blocks:
            hidden = block(hidden)
        hidden = self.out_norm(hidden)
        return KeyLogits(*self.tell(hidden), self.ends(hidden).float())

    def rows(self, power: Tensor, long_power: Tensor) -> Tensor:
        """Log power on the logarithmic axis, of both windows: (B, T, F) each -> (B, rows, T)."""
        return log_power(power @ self.axis + long_power @ self.long_axis).transpose(1, 2)

    def tell(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the keys and voices of each frame: (B, D, T) -> (B, 88, T), (B, V, 88, T)."""
        sounding = self.leave(hidden).float()
        silent = torch.log1p(-torch.sigmoid(sounding).clamp(max=0.99))
        up_to = torch.cumsum(silent, 1)
        below, above = up_to - silent, up_to[:, -1:] - up_to
        beside = [0.3 * sounding, 0.3 * below.clamp(min=-6.0), 0.3 * above.clamp(min=-6.0)]
        features = torch.cat([hidden.float(), *beside], 1)
        voices = self.voices_out(functional.gelu(self.voices_in(features))).float()
        return sounding, voices.reshape(voices.shape[0], VOICES, KEYS, -1)


class BinOwners(nn.Module):
    """Whose each bin is: the combs of the keys, their levels, and the shares of those struck."""

    BINS = 512
    """Lowest bins by which levels are found."""
    ROUNDS = 3
    """Multiplicative steps; each lowers the divergence of the combs' sum from the spectrum."""

    def __init__(self) -> None:
        super().__init__()
        self.combs = nn.Parameter(key_combs())
        self.rest = nn.Parameter(torch.full((BINS,), -12.0))

    def levels(self, sounding: Tensor, power: Tensor) -> Tensor:
        """The power of every key: times its comb, and added up over the keys, the spectrum's.

        Shape: probabilities (B, 88, T) and the piano's mean power (B, T, F) -> (B, 88, T).
        """
        with torch.autocast(sounding.device.type, enabled=False):
            shapes = torch.exp(0.5 * self.combs[:, : self.BINS].float())
            heard = torch.sqrt(power[..., : self.BINS].float() + 1e-9)
            level = sounding.float().transpose(1, 2) + 1e-4
            norm = shapes.sum(1)
            for _ in range(self.ROUNDS):
                ratio = heard / (level @ shapes + 1e-6)
                level = level * (ratio @ shapes.t()) / norm
        return (level**2).transpose(1, 2)

    def forward(self, struck: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
        """Log share of a stream's bins that belongs to what was struck, and its own log power.

        The share, -8 .. 0, is that of all keys' combs; the power, on the scale of ``log_power``,
        is what the struck keys would have there by themselves.

        Shape: struck (probabilities) and heard (powers), both (B, V, 88, T) -> both (B, V, T, F).
        """
        with torch.autocast(struck.device.type, enabled=False):
            combs, rest = torch.exp(self.combs.float()), torch.exp(self.rest.float())
            heard = heard.float().transpose(2, 3)
            loudest = heard.amax(3, keepdim=True).clamp(min=1e-9)
            heard = heard / loudest
            mine = (struck.float().transpose(2, 3) * heard) @ combs
            share = torch.log(mine / (heard @ combs + rest) + 3e-4)
            return share, log_power(mine * loudest)

    def shares(self, powers: Tensor) -> Tensor:
        """The part of every bin that each of several groups of keys makes, of them all.

        Shape: powers of the keys (B, P, 88, T) -> (B, P, T, F), adding up to at most 1.
        """
        with torch.autocast(powers.device.type, enabled=False):
            combs, rest = torch.exp(self.combs.float()), torch.exp(self.rest.float())
            powers = powers.float().transpose(2, 3)
            loudest = powers.amax((1, 3), keepdim=True).clamp(min=1e-9)
            made = (powers / loudest) @ combs
            return made / (made.sum(1, keepdim=True) + rest)
