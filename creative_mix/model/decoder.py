"""The composed encoding and the piano's own spectrum to audio, by three parts.

(a) a gain for every bin of the present piano frame, (b) a gain for every bin of each voice's
re-strike stream, (c) an envelope every 64 samples. Gains are computed once, from the channels' mean
power, and applied to every channel. A generated spectrum on top, for what the recording lacks, was
a fourth part until training had made nothing of it (``docs/experiments.md``).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from creative_mix.constants import HOP_LENGTH
from creative_mix.model.config import ModelConfig
from creative_mix.model.encoder import log_power, mean_power
from creative_mix.model.layers import ConvNeXtBlock, FrameNorm, Pointwise, fill_bias
from creative_mix.model.pitch import KEYS, BinOwners
from creative_mix.model.refiner import CombLimiter, DecayLimiter, GainRefiner, Proposal
from creative_mix.model.rhythm import OWN_LEVEL, VOICES
from creative_mix.model.spectral import BINS, Stft

ENVELOPE_STEPS = 8
"""Envelope values a frame: one every 64 samples."""
GAIN_SCALE = 3.0
"""Gain per unit of e to a logit far below 0; far above, gains grow with the logits themselves."""
SOURCES = VOICES + 1
"""The present piano and one stream a voice."""
LEVEL_EXPONENT = 1.7
"""A velocity's amplitude grows with this power of it, on most instruments."""


class Keys(NamedTuple):
    """What of the piano's 88 keys a frame plays."""

    sounding: Tensor
    """(B, 88, T) probability that a key sounds now."""
    struck: Tensor
    """(B, V, 88, T) probability that the voice struck it, and it still rings."""
    heard: Tensor
    """(B, V, 88, T) its power where the voice's stream reads the piano."""


class Strikes(NamedTuple):
    """What is known of the last strike of each voice."""

    encoding: Tensor
    """(B, V, 128, T) the composed encoding at it."""
    ages: Tensor
    """(B, V * 8, T) its age and the reach of the voice's stream, on several scales."""
    attacks: Tensor
    """(B, V * 4, T) the piano's attacks now and where each stream reads it."""
    level: Tensor
    """(B, V, T) how hard the hit was, 0 .. 1."""
    dynamics: Tensor
    """(B,) or (B, T) factor on the levels' differences; 1 leaves them."""
    struck: Tensor
    """(B, V, T, F) log power of the piano at the attack that the stream plays."""
    before: Tensor
    """(B, V, T, refiner_bins) the same just before that attack."""


def decoder_field(config: ModelConfig) -> tuple[int, int]:
    """Frames behind and ahead of a frame of audio that the decoder and its two STFTs see."""
    spectrum = 2  # a window of 2048 around a hop of 512 reaches two frames on either side
    shaping = 3 * config.decoder_blocks + GainRefiner.LOOKBACK
    return 2 * spectrum + shaping, 2 * spectrum + config.decoder_blocks + 1


def strike_gain(level: Tensor) -> Tensor:
    """Amplitude of a note struck by a hit of this level, beside the note as it was played."""
    return (0.4 + 0.8 * level) ** LEVEL_EXPONENT


class Decoder(nn.Module):
    """Renders a composed encoding through the piano's own sound.

    Spectra keep their bins last throughout: transposing them would cost more than using them.

    Shape: see ``forward``.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, dim = config.decoder_width, config.encoding_dim
        self.encoding_in = nn.Conv1d(dim * (1 + VOICES), width, 1)
        self.present_in = Pointwise(BINS, width)
        self.stream_in = Pointwise(BINS, 128)
        self.streams_in = Pointwise(128 * VOICES, width)
        self.age_in = nn.Conv1d(VOICES * 8, width, 1)
        self.attacks_in = nn.Conv1d(VOICES * SOURCES, width, 1)
        self.level_in = nn.Conv1d(VOICES, width, 1, bias=False)
        self.keys_in = nn.Conv1d(KEYS * (1 + VOICES), width, 1)
        self.in_norm = FrameNorm(width)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(width, 5, lookahead=1, expansion=config.decoder_expansion)
            for _ in range(config.decoder_blocks)
        )
        self.out_norm = FrameNorm(width)
        self.gains = Pointwise(width, SOURCES * BINS)
        self.owners = BinOwners()
        self.ownership = nn.Parameter(torch.full((VOICES, 1, 1), 0.3))
        self.level_strength = nn.Parameter(torch.full((VOICES, 1), 0.5))
        self.limiter = DecayLimiter()
        self.comb_limiter = CombLimiter()
        self.refiner = GainRefiner(config.refiner_bins, config.refiner_width, width)
        self.envelope = nn.Conv1d(width, ENVELOPE_STEPS, 1)
        with torch.no_grad():
            self.gains.weight.mul_(0.5)
            self.envelope.weight.mul_(0.1)
        fill_bias(self.gains, 0.0)
        fill_bias(self.gains, -2.0, BINS)

    def forward(
        self,
        encoding: Tensor,
        strikes: Strikes,
        keys: Keys,
        present: Tensor,
        streams: list[Tensor],
        stft: Stft,
    ) -> Tensor:
        """Audio of every piano channel.

        Shape: encoding (B, 128, T), present and each of the V streams (B, C, T, 2, F)
        -> (B, C, 512 T).
        """
        sources = [present, *streams]  # one by one: stacked, they would be copied several times
        loudness = self.loudness(sources)
        hidden = self.enter(encoding, strikes, keys, loudness)
        for block in self.blocks:
            hidden = block(hidden)
        hidden = self.out_norm(hidden)
        proposal = self.propose(hidden, strikes, keys, loudness)
        logits = self.refiner(proposal, loudness, strikes, hidden)
        audio = stft.inverse(self.shape(logits, strikes, sources))
        values = self.envelope_values(hidden).flatten(1)
        following = torch.cat([values[:, 1:], values[:, -1:]], 1)
        return audio * self.envelope_between(values, following).unsqueeze(1)

    @staticmethod
    def loudness(sources: list[Tensor]) -> Tensor:
        """Log power of each source, over its channels: (B, 4, T, F)."""
        return torch.stack([log_power(mean_power(each)) for each in sources], 1)

    def enter(self, encoding: Tensor, strikes: Strikes, keys: Keys, loudness: Tensor) -> Tensor:
        """Everything that is known of every frame: (B, D, T)."""
        memory = strikes.encoding.flatten(1, 2).to(encoding.dtype)
        heard = functional.gelu(self.stream_in(loudness[:, 1:])).transpose(1, 2).flatten(2)
        of_spectra = self.present_in(loudness[:, 0]) + self.streams_in(heard)
        hidden = (
            self.encoding_in(torch.cat([encoding, memory], 1))
            + of_spectra.transpose(1, 2)
            + self.age_in(strikes.ages)
            + self.attacks_in(strikes.attacks)
            + self.level_in(strikes.level - OWN_LEVEL)
            + self.keys_in(torch.cat([keys.sounding, keys.struck.flatten(1, 2)], 1))
        )
        normed: Tensor = self.in_norm(hidden)
        return normed

    def propose(self, hidden: Tensor, strikes: Strikes, keys: Keys, loudness: Tensor) -> Proposal:
        """The gains before they are refined, and what they follow from."""
        batch, frames = hidden.shape[0], hidden.shape[2]
        logits = self.gains(hidden.transpose(1, 2)).view(batch, frames, SOURCES, BINS)
        owned, expected = self.owners(keys.struck, keys.heard)
        excess, held_down = self.limiter(loudness[:, 1:], strikes.struck)
        held_down = held_down + self.comb_limiter(loudness[:, 1:], expected)
        own = functional.pad(self.ownership * owned + held_down, (0, 0, 0, 0, 1, 0))
        return Proposal(logits.transpose(1, 2) + own, owned, excess, expected)

    def shape(self, logits: Tensor, strikes: Strikes, sources: list[Tensor]) -> Tensor:
        """The sources under their gains, added up: (B, C, T, 2, F)."""
        gain = functional.softplus(logits.float() + math.log(GAIN_SCALE))  # (B, 4, T, F)
        factors = self._level_factors(strikes).unsqueeze(3)
        shaped = sources[0] * gain[:, 0, None, :, None]
        for voice, stream in enumerate(sources[1:]):
            factor = gain[:, 1 + voice] * factors[:, voice]
            shaped = shaped + stream * factor[:, None, :, None]
        return shaped

    def _level_factors(self, strikes: Strikes) -> Tensor:
        """Gain of each stream by how hard its voice was struck: (B, V, T)."""
        played = strike_gain(strikes.level)
        dynamics = strikes.dynamics.reshape(strikes.dynamics.shape[0], 1, -1)
        changed = OWN_LEVEL + dynamics * (strikes.level - OWN_LEVEL)
        change = strike_gain(changed.clamp(0.0, 1.5)) / played
        return torch.exp(self.level_strength * torch.log(played)) * change

    def envelope_values(self, hidden: Tensor) -> Tensor:
        """Part (c) at the start of every 64 samples: (B, D, T) -> (B, T, 8)."""
        return torch.exp(1.5 * torch.tanh(self.envelope(hidden).float())).transpose(1, 2)

    @staticmethod
    def envelope_between(values: Tensor, following: Tensor) -> Tensor:
        """Part (c), linear between its values and those that follow: (B, 8 T) -> (B, 512 T)."""
        step = HOP_LENGTH // ENVELOPE_STEPS
        part = torch.arange(step, device=values.device, dtype=torch.float32) / step
        return (values[:, :, None] + (following - values)[:, :, None] * part).flatten(1)
