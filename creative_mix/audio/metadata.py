"""What recordings say about themselves, carried over to what is made of them.

Titles and their kind come from the piano, whose performance it is.  The place on the time line
(the broadcast chunk's time reference) and the tempo (the ACID chunk) come from the drums: the
result lies where they lie and keeps their beat.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from .riff import Chunk, info_list, is_wave, read_chunks

_INFO_NAMES = {
    "title": b"INAM",
    "artist": b"IART",
    "album": b"IPRD",
    "tracknumber": b"ITRK",
    "genre": b"IGNR",
    "date": b"ICRD",
    "comment": b"ICMT",
    "copyright": b"ICOP",
}
"""What is kept, by soundfile's names.  "software" is not: another one wrote the source."""

_TEXT_LIMIT = 4096

# EBU Tech 3285: the time reference, then version, UMID and loudness, then the coding history.
_BEXT_TIME = slice(338, 346)
_BEXT_VERSION = slice(346, 348)
_BEXT_UMID = slice(348, 412)
_BEXT_LOUDNESS = slice(412, 422)
_BEXT_LENGTH = 602
_NO_LOUDNESS = struct.pack("<h", 0x7FFF) * 5
_LATEST_TIME = (1 << 64) - 1

_ACID = struct.Struct("<IHHfIHHf")
_ACID_ONE_SHOT, _ACID_ROOT_SET = 1, 2


@dataclass(frozen=True)
class Metadata:
    """What a recording says about itself."""

    strings: Mapping[str, str] = field(default_factory=dict)
    """Title and the like, by soundfile's names."""

    bext: bytes | None = None
    """The broadcast chunk of a WAV (EBU Tech 3285), at least 602 bytes."""

    acid: bytes | None = None
    """The ACID chunk of a WAV: tempo, metre, number of beats, root note."""

    @property
    def tempo_bpm(self) -> float | None:
        """Beats a minute, where it says."""
        if self.acid is None:
            return None
        tempo: float = _ACID.unpack(self.acid)[-1]
        return tempo if 20.0 <= tempo <= 999.0 else None

    def chunks(self) -> list[Chunk]:
        """Return the chunks that say it in a WAV."""
        made: list[Chunk] = []
        if self.bext is not None:
            made.append((b"bext", self.bext))
        texts = [
            (name, self.strings[key]) for key, name in _INFO_NAMES.items() if key in self.strings
        ]
        if texts:
            made.append(info_list((name, text.encode()) for name, text in texts))
        if self.acid is not None:
            made.append((b"acid", self.acid))
        return made


def clean_strings(strings: Mapping[str, str]) -> dict[str, str]:
    """Return what is kept of the strings that soundfile found."""
    kept = {}
    for key in _INFO_NAMES:
        text = "".join(c for c in strings.get(key, "") if c.isprintable() or c == "\n").strip()
        # A replacement character is what is left of text in an unknown encoding.
        if text and "\ufffd" not in text:
            kept[key] = text[:_TEXT_LIMIT]
    return kept


def read_wave_metadata(file: BinaryIO, size: int) -> Metadata:
    """Return what the chunks of a WAV of `size` bytes say; nothing of another file."""
    file.seek(0)
    magic = file.read(12)
    # Every byte order but the common one belongs to machines that wrote no such chunks.
    if not is_wave(magic) or magic[:4] == b"RIFX":
        return Metadata()
    found = read_chunks(file, size, (b"bext", b"acid"))
    bext, acid = found.get(b"bext"), found.get(b"acid")
    return Metadata(
        bext=bext if bext is not None and len(bext) >= _BEXT_LENGTH else None,
        acid=acid if acid is not None and len(acid) == _ACID.size else None,
    )


def carry_over(
    drums: Metadata,
    piano: Metadata,
    *,
    rates: tuple[int, int],
    start_s: float,
    frames: int,
    coding: str,
) -> Metadata:
    """Return the metadata of what was made of two recordings.

    Args:
        drums: those of the rhythm.
        piano: those of the sound.
        rates: samples a second of the drums and of the piano; the result has the piano's.
        start_s: where in the drums the result begins.
        frames: samples a channel of the result.
        coding: a line of coding history (EBU R 98) for the result.
    """
    bext = piano.bext or drums.bext
    if bext is not None:
        time = None
        if drums.bext is not None:
            there = struct.unpack("<Q", drums.bext[_BEXT_TIME])[0] / rates[0] + start_s
            time = min(round(there * rates[1]), _LATEST_TIME)
        bext = _renewed_bext(bext, time, coding)
    acid = None
    if drums.acid is not None:
        acid = _renewed_acid(drums.acid, piano.acid, frames / rates[1])
    return Metadata(piano.strings, bext, acid)


def _renewed_bext(bext: bytes, time: int | None, coding: str) -> bytes:
    """Return `bext` for another recording: its time, no identifier, no loudness, one more line."""
    fixed = bytearray(bext[:_BEXT_LENGTH])
    if time is not None:
        fixed[_BEXT_TIME] = struct.pack("<Q", time)
    fixed[_BEXT_UMID] = bytes(64)
    if struct.unpack("<H", fixed[_BEXT_VERSION])[0] >= 2:
        fixed[_BEXT_LOUDNESS] = _NO_LOUDNESS
    history = bext[_BEXT_LENGTH:].split(b"\0")[0].rstrip(b"\r\n")
    lines = [history, coding.encode("ascii", "replace"), b""] if history else [coding.encode(), b""]
    return bytes(fixed) + b"\r\n".join(lines)


def _renewed_acid(drums: bytes, piano: bytes | None, duration_s: float) -> bytes:
    """Return the drums' tempo with the piano's root note and the result's number of beats."""
    flags, _, first, second, beats, lower, upper, tempo = _ACID.unpack(drums)
    root = 60
    flags &= ~_ACID_ROOT_SET
    if piano is not None:
        piano_flags, piano_root = _ACID.unpack(piano)[:2]
        if piano_flags & _ACID_ROOT_SET:
            flags, root = flags | _ACID_ROOT_SET, piano_root
    if tempo > 0 and not flags & _ACID_ONE_SHOT:
        beats = min(round(duration_s * tempo / 60.0), 0xFFFFFFFF)
    return _ACID.pack(flags, root, first, second, beats, lower, upper, tempo)
