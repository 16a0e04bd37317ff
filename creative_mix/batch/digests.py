"""What files hold, remembered by size and time so that a restart need not read them again."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import AudioFileError
from .records import append_line, read_lines

_BLOCK_BYTES = 1 << 20

_SETTLED_S = 2.0
"""A file written this short a time ago may change again without a change of its time."""


@dataclass(frozen=True)
class Fingerprint:
    """The state of a file: its size, its time, and the SHA-256 of what it holds."""

    size: int
    mtime_ns: int
    digest: str

    def may_be(self, path: str | os.PathLike[str]) -> bool:
        """Whether `path` has this size and this time; False where there is no such file."""
        try:
            found = os.stat(path)
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (self.size, self.mtime_ns)


def digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of what a file holds, in hexadecimal digits."""
    state = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            state.update(block)
    return state.hexdigest()


def fingerprint(path: str | os.PathLike[str], known: Fingerprint | None = None) -> Fingerprint:
    """Return the state of a file, without reading it where `known` may be it.

    Raises:
        OSError: it cannot be read.
    """
    if known is not None and known.may_be(path):
        return known
    found = os.stat(path)
    return Fingerprint(found.st_size, found.st_mtime_ns, digest(path))


class DigestCache:
    """Fingerprints of files, kept in a file of JSON lines.

    Args:
        path: of that file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Fingerprint] = {}
        for entry in read_lines(path):
            try:
                name = entry.pop("path")
                self._known[name] = Fingerprint(**entry)
            except (KeyError, TypeError):
                continue

    def known(self, path: str | os.PathLike[str]) -> Fingerprint | None:
        """What was found last; it may be out of date."""
        return self._known.get(_key(path))

    def look(self, path: str | os.PathLike[str]) -> Fingerprint:
        """Return the state of a file; it is read only where its size or its time is new.

        Raises:
            OSError: it cannot be read.
        """
        found = fingerprint(path, self.known(path))
        self.keep(path, found)
        return found

    def keep(self, path: str | os.PathLike[str], found: Fingerprint) -> None:
        """Remember what was found: for good, unless the file is too new to be known by its time."""
        key = _key(path)
        if self._known.get(key) == found:
            return
        self._known[key] = found
        if found.mtime_ns < (time.time() - _SETTLED_S) * 1e9:
            # What cannot be kept costs time, and no pair.
            with suppress(AudioFileError):
                append_line(self._path, json.dumps({"path": key, **asdict(found)}))


def _key(path: str | os.PathLike[str]) -> str:
    return os.path.realpath(path)
