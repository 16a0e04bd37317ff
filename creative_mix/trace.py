"""What a render says about itself beside the audio: weights, strikes and notes over time."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from .audio import FloatArray
from .audio.tempo import Tempo
from .constants import COMPONENT_NAMES, HOP_LENGTH, SAMPLE_RATE, VOICE_NAMES
from .notes import Note, NoteReader, Strike
from .renderer import Block


class Trace:
    """Give one to a render, and read afterwards what it composed.

    About 80 bytes a frame, 25 MB for an hour.

    >>> trace = Trace()
    >>> trace.weights.shape, trace.notes()
    ((6, 0), [])
    """

    def __init__(self) -> None:
        self.begin(0.0)

    def begin(self, duration_s: float, dynamics: float = 1.0, tempo: Tempo | None = None) -> None:
        """Forget what was there, and note what is known of an output before it is rendered."""
        self.duration_s = duration_s
        """Of the output."""

        self.dynamics = dynamics
        """As it was rendered."""

        self.tempo = tempo
        """Of the drums, where it is clear."""

        self.tells_notes = False
        """Whether the model told which notes are struck; one of the older form does not."""

        self._weights: list[FloatArray] = []
        self._strikes: list[FloatArray] = []
        self._reader = NoteReader()

    def add(self, block: Block) -> None:
        """Note what a block tells; the blocks come in order."""
        # Copies: what is kept must not hold on to all that the model gave out.
        self._weights.append(block.weights.copy())
        self._strikes.append(block.strikes.copy())
        if block.notes is not None:
            self.tells_notes = True
            self._reader.add(block.notes)

    @property
    def weights(self) -> FloatArray:
        """The selector's weight of every component in every frame, shape (6, T)."""
        none = np.zeros((len(COMPONENT_NAMES), 0), np.float32)
        return np.concatenate([none, *self._weights], axis=1)

    @property
    def strike_chances(self) -> FloatArray:
        """Probability that any voice is struck in every frame, shape (T,)."""
        return np.concatenate([np.zeros(0, np.float32), *self._strikes])

    @property
    def times_s(self) -> npt.NDArray[np.float64]:
        """Middles of the frames, shape (T,)."""
        count = sum(each.shape[0] for each in self._strikes)
        return (np.arange(count) + 0.5) * (HOP_LENGTH / SAMPLE_RATE)

    def strikes(self) -> list[Strike]:
        """Return every strike, in order; none where the model does not tell notes."""
        return self._reader.strikes()

    def notes(self) -> list[Note]:
        """Return every note that is struck, in order; none where the model does not tell them."""
        return self._reader.notes(self.duration_s, self.dynamics)

    def csv(self) -> str:
        """Return the weights and the strikes as CSV, a line a frame.

        `time_s` is the frame's middle, then come the six weights, `strike` is the probability that
        any voice is struck, and `low`, `inner` and `top` are how hard the voice is, 0..1, in the
        frame in which it is struck.
        """
        file = io.StringIO()
        file.write(",".join(["time_s", *COMPONENT_NAMES, "strike", *VOICE_NAMES]) + "\n")
        for line in self._lines():
            file.write(",".join(line) + "\n")
        return file.getvalue()

    def _lines(self) -> Iterator[list[str]]:
        weights, chances, times = self.weights, self.strike_chances, self.times_s
        hops = {
            min(len(times) - 1, int(strike.time_s * SAMPLE_RATE / HOP_LENGTH)): strike
            for strike in self.strikes()
        }
        for frame, (time_s, chance) in enumerate(zip(times, chances, strict=True)):
            struck = hops[frame].levels if frame in hops else {}
            yield [
                f"{time_s:.4f}",
                *(f"{weight:.4f}" for weight in weights[:, frame]),
                f"{chance:.4f}",
                *(f"{struck[name]:.3f}" if name in struck else "" for name in VOICE_NAMES),
            ]
