"""Crops of recordings with what is known of them, one by one and in batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from creative_mix.constants import HOP_LENGTH
from creative_mix.model.rhythm import Onsets
from creative_mix.training.targets import FrameTargets, OnsetTargets


@dataclasses.dataclass
class OnsetBatch:
    """``OnsetTargets`` stacked: float32 (B, V, T) and (B, T)."""

    label: Tensor
    counted: Tensor
    exact: Tensor
    offset: Tensor
    timed: Tensor
    level: Tensor

    def to(self, device: torch.device) -> OnsetBatch:
        """The targets on another device."""
        return OnsetBatch(*(tensor.to(device, non_blocking=True) for tensor in vars(self).values()))

    def pin_memory(self) -> OnsetBatch:
        """The targets in memory that a CUDA device reads while the host goes on."""
        return OnsetBatch(*(tensor.pin_memory() for tensor in vars(self).values()))


@dataclasses.dataclass
class Batch:
    """Crops with what is known of them."""

    drums: Tensor
    """(B, 1, N) audio"""
    piano: Tensor
    """(B, 1, N)"""
    truth: Tensor
    """(B, N)"""
    bias: Tensor
    """(B, 6)"""
    counted: Tensor
    """(B, T) 1 where the loss counts, 0 in the context at a crop's start"""
    drums_onsets: OnsetBatch
    piano_onsets: OnsetBatch
    pitches: Tensor
    """(B, 88, T) 1 where a key sounds"""
    ends: Tensor
    """(B, 88, T) 1 where a note of a key ends"""
    begins: Tensor
    """(B, 88, T) 1 where a note of a key begins"""
    has_notes: Tensor
    """(B,) 1 where onsets and pitches are known, 0 where they are only zeros"""
    has_truth: Tensor
    """(B,) 1 where the truth is known"""

    def permitted(self) -> OnsetBatch:
        """Onsets that the output strikes: the drums', and the piano's own where the bias asks."""
        own = (self.bias[:, 3] > 0).float()[:, None, None]
        drums, piano = self.drums_onsets, self.piano_onsets
        label = torch.maximum(drums.label, own * piano.label)
        counted = torch.where(own > 0, torch.minimum(drums.counted, piano.counted), drums.counted)
        return dataclasses.replace(drums, label=label, counted=torch.maximum(counted, label))

    def known(self) -> tuple[Onsets, Onsets]:
        """Strikes and attacks as the notes have them."""
        own = (self.bias[:, 3] / 3).clamp(0, 1)[:, None, None]
        drums, piano = self.drums_onsets, self.piano_onsets
        at_own = own * piano.exact * (1 - drums.exact)
        strikes = torch.maximum(drums.exact, at_own)
        struck_by_drums = drums.exact.amax(1)
        offset = torch.where(struck_by_drums > 0, drums.offset, piano.offset)
        level = torch.where(drums.exact > 0, drums.level, piano.level)
        return (
            Onsets(strikes, offset, level),
            Onsets(piano.exact, piano.offset, piano.level),
        )

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        moved = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kept = isinstance(value, OnsetBatch)
            moved[field.name] = value.to(device) if kept else value.to(device, non_blocking=True)
        return Batch(**moved)

    def pin_memory(self) -> Batch:
        """The batch in memory that a CUDA device reads while the host goes on."""
        fields = dataclasses.fields(self)
        return Batch(**{field.name: getattr(self, field.name).pin_memory() for field in fields})

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by a dotted name, as it is saved for inspection."""
        found: dict[str, Tensor] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, OnsetBatch):
                found |= {f"{field.name}.{name}": part for name, part in vars(value).items()}
            else:
                found[field.name] = value
        return found


Crop = dict[str, Any]
Reader = Callable[[str, int, int, int], np.ndarray]
"""Reads (part, first frame, frames, channel) as float32 (512 frames,); channel 2 is the mean."""


@dataclasses.dataclass(frozen=True)
class CropShape:
    """How long crops are."""

    frames: int
    """Frames of a crop."""
    context: int
    """Frames at its start that do not count, unless the file starts there."""

    def counted(self, start: int, frames: int) -> np.ndarray:
        """(T,) 1 where the loss counts in a crop from ``start`` of a file of ``frames``."""
        counted = np.ones(self.frames, np.float32)
        if start > 0:
            counted[: self.context] = 0
        counted[max(0, frames - start) :] = 0
        return counted

    def draw_start(self, rng: np.random.Generator, frames: int) -> int:
        """A first frame; the file's own start as likely as the context is long."""
        return max(0, int(rng.integers(-self.context, max(1, frames - self.frames + 1))))


def cut_crop(
    rng: np.random.Generator,
    shape: CropShape,
    targets: FrameTargets,
    bias: np.ndarray,
    has_notes: bool,
    read: Reader,
) -> Crop:
    """A crop of a pair: start, channel, levels and polarity drawn at random."""
    frames = targets.pitches.shape[1]
    start = shape.draw_start(rng, frames)
    channel = int(rng.integers(3))
    gain = np.float32(10 ** (rng.uniform(-8, 4) / 20))
    flip = np.float32(rng.choice([-1.0, 1.0]))
    gains = {
        "drums": flip * np.float32(10 ** (rng.uniform(-8, 4) / 20)),
        "piano": gain,
        "truth": gain,
    }
    audio = {
        name: factor * read(name, start, shape.frames, channel) for name, factor in gains.items()
    }
    if bias[2] > 0:  # the drums' own sound is in the truth: their levels must move together
        audio["drums"] *= gain / gains["drums"]
    end = start + shape.frames
    return {
        **audio,
        "bias": bias,
        "counted": shape.counted(start, frames),
        "drums_onsets": _cut(targets.drums, start, end),
        "piano_onsets": _cut(targets.piano, start, end),
        "pitches": _fit(targets.pitches[:, start:end], shape.frames),
        "ends": _fit(targets.ends[:, start:end], shape.frames),
        "begins": _fit(targets.begins[:, start:end], shape.frames),
        "has_notes": np.float32(has_notes),
        "has_truth": np.float32(1),
    }


def pick_channel(sound: np.ndarray, channel: int) -> np.ndarray:
    """One channel, or with 2 the mean, of (N, C): (N,)."""
    return sound.mean(1) if channel == 2 else sound[:, channel % sound.shape[1]]


def fill(mono: np.ndarray, frames: int) -> np.ndarray:
    """Samples cut, or filled with silence, to whole frames: (512 T,)."""
    count = frames * HOP_LENGTH
    return np.pad(mono[:count], (0, max(0, count - len(mono))))


def no_targets(frames: int) -> FrameTargets:
    """Targets of a recording whose notes are not known: zeros, none of which count."""
    none = np.zeros((3, frames), np.uint8)
    onsets = OnsetTargets(
        none, none, none, np.zeros(frames, np.float32), none[0], none.astype(np.float32)
    )
    keys = np.zeros((88, frames), np.uint8)
    return FrameTargets(onsets, onsets, keys, keys, keys)


def _fit(array: np.ndarray, frames: int) -> np.ndarray:
    short = frames - array.shape[-1]
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, short)]) if short else array


def _cut(targets: OnsetTargets, start: int, end: int) -> dict[str, np.ndarray]:
    return {
        field.name: _fit(getattr(targets, field.name)[..., start:end], end - start)
        for field in dataclasses.fields(targets)
    }


def stack(crops: Sequence[Crop]) -> Batch:
    """The crops as one batch."""

    def join(arrays: list[Any]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)).float()

    def join_onsets(name: str) -> OnsetBatch:
        keys = [field.name for field in dataclasses.fields(OnsetBatch)]
        return OnsetBatch(*(join([crop[name][key] for crop in crops]) for key in keys))

    values: dict[str, Any] = {}
    for field in dataclasses.fields(Batch):
        if field.name.endswith("_onsets"):
            values[field.name] = join_onsets(field.name)
        else:
            values[field.name] = join([crop[field.name] for crop in crops])
    values["drums"], values["piano"] = (values[k].unsqueeze(1) for k in ("drums", "piano"))
    return Batch(**values)
