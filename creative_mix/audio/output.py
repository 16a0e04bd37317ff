"""Results written under a temporary name and renamed when they are whole."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import soundfile as sf

from ..errors import AudioFileError, OptionError
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
    if not sf.check_format(kind, subtype):
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
        self._part: Path | None = None
        self._stdout = StdoutWriter() if is_pipe(path) else None
        if self._stdout is not None:
            self.name = self._stdout.name
            return
        self.name = str(path)
        self._force = force
        # Through a symbolic link, the file that it points to is replaced.
        self._path = Path(os.path.realpath(path))
        folder = self._path.parent
        try:
            kind = self._path.stat().st_mode
        except OSError:
            kind = None
        if kind is not None and stat.S_ISDIR(kind):
            raise AudioFileError(f"{self.name}: is a folder; name a file")
        if kind is not None and not stat.S_ISREG(kind):
            raise AudioFileError(f"{self.name}: is no file but a pipe or a device; name a file")
        if kind is not None and not force:
            raise AudioFileError(f"{self.name}: exists already; give --force to replace it")
        if not folder.is_dir():
            raise AudioFileError(f"{self.name}: the folder {folder} does not exist; make it first")
        try:
            handle, name = tempfile.mkstemp(
                # Long names have to leave room for what is added.
                prefix=f".{self._path.stem[:60]}.",
                suffix=".part",
                dir=folder,
            )
        except OSError as error:
            raise AudioFileError(
                f"{self.name}: the folder {folder} cannot be written ({error.strerror}); "
                "choose another"
            ) from None
        self._part = Path(name)
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
        assert self._part is not None
        word = None
        try:
            if self.format == "WAV":
                header = next(pieces)
                if header.startswith(b"RF64"):
                    word = f"{self.name}: beyond 4 GB, written as RF64 (a large WAV)"
                with self._part.open("wb") as file:
                    file.write(header)
                    file.writelines(pieces)
            else:
                if metadata.bext or metadata.acid:
                    word = f"{self.name}: time reference and tempo are lost; only a WAV holds them"
                self._write_flac(blocks, sample_rate, channels, frames, subtype, metadata, dither)
            _flush_to_disk(self._part)
            self._give_name()
        except FileExistsError:
            self.discard()
            raise AudioFileError(
                f"{self.name}: exists now, made while this job ran; give --force to replace it"
            ) from None
        except (sf.LibsndfileError, RuntimeError, OSError) as error:
            self.discard()
            reason = getattr(error, "strerror", None) or str(error)
            raise AudioFileError(
                f"{self.name}: cannot be written ({reason}); is the disk full?"
            ) from error
        return word

    def _write_flac(
        self,
        blocks: Iterable[FloatArray],
        sample_rate: int,
        channels: int,
        frames: int,
        subtype: str,
        metadata: Metadata,
        dither: bool,
    ) -> None:
        assert self._part is not None
        quantiser = Quantiser(subtype, dither)
        with sf.SoundFile(self._part, "w", sample_rate, channels, subtype, format="FLAC") as file:
            for key, text in metadata.strings.items():
                setattr(file, key, text)
            for block in blocks:
                file.write(left_aligned(quantiser.quantise(block), quantiser.bits))
        # A disk that fills up with the last bytes is not always reported.
        with sf.SoundFile(self._part) as file:
            file.seek(frames - 1)
            if file.frames != frames or len(file.read(1)) != 1:
                raise OSError("its end is missing")

    def _give_name(self) -> None:
        assert self._part is not None
        if self._force:
            os.replace(self._part, self._path)
        else:
            try:
                # Unlike a rename, this fails where another command was quicker.
                os.link(self._part, self._path)
            except FileExistsError:
                raise
            except OSError:
                # Not every file system has hard links.
                if self._path.exists():
                    raise FileExistsError from None
                os.replace(self._part, self._path)
            else:
                self._part.unlink()
        self._part = None

    def discard(self) -> None:
        """Remove what has been written, unless it is whole."""
        if self._part is not None:
            with contextlib.suppress(OSError):
                self._part.unlink()
            self._part = None


def _flush_to_disk(path: Path) -> None:
    """Wait until `path` is on the disk: some file systems tell only now that they are full."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())
