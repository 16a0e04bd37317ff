"""The composed encoding and the piano's own spectrum to audio, by four parts added up.

(a) a gain for every bin of the present piano frame, (b) a gain for every bin of each voice's
re-strike stream, (c) an envelope every 64 samples, (d) a generated spectrum for what the recording
lacks. Gains are computed once, from the channels' mean power, and applied to every channel.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from creative_mix.constants import HOP_LENGTH
from creative_mix.model.config import ModelConfig
from creative_mix.model.encoder import log_power, mean_power
from creative_mix.model.layers import ConvNeXtBlock, FrameNorm, fill_bias
from creative_mix.model.pitch import KEYS, BinOwners
from creative_mix.model.rhythm import VOICES
from creative_mix.model.spectral import BINS, Stft

ENVELOPE_STEPS = 8
"""Envelope values a frame: one every 64 samples."""
MAX_GAIN = 3.0
SOURCES = VOICES + 1
"""The present piano and one stream a voice."""


class Keys(NamedTuple):
    """Probabilities of the piano's 88 keys."""

    sounding: Tensor
    """(B, 88, T) that a key sounds now."""
    struck: Tensor
    """(B, V, 88, T) that the voice's last strike struck it, and it still sounds."""
    heard: Tensor
    """(B, V, 88, T) that it sounds where the voice's stream reads the piano."""


def decoder_field(config: ModelConfig) -> tuple[int, int]:
    """Frames behind and ahead of a frame of audio that the decoder and its two STFTs see."""
    spectrum = 2  # a window of 2048 around a hop of 512 reaches two frames on either side
    shaping = 3 * config.decoder_blocks + GainRefiner.LOOKBACK
    return 2 * spectrum + shaping, 2 * spectrum + config.decoder_blocks + 1


class DecayLimiter(nn.Module):
    """Holds every bin of a stream to what it was when it was struck: a struck string dies away.

    What rises above that is a note that the piano struck later, which the stream runs into.

    Shape: log powers of the streams, and of the piano at the attacks that they play, both
    (B, V, F, T) -> the excess and what it takes from the logits, both (B, V, F, T).
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


def loudest_ahead(powers: Tensor) -> Tensor:
    """The loudest of each frame and the next few: (B, F, T) -> (B, F, T)."""
    ahead = DecayLimiter.ATTACK_FRAMES - 1
    padded = functional.pad(powers, (0, ahead), value=-10.0)
    return functional.max_pool1d(padded, ahead + 1, 1)


class GainRefiner(nn.Module):
    """Sharpens the gains of the lowest bins from the sources' spectra around each bin.

    What a bin needs can often be told from the bin itself: a stream that is loud where the present
    piano is silent plays a note that has been released. The same small network looks at every bin
    and the frames just before, knowing which bin it is and what the decoder thinks of the frame.

    Shape: logits and log powers, both (B, 4, F, T), what the voices own and by how much they exceed
    their attacks, both (B, V, F, T), hidden (B, D, T) -> logits (B, 4, F, T).
    """

    LOOKBACK = 2

    def __init__(self, bins: int, width: int, hidden_dim: int) -> None:
        super().__init__()
        self.bins = bins
        self.enter = nn.Conv2d(2 * (SOURCES + VOICES), width, (5, 1), padding=(2, 0))
        self.place = nn.Parameter(torch.zeros(width, bins))
        self.frame = nn.Conv1d(hidden_dim, width, 1)
        self.near = nn.Conv2d(width, width, (3, 1 + self.LOOKBACK), padding=(1, 0))
        self.back = nn.Conv2d(width, width, 1)
        self.leave = nn.Conv2d(width, SOURCES, (5, 1), padding=(2, 0))

    def forward(
        self, logits: Tensor, powers: Tensor, owned: Tensor, excess: Tensor, hidden: Tensor
    ) -> Tensor:
        low = torch.cat([part[:, :, : self.bins] for part in (logits, powers, owned, excess)], 1)
        low = self.enter(low) + self.place.unsqueeze(2) + self.frame(hidden).unsqueeze(2)
        low = functional.gelu(low)
        near = functional.gelu(self.near(functional.pad(low, (self.LOOKBACK, 0))))
        change = self.leave(low + self.back(near))
        return logits + functional.pad(change, (0, 0, 0, BINS - self.bins))


class Decoder(nn.Module):
    """Renders a composed encoding through the piano's own sound.

    Shape: see ``forward``.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, dim = config.decoder_width, config.encoding_dim
        self.encoding_in = nn.Conv1d(dim * (1 + VOICES), width, 1)
        self.present_in = nn.Conv1d(BINS, width, 1)
        self.stream_in = nn.Conv1d(BINS, 128, 1)
        self.streams_in = nn.Conv1d(128 * VOICES, width, 1)
        self.age_in = nn.Conv1d(VOICES * 8, width, 1)
        self.attacks_in = nn.Conv1d(VOICES * SOURCES, width, 1)
        self.keys_in = nn.Conv1d(KEYS * (1 + VOICES), width, 1)
        self.in_norm = FrameNorm(width)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(width, 5, lookahead=1) for _ in range(config.decoder_blocks)
        )
        self.out_norm = FrameNorm(width)
        self.gains = nn.Conv1d(width, SOURCES * BINS, 1)
        self.owners = BinOwners()
        self.ownership = nn.Parameter(torch.full((VOICES, 1, 1), 0.3))
        self.limiter = DecayLimiter()
        self.refiner = GainRefiner(config.refiner_bins, config.refiner_width, width)
        self.envelope = nn.Conv1d(width, ENVELOPE_STEPS, 1)
        self.generated = nn.Conv1d(width, 3 * BINS, 1)
        with torch.no_grad():
            self.gains.weight.mul_(0.5)
            self.envelope.weight.mul_(0.1)
        fill_bias(self.gains, 0.0)
        fill_bias(self.gains, -2.0, BINS)
        fill_bias(self.generated, -7.0, BINS)

    def forward(
        self,
        encoding: Tensor,
        memory: Tensor,
        ages: Tensor,
        attacks: Tensor,
        keys: Keys,
        struck: Tensor,
        present: Tensor,
        streams: list[Tensor],
        stft: Stft,
    ) -> Tensor:
        """Audio of every piano channel.

        Shape: encoding (B, 128, T), memory (B, V, 128, T), ages (B, V * 8, T), the piano's attacks
        now and where each stream reads it (B, V * 4, T), log power of the piano at the attacks that
        the streams play (B, V, F, T), present and each of the V streams (B, C, T, 2, F)
        -> (B, C, 512 T).
        """
        batch, frames = present.shape[0], present.shape[2]
        sources = [present, *streams]  # one by one: stacked, they would be copied several times
        loudness = torch.stack([log_power(mean_power(each)) for each in sources], 1)
        loudness = loudness.transpose(2, 3)  # (B, 4, F, T)
        heard = self.stream_in(loudness[:, 1:].reshape(batch * VOICES, BINS, frames))
        heard = functional.gelu(heard).reshape(batch, VOICES * 128, frames)
        hidden = (
            self.encoding_in(torch.cat([encoding, memory.flatten(1, 2).to(encoding.dtype)], 1))
            + self.present_in(loudness[:, 0])
            + self.streams_in(heard)
            + self.age_in(ages)
            + self.attacks_in(attacks)
            + self.keys_in(torch.cat([keys.sounding, keys.struck.flatten(1, 2)], 1))
        )
        hidden = self.in_norm(hidden)
        for block in self.blocks:
            hidden = block(hidden)
        hidden = self.out_norm(hidden)

        logits = self.gains(hidden).reshape(batch, SOURCES, BINS, frames)
        owned = self.owners(keys.struck, keys.heard)
        excess, held_down = self.limiter(loudness[:, 1:], struck)
        own = self.ownership * owned + held_down
        own = torch.cat([torch.zeros_like(owned[:, :1]), own], 1)
        logits = self.refiner(logits + own, loudness, owned, excess, hidden).float()
        gain = (MAX_GAIN * torch.sigmoid(logits)).transpose(2, 3)  # (B, 4, T, F)
        shaped = self._generate(hidden, present)  # (B, C, T, 2, F)
        for place, each in enumerate(sources):
            shaped = shaped + each * gain[:, place, None, :, None]
        audio = stft.inverse(shaped)
        return audio * self._envelope(hidden).unsqueeze(1)

    def _generate(self, hidden: Tensor, present: Tensor) -> Tensor:
        """Part (d), panned over the channels as the piano's energy is: (B, C, T, 2, F)."""
        batch, channels, frames = present.shape[:3]
        raw = self.generated(hidden).float().reshape(batch, 3, BINS, frames).transpose(2, 3)
        direction = raw[:, 1:] / torch.sqrt((raw[:, 1:] ** 2).sum(1, keepdim=True) + 1e-4)
        spectrum = torch.exp(raw[:, :1].clamp(max=5.0)) * direction  # (B, 2, T, F)
        energy = (present**2).sum(3).mean(3)  # (B, C, T)
        pan = torch.sqrt((energy + 1e-7) / (energy.mean(1, keepdim=True) + 1e-7))
        return pan[:, :, :, None, None] * spectrum.permute(0, 2, 1, 3).unsqueeze(1)

    def _envelope(self, hidden: Tensor) -> Tensor:
        """Part (c), linear between its values: (B, D, T) -> (B, 512 T)."""
        values = torch.exp(1.5 * torch.tanh(self.envelope(hidden).float()))
        values = values.transpose(1, 2).flatten(1)  # (B, 8 T)
        following = torch.cat([values[:, 1:], values[:, -1:]], 1)
        step = HOP_LENGTH // ENVELOPE_STEPS
        part = torch.arange(step, device=hidden.device, dtype=torch.float32) / step
        return (values[:, :, None] + (following - values)[:, :, None] * part).flatten(1)
