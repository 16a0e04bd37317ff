"""The whole model: two recordings in, rhythmic piano out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from creative_mix.constants import HOP_LENGTH
from creative_mix.model.agent import CascadeStage, Composition, CompositionalCreativeAgent
from creative_mix.model.config import ModelConfig
from creative_mix.model.decoder import Decoder, Keys, Strikes, decoder_field
from creative_mix.model.encoder import Encoder, log_power, mean_power
from creative_mix.model.origins import INNER, BeginReader, blend
from creative_mix.model.pitch import BinOwners, KeyLogits, KeyReader
from creative_mix.model.refiner import just_before, loudest_ahead
from creative_mix.model.restrike import (
    Begun,
    Restrikes,
    at_attack,
    at_source,
    remember,
    remember_own,
    restrike,
    strike_strength,
    struck_keys,
)
from creative_mix.model.rhythm import VOICES, Onsets, RhythmHead, mix_onsets, thin_out
from creative_mix.model.ringing import CONTEXT_FRAMES, ringing
from creative_mix.model.spectral import BINS, Stft

PERMIT_LOGIT = -4.0
"""The cascade's word on a strike of which the encoding says nothing: no."""
SILENT_LOGIT = -6.0
"""Logit of keys before and after the recording."""
UNASKED_TIMBRE = 0.25
"""Share of input_timbre within timbre up to which training hears nothing of the drums' sound."""
TIMBRE_MARGIN = 0.05
"""By how much more of it a render hears nothing.

Training brings the plain job's share up to the edge and holds it there, give or take 0.03.
"""


class Controls(NamedTuple):
    """What a player may ask for beside the selector's bias; each (B,)."""

    density: Tensor
    """Share of the strikes that stay, the strongest first: 1 all, 0 none."""
    dynamics: Tensor
    """Factor on the differences between loud and soft strikes: 1 as drummed, 0 all alike."""


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
    drum_level: Tensor
    """(B, V, T) how hard the drums' hits are."""
    piano_logits: Tensor
    """(B, V, T) the rhythm head on the piano."""
    piano_offset: Tensor
    permit_logits: Tensor
    """(B, V, T) the cascade's word on each strike."""
    onsets: Onsets
    """What is struck in the end."""
    keys: KeyLogits
    """What is read of the piano's keys."""
    begins: Tensor
    """(B, 88, T) logits: a key begins with the attack in a frame, where there is one."""


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
        self.piano_rhythm = RhythmHead(config.component_dim, levels=False)
        self.permit = nn.Conv1d(config.encoding_dim, VOICES, 1, bias=False)
        self.permit_own = nn.Conv1d(config.encoding_dim, VOICES, 1, bias=False)
        self.drum_tone = nn.Parameter(torch.zeros(BINS))
        self.key_reader = KeyReader(config.key_width, config.key_expansion)
        self.begin_reader = BeginReader()
        self.decoder = Decoder(config)
        nn.init.zeros_(self.permit_own.weight)

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
        controls: Controls | None = None,
    ) -> Result:
        """Compose.

        Parameters
        ----------
        drums, piano : audio of equal length at 44.1 kHz
        bias : added to the selection logits, (B, 6), or (B, 6, T) to change over time
        known : strikes and attacks that stand in for the rhythm heads' in training
        skip : frames at the start that serve as context alone; ``mix`` begins after them
        controls : what a player asks for; by default nothing is changed
        """
        analysis = self.analyse(drums, piano)
        weights = self.agent.select(analysis.components, bias)
        composition = self.agent.compose(analysis.components, weights)
        encoding = self.refine(composition)
        output = composition.output
        return self.decode(piano, analysis, weights, output, encoding, known, skip, controls)

    def decode(
        self,
        piano: Tensor,
        analysis: Analysis,
        weights: Tensor,
        agent_output: Tensor,
        encoding: Tensor,
        known: tuple[Onsets, Onsets] | None = None,
        skip: Tensor | int = 0,
        controls: Controls | None = None,
    ) -> Result:
        """Strike, remember, decode; ``mix`` begins after ``skip`` frames."""
        if controls is None:
            controls = Controls(piano.new_ones(1), piano.new_ones(1))
        drum_logits, drum_offset, drum_level = self.drum_rhythm(analysis.components[:, 0])
        piano_logits, piano_offset, own_level = self.piano_rhythm(analysis.components[:, 3])
        hits = Onsets(torch.sigmoid(drum_logits), drum_offset, drum_level)
        attacks = Onsets(torch.sigmoid(piano_logits), piano_offset, own_level)
        onsets, permit_logits = self.strike(hits, attacks, weights, encoding, controls.density)
        used_strikes, used_attacks = known or (onsets, attacks)
        lookback = decoder_field(self.config)[0]
        first = (
            torch.clamp(skip - lookback, min=0)
            if isinstance(skip, Tensor)
            else max(0, skip - lookback)
        )
        piano_power = mean_power(analysis.piano_spectra)
        keys = self.key_reader(piano, piano_power)
        sounding = torch.sigmoid(keys.sounding)
        levels = self.decoder.owners.levels(sounding, piano_power)
        around = (BeginReader.REACH, BeginReader.REACH)
        begins = self.begin_reader(
            functional.pad(keys.sounding, around, value=SILENT_LOGIT),
            functional.pad(levels, around),
        )
        begun = Begun(torch.sigmoid(begins), struck_keys(keys.voices))
        restrikes = restrike(piano, used_strikes, used_attacks, begun, self.config, first)
        played, shares = self._follow_keys(keys, sounding, levels, used_strikes, restrikes)
        audio = self.decoder(
            encoding[:, :, first:],
            self._follow(
                encoding, used_strikes, used_attacks, piano_power, restrikes, shares, controls
            ),
            played,
            analysis.piano_spectra[:, :, first:],
            of_voices([self.stft(stream) for stream in restrikes.streams.unbind(1)], shares),
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
            drum_level=drum_level,
            piano_logits=piano_logits,
            piano_offset=piano_offset,
            permit_logits=permit_logits,
            onsets=onsets,
            keys=keys,
            begins=begins,
        )

    def strike(
        self, hits: Onsets, attacks: Onsets, weights: Tensor, encoding: Tensor, density: Tensor
    ) -> tuple[Onsets, Tensor]:
        """What is struck, of the drums' hits and the piano's attacks, and the cascade's word on it.

        The word is logits, (B, V, T).
        """
        share = weights[:, 0] / (weights[:, 0] + weights[:, 3])
        mixed = mix_onsets(hits, attacks, share)
        permit_logits = self._permit(encoding, share)
        permitted = mixed.probability * torch.sigmoid(permit_logits)
        onsets = Onsets(permitted, mixed.offset, mixed.level)
        return thin_out(onsets, density), permit_logits

    def _permit(self, encoding: Tensor, share: Tensor) -> Tensor:
        """The cascade's word on strikes, which may differ for the piano's own: (B, V, T)."""
        own = (1 - share).unsqueeze(1) * self.permit_own(encoding).float()
        return self.permit(encoding).float() + own + PERMIT_LOGIT

    def _follow(
        self,
        encoding: Tensor,
        strikes: Onsets,
        attacks: Onsets,
        piano_power: Tensor,
        restrikes: Restrikes,
        shares: Tensor,
        controls: Controls,
    ) -> Strikes:
        """What is known of each voice's last strike, from the frame on where streams begin."""
        loudness = log_power(piano_power)
        low = loudness[..., : self.config.refiner_bins]
        wanted = restrikes.age.shape[2]
        there = at_source(attacks.probability.float(), restrikes)[:, :VOICES].flatten(1, 2)
        now = attacks.probability[:, :, attacks.probability.shape[2] - wanted :]
        return Strikes(
            encoding=remember(encoding, restrikes),
            ages=describe_ages(restrikes),
            attacks=torch.cat([now.to(there.dtype), there], 1),
            level=remember_own(strikes.level.unsqueeze(2), restrikes)[:, :, 0],
            dynamics=controls.dynamics,
            struck=blend_voices(at_attack(loudest_ahead(loudness), restrikes), shares),
            before=blend_voices(at_attack(just_before(low), restrikes), shares),
        )

    def _follow_keys(
        self,
        keys: KeyLogits,
        sounding: Tensor,
        levels: Tensor,
        strikes: Onsets,
        restrikes: Restrikes,
    ) -> tuple[Keys, Tensor]:
        """The sounding keys, what of them strikes have struck and streams play, and whose bins."""
        strength = strike_strength(strikes.probability).unsqueeze(2)
        around = [
            functional.pad(each, (CONTEXT_FRAMES, 0))
            for each in (strength * struck_keys(keys.voices), torch.sigmoid(keys.ends))
        ]
        first = sounding.shape[2] - restrikes.age.shape[2]
        now, rings = sounding[:, :, first:], ringing(*around)[..., first:]
        struck = rings * now.unsqueeze(1)
        return share_keys(
            self.decoder.owners, now, struck, at_source(levels, restrikes), restrikes.own_keys
        )

    def _drum_timbre(self, drum_spectra: Tensor, weights: Tensor) -> Tensor:
        """The drums' own sound, as far as the selector asks for it: (B, 1, 512 T)."""
        return self.stft.inverse(self.colour(drum_spectra.mean(1), weights)).unsqueeze(1)

    def colour(self, drum_spectra: Tensor, weights: Tensor) -> Tensor:
        """The drums' spectra, (B, T, 2, F), as far as the selector asks for input_timbre.

        None of it below a share of UNASKED_TIMBRE, or somewhat more when it is not training: where
        all else is silent, however little of it would be all that is heard.
        """
        unasked = UNASKED_TIMBRE if self.training else UNASKED_TIMBRE + TIMBRE_MARGIN
        share = weights[:, 2] / (weights[:, 2] + weights[:, 5])
        asked = ((share - unasked) / (1 - unasked)).clamp(min=0.0) ** 1.5
        gain = torch.exp(self.drum_tone) * asked.unsqueeze(2)  # (B, T, F)
        return drum_spectra * gain.unsqueeze(2)


def share_keys(
    owners: BinOwners, sounding: Tensor, struck: Tensor, heard: Tensor, own_keys: Tensor
) -> tuple[Keys, Tensor]:
    """What keys play, and the shares of the inner voice's further streams in every bin.

    Shape: sounding (B, 88, T), struck (B, V, 88, T), heard (B, S, 88, T) powers of the keys where
    each stream reads the piano, own_keys (B, FURTHER, 88, T) -> shares (B, FURTHER, T, F).
    """
    with torch.no_grad():
        others = (1 - own_keys.sum(1, keepdim=True)).clamp(min=0.0)
        parts = torch.cat([others, own_keys], 1)
        of_inner = torch.cat([heard[:, INNER : INNER + 1], heard[:, VOICES:]], 1) * parts
        shares = owners.shares(of_inner * struck[:, INNER : INNER + 1])[:, 1:]
        voices = list(heard[:, :VOICES].unbind(1))
        voices[INNER] = of_inner.sum(1)
    return Keys(sounding, struck, torch.stack(voices, 1)), shares


def of_voices(streams: list[Tensor], shares: Tensor) -> list[Tensor]:
    """One signal a voice, of one a stream."""
    voices = streams[:VOICES]
    voices[INNER] = blend(voices[INNER], streams[VOICES:], shares)
    return voices


def blend_voices(values: Tensor, shares: Tensor) -> Tensor:
    """The same of features: (B, S, T, F) -> (B, V, T, F)."""
    return torch.stack(of_voices(list(values.unbind(1)), shares), 1)


def describe_ages(restrikes: Restrikes) -> Tensor:
    """Age of each voice's strike and reach of its stream on several scales: (B, V * 8, T)."""
    scales = (0.03, 0.1, 0.3, 1.0)
    features = [torch.exp(-restrikes.age.clamp(min=0.0) / s) for s in scales]
    features += [torch.exp(-restrikes.shift[:, :VOICES].abs() / s) for s in scales]
    return torch.cat(features, 1)
