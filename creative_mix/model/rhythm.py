"""When each voice is struck: the rhythm head, its strikes, and the last ones before t.

Everything downstream of a probability moves continuously with it (a ramp instead of a threshold),
so that a value near the threshold cannot flip a slice of audio between one runtime and another.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from creative_mix.constants import HOP_LENGTH, STRIKE_THRESHOLD, VOICE_NAMES
from creative_mix.model.layers import ContextConv1d

VOICES = len(VOICE_NAMES)
STRIKE_RAMP = (STRIKE_THRESHOLD - 0.15, STRIKE_THRESHOLD + 0.15)
"""Probabilities at which a strike begins to count and counts in full."""
ATTACK_RAMP = (0.2, 0.5)
"""The same for the piano's own attacks."""

REST_LOGIT = -3.0
"""Logit of an onset where the rhythm component says nothing: below the ramps."""
OWN_LEVEL = 0.75
"""Level of the piano's own attacks: that of a hit which strikes a note as loud as it was."""
KEEP_RAMP = 0.1
"""Levels over which an onset fades that is thinned out."""
PEAK_MARGIN = 0.05
"""How far below a neighbour a frame must be to be no peak at all."""


class Onsets(NamedTuple):
    """Onsets of a source for each voice."""

    probability: Tensor
    """(B, V, T) in 0 .. 1."""
    offset: Tensor
    """(B, T) where the onset lies, in frames from the middle of the frame, about -1 .. 1."""
    level: Tensor
    """(B, V, T) how hard it is, in 0 .. 1: a drum hit's velocity / 127."""


class RhythmHead(nn.Module):
    """Onset logits of every voice, the time inside the frame, and levels, from rhythm components.

    It has no bias of its own: of a component that is zero it reads no onset. Where nobody asks for
    levels they are those of the piano's own attacks.

    Shape: (B, 64, T) -> logits (B, V, T), offset (B, T), level (B, V, T).
    """

    def __init__(self, component_dim: int, width: int = 128, levels: bool = True) -> None:
        super().__init__()
        self.enter = ContextConv1d(component_dim, width, 3, lookahead=1, bias=False)
        self.leave = nn.Conv1d(width, VOICES + 1, 1, bias=False)
        self.level = nn.Conv1d(width, VOICES, 1, bias=False) if levels else None

    def forward(self, rhythm: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.tell(self.enter(rhythm))

    def tell(self, entered: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is read from each frame of the convolved components: (B, D, T)."""
        hidden = functional.gelu(entered)
        out = self.leave(hidden).float()
        logits, offset = out[:, :VOICES] + REST_LOGIT, 1.5 * torch.tanh(out[:, VOICES])
        if self.level is None:
            return logits, offset, torch.full_like(logits, OWN_LEVEL)
        return logits, offset, torch.sigmoid(self.level(hidden).float())


def mix_onsets(drums: Onsets, piano: Onsets, rhythm_share: Tensor) -> Onsets:
    """Onsets weighted by the selector: share (B, T) of the drums' rhythm, the rest the piano's."""
    share = rhythm_share.unsqueeze(1)
    drum_part, piano_part = share * drums.probability, (1 - share) * piano.probability
    probability = drum_part + piano_part
    drum_weight, piano_weight = drum_part.amax(1), piano_part.amax(1)
    offset = (drum_weight * drums.offset + piano_weight * piano.offset) / (
        drum_weight + piano_weight + 1e-6
    )
    level = (drum_part * drums.level + piano_part * piano.level) / (probability + 1e-6)
    return Onsets(probability, offset, level)


def thin_out(onsets: Onsets, density: Tensor) -> Onsets:
    """The onsets of which the weakest are left out: 1 keeps all, 0 none.

    Shape: density (B,), or (B, T) to change over time.
    """
    threshold = (1 - density).reshape(density.shape[0], 1, -1) * (1 + KEEP_RAMP)
    kept = ((onsets.level - threshold) / KEEP_RAMP + 1).clamp(0.0, 1.0)
    return Onsets(onsets.probability * kept, onsets.offset, onsets.level)


def ramp(probability: Tensor, limits: tuple[float, float]) -> Tensor:
    """0 below the lower limit, 1 above the upper, linear between."""
    low, high = limits
    return ((probability - low) / (high - low)).clamp(0.0, 1.0)


def peak_strength(probability: Tensor, limits: tuple[float, float]) -> Tensor:
    """Ramped probability at the highest of neighbouring frames, fading to 0 just below them.

    Two frames on either side of an onset that are almost equally high both stay: they tell the
    same time, so it does not matter which counts.

    Shape: (B, V, T) -> (B, V, T).
    """
    before = functional.pad(probability[:, :, :-1], (1, 0))
    after = functional.pad(probability[:, :, 1:], (0, 1))
    margin = probability - torch.maximum(before, after)
    return ramp(probability, limits) * (1 + margin / PEAK_MARGIN).clamp(0.0, 1.0)


class Recent(NamedTuple):
    """The last candidates before each frame, newest first, as frame indices plus one; 0 is none."""

    newest: Tensor
    """(B, V, T)"""
    second: Tensor
    """(B, V, T)"""


def places(frames: int, like: Tensor) -> Tensor:
    """Indices plus one of so many frames, in float32, where they stay exact below 2^24."""
    return torch.arange(1, frames + 1, device=like.device, dtype=torch.float32)


def gaps(strength: Tensor, window: int) -> Tensor:
    """Frames from each to the one before it with any strength; 0 where the window has none.

    A running maximum over index x flag.

    Shape: ``window`` frames and then T of them, (B, V, window + T) -> (B, V, T).
    """
    index = places(strength.shape[2], strength)
    marked = torch.where(strength > 0, index, torch.zeros_like(index))
    before = functional.max_pool1d(marked[:, :, :-1], window, 1)
    return torch.where(before > 0, index[window:] - before, torch.zeros_like(before))


def last_candidates(strength: Tensor, gap: Tensor, window: int, ahead: int) -> Recent:
    """The last two frames with any strength in the window that ends ``ahead`` frames after t.

    Indices count from the first of the frames that are given.

    Shape: ``window - ahead`` frames, then T and ``ahead`` of them, of strengths and of ``gaps``,
    both (B, V, window + T) -> two of (B, V, T).
    """
    index = places(strength.shape[2], strength)
    marked = torch.where(strength > 0, index, torch.zeros_like(index))
    newest = functional.max_pool1d(marked, window + 1, 1)
    behind = at_frames(gap, newest)
    second = newest - behind
    within = (behind > 0) & (second >= index[: newest.shape[2]])
    return Recent(newest, torch.where(within, second, torch.zeros_like(second)))


def at_frames(values: Tensor, index: Tensor) -> Tensor:
    """Values (..., T) at frame indices plus one (..., T'); zero where the index is 0 (none)."""
    padded = functional.pad(values, (1, 0))
    return torch.gather(padded, -1, index.long())


def strike_times(offset: Tensor) -> Tensor:
    """Sample positions of onsets relative to the frame that flags them: (B, T) -> (B, T)."""
    return (offset + 0.5) * HOP_LENGTH
