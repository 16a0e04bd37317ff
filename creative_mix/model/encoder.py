"""Audio to 128-dim encodings, one frame every 512 samples; one encoder serves both sources."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from creative_mix.model.config import ModelConfig
from creative_mix.model.layers import ConvNeXtBlock, FrameNorm, Pointwise
from creative_mix.model.spectral import BINS, FineEnergy, Stft


def log_power(power: Tensor) -> Tensor:
    """Power to about -2 .. 2 for audio between -90 dBFS and full scale."""
    return 0.2 * torch.log(power + 1e-5)


def mean_power(spectra: Tensor) -> Tensor:
    """Power, averaged over channels: (B, C, T, 2, F) -> (B, T, F)."""
    real, imaginary = spectra[..., 0, :], spectra[..., 1, :]
    return (real * real + imaginary * imaginary).mean(1)


class Encoder(nn.Module):
    """What a frame sounds like and where in it things begin, from the channels' mean power.

    The mean is taken over power, so anti-phase stereo does not vanish.

    Shape: audio (B, C, N) and its spectra (B, C, T, 2, F) -> encoding (B, 128, T).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.encoder_width
        self.fine_energy = FineEnergy()
        self.spectrum_in = Pointwise(BINS, width)
        self.fine_in = Pointwise(self.fine_energy.features, width)
        self.in_norm = FrameNorm(width)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(width, 7, lookahead=2) for _ in range(config.encoder_blocks)
        )
        self.out = nn.Conv1d(width, config.encoding_dim, 1)
        self.out_norm = FrameNorm(config.encoding_dim)

    def forward(self, audio: Tensor, spectra: Tensor) -> Tensor:
        batch, channels, samples = audio.shape
        fine = self.fine_energy(audio.reshape(batch * channels, samples))
        fine = fine.view(batch, channels, fine.shape[1], fine.shape[2]).mean(1)
        hidden = self.spectrum_in(log_power(mean_power(spectra))) + self.fine_in(log_power(fine))
        hidden = self.in_norm(hidden.transpose(1, 2))
        for block in self.blocks:
            hidden = block(hidden)
        return self.out_norm(self.out(hidden))


__all__ = ["Encoder", "Stft", "log_power"]
