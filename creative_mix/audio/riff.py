"""The chunks of WAV files, read with care and written in one go.

libsndfile reads every WAV there is, but through soundfile it gives no broadcast chunk, and it
writes to a pipe only what it can go back to.  All that is written here is known beforehand, so a
header is right at once, on a disk and in a pipe.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

SAMPLE_BYTES = {
    "PCM_U8": 1,
    "PCM_S8": 1,
    "PCM_16": 2,
    "PCM_24": 3,
    "PCM_32": 4,
    "FLOAT": 4,
    "DOUBLE": 8,
}
RIFF_LIMIT = 0xFFFFFFFF
"""What the sizes of a plain WAV can say; a longer one is an RF64."""

UNKNOWN_LENGTHS = {0, 0x7FFFFFFF, 0xFFFFFFFF}
"""What programs that write to a pipe leave in the header."""

SOX_PIPE_LENGTH = 0x7FFFF000
"""What SoX leaves there, give or take the size of the header."""

_MOST_CHUNKS = 4096
"""No recording has more; a damaged file may claim millions."""

Chunk = tuple[bytes, bytes]
"""The four letters of a chunk, and what is in it."""


@dataclass(frozen=True)
class Place:
    """Where a chunk of a file lies."""

    name: bytes
    start: int
    """The first byte of what is in it."""

    length: int
    """As the header says, which may be more than there is."""

    known: bool
    """Whether the length means anything."""


def is_wave(magic: bytes) -> bool:
    """Return whether a file that begins so is a WAV, of either byte order, or an RF64."""
    return magic[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and magic[8:12] == b"WAVE"


def walk_chunks(file: BinaryIO, size: int) -> Iterator[Place]:
    """Yield the chunks of a WAV of `size` bytes, as far as its header can be followed."""
    file.seek(0)
    order = ">" if file.read(4) == b"RIFX" else "<"
    long_length = None
    offset = 12
    for _ in range(_MOST_CHUNKS):
        if offset + 8 > size:
            return
        file.seek(offset)
        head = file.read(8)
        if len(head) < 8:
            return
        name, length = struct.unpack(f"{order}4sI", head)
        known = True
        if name == b"ds64" and length >= 16:
            sizes = file.read(16)
            if len(sizes) == 16:
                long_length = struct.unpack("<QQ", sizes)[1]
        if name == b"data":
            if length == RIFF_LIMIT and long_length is not None:
                length = long_length
            known = length not in UNKNOWN_LENGTHS and abs(length - SOX_PIPE_LENGTH) > 4096
        yield Place(name, offset + 8, length, known)
        if not known:
            return
        offset += 8 + length + length % 2


def read_chunks(
    file: BinaryIO, size: int, names: Iterable[bytes], most_bytes: int = 1 << 16
) -> dict[bytes, bytes]:
    """Return what is in the first chunk of each name, where it is whole.

    Args:
        file: a WAV.
        size: its bytes.
        names: four letters each.
        most_bytes: larger chunks are left out.
    """
    wanted, found = set(names), {}
    for place in walk_chunks(file, size):
        if place.name in wanted and place.name not in found and place.length <= most_bytes:
            file.seek(place.start)
            held = file.read(place.length)
            if len(held) == place.length:
                found[place.name] = held
    return found


def wave_header(
    sample_rate: int, channels: int, subtype: str, frames: int, chunks: Sequence[Chunk] = ()
) -> bytes:
    """Return all of a WAV that stands before its samples.

    Args:
        sample_rate: samples a second.
        channels: 1 or more.
        subtype: a key of SAMPLE_BYTES, other than "PCM_S8", which a WAV cannot hold.
        frames: samples a channel.
        chunks: what else it holds.
    """
    width = SAMPLE_BYTES[subtype]
    is_float = subtype in ("FLOAT", "DOUBLE")
    align = channels * width
    data = frames * align
    described = struct.pack(
        "<HHIIHH",
        3 if is_float else 1,
        channels,
        sample_rate,
        sample_rate * align,
        align,
        8 * width,
    )
    held: list[Chunk] = [(b"fmt ", described + (b"\0\0" if is_float else b""))]
    if is_float:
        held.append((b"fact", struct.pack("<I", min(frames, RIFF_LIMIT))))
    body = b"".join(_packed(name, content) for name, content in [*held, *chunks])
    size = 4 + len(body) + 8 + data + data % 2
    if size <= RIFF_LIMIT:
        return (
            struct.pack("<4sI4s", b"RIFF", size, b"WAVE")
            + body
            + struct.pack("<4sI", b"data", data)
        )
    long_sizes = _packed(b"ds64", struct.pack("<QQQI", size + 36, data, frames, 0))
    return (
        struct.pack("<4sI4s", b"RF64", RIFF_LIMIT, b"WAVE")
        + long_sizes
        + body
        + struct.pack("<4sI", b"data", RIFF_LIMIT)
    )


def _packed(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2)


def info_list(strings: Iterable[Chunk]) -> Chunk:
    """Return the LIST chunk that holds `strings`, each with its four letters."""
    return b"LIST", b"INFO" + b"".join(_packed(name, text + b"\0") for name, text in strings)
