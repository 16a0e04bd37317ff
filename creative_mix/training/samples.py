"""Recorded strokes: decoded once, shifted to the pitch needed once, added in place.

A stroke is the sound of one key or drum struck once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

from creative_mix.constants import SAMPLE_RATE
from creative_mix.errors import TrainingDataError

Audio = NDArray[np.float32]

LONGEST_SAMPLE_S = 10.0
PREROLL = 64  # samples kept before the attack of a sample


@dataclass(frozen=True)
class SampleFile:
    """One recorded stroke: file, what it sounds (pitch or drum), its layer and round robin."""

    path: Path
    sound: str
    pitch: int
    layer: int
    round_robin: int


@dataclass(frozen=True)
class Stroke:
    """A sample ready to play: 16-bit stereo at the project's rate, and the gain that undoes it.

    `attack` is where in it the sound begins.
    """

    data: NDArray[np.int16]
    scale: float
    attack: int

    @property
    def peak_db(self) -> float:
        """Its peak against full scale, dB."""
        return 20.0 * float(np.log10(max(self.scale * 32767.0, 1e-6)))


class SampleStore:
    """Samples decoded, shifted in pitch and kept, up to a number of bytes."""

    def __init__(self, limit_bytes: int = 1_500_000_000) -> None:
        self._limit = limit_bytes
        self._bytes = 0
        self._kept: dict[tuple[str, float], Stroke] = {}
        self._pinned: dict[str, Audio] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, key: str, audio: Audio, semitones: float = 0.0) -> Stroke:
        """Keep stereo audio (2, samples) under a key; give it back as a stroke."""
        peak = float(np.max(np.abs(audio))) if audio.size else 0.0
        if peak <= 0.0:
            stroke = Stroke(np.zeros((2, 1), np.int16), 0.0, 0)
        else:
            power = np.max(np.abs(audio), axis=0)
            begin = int(np.argmax(power >= 0.03 * peak))
            lead = max(0, begin - PREROLL)
            end = power.size - int(np.argmax(power[::-1] >= 3e-5 * peak))
            data = np.rint(audio[:, lead:end] * (32767.0 / peak))
            fade = begin - lead
            data[:, :fade] *= np.linspace(0.0, 1.0, fade, endpoint=False)
            stroke = Stroke(np.ascontiguousarray(data, np.int16), peak / 32767.0, begin - lead)
        while self._kept and self._bytes + stroke.data.nbytes > self._limit:
            self._bytes -= self._kept.pop(next(iter(self._kept))).data.nbytes
        self._kept[(key, semitones)] = stroke
        self._bytes += stroke.data.nbytes
        return stroke

    def pin(self, key: str, audio: Audio) -> None:
        """Keep stereo audio (2, samples) for good, as if it were a file of this name."""
        self._pinned[key] = np.asarray(audio, dtype=np.float32)

    def get(self, path: Path, semitones: float = 0.0) -> Stroke:
        """A file's stroke, shifted by so many semitones.

        Raises:
            TrainingDataError: the file cannot be decoded.
        """
        key = str(path)
        kept = self._kept.get((key, semitones))
        if kept is not None:
            return kept
        return self.put(key, self._make(path, semitones), semitones)

    def _make(self, path: Path, semitones: float) -> Audio:
        """A stroke's stereo audio that is not kept. Shape: (2, samples)."""
        key = str(path)
        audio = self._pinned[key] if key in self._pinned else read_sample(path)
        return shift_pitch(audio, semitones)


def read_sample(path: Path) -> Audio:
    """A sample as stereo at the project's rate, at most ten seconds. Shape: (2, samples).

    Raises:
        TrainingDataError: the file cannot be decoded.
    """
    try:
        with sf.SoundFile(str(path)) as file:
            rate = int(file.samplerate)
            audio = file.read(int(LONGEST_SAMPLE_S * rate), dtype="float32", always_2d=True)
    except (OSError, sf.SoundFileError) as error:
        raise TrainingDataError(f"{path}: not readable as audio ({error})") from error
    if audio.shape[1] == 1:
        audio = np.repeat(audio, 2, axis=1)
    audio = audio[:, :2]
    if rate != SAMPLE_RATE:
        audio = soxr.resample(audio, rate, SAMPLE_RATE)
    return np.ascontiguousarray(audio.T)


def shift_pitch(audio: Audio, semitones: float) -> Audio:
    """Audio (channels, samples) higher by so many semitones and shorter accordingly."""
    if semitones == 0.0 or not audio.size:
        return audio
    rate = SAMPLE_RATE * 2.0 ** (semitones / 12.0)
    return np.ascontiguousarray(soxr.resample(audio.T, rate, SAMPLE_RATE, quality="HQ").T)


def standard_level_db(velocity: float) -> float:
    """The level of a stroke of some velocity against one of 127, by the usual curve, in dB."""
    return 20.0 * 1.7 * float(np.log10(max(velocity, 1.0) / 127.0))


class VelocityMap:
    """Which layer a velocity plays and with what gain.

    Args:
        levels_db: each layer's own level, softest first. Layers that were levelled (a span of
            less than 0.6 of the usual curve's between their centres) get the usual curve as
            gain; natural ones keep theirs, interpolated inside a layer.
    """

    def __init__(self, levels_db: Sequence[float]) -> None:
        count = len(levels_db)
        self.centres = np.asarray([(i + 0.5) * 127.0 / count for i in range(count)])
        self.levels = np.maximum.accumulate(np.asarray(levels_db, dtype=np.float64))
        usual = [standard_level_db(c) for c in self.centres]
        span = usual[-1] - usual[0]
        self.natural = count > 1 and float(self.levels[-1] - self.levels[0]) >= 0.6 * span
        self.own = np.asarray(levels_db, dtype=np.float64)

    def layer(self, velocity: float) -> int:
        """The layer, from 0, whose centre is nearest."""
        return int(np.argmin(np.abs(self.centres - velocity)))

    def gain(self, velocity: float, layer: int) -> float:
        """The factor for a stroke of this velocity played with this layer."""
        if self.natural:
            wanted = float(np.interp(velocity, self.centres, self.levels))
            if velocity < self.centres[0]:
                low = float(self.centres[0])
                wanted += standard_level_db(velocity) - standard_level_db(low)
            elif velocity > self.centres[-1]:
                high = float(self.centres[-1])
                wanted += standard_level_db(velocity) - standard_level_db(high)
        else:
            wanted = float(self.levels[-1]) + standard_level_db(velocity)
        return float(10.0 ** ((wanted - float(self.own[layer])) / 20.0))


def add_stroke(
    out: Audio, stroke: Stroke, start: float, gain: float, stop: float | None, fade: int
) -> None:
    """Add a stroke into `out` (2, samples) in place.

    Args:
        start: sample at which it attacks (rounded).
        gain: factor.
        stop: sample at which it is damped, or None to let it ring out.
        fade: time constant of the damping, in samples.
    """
    begin = round(start) - stroke.attack
    skip = max(0, -begin)
    begin += skip
    length = min(stroke.data.shape[1] - skip, out.shape[1] - begin)
    if length <= 0 or gain * stroke.scale == 0.0:
        return
    factor = np.float32(gain * stroke.scale)
    held = length if stop is None else int(np.clip(round(stop) - begin, 0, length))
    out[:, begin : begin + held] += stroke.data[:, skip : skip + held] * factor
    tail = min(length - held, 6 * fade)
    if tail > 0:
        curve = np.exp(np.arange(tail, dtype=np.float32) * np.float32(-1.0 / fade)) * factor
        if tail == 6 * fade:
            curve[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
        at = skip + held
        out[:, begin + held : begin + held + tail] += stroke.data[:, at : at + tail] * curve
