"""The whole model: two recordings in, rhythmic piano out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from creative_mix.constants import HOP_LENGTH
from creative_mix.model.agent import CascadeStage, Composition, CompositionalCreativeAgent
from creative_mix.model.config import ModelConfig
from creative_mix.model.decoder import Decoder, Keys, decoder_field, loudest_ahead
from creative_mix.model.encoder import Encoder, log_power, mean_power
from creative_mix.model.pitch import PitchReader, voices_of
from creative_mix.model.restrike import (
    STRUCK_WITHIN_FRAMES,
    Restrikes,
    at_attack,
    at_source,
    remember,
    restrike,
)
from creative_mix.model.rhythm import VOICES, Onsets, RhythmHead, mix_onsets
from creative_mix.model.spectral import BINS, Stft

PERMIT_LOGIT = -4.0
"""The cascade's word on a strike of which the encoding says nothing: no."""


UNASKED_TIMBRE = 0.2
"""Share of input_timbre within timbre up to which nothing of the drums' own sound is heard."""


class Analysis(NamedTuple):
    """Both sources after the encoder and the extractors."""

    drum_spectra: Tensor
    piano_spectra: Tensor
    drum_encoding: Tensor
    piano_encoding: Tensor
    components: Tensor


class Result(NamedTuple):
    """A composition and what led to it."""

    mix: Tensor
    """(B, C, N) audio."""
    weights: Tensor
    """(B, 6, T) selection weights."""
    strikes: Tensor
    """(B, T) probability that any voice is struck."""
    analysis: Analysis
    encoding: Tensor
    """(B, 128, T) the composed encoding after the cascade."""
    agent_output: Tensor
    """(B, 128, T) the composed encoding before the cascade."""
    drum_logits: Tensor
    """(B, V, T) the rhythm head on the drums."""
    drum_offset: Tensor
    piano_logits: Tensor
    """(B, V, T) the rhythm head on the piano."""
    piano_offset: Tensor
    permit_logits: Tensor
    """(B, V, T) the cascade's word on each strike."""
    onsets: Onsets
    """What is struck in the end."""
    key_logits: Tensor
    """(B, 88, T) the piano's sounding keys."""


class CreativeMix(nn.Module):
    """Encoder, agent, cascade, rhythm heads and decoder.

    Shape: drums (B, C_d, N), piano (B, C, N), bias (B, 6) -> ``Result``.
    """

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ModelConfig()
        self.stft = Stft()
        self.encoder = Encoder(config)
        self.agent = CompositionalCreativeAgent(config.encoding_dim, config)
        self.cascade = nn.ModuleList(CascadeStage(config) for _ in range(config.cascade_stages))
        self.drum_rhythm = RhythmHead(config.component_dim)
        self.piano_rhythm = RhythmHead(config.component_dim)
        self.permit = nn.Conv1d(config.encoding_dim, VOICES, 1, bias=False)
        self.drum_tone = nn.Parameter(torch.zeros(BINS))
        self.pitch_reader = PitchReader()
        self.decoder = Decoder(config)

    def analyse(self, drums: Tensor, piano: Tensor) -> Analysis:
        """Encodings and components of both sources."""
        drum_spectra, piano_spectra = self.stft(drums), self.stft(piano)
        drum_encoding = self.encoder(drums, drum_spectra)
        piano_encoding = self.encoder(piano, piano_spectra)
        components = self.agent.extract(drum_encoding, piano_encoding)
        return Analysis(drum_spectra, piano_spectra, drum_encoding, piano_encoding, components)

    def refine(self, composition: Composition, stages: int | None = None) -> Tensor:
        """The cascade, or its first stages, over what the agent composed: -> (B, 128, T)."""
        made = composition.output
        for stage in list(self.cascade)[:stages]:
            made = stage(composition.selected, made)
        return made

    def forward(
        self,
        drums: Tensor,
        piano: Tensor,
        bias: Tensor | None = None,
        known: tuple[Onsets, Onsets] | None = None,
        skip: Tensor | int = 0,
    ) -> Result:
        """Compose.

        Parameters
        ----------
        drums, piano : audio of equal length at 44.1 kHz
        bias : added to the selection logits
        known : strikes and attacks that stand in for the rhythm heads' in training
        skip : frames at the start that serve as context alone; ``mix`` begins after them
        """
        analysis = self.analyse(drums, piano)
        weights = self.agent.select(analysis.components, bias)
        composition = self.agent.compose(analysis.components, weights)
        encoding = self.refine(composition)
        return self.decode(piano, analysis, weights, composition.output, encoding, known, skip)

    def decode(
        self,
        piano: Tensor,
        analysis: Analysis,
        weights: Tensor,
        agent_output: Tensor,
        encoding: Tensor,
        known: tuple[Onsets, Onsets] | None = None,
        skip: Tensor | int = 0,
    ) -> Result:
        """Strike, remember, decode; ``mix`` begins after ``skip`` frames."""
        drum_logits, drum_offset = self.drum_rhythm(analysis.components[:, 0])
        piano_logits, piano_offset = self.piano_rhythm(analysis.components[:, 3])
        permit_logits = self.permit(encoding).float() + PERMIT_LOGIT
        attacks = Onsets(torch.sigmoid(piano_logits), piano_offset)
        mixed = mix_onsets(
            Onsets(torch.sigmoid(drum_logits), drum_offset),
            attacks,
            weights[:, 0] / (weights[:, 0] + weights[:, 3]),
        )
        onsets = Onsets(mixed.probability * torch.sigmoid(permit_logits), mixed.offset)
        used_strikes, used_attacks = known or (onsets, attacks)
        lookback = decoder_field(self.config)[0]
        first = (
            torch.clamp(skip - lookback, min=0)
            if isinstance(skip, Tensor)
            else max(0, skip - lookback)
        )
        restrikes = restrike(piano, used_strikes, used_attacks, self.config, first)
        piano_power = mean_power(analysis.piano_spectra)
        key_logits = self.pitch_reader(piano_power).float()
        audio = self.decoder(
            encoding[:, :, first:],
            remember(encoding, restrikes),
            describe_ages(restrikes),
            follow_attacks(used_attacks.probability, restrikes, first),
            follow_keys(torch.sigmoid(key_logits), restrikes, first),
            at_attack(loudest_ahead(log_power(piano_power).transpose(1, 2)), restrikes),
            analysis.piano_spectra[:, :, first:],
            [self.stft(restrikes.streams[:, voice]) for voice in range(VOICES)],
            self.stft,
        )
        drum_spectra = analysis.drum_spectra[:, :, first:]
        audio = audio + self._drum_timbre(drum_spectra, weights[:, :, first:])
        begin, end = (skip - first) * HOP_LENGTH, piano.shape[2] - first * HOP_LENGTH
        return Result(
            mix=audio[:, :, begin:end],
            weights=weights,
            strikes=onsets.probability.amax(1),
            analysis=analysis,
            encoding=encoding,
            agent_output=agent_output,
            drum_logits=drum_logits,
            drum_offset=drum_offset,
            piano_logits=piano_logits,
            piano_offset=piano_offset,
            permit_logits=permit_logits,
            onsets=onsets,
            key_logits=key_logits,
        )

    def _drum_timbre(self, drum_spectra: Tensor, weights: Tensor) -> Tensor:
        """The drums' own sound, as far as the selector asks for input_timbre: (B, 1, 512 T).

        None of it below a share of UNASKED_TIMBRE: where all else is silent, however little of it
        would be all that is heard.
        """
        share = weights[:, 2] / (weights[:, 2] + weights[:, 5])
        asked = ((share - UNASKED_TIMBRE) / (1 - UNASKED_TIMBRE)).clamp(min=0.0) ** 1.5
        gain = torch.exp(self.drum_tone) * asked.unsqueeze(2)  # (B, T, F)
        return self.stft.inverse(drum_spectra.mean(1) * gain.unsqueeze(2)).unsqueeze(1)


def describe_ages(restrikes: Restrikes) -> Tensor:
    """Age of each voice's strike and reach of its stream on several scales: (B, V * 8, T)."""
    scales = (0.03, 0.1, 0.3, 1.0)
    features = [torch.exp(-restrikes.age.clamp(min=0.0) / s) for s in scales]
    features += [torch.exp(-restrikes.shift.abs() / s) for s in scales]
    return torch.cat(features, 1)


def follow_attacks(probability: Tensor, restrikes: Restrikes, first: Tensor | int) -> Tensor:
    """The piano's attacks (B, V, T) now and where each stream reads it: (B, V * 4, T - first)."""
    there = at_source(probability.float(), restrikes).flatten(1, 2)
    return torch.cat([probability[:, :, first:].to(there.dtype), there], 1)


def follow_keys(sounding: Tensor, restrikes: Restrikes, first: Tensor | int) -> Keys:
    """The sounding keys (B, 88, T), and what of them strikes have struck and streams play."""
    chosen = voices_of(sounding)
    struck = torch.stack(
        [
            remember(chosen[:, voice], restrikes, STRUCK_WITHIN_FRAMES - 1)[:, voice]
            for voice in range(VOICES)
        ],
        1,
    )
    now = sounding[:, :, first:]
    return Keys(now, struck * now.unsqueeze(1), at_source(sounding, restrikes))
