"""The re-strike streams: each voice's piano, restarted at its last strike from its own last attack.

For every voice two strikes and two attacks are candidates, weighted by how sure the rhythm head is,
so the streams are a continuous function of its probabilities. Where no attack is found, a strike
goes on with the present piano. Gradients do not pass through here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from creative_mix.constants import HOP_LENGTH, SAMPLE_RATE
from creative_mix.model.config import ModelConfig
from creative_mix.model.rhythm import (
    ATTACK_RAMP,
    STRIKE_RAMP,
    VOICES,
    Onsets,
    at_frames,
    last_candidates,
    peak_strength,
    strike_times,
)

FADE = 128
"""Samples over which a stream changes over to its new strike."""
LEAD = 96
"""Samples before the strike at which that change is half done."""
STRUCK_WITHIN = 1323
"""Samples (30 ms) after a strike within which a piano attack still counts as its own."""
STRUCK_WITHIN_FRAMES = 4
_RUN = 8
"""Samples that are read together: a hop is 64 runs, each cut out of the two that it lies in."""


class Restrikes(NamedTuple):
    """What was struck when, and the audio of it."""

    streams: Tensor
    """(B, V, C, N) the piano restarted, one stream a voice."""
    strike_index: Tensor
    """(B, 2, V, T) frames plus one of the newest and second-newest strike of each voice; 0 none."""
    strike_weight: Tensor
    """(B, 2, V, T) how much each of the two is the last strike at the middle of the frame."""
    age: Tensor
    """(B, V, T) seconds since the last strike; 3 where there is none."""
    shift: Tensor
    """(B, V, T) seconds by which the stream reads behind the present; 0 where there is none."""


def _last_of_two(newest: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Weights with which each of two uncertain candidates is the last one."""
    return newest, (1 - newest) * second


def restrike(
    piano: Tensor, strikes: Onsets, attacks: Onsets, config: ModelConfig, first: Tensor | int = 0
) -> Restrikes:
    """Restart every voice of the piano at its strikes.

    Parameters
    ----------
    piano : audio, 44.1 kHz
    strikes : what the output strikes
    attacks : the piano's own attacks, voice by voice
    first : frame from which on the streams are wanted

    Shape: piano (B, C, N) -> streams (B, V, C, 512 (T - first)); the rest (.., T - first) as well.
    """
    with torch.no_grad(), torch.autocast(piano.device.type, enabled=False):
        return _restrike(piano.float(), strikes, attacks, config, first)


def _restrike(
    piano: Tensor, strikes: Onsets, attacks: Onsets, config: ModelConfig, first: Tensor | int
) -> Restrikes:
    batch, channels = piano.shape[:2]
    frames = strikes.probability.shape[2]
    strength = peak_strength(strikes.probability.float(), STRIKE_RAMP)
    attack_strength = peak_strength(attacks.probability.float(), ATTACK_RAMP)
    strike_time = strike_times(strikes.offset.float()).unsqueeze(1).expand(-1, VOICES, -1)
    attack_time = strike_times(attacks.offset.float()).unsqueeze(1).expand(-1, VOICES, -1)

    # For a strike in each frame: the two attacks that can have made the sound it restarts.
    recent = last_candidates(attack_strength, config.attack_window, STRUCK_WITHIN_FRAMES)
    here = torch.arange(1, frames + 1, device=piano.device, dtype=torch.float32)
    lags, sureness = [], []
    for index in recent:
        # Whole frames and the rest apart: in float32 their sum would lose hundredths of a sample.
        hops = torch.where(index > 0, (here - index) * HOP_LENGTH, torch.zeros_like(index))
        rest = strike_time - at_frames(attack_time, index)
        in_time = ((hops + rest + STRUCK_WITHIN) / FADE + 0.5).clamp(0.0, 1.0)
        lags.append((hops, rest))
        sureness.append(at_frames(attack_strength, index) * in_time)
    attack_weights = _last_of_two(*sureness)
    no_attack = 1 - attack_weights[0] - attack_weights[1]

    # For every sample: which of the voice's two newest strikes is the last one.
    candidates = [
        index[:, :, first:] for index in last_candidates(strength, config.strike_window, 1)
    ]
    here = here[first:]
    inside = torch.arange(HOP_LENGTH, device=piano.device, dtype=torch.float32)
    present = []
    for index in candidates:
        start = (index - here) * HOP_LENGTH + at_frames(strike_time, index) - LEAD
        gate = ((inside - start.unsqueeze(3)) / FADE + 0.5).clamp(0.0, 1.0)
        present.append(gate * at_frames(strength, index).unsqueeze(3))
    strike_weights = _last_of_two(*present)

    reader = _Reader(piano, frames)
    start = (here - 1) * HOP_LENGTH
    going_on = torch.zeros_like(strike_weights[0])
    shift = torch.zeros_like(candidates[0])
    parts = []
    for index, weight in zip(candidates, strike_weights, strict=True):
        places, shares = [], []
        for (hops, rest), attack_weight in zip(lags, attack_weights, strict=True):
            hops_there, rest_there = at_frames(hops, index), at_frames(rest, index)
            share = at_frames(attack_weight, index)
            behind = torch.floor(rest_there)
            places.append((start - hops_there - behind, rest_there - behind))
            shares.append(share)
            shift = shift + (hops_there + rest_there) * share * weight[..., HOP_LENGTH // 2]
        parts.append(reader.read(places, shares) * weight.unsqueeze(1))
        going_on = going_on + weight * at_frames(no_attack, index).unsqueeze(3)
    streams = parts[0] + parts[1] + reader.hops(first).unsqueeze(2) * going_on.unsqueeze(1)
    streams = streams.transpose(1, 2).reshape(batch, VOICES, channels, -1)

    middle = torch.stack([weight[..., HOP_LENGTH // 2] for weight in strike_weights], 1)
    index = torch.stack(candidates, 1)
    ages = torch.stack(
        [(here - i) * HOP_LENGTH + HOP_LENGTH / 2 - at_frames(strike_time, i) for i in candidates],
        1,
    )
    none = 1 - middle.sum(1)
    age = (ages / SAMPLE_RATE * middle).sum(1) + 3.0 * none
    return Restrikes(streams, index, middle, age, shift / SAMPLE_RATE)


class _Reader:
    """Reads hops of a recording from any place, between its samples too.

    A hop from an arbitrary sample on is 64 runs of 8 samples, each of which lies within two runs of
    the recording. So whole rows of 16 samples are looked up, and one small matrix for every hop
    cuts the 8 out of each, mixes two neighbours for the fraction, and weighs and adds up what comes
    from several places: far less memory moves than by looking up every sample.
    """

    def __init__(self, piano: Tensor, frames: int) -> None:
        self.batch, self.channels, samples = piano.shape
        self.frames = frames
        # A hop of silence and a run before, and a hop after: what is read there counts as silent.
        self.before = HOP_LENGTH + _RUN
        sound = functional.pad(piano, (self.before, (frames + 1) * HOP_LENGTH - samples + _RUN))
        runs = sound.view(self.batch * self.channels, -1, _RUN)
        rows = torch.cat([runs[:, :-1], runs[:, 1:]], 2)
        self.row_count = rows.shape[1]
        self.table = rows.reshape(-1, 2 * _RUN)
        self.sound = sound
        eye = torch.eye(2 * _RUN, device=piano.device)
        # cut[r] takes samples r .. r + 7 of a row of 16, and those one later are cut[r + 1].
        self.cuts = torch.stack([eye[:, r : r + _RUN] for r in range(_RUN + 1)]).flatten(1)

    def hops(self, first: Tensor | int) -> Tensor:
        """The recording as it is, hop by hop, from a frame on: (B, C, T - first, 512)."""
        plain = self.sound[:, :, self.before : self.before + self.frames * HOP_LENGTH]
        return plain.reshape(self.batch, self.channels, self.frames, HOP_LENGTH)[:, :, first:]

    def read(self, places: list[tuple[Tensor, Tensor]], shares: list[Tensor]) -> Tensor:
        """The weighted sum of hops from several places.

        Each place is a whole sample and the fraction of one by which it lies before that.

        Shape: places and shares (B, V, T) -> (B, C, V, T, 512).
        """
        rows, cuts = [], []
        for (sample, part), share in zip(places, shares, strict=True):
            place = (sample + (self.before - 1)).clamp(
                min=0.0, max=(self.row_count - HOP_LENGTH // _RUN) * float(_RUN)
            )
            row = torch.floor(place / _RUN)
            within = (place - row * _RUN).long()
            earlier, later = self.cuts[within], self.cuts[within + 1]
            part = part.unsqueeze(3)
            cuts.append((later + part * (earlier - later)) * share.unsqueeze(3))
            rows.append(row.long())
        voices, frames = rows[0].shape[1:]
        sources = torch.arange(self.batch * self.channels, device=self.table.device)
        index = torch.stack(rows, 3).unsqueeze(1).unsqueeze(4)  # (B, 1, V, T, 1, places)
        index = index + torch.arange(HOP_LENGTH // _RUN, device=index.device).view(-1, 1)
        origin = (sources * self.row_count).view(self.batch, self.channels, 1, 1, 1, 1)
        found = functional.embedding(index + origin, self.table)
        found = found.reshape(self.batch, self.channels, voices, frames, -1, len(places) * 2 * _RUN)
        cut = torch.stack(cuts, 3).reshape(self.batch, 1, voices, frames, -1, _RUN)
        return (found @ cut).flatten(4)


def remember(values: Tensor, restrikes: Restrikes) -> Tensor:
    """Values as they were at each voice's last strike; 0 before any.

    Shape: (B, D, T) -> (B, V, D, T - first).
    """
    found = _rows(functional.pad(values, (1, 0)), restrikes.strike_index)
    return (found * restrikes.strike_weight.unsqueeze(4).to(found.dtype)).sum(1).transpose(2, 3)


def remember_own(values: Tensor, restrikes: Restrikes, delay: int = 0) -> Tensor:
    """A voice's own values as they were ``delay`` frames after its last strike; 0 before any.

    Shape: (B, V, D, T) -> (B, V, D, T - first).
    """
    batch, voices, dim, frames = values.shape
    struck = (restrikes.strike_index > 0).to(restrikes.strike_index.dtype)
    index = (restrikes.strike_index + delay).clamp(max=frames) * struck
    index = index.transpose(1, 2).reshape(batch * voices, 2, -1)
    found = _rows(functional.pad(values.flatten(0, 1), (1, 0)), index)
    found = found.view(batch, voices, 2, -1, dim)
    weight = restrikes.strike_weight.transpose(1, 2).unsqueeze(4).to(found.dtype)
    return (found * weight).sum(2).transpose(2, 3)


def struck_keys(voice_logits: Tensor) -> Tensor:
    """Probability that a strike of each voice in a frame strikes a key.

    Shape: (B, V, 88, T) -> (B, V, 88, T).
    """
    delay = STRUCK_WITHIN_FRAMES - 1
    later = torch.cat(
        [voice_logits[..., delay:], voice_logits[..., -1:].expand(-1, -1, -1, delay)], 3
    )
    return torch.sigmoid(later)


def at_source(values: Tensor, restrikes: Restrikes) -> Tensor:
    """Values at the place of the piano that each stream reads, between frames linearly.

    Shape: (B, D, T) -> (B, V, D, T - first).
    """
    return _behind(values.transpose(1, 2), restrikes.shift).transpose(2, 3)


def at_attack(values: Tensor, restrikes: Restrikes) -> Tensor:
    """Values at the attack that each stream plays, between frames linearly; features last.

    Shape: (B, T, D) -> (B, V, T - first, D).
    """
    return _behind(values, restrikes.shift + restrikes.age)


def _behind(values: Tensor, seconds: Tensor) -> Tensor:
    """Frames of (B, T, D) so many seconds (B, V, T') before each of the last T': (B, V, T', D)."""
    batch, frames, dim = values.shape
    shift = seconds * (SAMPLE_RATE / HOP_LENGTH)
    here = torch.arange(frames, device=values.device, dtype=torch.float32)
    # The fraction is taken from the distance: from the place itself it would grow coarse with it.
    whole = torch.ceil(shift)
    part = (whole - shift).unsqueeze(3)
    before = (here[-shift.shape[2] :] - whole).clamp(min=0.0, max=frames - 1.0)
    left = _take(values, before)
    right = _take(values, (before + 1).clamp(max=frames - 1.0))
    return left + part * (right - left)


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """Frames of (B, D, T) at indices (B, ..): (B, .., D)."""
    return _take(values.transpose(1, 2), index)


def _take(values: Tensor, index: Tensor) -> Tensor:
    """Frames of (B, T, D) at indices (B, ..): (B, .., D)."""
    batch, frames, dim = values.shape
    start = torch.arange(batch, device=values.device) * frames
    place = index.long() + start.view(batch, *[1] * (index.ndim - 1))
    return functional.embedding(place, values.reshape(batch * frames, dim))
