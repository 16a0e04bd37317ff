"""Pianos that nobody recorded: struck strings as sums of partials that die away.

Every piano is drawn anew, within and somewhat beyond what real ones are, so that a model does not
learn the few that there are samples of: how stiff its strings are and how they are tuned, where and
how hard its hammers strike, what its soundboard favours, how long it rings, how loud soft playing
is. What is usual for a piano follows Fletcher and Rossing, The Physics of Musical Instruments.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from creative_mix.constants import SAMPLE_RATE
from creative_mix.training.draws import log_uniform
from creative_mix.training.instruments import SampledPiano
from creative_mix.training.samples import Audio, SampleFile, SampleStore, shift_pitch

Rng = np.random.Generator
Array = NDArray[np.float64]

NAME = "synthesised"
VELOCITIES = (16, 48, 80, 112)
"""One layer for each: as `VelocityMap` centres four."""
LOWEST, HIGHEST = 21, 108
LONGEST_S = 6.0
"""No stroke sounds longer, seconds."""
MOST_PARTIALS = 90
FAINTEST = 3e-4
"""Modes are left out that begin fainter than this part of the strongest."""
BLOCK = 512
"""Samples in which a stroke is put together."""


@dataclass(frozen=True)
class PianoBody:
    """What all strings of a piano have in common.

    Args:
        seed: of what differs from key to key.
        stiffness: inharmonicity of A1 (no unit), and how many powers of ten more at the top.
        strike_place: where the hammer strikes, as a part of the string.
        hardness_hz: frequency above which a loud stroke's partials fall off.
        softening: power of the velocity by which soft strokes are duller.
        slope: power of its number by which a partial is weaker, before all else.
        board_db: the soundboard's gain, waves in the logarithm of the frequency: (W, 3) of
            decibels, waves a decade, and phase.
        thin_hz: below it the soundboard hardly sounds.
        ring_s: time to -60 dB of middle C's first partial.
        damping_hz: frequency at which partials die twice as fast as low ones.
        prompt: how much faster the first part of a sound dies, and its part of the whole.
        detuning_cents: between the strings of a key, and from key to key.
        dynamics: power of the velocity by which strokes are softer.
        knock_db: the hammer's noise, against the peak.
        tilt_db: an octave, by which higher keys are louder.
        width: how far the keys lie apart in the stereo image, 0..1.
    """

    seed: int
    stiffness: tuple[float, float]
    strike_place: float
    hardness_hz: float
    softening: float
    slope: float
    board_db: Array
    thin_hz: float
    ring_s: float
    damping_hz: float
    prompt: tuple[float, float]
    detuning_cents: tuple[float, float]
    dynamics: float
    knock_db: float
    tilt_db: float
    width: float

    @classmethod
    def draw(cls, rng: Rng) -> PianoBody:
        """One at random."""
        waves = np.stack(
            [rng.normal(0.0, 2.5, 6), rng.uniform(0.5, 6.0, 6), rng.uniform(0.0, 2 * np.pi, 6)], 1
        )
        return cls(
            seed=int(rng.integers(2**62)),
            stiffness=(10.0 ** rng.uniform(-4.3, -3.6), rng.uniform(1.5, 2.2)),
            strike_place=rng.uniform(1 / 9.5, 1 / 6.5),
            hardness_hz=log_uniform(rng, 900.0, 4500.0),
            softening=rng.uniform(0.2, 0.9),
            slope=rng.uniform(0.2, 1.2),
            board_db=waves,
            thin_hz=rng.uniform(40.0, 130.0),
            ring_s=log_uniform(rng, 4.0, 16.0),
            damping_hz=log_uniform(rng, 700.0, 4000.0),
            prompt=(rng.uniform(2.0, 6.0), rng.uniform(0.5, 0.95)),
            detuning_cents=(abs(rng.normal(0.0, 0.8)), abs(rng.normal(0.0, 2.5))),
            dynamics=rng.uniform(1.15, 2.1),
            knock_db=rng.uniform(-45.0, -18.0),
            tilt_db=rng.normal(0.0, 1.5),
            width=rng.uniform(0.0, 0.6),
        )

    def level_db(self, velocity: float) -> float:
        """The level of a stroke against the loudest."""
        return float(20.0 * self.dynamics * np.log10(velocity / 127.0))

    def stroke(self, pitch: int, velocity: float) -> Audio:
        """One key struck once, until it has died away. Shape: (2, samples)."""
        rng = np.random.default_rng([self.seed, pitch])
        spread, drift = self.detuning_cents
        first_hz = 440.0 * 2.0 ** ((pitch - 69) / 12.0 + rng.normal(0.0, drift) / 1200.0)
        low, more = self.stiffness
        stiffness = low * 10.0 ** (more * max(0.0, pitch - 33.0) / 75.0)
        number = np.arange(1, MOST_PARTIALS + 1)
        hertz = first_hz * number * np.sqrt(1.0 + stiffness * number**2)
        hertz /= np.sqrt(1.0 + stiffness)
        number, hertz = number[hertz < 17000.0], hertz[hertz < 17000.0]
        amplitude = self._spectrum(rng, number, hertz, velocity)
        after_s = self.ring_s * 2.0 ** (-(pitch - 60.0) / 18.0)
        decay = 6.9 / after_s * (1.0 + hertz / self.damping_hz) * np.exp(rng.normal(0.0, 0.2))
        decay = decay * np.exp(rng.normal(0.0, 0.25, number.size))
        faster, share = self.prompt
        apart = 2.0 ** (rng.normal(0.0, spread, number.size) / 1200.0)
        modes = np.concatenate(
            [2j * np.pi * hertz - faster * decay, 2j * np.pi * hertz * apart - decay]
        )
        parts = np.concatenate([share * amplitude, (1.0 - share) * amplitude])
        place = self.width * (pitch - 64.0) / 44.0
        sides = np.sqrt(np.asarray([1.0 - place, 1.0 + place]) / 2.0)
        phases = rng.uniform(0.0, 2.0 * np.pi, modes.size)
        apart_by = self.width * rng.normal(0.0, 0.7, modes.size)
        turned = np.exp(1j * (phases + np.asarray([[-0.5], [0.5]]) * apart_by))
        length_s = min(LONGEST_S, 1.2 * after_s + 0.3)
        sound = _sum_modes(sides[:, None] * parts * turned, modes, int(length_s * SAMPLE_RATE))
        sound = sound * _rise(sound.shape[1], 0.0012 + 0.003 * (1.0 - velocity / 127.0))
        peak = float(np.max(np.abs(sound)))
        sound = sound / max(peak, 1e-9) + self._knock(rng, sound.shape[1], velocity)
        sound[:, -2048:] *= np.linspace(1.0, 0.0, 2048)
        level_db = self.level_db(velocity) + self.tilt_db * (pitch - 60.0) / 12.0
        return (sound * 0.5 * 10.0 ** (level_db / 20.0)).astype(np.float32)

    def _spectrum(self, rng: Rng, number: Array, hertz: Array, velocity: float) -> Array:
        """Amplitudes of the partials when they are struck."""
        comb = np.abs(np.sin(np.pi * number * self.strike_place)) + 0.05
        hardness_hz = self.hardness_hz * (velocity / 127.0) ** self.softening
        hammer = 1.0 / (1.0 + (hertz / max(hardness_hz, 1.5 * hertz[0])) ** 2)
        depth, waves, phase = self.board_db.T
        angle = 2.0 * np.pi * waves * np.log10(hertz[:, None] / 27.5) + phase
        board_db = np.sin(angle) @ depth + rng.normal(0.0, 3.0, number.size)
        thin = 1.0 / (1.0 + (self.thin_hz / hertz) ** 2)
        made: Array = number**-self.slope * comb * hammer * thin * 10.0 ** (board_db / 20.0)
        return made

    def _knock(self, rng: Rng, samples: int, velocity: float) -> Array:
        """The hammer's and the key's noise, stereo."""
        count = min(samples, int(0.25 * SAMPLE_RATE))
        high_hz = log_uniform(rng, 400.0, 3000.0)
        band = scipy.signal.butter(2, (60.0, high_hz), "bandpass", fs=SAMPLE_RATE, output="sos")
        noise = scipy.signal.sosfilt(band, rng.standard_normal((2, count)))
        noise *= np.exp(-np.arange(count) / SAMPLE_RATE / rng.uniform(0.008, 0.04))
        out = np.zeros((2, samples))
        gain = 10.0 ** ((self.knock_db - 6.0 * (1.0 - velocity / 127.0)) / 20.0)
        out[:, :count] = gain / max(float(np.max(np.abs(noise))), 1e-9) * noise
        return out


def draw_piano(rng: Rng) -> SampledPiano:
    """A piano whose strokes are made when they are first played."""
    body = PianoBody.draw(rng)
    files = [
        SampleFile(Path(NAME) / f"m{pitch:03}_v{layer}", "note", pitch, layer, 1)
        for pitch in range(LOWEST, HIGHEST + 1)
        for layer in range(1, len(VELOCITIES) + 1)
    ]
    levels_db = [body.level_db(velocity) for velocity in VELOCITIES]
    return SampledPiano(NAME, files, _Workshop(body, files), levels_db)


class _Workshop(SampleStore):
    """A store that makes what it is asked for."""

    def __init__(self, body: PianoBody, files: list[SampleFile]) -> None:
        super().__init__()
        self._body = body
        self._files = {file.path: file for file in files}

    def _make(self, path: Path, semitones: float) -> Audio:
        file = self._files[path]
        audio = self._body.stroke(file.pitch, VELOCITIES[file.layer - 1])
        return shift_pitch(audio, semitones)


def _sum_modes(amplitudes: NDArray[np.complex128], modes: Array, samples: int) -> Array:
    """Sums of damped sines from time 0 on, by one matrix product.

    Every sample's place is that of its block and that inside the block, and so is every power of a
    mode a product of two.

    Shape: amplitudes (C, M), modes (M,) in 1 / s -> (C, samples).
    """
    heard = np.abs(amplitudes).max(axis=0)
    heard = heard > FAINTEST * heard.max()
    amplitudes, modes = amplitudes[:, heard], modes[heard]
    blocks = -(-samples // BLOCK)
    inside = np.exp(modes[:, None] * (np.arange(BLOCK) / SAMPLE_RATE))
    begins = np.exp(np.arange(blocks)[:, None] * (modes * BLOCK / SAMPLE_RATE))
    weighted = amplitudes[:, None] * begins
    left = np.concatenate([weighted.real, -weighted.imag], 2, dtype=np.float32)
    right = np.concatenate([inside.real, inside.imag], 0, dtype=np.float32)
    made: Array = (left @ right).reshape(amplitudes.shape[0], -1)[:, :samples].astype(np.float64)
    return made


def _rise(samples: int, seconds: float) -> Array:
    """The beginning of a stroke: from nothing, in so many seconds."""
    shape = np.ones(samples)
    count = min(samples, max(1, int(seconds * SAMPLE_RATE)))
    shape[:count] = 0.5 - 0.5 * np.cos(np.pi * np.arange(count) / count)
    return shape
