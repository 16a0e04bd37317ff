"""Where crops come from: ready pairs, pairs made on the fly, unpaired recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile
import soxr

from creative_mix.constants import HOP_LENGTH, SAMPLE_RATE
from creative_mix.errors import TrainingDataError
from creative_mix.training.dataset import Crop, CropShape, cut_crop, fill, no_targets, pick_channel
from creative_mix.training.material import Material
from creative_mix.training.pairfiles import Pair, read_pair, tells_notes
from creative_mix.training.pairs import PairMaker
from creative_mix.training.targets import FrameTargets, frame_targets
from creative_mix.training.variation import Variation

TRIES = 8
"""Pairs tried in place of one that cannot be made, before the material is given up."""


class Source(Protocol):
    """Makes crops from nothing but a random generator and a place in the epoch."""

    def crop(self, rng: np.random.Generator, place: int) -> Crop:
        """One crop. ``place`` runs over the examples of an epoch in their shuffled order."""
        ...


class PairFolder:
    """Crops of ready pairs; over an epoch every pair comes up equally often.

    Args:
        folder: of the pairs.
        stems: those to use.
        shape: of the crops.
    """

    def __init__(
        self, folder: str | Path, stems: Sequence[str], shape: CropShape, varied_share: float = 0.0
    ) -> None:
        self.folder, self.stems, self.shape = Path(folder), list(stems), shape
        self.varied_share = varied_share
        if not self.stems:
            raise TrainingDataError(
                f"{folder}: no pairs (*.drums.wav, *.piano.wav, *.truth.wav); make some with "
                "`creative-mix pairs`"
            )
        self._abouts: dict[str, tuple[FrameTargets, np.ndarray, bool]] = {}

    def __len__(self) -> int:
        return len(self.stems)

    def _about(self, stem: str) -> tuple[FrameTargets, np.ndarray, bool]:
        """What is known of a pair, read once. (A cached method would not go to other processes.)"""
        if stem not in self._abouts:
            self._abouts[stem] = self._read_about(stem)
        return self._abouts[stem]

    def _read_about(self, stem: str) -> tuple[FrameTargets, np.ndarray, bool]:
        pair = read_pair(self.folder, stem)
        return (*targets_of(pair), tells_notes(self.folder, stem))

    def crop(self, rng: np.random.Generator, place: int) -> Crop:
        """A crop of the pair whose turn it is."""
        stem = self.stems[place % len(self.stems)]
        if self.varied_share and rng.random() < self.varied_share:
            return self._varied(rng, stem)
        targets, bias, has_notes = self._about(stem)

        def read(part: str, start: int, frames: int, channel: int) -> np.ndarray:
            path = self.folder / f"{stem}.{part}.wav"
            sound, _ = soundfile.read(
                str(path),
                frames=frames * HOP_LENGTH,
                start=start * HOP_LENGTH,
                dtype="float32",
                always_2d=True,
            )
            return fill(pick_channel(sound, channel), frames)

        return cut_crop(rng, self.shape, targets, bias, has_notes, read)

    def _varied(self, rng: np.random.Generator, stem: str) -> Crop:
        """A crop of a pair as another instrument would have played it."""
        pair = read_pair(self.folder, stem)
        variation = Variation.draw(rng, together=bool(pair.bias[2] > 0))
        frames = int(pair.piano.shape[1] / variation.speed) // HOP_LENGTH
        hits, notes = variation.hits(pair.hits), variation.notes(pair.piano_notes)
        targets = frame_targets(hits, notes, frames)

        def read(part: str, start: int, frames: int, channel: int) -> np.ndarray:
            span = variation.span(start * HOP_LENGTH, (start + frames) * HOP_LENGTH)
            sound = pick_channel(getattr(pair, part)[:, span].T, channel)
            return fill(variation.play(part, sound), frames)

        return cut_crop(rng, self.shape, targets, pair.bias, tells_notes(self.folder, stem), read)


class PairStudio:
    """Crops of pairs that are made when they are asked for, each as long as its crop.

    A pair that cannot be made (a broken file) is replaced by the next that can. The shares are
    those of `Shares`.
    """

    def __init__(self, material: Material, shape: CropShape, **shares: float) -> None:
        self.shape = shape
        duration_s = max(2.0, shape.frames * HOP_LENGTH / SAMPLE_RATE)
        self.maker = PairMaker(material, "train", duration_s, **shares)

    def crop(self, rng: np.random.Generator, place: int) -> Crop:
        """A crop of a new pair."""
        for left in reversed(range(TRIES)):
            try:
                pair = self.maker.make(int(rng.integers(2**62)))
                break
            except TrainingDataError:
                if not left:
                    raise
        targets, bias = targets_of(pair)

        def read(part: str, start: int, frames: int, channel: int) -> np.ndarray:
            begin = start * HOP_LENGTH
            sound = getattr(pair, part)[:, begin : begin + frames * HOP_LENGTH]
            return fill(pick_channel(sound.T, channel), frames)

        return cut_crop(rng, self.shape, targets, bias, True, read)


class UnpairedFolder:
    """Crops of a drum and a piano recording that have nothing to do with each other.

    Args:
        drums: recordings of any rate.
        pianos: the same.
        shape: of the crops.
    """

    def __init__(self, drums: Sequence[Path], pianos: Sequence[Path], shape: CropShape) -> None:
        self.drums, self.pianos, self.shape = list(drums), list(pianos), shape

    def crop(self, rng: np.random.Generator, place: int) -> Crop:
        """A crop without truth and without notes."""
        frames = self.shape.frames
        parts: dict[str, np.ndarray] = {}
        starts = []
        for name, files in (("drums", self.drums), ("piano", self.pianos)):
            path = files[int(rng.integers(len(files)))]
            info = soundfile.info(str(path))
            whole = int(info.duration * SAMPLE_RATE) // HOP_LENGTH
            start = self.shape.draw_start(rng, whole)
            gain = np.float32(10 ** (rng.uniform(-8, 4) / 20))
            parts[name] = gain * _read_at(path, info.samplerate, start, frames, rng)
            starts.append((start, whole))
        counted = [self.shape.counted(*place) for place in starts]
        crop = cut_crop(
            rng,
            CropShape(frames, 0),
            no_targets(frames),
            np.zeros(6, np.float32),
            False,
            lambda *_: np.zeros(frames * HOP_LENGTH, np.float32),
        )
        return crop | parts | {"counted": np.minimum(*counted), "has_truth": np.float32(0)}


def targets_of(pair: Pair) -> tuple[FrameTargets, np.ndarray]:
    """Frame targets and bias of a pair."""
    frames = -(-pair.piano.shape[1] // HOP_LENGTH)
    return frame_targets(pair.hits, pair.piano_notes, frames), pair.bias


def _read_at(
    path: Path, rate: int, start: int, frames: int, rng: np.random.Generator
) -> np.ndarray:
    """Frames of a recording of any rate, at 44.1 kHz."""
    ratio = rate / SAMPLE_RATE
    begin = round(start * HOP_LENGTH * ratio)
    count = int(np.ceil(frames * HOP_LENGTH * ratio))
    sound, _ = soundfile.read(str(path), frames=count, start=begin, dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        sound = soxr.resample(sound, rate, SAMPLE_RATE)
    return fill(pick_channel(sound, int(rng.integers(3))), frames)
