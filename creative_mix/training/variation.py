"""Ready pairs as if other instruments had played them: at another speed, equalised anew.

What is done to the piano is done to the truth, so that the truth stays true.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.signal
import soxr
from numpy.typing import NDArray

from creative_mix.constants import SAMPLE_RATE
from creative_mix.training.notes import Hit, Note
from creative_mix.training.rooms import draw_equaliser

SEMITONES = 4
"""Farthest that a pair is played up or down."""

Sound = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Variation:
    """How a pair is played, all its parts alike but for the drums' equaliser.

    Args:
        semitones: by which it is played higher, and so much faster.
        piano: second-order sections of the equaliser of piano and truth, (S, 6).
        drums: of the drums.
    """

    semitones: int
    piano: NDArray[np.float64]
    drums: NDArray[np.float64]

    @classmethod
    def draw(cls, rng: np.random.Generator, together: bool) -> Variation:
        """One at random; ``together`` where the truth holds some of the drums."""
        semitones = int(rng.integers(-SEMITONES, SEMITONES + 1))
        piano = draw_equaliser(rng)
        drums = piano if together else draw_equaliser(rng)
        return cls(semitones, piano, drums)

    @property
    def speed(self) -> float:
        """Seconds of the recording that a second of the variation holds."""
        return float(2 ** (self.semitones / 12))

    def hits(self, hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
        """The hits at their new times."""
        return tuple(dataclasses.replace(each, time_s=each.time_s / self.speed) for each in hits)

    def notes(self, notes: tuple[Note, ...]) -> tuple[Note, ...]:
        """The notes at their new times and pitches."""
        return tuple(
            dataclasses.replace(
                each,
                start_s=each.start_s / self.speed,
                end_s=each.end_s / self.speed,
                pitch=each.pitch + self.semitones,
            )
            for each in notes
        )

    def span(self, start: int, stop: int) -> slice:
        """Samples of the recording that hold these of the variation."""
        return slice(round(start * self.speed), round(stop * self.speed))

    def play(self, part: str, sound: Sound) -> Sound:
        """Such a span of a part as the variation has it: (N,), longer or shorter."""
        if self.semitones:
            sound = soxr.resample(sound, SAMPLE_RATE * self.speed, SAMPLE_RATE)
        sections = self.drums if part == "drums" else self.piano
        heard: Sound = scipy.signal.sosfilt(sections, sound).astype(np.float32)
        return heard
