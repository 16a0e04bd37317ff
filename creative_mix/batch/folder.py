"""The folder of a batch: its records, its unfinished files, and one batch at a time in it."""

from __future__ import annotations

import secrets
import shutil
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from ..errors import AudioFileError
from .digests import DigestCache
from .ledger import Ledger
from .signals import ignored

STATE = ".creative-mix"
"""Folder in the batch's folder: begins with a dot, so that no batch looks for recordings there."""

SUMMARY = "batch-summary.json"

_LEDGER, _DIGESTS, _LOCK, _PARTS = "ledger.jsonl", "digests.jsonl", "lock", "parts-"


def read_ledger(folder: Path) -> Ledger:
    """Return the ledger of a folder; an empty one where nothing was made there."""
    return Ledger(folder, folder / STATE / _LEDGER)


class OutputFolder:
    """Inside a `with`, the folder is this process's alone.

    Files in the making lie in one folder inside it, on the same disk: under their own names only
    whole ones appear, and what a killed batch left is found and taken away.

    Args:
        path: made where it does not exist.

    Raises:
        AudioFileError: it cannot be written, or another batch is at work in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = path / STATE
        self._parts = self._state / (_PARTS + secrets.token_hex(4))
        self._lock: BinaryIO | None = None

    def __enter__(self) -> OutputFolder:
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            self._lock = (self._state / _LOCK).open("a+b")
        except OSError as error:
            raise AudioFileError(
                f"{self.path}: cannot be written ({error.strerror}); choose another folder"
            ) from error
        try:
            if not _try_lock(self._lock):
                raise AudioFileError(
                    f"{self.path}: another batch is writing there; wait for it, or stop it"
                )
            self.ledger = read_ledger(self.path)
            self.ledger.recover()
            self.digests = DigestCache(self._state / _DIGESTS)
            for stale in self._state.glob(_PARTS + "*"):
                shutil.rmtree(stale, ignore_errors=True)
            for half in self.path.glob(f".{SUMMARY}.*.part"):
                half.unlink(missing_ok=True)
            self._make_parts()
        except BaseException:
            shutil.rmtree(self._parts, ignore_errors=True)
            self._lock.close()
            raise
        return self

    def _make_parts(self) -> None:
        try:
            self._parts.mkdir()
        except OSError as error:
            raise AudioFileError(
                f"{self.path}: cannot be written ({error.strerror}); choose another folder"
            ) from error

    def part(self, name: str) -> str:
        """Return the place of a file in the making, relative to the folder."""
        return f"{STATE}/{self._parts.name}/{name}"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with ignored():
            shutil.rmtree(self._parts, ignore_errors=True)
        assert self._lock is not None
        self._lock.close()


def _try_lock(file: BinaryIO) -> bool:
    """Lock a file until it is closed or the process ends; False where another one has it."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: better no lock than no batch.
        return True
    return True
