"""Results written under a temporary name and renamed when they are whole."""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile as sf

from ..errors import AudioFileError, OptionError
from ..options import SUBTYPES
from . import FloatArray

FORMATS = {".wav": "WAV", ".flac": "FLAC"}
_BYTES = {"PCM_U8": 1, "PCM_S8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
_WAV_LIMIT = (1 << 32) - (1 << 16)


def output_format(path: Path) -> str:
    """Return the format that the suffix of `path` names.

    Raises:
        OptionError: neither .wav nor .flac.
    """
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        kind = f"the suffix {path.suffix!r} is unknown" if path.suffix else "has no suffix"
        raise OptionError(f"{path}: {kind}; name the output .wav or .flac") from None


def check_subtype(path: Path, subtype: str) -> None:
    """Do nothing where the format of `path` can hold `subtype`.

    Raises:
        OptionError: it cannot.
    """
    if not sf.check_format(output_format(path), subtype):
        fit = ", ".join(s for s in SUBTYPES if sf.check_format(output_format(path), s))
        raise OptionError(f"{path}: {path.suffix} files cannot hold {subtype}; choose one of {fit}")


def choose_subtype(path: Path, wanted: str) -> tuple[str, str | None]:
    """Return the subtype for `path` nearest to a source's, and a word where it is another one."""
    kind = output_format(path)
    if wanted in SUBTYPES and sf.check_format(kind, wanted):
        return wanted, None
    if wanted not in SUBTYPES:
        return "PCM_16", f"the piano is {wanted}, so the output is PCM_16 (--subtype changes that)"
    nearest = "PCM_S8" if wanted == "PCM_U8" and kind == "FLAC" else None
    nearest = nearest or ("PCM_U8" if wanted == "PCM_S8" else "PCM_24")
    return nearest, f"{path.suffix} cannot hold the piano's {wanted}: the output is {nearest}"


class AudioWriter:
    """A result in the making: nothing shows under its name until it is whole.

    The temporary file is made at once, so that a folder that cannot be written is known before
    any work is done.

    Args:
        path: where the result goes, .wav or .flac.
        force: whether an existing file may be replaced.

    Raises:
        AudioFileError: it exists already, or its folder is missing or cannot be written.
        OptionError: its suffix is unknown.
    """

    def __init__(self, path: str | os.PathLike[str], force: bool = False) -> None:
        self.name = str(path)
        self.format = output_format(Path(path))
        # Through a symbolic link, the file that it points to is replaced.
        self._path = Path(os.path.realpath(path))
        folder = self._path.parent
        if self._path.is_dir():
            raise AudioFileError(f"{self.name}: is a folder; name a file")
        if self._path.exists() and not force:
            raise AudioFileError(f"{self.name}: exists already; give --force to replace it")
        if not folder.is_dir():
            raise AudioFileError(f"{self.name}: the folder {folder} does not exist; make it first")
        try:
            handle, name = tempfile.mkstemp(
                prefix=f".{self._path.stem}.", suffix=".part", dir=folder
            )
        except OSError as error:
            raise AudioFileError(
                f"{self.name}: the folder {folder} cannot be written ({error.strerror}); "
                "choose another"
            ) from None
        self._part: Path | None = Path(name)
        os.close(handle)
        # mkstemp makes private files; a result is as open as any other new file.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)

    def write(
        self,
        blocks: Iterable[FloatArray],
        sample_rate: int,
        channels: int,
        frames: int,
        subtype: str,
    ) -> str | None:
        """Write `blocks`, give the file its name, and return a word where one is needed.

        Args:
            blocks: samples within -1..1, each of shape (channels, any).
            sample_rate: samples a second.
            channels: 1 or 2.
            frames: total of samples a channel, known beforehand.
            subtype: one of SUBTYPES that the format can hold.

        Raises:
            AudioFileError: the disk is full or the file cannot be written.
        """
        assert self._part is not None
        kind, word = self.format, None
        if kind == "WAV" and frames * channels * _BYTES[subtype] > _WAV_LIMIT:
            kind, word = "RF64", f"{self.name}: beyond 4 GB, written as RF64 (a large WAV)"
        try:
            with sf.SoundFile(self._part, "w", sample_rate, channels, subtype, format=kind) as file:
                for block in blocks:
                    file.write(np.ascontiguousarray(block.T))
            if kind != "FLAC":
                _clear_peak_time(self._part)
            os.replace(self._part, self._path)
        except (sf.LibsndfileError, RuntimeError, OSError) as error:
            self.discard()
            reason = getattr(error, "strerror", None) or str(error)
            raise AudioFileError(
                f"{self.name}: cannot be written ({reason}); is the disk full?"
            ) from error
        self._part = None
        return word

    def discard(self) -> None:
        """Remove what has been written, unless it is whole."""
        if self._part is not None:
            with contextlib.suppress(OSError):
                self._part.unlink()
            self._part = None


def _clear_peak_time(path: Path) -> None:
    """Zero the time of writing in a PEAK chunk: the same result has the same bytes."""
    with path.open("r+b") as file:
        offset = 12
        while True:
            file.seek(offset)
            head = file.read(8)
            if len(head) < 8 or head[:4] == b"data":
                return
            if head[:4] == b"PEAK":
                file.seek(offset + 12)
                file.write(bytes(4))
                return
            length = struct.unpack("<I", head[4:])[0]
            offset += 8 + length + length % 2
