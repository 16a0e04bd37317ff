"""A file in the making: under its own name it appears only when it is whole."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from .errors import AudioFileError

_UMASK = threading.Lock()


class NewFile:
    """A temporary file beside the place where a result goes.

    It is made at once, so that a folder that cannot be written is known before any work is done.

    Args:
        path: where the result goes.
        force: whether an existing file may be replaced.

    Raises:
        AudioFileError: it exists already, or its folder is missing or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], force: bool = False) -> None:
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
        self.part = Path(name)
        """The temporary file, to be written to inside `writing`."""

        self._there = True
        os.close(handle)
        # mkstemp makes private files; a result is as open as any other new file.
        with _UMASK:  # it can only be read by being set, for all threads
            mask = os.umask(0o077)
            os.umask(mask)
        os.chmod(name, 0o666 & ~mask)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """Give the temporary file to write to; what fails in here is told as one error.

        Raises:
            AudioFileError: the disk is full, the file cannot be written, or another one has come
                to bear its name.
        """
        try:
            yield self.part
        except FileExistsError:
            self.discard()
            raise AudioFileError(
                f"{self.name}: exists now, made while this job ran; give --force to replace it"
            ) from None
        except (RuntimeError, OSError) as error:
            # libsndfile's errors are of the first kind.
            self.discard()
            reason = getattr(error, "strerror", None) or str(error)
            raise AudioFileError(
                f"{self.name}: cannot be written ({reason}); is the disk full?"
            ) from error

    def fill(self, content: bytes) -> None:
        """Write all of a small file; it has no name yet.

        Raises:
            AudioFileError: the disk is full or the file cannot be written.
        """
        with self.writing() as part:
            part.write_bytes(content)
            self.flush()

    def flush(self) -> None:
        """Wait until it is on the disk: some file systems tell only now that they are full."""
        with self.part.open("r+b") as file:
            os.fsync(file.fileno())

    def give_name(self) -> None:
        """Let the file appear under its name.

        Raises:
            FileExistsError: another one bears it by now, and must not be replaced.
        """
        if self._force:
            os.replace(self.part, self._path)
        else:
            try:
                # Unlike a rename, this fails where another command was quicker.
                os.link(self.part, self._path)
            except FileExistsError:
                raise
            except OSError:
                # Not every file system has hard links.
                if self._path.exists():
                    raise FileExistsError from None
                os.replace(self.part, self._path)
            else:
                self.part.unlink()
        self._there = False

    def discard(self) -> None:
        """Remove what has been written, unless it has its name."""
        if self._there:
            with contextlib.suppress(OSError):
                self.part.unlink()
            self._there = False
