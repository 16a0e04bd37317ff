"""A piano made as long as the drums."""

from __future__ import annotations

from collections.abc import Iterator

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


class FittedPiano:
    """The piano as it runs along the drums: any stretch of it, of any length.

    It loops where it is shorter, unless `fit` is "none": then silence follows.  A loop keeps its
    period to the sample, so that it stays in time; at the seam its end rings on backwards for
    6 ms under the start, since a recording holds nothing after its end.

    Args:
        store: the piano's samples.
        length: samples that are asked for in all.
        fit: "loop" or "none" ("stretch" is done before, by `stretch_blocks`).
        sample_rate: samples a second.
    """

    def __init__(self, store: SampleStore, length: int, fit: Fit, sample_rate: int) -> None:
        self.channels = store.channels
        self.length = length
        self._store = store
        self._loops = fit == "loop"
        period = store.length
        seam = min(int(SEAM_S * sample_rate), period // 4)
        fade = falling(seam)
        tail = store.read(period - seam, period)
        self._seam = store.read(0, seam) * (1 - fade) + tail[:, ::-1] * fade
        self._ending = tail * fade

    @property
    def rounds(self) -> float:
        """How many times the piano sounds; below 1 where it is cut."""
        return self.length / self._store.length

    def read(self, start: int, stop: int) -> FloatArray:
        """Return samples `start` to `stop`.

        Shape: (C, stop - start).
        """
        out = np.zeros((self.channels, stop - start), np.float32)
        period = self._store.length
        at = start
        while at < stop:
            turn, inside = divmod(at, period)
            if turn and not self._loops:
                break
            count = min(stop - at, period - inside)
            piece = self._store.read(inside, inside + count)
            seam = self._seam.shape[1]
            if turn and inside < seam:
                overlap = min(count, seam - inside)
                piece[:, :overlap] = self._seam[:, inside : inside + overlap]
            ending = period - seam
            if not self._loops and period < self.length and inside + count > ending:
                first = max(inside, ending)
                piece[:, first - inside :] = self._ending[
                    :, first - ending : inside + count - ending
                ]
            out[:, at - start : at - start + count] = piece
            at += count
        return out


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
            "--fit stretch needs python-stretch: pip install 'creative-mix[stretch]'"
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
