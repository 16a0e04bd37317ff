"""Samples of any length, in memory while they are few and on disk beyond."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from types import TracebackType

import numpy as np

from ..errors import AudioFileError
from . import BLOCK_FRAMES, FloatArray

IN_MEMORY_BYTES = 1 << 24


class SampleStore:
    """Append blocks of samples, then read any stretch of them.

    Plain reads and writes rather than a memory map: mapped pages would count as memory in use.

    Args:
        channels: number of channels, at least 1.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.length = 0
        # Closed by close(), which outlives this call; no name on disk, so nothing is left behind.
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115
        self._frame_bytes = 4 * channels

    def append(self, block: FloatArray) -> None:
        """Add `block` at the end.

        Shape: (C, N).

        Raises:
            AudioFileError: the temporary folder is full.
        """
        interleaved = np.ascontiguousarray(block.T, dtype=np.float32)
        with _disk_errors():
            self._file.seek(self.length * self._frame_bytes)
            self._file.write(interleaved.tobytes())
        self.length += block.shape[1]

    def append_silence(self, length: int) -> None:
        """Add `length` samples of silence at the end."""
        while length > 0:
            count = min(length, BLOCK_FRAMES)
            self.append(np.zeros((self.channels, count), np.float32))
            length -= count

    def read(self, start: int, stop: int) -> FloatArray:
        """Return samples `start` to `stop`, fewer where the store ends sooner.

        Shape: (C, stop - start).

        Raises:
            AudioFileError: the temporary folder is full.
        """
        start, stop = min(start, self.length), min(stop, self.length)
        count = max(0, stop - start)
        # Reading writes out what is still waiting, so that it, too, may find the disk full.
        with _disk_errors():
            self._file.seek(start * self._frame_bytes)
            raw = self._file.read(count * self._frame_bytes)
        frames = np.frombuffer(raw, dtype=np.float32).reshape(count, self.channels)
        return np.array(frames.T, order="C")

    def blocks(self) -> Iterator[FloatArray]:
        """Yield all samples in order, in blocks of shape (C, up to BLOCK_FRAMES)."""
        for start in range(0, self.length, BLOCK_FRAMES):
            yield self.read(start, start + BLOCK_FRAMES)

    def close(self) -> None:
        """Give the memory or the disk space back."""
        # What could not be written is not wanted any more.
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> SampleStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AudioFileError(
            f"{temporary_folder()}: cannot hold the intermediate audio ({error.strerror}); "
            "free some space or set TMPDIR to another folder"
        ) from error


def temporary_folder() -> str:
    """Return the name of the folder for temporary files, or what to call it where there is none."""
    try:
        return tempfile.gettempdir()
    except OSError:
        return "the temporary folder"
