"""Batches of crops out of a folder of pairs, the same for a given seed and step on any machine."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from creative_mix.constants import HOP_LENGTH
from creative_mix.errors import TrainingDataError
from creative_mix.model.rhythm import Onsets
from creative_mix.training.pairfiles import pair_stems, read_pair
from creative_mix.training.targets import FrameTargets, OnsetTargets, frame_targets


@dataclasses.dataclass
class OnsetBatch:
    """``OnsetTargets`` stacked: float32 (B, V, T) and (B, T)."""

    label: Tensor
    counted: Tensor
    exact: Tensor
    offset: Tensor
    timed: Tensor

    def to(self, device: torch.device) -> OnsetBatch:
        """The targets on another device."""
        return OnsetBatch(*(tensor.to(device) for tensor in vars(self).values()))


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
    """(B, 88, T)"""

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
        return Onsets(strikes, offset), Onsets(piano.exact, piano.offset)

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        moved = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            moved[field.name] = value.to(device)
        return Batch(**moved)


class PairFolder:
    """Crops of the pairs in a folder, drawn by (seed, step, place in the batch)."""

    def __init__(
        self, folder: str | Path, crop_frames: int, context_frames: int, seed: int
    ) -> None:
        self.folder = Path(folder)
        self.stems = pair_stems(self.folder)
        if not self.stems:
            raise TrainingDataError(
                f"{folder}: no pairs (*.drums.wav, *.piano.wav, *.truth.wav); make some with "
                "`creative-mix pairs`"
            )
        self.crop_frames, self.context_frames, self.seed = crop_frames, context_frames, seed
        self._notes = functools.cache(self._read_notes)

    def _read_notes(self, stem: str) -> tuple[FrameTargets, np.ndarray]:
        pair = read_pair(self.folder, stem)
        frames = -(-pair.piano.shape[1] // HOP_LENGTH)
        return frame_targets(pair.hits, pair.piano_notes, frames), pair.bias

    def batch(self, step: int, size: int, first: int = 0) -> Batch:
        """The crops ``first .. first + size`` of a step."""
        crops = [
            self._crop(np.random.default_rng((self.seed, step, first + i))) for i in range(size)
        ]
        return _stack(crops)

    def _crop(self, rng: np.random.Generator) -> dict[str, Any]:
        stem = self.stems[rng.integers(len(self.stems))]
        targets, bias = self._notes(stem)
        frames = targets.pitches.shape[1]
        length, context = self.crop_frames, self.context_frames
        start = int(rng.integers(-context, max(1, frames - length + 1)))
        start = max(0, start)
        counted = np.ones(length, np.float32)
        if start > 0:
            counted[:context] = 0
        counted[max(0, frames - start) :] = 0
        channel = int(rng.integers(3))
        gain = np.float32(10 ** (rng.uniform(-8, 4) / 20))
        flip = np.float32(rng.choice([-1.0, 1.0]))
        parts = {
            "drums": flip * np.float32(10 ** (rng.uniform(-8, 4) / 20)),
            "piano": gain,
            "truth": gain,
        }
        audio = {
            name: factor * self._audio(stem, name, start, length, channel)
            for name, factor in parts.items()
        }
        if bias[2] > 0:  # the drums' own sound is in the truth: their levels must move together
            audio["drums"] *= gain / parts["drums"]
        end = start + length
        return {
            **audio,
            "bias": bias,
            "counted": counted,
            "drums_onsets": _cut(targets.drums, start, end),
            "piano_onsets": _cut(targets.piano, start, end),
            "pitches": _fit(targets.pitches[:, start:end], length),
        }

    def _audio(self, stem: str, name: str, start: int, frames: int, channel: int) -> np.ndarray:
        path = self.folder / f"{stem}.{name}.wav"
        sound, _ = soundfile.read(
            str(path),
            frames=frames * HOP_LENGTH,
            start=start * HOP_LENGTH,
            dtype="float32",
            always_2d=True,
        )
        mono = sound.mean(1) if channel == 2 else sound[:, channel % sound.shape[1]]
        return np.pad(mono, (0, frames * HOP_LENGTH - len(mono)))


def _fit(array: np.ndarray, frames: int) -> np.ndarray:
    short = frames - array.shape[-1]
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, short)]) if short else array


def _cut(targets: OnsetTargets, start: int, end: int) -> dict[str, np.ndarray]:
    return {
        field.name: _fit(getattr(targets, field.name)[..., start:end], end - start)
        for field in dataclasses.fields(targets)
    }


def _join(arrays: list[Any]) -> Tensor:
    return torch.from_numpy(np.stack(arrays)).float()


def _stack(crops: list[dict[str, Any]]) -> Batch:
    def join(name: str) -> Tensor:
        return _join([crop[name] for crop in crops])

    def join_onsets(name: str) -> OnsetBatch:
        keys = [field.name for field in dataclasses.fields(OnsetBatch)]
        return OnsetBatch(*(_join([crop[name][key] for crop in crops]) for key in keys))

    return Batch(
        drums=join("drums").unsqueeze(1),
        piano=join("piano").unsqueeze(1),
        truth=join("truth"),
        bias=join("bias"),
        counted=join("counted"),
        drums_onsets=join_onsets("drums_onsets"),
        piano_onsets=join_onsets("piano_onsets"),
        pitches=join("pitches"),
    )
