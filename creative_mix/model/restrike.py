"""The re-strike streams: each voice's piano, restarted at its last strike.

A stream begins at the attack of the keys that the strike strikes (`creative_mix.model.origins`), or
as far as that is not known at the voice's last attack. Two strikes are candidates for the last,
weighted by how sure the rhythm head is, so that the streams are a continuous function of its
probabilities. Where no attack is found, a strike goes on with the present piano. Gradients do not
pass through here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from creative_mix.constants import HOP_LENGTH, SAMPLE_RATE
from creative_mix.model.config import ModelConfig
from creative_mix.model.origins import (
    FADE,
    FURTHER,
    INNER,
    STRUCK_WITHIN_FRAMES,
    Origins,
    begun,
    find_origins,
    in_time,
    newest_within,
)
from creative_mix.model.reader import Reader
from creative_mix.model.rhythm import (
    ATTACK_RAMP,
    STRIKE_RAMP,
    VOICES,
    Onsets,
    at_frames,
    gaps,
    last_candidates,
    peak_strength,
    places,
    strike_times,
)

LEAD = 48
"""Samples before the strike at which that change is half done."""
KEYS_DELAY = STRUCK_WITHIN_FRAMES - 1
"""Frames after a strike at which the keys are read that it has struck."""
UNSTRUCK_S = 3.0
"""Age of the last strike of a voice that has not been struck."""


class Restrikes(NamedTuple):
    """What was struck when, and the audio of it."""

    streams: Tensor
    """(B, S, C, N) the piano restarted, one stream a voice and FURTHER ones of the inner voice."""
    strike_index: Tensor
    """(B, 2, V, T) frames plus one of the newest and second-newest strike of each voice; 0 none."""
    strike_weight: Tensor
    """(B, 2, V, T) how much each of the two is the last strike at the middle of the frame."""
    age: Tensor
    """(B, V, T) seconds since the last strike; UNSTRUCK_S where there is none."""
    shift: Tensor
    """(B, S, T) seconds by which the stream reads behind the present; 0 where there is none."""
    own_keys: Tensor
    """(B, FURTHER, 88, T) how much of each inner key is in each of the further streams."""

    @property
    def ages(self) -> Tensor:
        """The age of what each stream plays: (B, S, T)."""
        inner = self.age[:, INNER : INNER + 1].expand(-1, FURTHER, -1)
        return torch.cat([self.age, inner], 1)


class Begun(NamedTuple):
    """What is read of the piano's keys that strikes and attacks do not tell."""

    begins: Tensor
    """(B, 88, T) chance that a note of a key begins in a frame."""
    struck: Tensor
    """(B, V, 88, T) chance that a strike of the voice in a frame strikes a key."""


class Sources(NamedTuple):
    """Two attacks that a strike in each frame can restart: its keys', and the voice's last."""

    hops: Tensor
    """(B, 2, V, T) samples by which the attack lies behind the strike, of whole frames alone."""
    rest: Tensor
    """(B, 2, V, T) the other samples: in float32 the sum would lose hundredths of one."""
    weight: Tensor
    """(B, 2, V, T) how much each of the two counts."""


class Strokes(NamedTuple):
    """What there is to know of a strike in each frame, whether it is struck or not."""

    strength: Tensor
    """(B, V, T)"""
    gap: Tensor
    """(B, V, T) frames since the strike before it; 0 where the window has none."""
    time: Tensor
    """(B, V, T) samples from the start of the frame."""
    sources: Sources
    origins: Origins


def _last_of_two(newest: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Weights with which each of two uncertain candidates is the last one."""
    return newest, (1 - newest) * second


def restrike(
    piano: Tensor,
    strikes: Onsets,
    attacks: Onsets,
    keys: Begun,
    config: ModelConfig,
    first: Tensor | int = 0,
) -> Restrikes:
    """Restart every voice of the piano at its strikes.

    Parameters
    ----------
    piano : audio, 44.1 kHz
    strikes : what the output strikes
    attacks : the piano's own attacks, voice by voice
    keys : which keys begin where
    first : frame from which on the streams are wanted

    Shape: piano (B, C, N) -> streams (B, S, C, 512 (T - first)); the rest (.., T - first) as well.
    """
    with torch.no_grad(), torch.autocast(piano.device.type, enabled=False):
        return _restrike(piano.float(), strikes, attacks, keys, config, first)


def _restrike(
    piano: Tensor,
    strikes: Onsets,
    attacks: Onsets,
    keys: Begun,
    config: ModelConfig,
    first: Tensor | int,
) -> Restrikes:
    window, ahead = config.attack_window, STRUCK_WITHIN_FRAMES
    strength = peak_strength(attacks.probability.float(), ATTACK_RAMP)
    series = (strength, voiced(attacks.offset), begun(strength, keys.begins.float()))
    reached, timed, sure = (functional.pad(each, (window - ahead, ahead)) for each in series)
    strike_time = strike_times(strikes.offset.float())
    origins = find_origins(strike_time, sure, timed[:, 0], keys.struck.float(), window)
    last = last_attack(voiced(strikes.offset), reached, timed, window)
    sources = prefer(origins, *last)

    window = config.strike_window
    strength = strike_strength(strikes.probability)
    gap = gaps(functional.pad(strength, (window, 0)), window)
    strength_around, gap_around, time, *found = (
        functional.pad(each, (window - 1, 1))[..., first:]
        for each in (strength, gap, voiced(strikes.offset), *sources, *origins)
    )
    own = Origins(*found[len(sources) :])
    # Two hops of silence before and after: what is read beyond the ends counts as silent.
    margin = 2 * HOP_LENGTH
    tail = strength.shape[2] * HOP_LENGTH - piano.shape[2] + margin
    reader = Reader(functional.pad(piano, (margin, tail)), first + 2)
    strokes = Strokes(strength_around, gap_around, time, Sources(*found[: len(sources)]), own)
    made = play(reader, strokes, window)
    # There they count from the first frame of what was padded; here from that of the recording.
    struck = (made.strike_index > 0).to(made.strike_index.dtype)
    return made._replace(strike_index=(made.strike_index + (first - (window - 1))) * struck)


def strike_strength(probability: Tensor) -> Tensor:
    """How much a strike in each frame counts: (B, V, T) -> (B, V, T), without gradients."""
    return peak_strength(probability.detach().float(), STRIKE_RAMP)


def voiced(offset: Tensor) -> Tensor:
    """Samples from the start of the frame to the onset, for every voice: (B, T) -> (B, V, T)."""
    return strike_times(offset.float()).unsqueeze(1).expand(-1, VOICES, -1)


def last_attack(
    strike_time: Tensor, strength: Tensor, time: Tensor, window: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Each voice's last attack at a strike in each frame: hops, rest, and how much it counts.

    Shape: strikes (B, V, T); of attacks ``window - STRUCK_WITHIN_FRAMES`` frames, then T and
    STRUCK_WITHIN_FRAMES of them, (B, V, window + T) -> (B, V, T) each.
    """
    here, newest = newest_within(strength, window)
    hops = (here - newest) * HOP_LENGTH
    hops = torch.where(newest > 0, hops, torch.zeros_like(hops))
    rest = strike_time - at_frames(time, newest)
    return hops, rest, at_frames(strength, newest) * in_time(hops + rest)


def prefer(origins: Origins, hops: Tensor, rest: Tensor, weight: Tensor) -> Sources:
    """The attack of each voice's keys, and its last attack as far as that is not known."""
    return Sources(
        torch.stack([origins.hops[:, :VOICES], hops], 1),
        torch.stack([origins.rest[:, :VOICES], rest], 1),
        torch.stack(_last_of_two(origins.known[:, :VOICES], weight), 1),
    )


def play(reader: Reader, strokes: Strokes, window: int) -> Restrikes:
    """The streams that strokes make, from the reader's first frame on.

    Indices count from the first frame of the strokes.

    Shape: of strokes ``window - 1`` frames, then T and one more, (.., window + T) -> streams
    (B, S, C, 512 T), the rest (.., T).
    """
    candidates = last_candidates(strokes.strength, strokes.gap, window, 1)
    batch, _, frames = candidates.newest.shape
    here = places(strokes.strength.shape[2], strokes.strength)[window - 1 : -1]

    # For every sample: which of the voice's two newest strikes is the last one.
    inside = torch.arange(HOP_LENGTH, device=here.device, dtype=torch.float32)
    present = []
    for index in candidates:
        start = (index - here) * HOP_LENGTH + at_frames(strokes.time, index) - LEAD
        gate = ((inside - start.unsqueeze(3)) / FADE + 0.5).clamp(0.0, 1.0)
        present.append(gate * at_frames(strokes.strength, index).unsqueeze(3))
    strike_weights = _last_of_two(*present)

    start = (here - here[0]) * HOP_LENGTH
    no_attack = 1 - strokes.sources.weight.sum(1)
    going_on = torch.zeros_like(strike_weights[0])
    shift = torch.zeros_like(candidates.newest)
    of_inner = slice(INNER, INNER + 1)
    own_shift = torch.zeros_like(shift[:, :1].expand(-1, FURTHER, -1))
    parts, own, own_keys = [], [], []
    for index, weight in zip(candidates, strike_weights, strict=True):
        wanted, shares = [], []
        for of_one in zip(*(each.unbind(1) for each in strokes.sources), strict=True):
            hops, rest, share = (at_frames(each, index) for each in of_one)
            behind = torch.floor(rest)
            wanted.append((start - hops - behind, rest - behind))
            shares.append(share)
            shift = shift + (hops + rest) * share * weight[..., HOP_LENGTH // 2]
        parts.append(reader.read(wanted, shares) * weight.unsqueeze(1))
        going_on = going_on + weight * at_frames(no_attack, index).unsqueeze(3)

        index, weight = index[:, of_inner].expand(-1, FURTHER, -1), weight[:, of_inner]
        of_further = (each[:, VOICES:] for each in strokes.origins[:3])
        hops, rest, share = (at_frames(each, index) for each in of_further)
        share = (share > 0).to(share.dtype)
        behind = torch.floor(rest)
        own_shift = own_shift + (hops + rest) * share * weight[..., HOP_LENGTH // 2]
        read = reader.read([(start - hops - behind, rest - behind)], [share])
        own.append(read * weight.unsqueeze(1))
        keys = _rows(strokes.origins.keys.flatten(1, 2), index[:, 0])
        own_keys.append(keys * weight[:, 0, :, HOP_LENGTH // 2].unsqueeze(2))
    streams = parts[0] + parts[1] + reader.hops(frames).unsqueeze(2) * going_on.unsqueeze(1)
    streams = torch.cat([streams, own[0] + own[1]], 2).transpose(1, 2)
    streams = streams.reshape(batch, VOICES + FURTHER, reader.channels, -1)

    middle = torch.stack([weight[..., HOP_LENGTH // 2] for weight in strike_weights], 1)
    ages = [
        (here - i) * HOP_LENGTH + HOP_LENGTH / 2 - at_frames(strokes.time, i) for i in candidates
    ]
    none = 1 - middle.sum(1)
    age = (torch.stack(ages, 1) / SAMPLE_RATE * middle).sum(1) + UNSTRUCK_S * none
    return Restrikes(
        streams,
        torch.stack(candidates, 1),
        middle,
        age,
        torch.cat([shift, own_shift], 1) / SAMPLE_RATE,
        (own_keys[0] + own_keys[1]).transpose(1, 2).unflatten(1, (FURTHER, -1)),
    )


def remember(values: Tensor, restrikes: Restrikes) -> Tensor:
    """Values as they were at each voice's last strike; 0 before any.

    Shape: (B, D, T) -> (B, V, D, T - first).
    """
    found = _rows(values, restrikes.strike_index)
    return (found * restrikes.strike_weight.unsqueeze(4).to(found.dtype)).sum(1).transpose(2, 3)


def remember_own(values: Tensor, restrikes: Restrikes) -> Tensor:
    """A voice's own values as they were at its last strike; 0 before any.

    Shape: (B, V, D, T) -> (B, V, D, T - first).
    """
    batch, voices, dim, frames = values.shape
    index = restrikes.strike_index.transpose(1, 2).reshape(batch * voices, 2, -1)
    found = _rows(values.flatten(0, 1), index)
    found = found.view(batch, voices, 2, -1, dim)
    weight = restrikes.strike_weight.transpose(1, 2).unsqueeze(4).to(found.dtype)
    return (found * weight).sum(2).transpose(2, 3)


def struck_keys(voice_logits: Tensor) -> Tensor:
    """Probability that a strike of each voice in a frame strikes a key.

    Shape: (B, V, 88, T) -> (B, V, 88, T).
    """
    later = torch.cat(
        [voice_logits[..., KEYS_DELAY:], voice_logits[..., -1:].expand(-1, -1, -1, KEYS_DELAY)], 3
    )
    return torch.sigmoid(later)


def at_source(values: Tensor, restrikes: Restrikes, first: int | None = None) -> Tensor:
    """Values at the place of the piano that each stream reads, between frames linearly.

    Shape: (B, D, T), where the streams have the frames from ``first`` on, or else the last ones
    -> (B, S, D, frames of the streams).
    """
    return _behind(values.transpose(1, 2), restrikes.shift, first).transpose(2, 3)


def at_attack(values: Tensor, restrikes: Restrikes, first: int | None = None) -> Tensor:
    """Values at the attack that each stream plays, between frames linearly; features last.

    Shape: (B, T, D), as for ``at_source`` -> (B, S, frames of the streams, D).
    """
    return _behind(values, restrikes.shift + restrikes.ages, first)


def _behind(values: Tensor, seconds: Tensor, first: int | None) -> Tensor:
    """Frames of (B, T, D) so many seconds (B, S, T') before each from ``first``: (B, S, T', D)."""
    batch, frames, dim = values.shape
    shift = seconds * (SAMPLE_RATE / HOP_LENGTH)
    start = frames - shift.shape[2] if first is None else first
    here = torch.arange(shift.shape[2], device=values.device, dtype=torch.float32) + start
    # The fraction is taken from the distance: from the place itself it would grow coarse with it.
    whole = torch.ceil(shift)
    part = (whole - shift).unsqueeze(3)
    before = (here - whole).clamp(min=0.0, max=frames - 1.0)
    left = _take(values, before)
    right = _take(values, (before + 1).clamp(max=frames - 1.0))
    return left + part * (right - left)


def _rows(values: Tensor, index: Tensor) -> Tensor:
    """Frames of (B, D, T) at indices plus one, (B, ..): (B, .., D).

    Where the index is 0 (none) it is some frame, which must weigh nothing.
    """
    return _take(values.transpose(1, 2), (index - 1).clamp(min=0.0))


def _take(values: Tensor, index: Tensor) -> Tensor:
    """Frames of (B, T, D) at indices (B, ..): (B, .., D)."""
    batch, frames, dim = values.shape
    start = torch.arange(batch, device=values.device) * frames
    place = index.long() + start.view(batch, *[1] * (index.ndim - 1))
    return functional.embedding(place, values.reshape(batch * frames, dim))
