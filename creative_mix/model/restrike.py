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

    table = _sample_table(piano, frames)
    start = (here - 1) * HOP_LENGTH
    present_piano = functional.pad(piano, (0, frames * HOP_LENGTH - piano.shape[2]))
    present_piano = present_piano[:, :, first * HOP_LENGTH :].transpose(1, 2)
    present_piano = present_piano.reshape(batch, 1, here.shape[0], HOP_LENGTH, channels)
    no_attack = 1 - attack_weights[0] - attack_weights[1]
    streams = torch.zeros(batch, VOICES, here.shape[0], HOP_LENGTH, channels, device=piano.device)
    shift = torch.zeros_like(candidates[0])
    for index, weight in zip(candidates, strike_weights, strict=True):
        going_on = weight * at_frames(no_attack, index).unsqueeze(3)
        streams = streams + present_piano * going_on.unsqueeze(4)
        for (hops, rest), attack_weight in zip(lags, attack_weights, strict=True):
            hops_there, rest_there = at_frames(hops, index), at_frames(rest, index)
            weight_there = at_frames(attack_weight, index)
            behind = torch.floor(rest_there)
            part = (rest_there - behind).unsqueeze(3).unsqueeze(4)
            taps = _read(table, start - hops_there - behind)
            sound = taps[..., 0, :] + part * (taps[..., 1, :] - taps[..., 0, :])
            streams = streams + sound * (weight * weight_there.unsqueeze(3)).unsqueeze(4)
            shift = shift + (hops_there + rest_there) * weight_there * weight[..., HOP_LENGTH // 2]
    streams = streams.permute(0, 1, 4, 2, 3).reshape(batch, VOICES, channels, -1)

    middle = torch.stack([weight[..., HOP_LENGTH // 2] for weight in strike_weights], 1)
    index = torch.stack(candidates, 1)
    ages = torch.stack(
        [(here - i) * HOP_LENGTH + HOP_LENGTH / 2 - at_frames(strike_time, i) for i in candidates],
        1,
    )
    none = 1 - middle.sum(1)
    age = (ages / SAMPLE_RATE * middle).sum(1) + 3.0 * none
    return Restrikes(streams, index, middle, age, shift / SAMPLE_RATE)


def _sample_table(piano: Tensor, frames: int) -> Tensor:
    """Rows of a sample and the one before it, (B, 512 (T + 2), 2, C); a hop of silence around."""
    samples = piano.shape[2]
    after = (frames + 1) * HOP_LENGTH - samples
    sound = functional.pad(piano, (HOP_LENGTH + 1, after)).transpose(1, 2)
    return torch.stack([sound[:, 1:], sound[:, :-1]], 2)


def _read(table: Tensor, start: Tensor) -> Tensor:
    """A hop of table rows from each sample on: (B, V, T) -> (B, V, T, 512, 2, C)."""
    batch, rows = table.shape[:2]
    row = (start + HOP_LENGTH).clamp(min=0, max=rows - HOP_LENGTH).long()
    row = row + torch.arange(batch, device=table.device).view(batch, 1, 1) * rows
    row = row.unsqueeze(3) + torch.arange(HOP_LENGTH, device=table.device)
    return functional.embedding(row, table.reshape(batch * rows, -1)).unflatten(
        4, (2, table.shape[3])
    )


def remember(values: Tensor, restrikes: Restrikes, delay: int = 0) -> Tensor:
    """Values as they were ``delay`` frames after each voice's last strike; 0 before any.

    Shape: (B, D, T) -> (B, V, D, T - first).
    """
    frames = values.shape[2]
    struck = (restrikes.strike_index > 0).to(restrikes.strike_index.dtype)
    index = (restrikes.strike_index + delay).clamp(max=frames) * struck
    found = _rows(functional.pad(values, (1, 0)), index)
    return (found * restrikes.strike_weight.unsqueeze(4).to(found.dtype)).sum(1).transpose(2, 3)


def at_source(values: Tensor, restrikes: Restrikes) -> Tensor:
    """Values at the place of the piano that each stream reads, between frames linearly.

    Shape: (B, D, T) -> (B, V, D, T - first).
    """
    return _behind(values, restrikes.shift)


def at_attack(values: Tensor, restrikes: Restrikes) -> Tensor:
    """Values at the attack that each stream plays, between frames linearly.

    Shape: (B, D, T) -> (B, V, D, T - first).
    """
    return _behind(values, restrikes.shift + restrikes.age)


def _behind(values: Tensor, seconds: Tensor) -> Tensor:
    frames = values.shape[2]
    shift = seconds * (SAMPLE_RATE / HOP_LENGTH)
    here = torch.arange(frames, device=values.device, dtype=torch.float32)
    # The fraction is taken from the distance: from the place itself it would grow coarse with it.
    whole = torch.ceil(shift)
    part = (whole - shift).unsqueeze(3)
    before = (here[-shift.shape[2] :] - whole).clamp(min=0.0, max=frames - 1.0)
    left = _rows(values, before)
    right = _rows(values, (before + 1).clamp(max=frames - 1.0))
    return (left + part * (right - left)).transpose(2, 3)


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """Frames of (B, D, T) at indices (B, ..): (B, .., D)."""
    batch, dim, frames = values.shape
    rows = values.transpose(1, 2).reshape(batch * frames, dim)
    start = torch.arange(batch, device=values.device) * frames
    return functional.embedding(index.long() + start.view(batch, *[1] * (index.ndim - 1)), rows)
