"""What sharpens the decoder's gains bin by bin: the limit that decay sets, and a small network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from creative_mix.model.rhythm import VOICES
from creative_mix.model.spectral import BINS

if TYPE_CHECKING:
    from creative_mix.model.decoder import Strikes

SOURCES = VOICES + 1


class DecayLimiter(nn.Module):
    """Holds every bin of a stream to what it was when it was struck: a struck string dies away.

    What rises above that is a note that the piano struck later, which the stream runs into.

    Shape: log powers of the streams, and of the piano at the attacks that they play, both
    (B, V, T, F) -> the excess and what it takes from the logits, both (B, V, T, F).
    """

    ATTACK_FRAMES = 5
    """Frames from an attack on of which the loudest counts."""
    MARGIN = 0.15
    """Rise that beating and leakage explain, on the scale of ``log_power``: about 3 dB."""

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.full((VOICES, 1, 1), 2.0))

    def forward(self, now: Tensor, struck: Tensor) -> tuple[Tensor, Tensor]:
        excess = functional.relu(now - struck - self.MARGIN)
        return excess, excess * functional.softplus(self.strength) * -4.0


class CombLimiter(nn.Module):
    """Holds every bin of a stream to what the struck keys have there by themselves.

    What lies above that, between their partials above all, is other notes' and the room's.

    Shape: log powers of the streams and of the struck keys' combs, both (B, V, T, F)
    -> what it takes from the logits, (B, V, T, F).
    """

    MARGIN = 0.4
    """By how much a partial may exceed its comb's, on the scale of ``log_power``: about 9 dB."""

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.full((VOICES, 1, BINS), -1.0))

    def forward(self, now: Tensor, expected: Tensor) -> Tensor:
        surplus = functional.relu(now - expected - self.MARGIN)
        return surplus * functional.softplus(self.strength) * -4.0


def loudest_ahead(powers: Tensor) -> Tensor:
    """The loudest of each frame and the next few: (B, T, F) -> (B, T, F)."""
    ahead = DecayLimiter.ATTACK_FRAMES - 1
    frames = powers.shape[1]
    padded = functional.pad(powers, (0, 0, 0, ahead), value=-10.0)
    loudest = padded[:, :frames]
    for later in range(1, ahead + 1):
        loudest = torch.maximum(loudest, padded[:, later : later + frames])
    return loudest


def just_before(powers: Tensor) -> Tensor:
    """Each frame as it was before an attack in it: (B, T, F) -> (B, T, F)."""
    behind = GainRefiner.BEFORE_FRAMES
    return functional.pad(powers, (0, 0, behind, 0), value=-2.3)[:, : powers.shape[1]]


class GainRefiner(nn.Module):
    """Sharpens the gains of the lowest bins from the sources' spectra around each bin.

    What a bin needs can often be told from the bin itself: a stream that is loud where the present
    piano is silent plays a note that has been released, and a bin that did not rise at the attack
    belongs to a note that was ringing already. The same small network looks at every bin and the
    frames just before, knowing which bin it is and what the decoder thinks of the frame.

    Shape: logits and log powers, both (B, 4, T, F); what the voices own, by how much they exceed
    their attacks, and the log powers of the keys struck, all (B, V, T, F); hidden (B, D, T)
    -> logits (B, 4, T, F).
    """

    LOOKBACK = 2
    BEFORE_FRAMES = 3
    """Frames before an attack at which a window of 2048 samples hears nothing of it."""

    def __init__(self, bins: int, width: int, hidden_dim: int) -> None:
        super().__init__()
        self.bins = bins
        self.enter = nn.Conv2d(2 * SOURCES + 4 * VOICES, width, (1, 5), padding=(0, 2))
        self.place = nn.Parameter(torch.zeros(width, bins))
        self.frame = nn.Conv1d(hidden_dim, width, 1)
        self.near = nn.Conv2d(width, width, (1 + self.LOOKBACK, 3), padding=(0, 1))
        self.back = nn.Conv2d(width, width, 1)
        self.leave = nn.Conv2d(width, SOURCES, (1, 5), padding=(0, 2))

    def forward(
        self,
        logits: Tensor,
        powers: Tensor,
        owned: Tensor,
        excess: Tensor,
        expected: Tensor,
        strikes: Strikes,
        hidden: Tensor,
    ) -> Tensor:
        risen = functional.relu(strikes.struck[..., : self.bins] - strikes.before)
        known = [part[..., : self.bins] for part in (logits, powers, owned, excess)]
        low = self.enter(torch.cat([*known, risen, expected[..., : self.bins]], 1))
        low = low + self.place.unsqueeze(1) + self.frame(hidden).unsqueeze(3)
        low = functional.gelu(low)
        near = functional.gelu(self.near(functional.pad(low, (0, 0, self.LOOKBACK, 0))))
        change = self.leave(low + self.back(near))
        return logits + functional.pad(change, (0, BINS - self.bins))
