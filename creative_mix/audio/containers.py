"""Whether a file ends before its container says: what libsndfile lets pass in silence."""

from __future__ import annotations

import struct
from typing import BinaryIO

from .riff import is_wave, walk_chunks

_TAIL_BYTES = 1 << 17

_UNKNOWN_BYTES = 0x7F000000
"""What a writer to a pipe declares, and more: it could not know, and never came back to tell."""


def cut_short(file: BinaryIO, size: int) -> str | None:
    """Return what is missing of a file of `size` bytes, or None where nothing is known to be."""
    file.seek(0)
    magic = file.read(12)
    file.seek(0)
    if is_wave(magic):
        return _wave(file, size)
    if magic[:4] == b"OggS":
        return _ogg(file, size)
    if magic[:3] == b"ID3" or (magic[:1] == b"\xff" and len(magic) > 1 and magic[1] >= 0xE0):
        return _mp3(file, size)
    declared = _declared(file, magic)
    # Some writers leave out the byte that makes a length even.
    if declared is not None and size + 1 < declared < _UNKNOWN_BYTES:
        return f"{size} of {declared} bytes are there"
    return None


def _declared(file: BinaryIO, magic: bytes) -> int | None:
    """Return how long an AIFF, AU or W64 file says that it is, or None."""
    head = file.read(24)
    if magic[:4] == b"FORM" and magic[8:] in (b"AIFF", b"AIFC"):
        return 8 + int(struct.unpack(">I", head[4:8])[0])
    if magic[:4] in (b".snd", b"dns."):
        start, length = struct.unpack(">II" if magic[:1] == b"." else "<II", head[4:12])
        return int(start + length)
    if magic[:4] == b"riff" and len(head) == 24:
        return int(struct.unpack("<Q", head[16:24])[0])
    return None


def _wave(file: BinaryIO, size: int) -> str | None:
    for place in walk_chunks(file, size):
        if place.name == b"data":
            there = size - place.start
            if place.known and place.length > there:
                return f"{there} of {place.length} bytes of audio are there"
            return None
    return "it has no audio chunk"


def _ogg(file: BinaryIO, size: int) -> str | None:
    start = max(0, size - _TAIL_BYTES)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return "its last page is missing"
    header = tail[at : at + 27]
    if len(header) < 27:
        return "its last page is incomplete"
    segments = tail[at + 27 : at + 27 + header[26]]
    if len(segments) < header[26] or at + 27 + header[26] + sum(segments) > len(tail):
        return "its last page is incomplete"
    return None


def _mp3(file: BinaryIO, size: int) -> str | None:
    """Compare the size with that in the Xing or Info header, where there is one."""
    head = file.read(10)
    offset = 0
    if head[:3] == b"ID3" and len(head) == 10:
        # Four bytes of seven bits each.
        offset = 10 + sum((byte & 0x7F) << 7 * (3 - place) for place, byte in enumerate(head[6:]))
    file.seek(offset)
    frame = file.read(4096)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or len(frame) < at + 16:
        return None
    flags = struct.unpack(">I", frame[at + 4 : at + 8])[0]
    if not flags & 2:
        return None
    place = at + 8 + (4 if flags & 1 else 0)
    declared = struct.unpack(">I", frame[place : place + 4])[0]
    there = size - offset
    # A few bytes either way are the habit of some encoders.
    if declared > there + 1024:
        return f"{there} of {declared} bytes are there"
    return None
