"""Small readers that tie the components to their names; used in training alone.

The rhythm probe is the model's own rhythm head. Harmony and timbre are read from both sources'
components by one shared probe and mixed by the selector's share, so that the share that leads is
the one whose source holds the answer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from creative_mix.model.layers import fill_bias
from creative_mix.training.targets import PITCHES

ENVELOPE_BANDS = 24


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


def aspect_shares(weights: Tensor) -> Tensor:
    """Share of the expected component within rhythm, harmony and timbre: (B, 6, T) -> (3,)."""
    mean = weights.float().mean((0, 2))
    expected = torch.stack([mean[0], mean[4], mean[5]])
    return expected / torch.stack([mean[0] + mean[3], mean[1] + mean[4], mean[2] + mean[5]])
