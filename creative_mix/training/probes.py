"""Small readers that tie the components to their names, or keep them apart; for training alone.

The rhythm probe is the model's own rhythm head. Harmony and timbre are read from both sources'
components by one shared probe and mixed by the selector's share, so that the share that leads is
the one whose source holds the answer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from creative_mix.constants import COMPONENT_NAMES
from creative_mix.model.layers import ContextConv1d, fill_bias
from creative_mix.training.targets import PITCHES, VOICES

ENVELOPE_BANDS = 24
_NO_RHYTHM = [COMPONENT_NAMES.index(name) for name in ("input_harmony", "input_timbre")]
_NO_HARMONY = COMPONENT_NAMES.index("target_timbre")


class Probes(nn.Module):
    """Sounding pitches from harmony, spectral envelope from timbre.

    Shape: components (B, 6, 64, T), weights (B, 6, T) -> pitch logits (B, 88, T),
    envelope (B, 24, T).
    """

    def __init__(self, component_dim: int = 64) -> None:
        super().__init__()
        self.pitch = nn.Conv1d(component_dim, PITCHES, 1)
        self.envelope = nn.Conv1d(component_dim, ENVELOPE_BANDS, 1)
        fill_bias(self.pitch, -3.0)

    def forward(self, components: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        pitch = self._mix(self.pitch, components, weights, 1)
        envelope = self._mix(self.envelope, components, weights, 2)
        return pitch, envelope

    @staticmethod
    def _mix(probe: nn.Conv1d, components: Tensor, weights: Tensor, aspect: int) -> Tensor:
        drums, piano = weights[:, aspect], weights[:, aspect + 3]
        share = (drums / (drums + piano)).unsqueeze(1)
        return share * probe(components[:, aspect]) + (1 - share) * probe(components[:, aspect + 3])


class Strangers(nn.Module):
    """Adversaries: they read from a component what its name denies, and their gradient turns round.

    What they still find, the extractor unlearns (Ganin and Lempitsky 2015): drum hits from the
    drums' harmony and timbre, sounding pitches from the piano's timbre. Otherwise rhythm would
    reach the composer by all three of the drums' components, and the selector would decide nothing.

    Shape: components (B, 6, 64, T) -> hit logits (2 B, V, T), the two components one after the
    other, and pitch logits (B, 88, T).
    """

    def __init__(self, component_dim: int = 64, strength: float = 0.5) -> None:
        super().__init__()
        self.strength = strength
        self.hits = nn.Sequential(
            ContextConv1d(component_dim, 64, 3, lookahead=1),
            nn.GELU(),
            nn.Conv1d(64, VOICES, 1),
        )
        self.pitch = nn.Conv1d(component_dim, PITCHES, 1)
        fill_bias(self.pitch, -3.0)

    def forward(self, components: Tensor) -> tuple[Tensor, Tensor]:
        turned = (1 + self.strength) * components.detach() - self.strength * components
        drums = torch.cat([turned[:, place] for place in _NO_RHYTHM])
        return self.hits(drums), self.pitch(turned[:, _NO_HARMONY])


def aspect_shares(weights: Tensor) -> Tensor:
    """Share of the expected component within rhythm, harmony and timbre: (B, 6, T) -> (3,)."""
    mean = weights.float().mean((0, 2))
    expected = torch.stack([mean[0], mean[4], mean[5]])
    return expected / torch.stack([mean[0] + mean[3], mean[1] + mean[4], mean[2] + mean[5]])
