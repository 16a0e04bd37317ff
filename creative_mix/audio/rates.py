"""Sample rate conversion in blocks, with exact lengths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np
import soxr

from . import FloatArray

LOWEST_RATE = 4000
HIGHEST_RATE = 768000


def resampled_length(frames: int, rate_in: int, rate_out: int) -> int:
    """Return how many frames `frames` become: round(frames x rate_out / rate_in), exactly.

    >>> resampled_length(8000, 8000, 44100)
    44100
    """
    return round(Fraction(frames * rate_out, rate_in))


def resample_blocks(
    blocks: Iterable[FloatArray], rate_in: int, rate_out: int, length: int | None = None
) -> Iterator[FloatArray]:
    """Yield `blocks` at `rate_out`; the total is exact.

    Args:
        blocks: samples in order, each of shape (C, any).
        rate_in: samples a second of `blocks`.
        rate_out: samples a second of what is yielded.
        length: total of samples to yield; by default `resampled_length` of what came in.
            Cut or filled with zeros where it is not what the conversion gives.

    Shape: each (C, any).
    """
    given = made = 0
    stream: soxr.ResampleStream | None = None
    channels = 1
    for block in blocks:
        channels = block.shape[0]
        given += block.shape[1]
        if rate_in == rate_out:
            piece = block
        else:
            if stream is None:
                stream = soxr.ResampleStream(rate_in, rate_out, channels, dtype="float32")
            piece = _convert(stream, block, last=False)
        if length is not None:
            piece = piece[:, : length - made]
        if piece.shape[1]:
            made += piece.shape[1]
            yield piece
    target = resampled_length(given, rate_in, rate_out) if length is None else length
    if stream is not None:
        piece = _convert(stream, np.zeros((channels, 0), np.float32), last=True)
        piece = piece[:, : max(0, target - made)]
        made += piece.shape[1]
        yield piece
    if made < target:
        yield np.zeros((channels, target - made), np.float32)


def _convert(stream: soxr.ResampleStream, block: FloatArray, last: bool) -> FloatArray:
    interleaved = np.ascontiguousarray(block.T)
    made = stream.resample_chunk(interleaved, last=last)
    return np.ascontiguousarray(made.reshape(-1, block.shape[0]).T, dtype=np.float32)
