"""Recordings read in blocks, with every kind of damage named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import BinaryIO

import numpy as np
import soundfile as sf

from ..errors import AudioFileError
from . import BLOCK_FRAMES, FloatArray
from .containers import cut_short
from .metadata import Metadata, clean_strings, read_wave_metadata
from .pipes import open_source
from .rates import HIGHEST_RATE, LOWEST_RATE

READABLE = "WAV, FLAC, OGG, MP3"

_UNKNOWN_LENGTH = 1 << 48
"""Streams of unknown length carry a huge number in place of their length."""


class AudioReader:
    """An open recording: one or two channels of float32 in blocks.

    More than two channels are mixed down to two.

    Args:
        path: a WAV, FLAC, OGG or MP3 file, or anything else that libsndfile reads; a named pipe, or
            "-" for standard input.

    Raises:
        AudioFileError: the file is missing, empty, not audio or cut short.
        OptionError: standard input is a terminal.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._source, self.name = open_source(path)
        try:
            self._file = self._open()
        except BaseException:
            self._source.close()
            raise
        self.sample_rate: int = self._file.samplerate
        self.file_channels: int = self._file.channels
        self.format: str = self._file.format
        self.subtype: str = self._file.subtype
        if not LOWEST_RATE <= self.sample_rate <= HIGHEST_RATE:
            self.close()
            raise AudioFileError(
                f"{self.name}: a sample rate of {self.sample_rate} Hz cannot be used; convert it "
                f"to one between {LOWEST_RATE} and {HIGHEST_RATE} Hz"
            )

        if self.format == "FLAC":
            self._check_end()

    def _open(self) -> sf.SoundFile:
        self._state = self._present_state()
        size = self._state[0]
        try:
            if not size:
                raise AudioFileError(f"{self.name}: the file is empty; record or export it again")
            damage = cut_short(self._source, size)
            self._chunks = read_wave_metadata(self._source, size)
            self._source.seek(0)
        except OSError as error:
            raise AudioFileError(f"{self.name}: cannot be read ({error.strerror})") from None
        if damage:
            raise AudioFileError(f"{self.name}: cut short ({damage}); copy or export it again")
        source: int | BinaryIO = self._source
        if os.name == "posix":
            # By its descriptor libsndfile reads by itself, and reports an error of the disk as one.
            # Both share one position: from here on it is libsndfile's.
            source = os.dup(self._source.fileno())
            os.lseek(source, 0, os.SEEK_SET)
        try:
            return sf.SoundFile(source)
        except (sf.LibsndfileError, TypeError, RuntimeError) as error:
            raise AudioFileError(
                f"{self.name}: not a recording that can be read; give one of {READABLE}"
            ) from error

    def _present_state(self) -> tuple[int, int]:
        status = os.fstat(self._source.fileno())
        return status.st_size, status.st_mtime_ns

    def is_at(self, path: str | os.PathLike[str]) -> bool:
        """Return whether `path` leads to this very file."""
        try:
            return os.path.samestat(os.fstat(self._source.fileno()), os.stat(path))
        except (OSError, ValueError):
            return False

    @property
    def metadata(self) -> Metadata:
        """What the file says about itself."""
        return replace(self._chunks, strings=clean_strings(self._file.copy_metadata()))

    def _check_end(self) -> None:
        """Look for the last frame, which a shorter reading would never come to."""
        declared = self._file.frames
        if not 0 < declared < _UNKNOWN_LENGTH:
            return
        try:
            self._file.seek(declared - 1)
            there = len(self._file.read(1, dtype="float32"))
            self._file.seek(0)
        except (sf.LibsndfileError, RuntimeError):
            there = 0
        if not there:
            self.close()
            raise AudioFileError(
                f"{self.name}: cut short or damaged (its end cannot be read); "
                "copy or export it again"
            )

    @property
    def channels(self) -> int:
        """Channels of the blocks: 1 or 2."""
        return min(2, self.file_channels)

    def blocks(self) -> Iterator[FloatArray]:
        """Yield the whole recording.

        Shape: each (1 or 2, up to BLOCK_FRAMES).

        Raises:
            AudioFileError: a sample is not a finite number, the file is damaged, or it ends
                before its header says or changes meanwhile.
        """
        count = 0
        while True:
            try:
                frames = self._file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)
            except (sf.LibsndfileError, RuntimeError) as error:
                raise AudioFileError(
                    f"{self.name}: damaged at {count / self.sample_rate:.2f} s; "
                    "copy or export it again"
                ) from error
            if self._present_state() != self._state:
                raise AudioFileError(
                    f"{self.name}: changed while it was read; wait until it is whole"
                )
            if not len(frames):
                break
            # Every bad sample shows in the sum; the precise search is only for the message.
            if not np.isfinite(frames.sum(dtype=np.float64)) and not np.isfinite(frames).all():
                bad = int(np.argmin(np.isfinite(frames).all(axis=1)))
                raise AudioFileError(
                    f"{self.name}: NaN or infinite sample at {(count + bad) / self.sample_rate:.4f}"
                    " s; export it again from its source"
                )
            count += len(frames)
            yield np.ascontiguousarray(_fold(frames).T)
        if count == 0:
            raise AudioFileError(f"{self.name}: has no audio in it; record or export it again")
        declared = self._file.frames
        if count < declared < _UNKNOWN_LENGTH:
            raise AudioFileError(
                f"{self.name}: cut short ({count} of {declared} frames are there); "
                "copy or export it again"
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._source.close()

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_LAYOUTS = {
    3: "L R C",
    5: "L R C l r",
    6: "L R C - l r",
    7: "L R C - c l r",
    8: "L R C - l r l r",
}
"""Channels by their number, after WAVE: small letters are surrounds, - is the LFE, left out."""

_HALF = 0.5**0.5
_FOLDS = {"L": (1, 0), "R": (0, 1), "C": (_HALF, _HALF), "l": (_HALF, 0), "r": (0, _HALF)}
_FOLDS |= {"c": (0.5, 0.5), "-": (0, 0)}
"""To the left and to the right, after ITU-R BS.775."""


def _fold_matrix(channels: int) -> FloatArray:
    """What each channel adds to left and right, shape (channels, 2); full scale stays the most."""
    layout = _LAYOUTS.get(channels)
    names = layout.split() if layout else [("L", "R")[place % 2] for place in range(channels)]
    matrix = np.array([_FOLDS[name] for name in names], np.float32)
    return matrix / matrix.sum(axis=0).max()


def _fold(frames: FloatArray) -> FloatArray:
    """Return `frames` with at most two channels.

    Shape: (N, C) -> (N, 1 or 2).
    """
    channels = frames.shape[1]
    return frames if channels <= 2 else frames @ _fold_matrix(channels)
