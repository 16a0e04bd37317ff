"""Samples as the bytes of a file, dithered where the file has few bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from . import FloatArray

DITHERED_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}
"""Formats with fewer bits than the samples themselves."""

_SEED = 1770
_FULL_32 = 2.0**31


class Quantiser:
    """Rounds blocks of samples to whole numbers.

    With triangular dither of two steps (TPDF), the error is noise that does not follow the music,
    and what is softer than a step is still heard.  The noise is the same in every run, whatever the
    blocks.  A sample of exactly 0 stays 0: digital silence stays silence.

    S. P. Lipshitz, R. A. Wannamaker, J. Vanderkooy, "Quantization and Dither: A Theoretical
    Survey", J. Audio Eng. Soc. 40(5), 1992.

    Args:
        subtype: "PCM_U8", "PCM_S8", "PCM_16", "PCM_24" or "PCM_32".
        dither: whether to dither; "PCM_32" never is.
    """

    def __init__(self, subtype: str, dither: bool = True) -> None:
        self.bits = DITHERED_BITS.get(subtype, 32)
        self._random = np.random.Generator(np.random.PCG64(_SEED))
        self._dither = dither and self.bits < 32

    def quantise(self, block: FloatArray) -> npt.NDArray[np.int32]:
        """Return the next samples as whole numbers from -2**(bits - 1) to 2**(bits - 1) - 1.

        What lies beyond full scale is cut off there.

        Shape: (C, N) -> (N, C).
        """
        scale = 2.0 ** (self.bits - 1)
        frames = block.T.astype(np.float64) * scale
        if self._dither:
            noise = self._random.random((*frames.shape, 2), np.float32)
            frames += (noise[..., 0] - noise[..., 1]) * (frames != 0)
        np.rint(frames, out=frames)
        return np.clip(frames, -scale, scale - 1).astype(np.int32)


def left_aligned(numbers: npt.NDArray[np.int32], bits: int) -> npt.NDArray[np.int32]:
    """Return `numbers` of so many bits in the upper bits of 32."""
    aligned: npt.NDArray[np.int32] = numbers << np.int32(32 - bits)
    return aligned


def sample_bytes(block: FloatArray, subtype: str, quantiser: Quantiser | None) -> bytes:
    """Return the next samples as they stand in a WAV.

    Args:
        block: shape (C, N).
        subtype: a sample format of WAV.
        quantiser: of that format; None for "FLOAT" and "DOUBLE".
    """
    if quantiser is None:
        return block.T.astype("<f4" if subtype == "FLOAT" else "<f8").tobytes()
    numbers = quantiser.quantise(block)
    if subtype == "PCM_U8":
        return (numbers + 128).astype(np.uint8).tobytes()
    if subtype == "PCM_24":
        wide = np.ascontiguousarray(numbers.astype("<i4")).view(np.uint8)
        return wide.reshape(-1, 4)[:, :3].tobytes()
    return numbers.astype("<i2" if subtype == "PCM_16" else "<i4").tobytes()
