"""Results written under a temporary name and renamed when they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import soundfile as sf

from ..errors import OptionError
from ..newfile import NewFile
from ..options import SUBTYPES
from . import FloatArray
from .metadata import Metadata
from .pipes import StdoutWriter, is_pipe
from .quantise import Quantiser, left_aligned, sample_bytes
from .riff import SAMPLE_BYTES, wave_header

FORMATS = {".wav": "WAV", ".flac": "FLAC"}


def output_format(path: str | os.PathLike[str]) -> str:
    """Return the format that the suffix of `path` names; standard output takes WAV.

    Raises:
        OptionError: neither .wav nor .flac.
    """
    if is_pipe(path):
        return "WAV"
    suffix = Path(path).suffix
    try:
        return FORMATS[suffix.lower()]
    except KeyError:
        kind = f"the suffix {suffix!r} is unknown" if suffix else "has no suffix"
        raise OptionError(f"{path}: {kind}; name the output .wav or .flac") from None


def check_subtype(path: str | os.PathLike[str], subtype: str) -> None:
    """Do nothing where the format of `path` can hold `subtype`.

    Raises:
        OptionError: it cannot.
    """
    kind = output_format(path)
    if subtype not in SUBTYPES or not sf.check_format(kind, subtype):
        fit = ", ".join(s for s in SUBTYPES if sf.check_format(kind, s))
        raise OptionError(f"{path}: {kind} files cannot hold {subtype}; choose one of {fit}")


def check_rate(path: str | os.PathLike[str], sample_rate: int) -> None:
    """Do nothing where the format of `path` can hold so many samples a second.

    Raises:
        OptionError: it cannot.  FLAC counts in Hz up to 65535, and beyond in tens of Hz.
    """
    if output_format(path) == "FLAC" and sample_rate > 65535:
        if sample_rate % 10 or sample_rate > 655350:
            raise OptionError(
                f"{path}: FLAC files cannot hold the piano's {sample_rate} Hz; name the output .wav"
            )


def choose_subtype(path: str | os.PathLike[str], wanted: str) -> tuple[str, str | None]:
    """Return the subtype for `path` nearest to a source's, and a word where it is another one."""
    kind = output_format(path)
    if wanted in SUBTYPES and sf.check_format(kind, wanted):
        return wanted, None
    if wanted not in SUBTYPES:
        return "PCM_16", f"the piano is {wanted}, so the output is PCM_16 (--subtype changes that)"
    nearest = "PCM_S8" if wanted == "PCM_U8" and kind == "FLAC" else None
    nearest = nearest or ("PCM_U8" if wanted == "PCM_S8" else "PCM_24")
    return nearest, f"{kind} cannot hold the piano's {wanted}: the output is {nearest}"


def wave_pieces(
    blocks: Iterable[FloatArray],
    sample_rate: int,
    channels: int,
    frames: int,
    subtype: str,
    metadata: Metadata,
    dither: bool,
) -> Iterator[bytes]:
    """Yield all bytes of a WAV in order; the arguments are those of `AudioWriter.write`."""
    yield wave_header(sample_rate, channels, subtype, frames, metadata.chunks())
    quantiser = None if subtype in ("FLOAT", "DOUBLE") else Quantiser(subtype, dither)
    for block in blocks:
        yield sample_bytes(block, subtype, quantiser)
    if frames * channels * SAMPLE_BYTES[subtype] % 2:
        yield b"\0"


class AudioWriter:
    """A result in the making: nothing shows under its name until it is whole.

    The temporary file is made at once, so that a folder that cannot be written is known before
    any work is done.

    Args:
        path: where the result goes, .wav or .flac, or "-" for standard output.
        force: whether an existing file may be replaced.

    Raises:
        AudioFileError: it exists already, or its folder is missing or cannot be written.
        OptionError: its suffix is unknown, or standard output is a terminal.
    """

    def __init__(self, path: str | os.PathLike[str], force: bool = False) -> None:
        self.format = output_format(path)
        self._stdout = StdoutWriter() if is_pipe(path) else None
        self._file = NewFile(path, force) if self._stdout is None else None
        self.name = self._stdout.name if self._stdout is not None else str(path)

    def write(
        self,
        blocks: Iterable[FloatArray],
        sample_rate: int,
        channels: int,
        frames: int,
        subtype: str,
        metadata: Metadata | None = None,
        dither: bool = True,
    ) -> str | None:
        """Write `blocks`, give the file its name, and return a word where one is needed.

        Args:
            blocks: samples within -1..1, each of shape (channels, any).
            sample_rate: samples a second.
            channels: 1 or 2.
            frames: total of samples a channel, known beforehand.
            subtype: one of SUBTYPES that the format can hold.
            metadata: what the file says about itself.
            dither: whether formats of up to 24 bits are dithered.

        Raises:
            AudioFileError: the disk is full, the file cannot be written, or another one has come
                to bear its name.
        """
        metadata = metadata or Metadata()
        pieces = wave_pieces(blocks, sample_rate, channels, frames, subtype, metadata, dither)
        if self._stdout is not None:
            self._stdout.write(pieces)
            return None
        assert self._file is not None
        word = None
        with self._file.writing() as part:
            if self.format == "WAV":
                header = next(pieces)
                if header.startswith(b"RF64"):
                    word = f"{self.name}: beyond 4 GB, written as RF64 (a large WAV)"
                with part.open("wb") as file:
                    file.write(header)
                    file.writelines(pieces)
            else:
                if metadata.bext or metadata.acid:
                    word = f"{self.name}: time reference and tempo are lost; only a WAV holds them"
                _write_flac(part, blocks, sample_rate, channels, frames, subtype, metadata, dither)
            self._file.flush()
            self._file.give_name()
        return word

    def discard(self) -> None:
        """Remove what has been written, unless it is whole."""
        if self._file is not None:
            self._file.discard()


def _write_flac(
    part: Path,
    blocks: Iterable[FloatArray],
    sample_rate: int,
    channels: int,
    frames: int,
    subtype: str,
    metadata: Metadata,
    dither: bool,
) -> None:
    quantiser = Quantiser(subtype, dither)
    with sf.SoundFile(part, "w", sample_rate, channels, subtype, format="FLAC") as file:
        for key, text in metadata.strings.items():
            setattr(file, key, text)
        for block in blocks:
            file.write(left_aligned(quantiser.quantise(block), quantiser.bits))
    # A disk that fills up with the last bytes is not always reported.
    with sf.SoundFile(part) as file:
        file.seek(frames - 1)
        if file.frames != frames or len(file.read(1)) != 1:
            raise OSError("its end is missing")
