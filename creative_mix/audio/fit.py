"""A piano made as long as the drums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import OptionError, RuntimeMissingError
from ..options import Fit
from . import FloatArray
from .store import SampleStore

SEAM_S = 0.006
"""Length of the crossfade where a loop comes round, and of the fade where a piano stops."""

STRETCH_RANGE = (0.25, 4.0)
_STRETCH_PIECE_S = 60.0
_STRETCH_CONTEXT_S = 1.0
_STRETCH_FADE_S = 0.05


def falling(count: int) -> FloatArray:
    """Return a raised cosine from nearly 1 to nearly 0.

    Shape: (count,).
    """
    phase = (np.arange(count) + 0.5) / max(1, count)
    return (0.5 + 0.5 * np.cos(np.pi * phase)).astype(np.float32)


@dataclass(frozen=True)
class Placement:
    """Where a piano lies along the drums, in samples."""

    shift: int
    """How much later it begins; earlier, and cut, where negative."""

    loop_start: int
    """Where in the piano its loop begins."""

    period: int
    """How long its loop is; silence fills what is beyond its end."""


class FittedPiano:
    """The piano as it runs along the drums: any stretch of it, of any length.

    It loops where it is shorter, unless `fit` is "none": then silence follows.  A loop keeps its
    period to the sample, so that it stays in time.  At the seam, what follows the loop in the
    recording rings on for 6 ms under the start; where nothing does, the loop's end rings on
    backwards.

    Args:
        store: the piano's samples.
        length: samples that are asked for in all.
        fit: "loop" or "none" ("stretch" is done before, by `stretch_blocks`).
        sample_rate: samples a second.
        placement: where it lies; by default at the beginning, and all of it loops.
    """

    def __init__(
        self,
        store: SampleStore,
        length: int,
        fit: Fit,
        sample_rate: int,
        placement: Placement | None = None,
    ) -> None:
        self.channels = store.channels
        self.length = length
        self._store = store
        self._loops = fit == "loop"
        place = placement or Placement(0, 0, store.length)
        self._shift, self._first, self._period = place.shift, place.loop_start, place.period
        self._last = self._first + self._period
        seam = min(int(SEAM_S * sample_rate), store.length // 4, self._period // 4)
        self._fade = falling(seam)
        after = store.read(self._last, self._last + seam)
        if after.shape[1] < seam:
            end = self._padded(self._last - seam, self._last)
            after = end[:, ::-1]
        start = self._padded(self._first, self._first + seam)
        self._seam = start * (1 - self._fade) + after * self._fade
        self._ending = store.read(store.length - seam, store.length) * self._fade

    @property
    def rounds(self) -> float:
        """How many times the piano's loop sounds; below 1 where it is cut."""
        return (self.length - self._shift - self._first) / self._period

    def read(self, start: int, stop: int) -> FloatArray:
        """Return samples `start` to `stop`.

        Shape: (C, stop - start).
        """
        out = np.zeros((self.channels, stop - start), np.float32)
        at, end = start - self._shift, stop - self._shift
        place = min(max(0, -at), stop - start)
        at += place
        while at < end:
            turns = self._loops and at >= self._last
            inside = self._first + (at - self._first) % self._period if turns else at
            stops = self._last if self._loops else self._store.length
            if inside >= stops:
                break
            count = min(end - at, stops - inside)
            piece = self._padded(inside, inside + count)
            self._join(piece, inside, turns)
            out[:, place : place + count] = piece
            at += count
            place += count
        return out

    def _join(self, piece: FloatArray, inside: int, turns: bool) -> None:
        """Fade what would jump in a piece that begins at `inside`: seam, end and late start."""
        count, seam = piece.shape[1], len(self._fade)
        if turns and inside < self._first + seam:
            begin = inside - self._first
            overlap = min(count, seam - begin)
            piece[:, :overlap] = self._seam[:, begin : begin + overlap]
        if self._shift > 0 and not turns and inside < seam:
            overlap = min(count, seam - inside)
            piece[:, :overlap] *= 1 - self._fade[inside : inside + overlap]
        end = self._store.length
        ends = self._last > end if self._loops else self._shift + end < self.length
        if ends and inside + count > end - seam and inside < end:
            first = max(inside, end - seam)
            stop = min(inside + count, end)
            piece[:, first - inside : stop - inside] = self._ending[
                :, first - end + seam : stop - end + seam
            ]

    def _padded(self, start: int, stop: int) -> FloatArray:
        """Return samples of the recording, silence where it has none."""
        piece = self._store.read(start, stop)
        missing = stop - start - piece.shape[1]
        return np.pad(piece, ((0, 0), (0, missing))) if missing else piece


def stretch_blocks(store: SampleStore, length: int, sample_rate: int) -> Iterator[FloatArray]:
    """Yield the samples of `store` stretched in time, at their pitch, to exactly `length`.

    The stretcher takes a stretch of audio at a time, so a long piano goes through in pieces of a
    minute that overlap and are crossfaded.

    Args:
        store: the samples.
        length: total of what is yielded.
        sample_rate: samples a second.

    Shape: each (C, any).

    Raises:
        OptionError: the two lengths differ by more than a factor of 4.
        RuntimeMissingError: the extra `stretch` is not installed.
    """
    factor = length / store.length
    low, high = STRETCH_RANGE
    if not low <= factor <= high:
        raise OptionError(
            f"--fit stretch: the piano would have to last {factor:.2f} times as long, beyond "
            f"{low:g} to {high:g} times; use --fit loop or another length of piano"
        )
    try:
        from python_stretch import Signalsmith
    except ImportError:
        raise RuntimeMissingError(
            "stretching needs python-stretch: pip install 'creative-mix[stretch]'"
        ) from None
    piece = int(_STRETCH_PIECE_S * sample_rate)
    context = int(_STRETCH_CONTEXT_S * sample_rate)
    fade = falling(min(int(_STRETCH_FADE_S * sample_rate), length))
    held: FloatArray | None = None
    for start in range(0, length, piece):
        stop = min(start + piece, length)
        first = max(0, int((start - context) / factor))
        last = min(store.length, int((stop + context) / factor))
        stretcher = Signalsmith.Stretch(0)
        stretcher.preset(store.channels, float(sample_rate))
        stretcher.setTimeFactor(1.0 / factor)
        made = np.asarray(stretcher.process(store.read(first, last)), np.float32)
        begin = start - round(first * factor)
        wanted = stop - start + (len(fade) if stop < length else 0)
        out = made[:, begin : begin + wanted]
        out = np.pad(out, ((0, 0), (0, wanted - out.shape[1])))
        if held is not None:
            overlap = min(len(fade), stop - start)
            part = fade[:overlap]
            out[:, :overlap] = out[:, :overlap] * (1 - part) + held[:, :overlap] * part
        held = out[:, stop - start :]
        yield out[:, : stop - start]
