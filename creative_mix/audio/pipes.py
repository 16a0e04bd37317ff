"""Standard input and output, and named pipes, as recordings."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable
from typing import BinaryIO

from ..errors import AudioFileError, OptionError
from .store import temporary_folder

PIPE = "-"
"""What stands for standard input or output in place of a path."""

STDIN_NAME = "standard input"
STDOUT_NAME = "standard output"


def is_pipe(path: str | os.PathLike[str]) -> bool:
    """Return whether `path` is the one dash that stands for a pipe; Path("-") is a file."""
    return isinstance(path, str) and path == PIPE


def open_source(path: str | os.PathLike[str]) -> tuple[BinaryIO, str]:
    """Return a recording as a file that can be searched, and the name to call it by.

    What comes through a pipe is first put into a nameless temporary file.

    Raises:
        AudioFileError: it is missing, is no file or pipe, cannot be read, or the disk is full.
        OptionError: standard input is a terminal.
    """
    if is_pipe(path):
        stream = getattr(sys.stdin, "buffer", None)
        if stream is None or sys.stdin.isatty():
            raise OptionError(f"{STDIN_NAME}: nothing comes in; pipe a recording into the command")
        return _spooled(stream, STDIN_NAME), STDIN_NAME
    name = str(path)
    try:
        kind = os.stat(path).st_mode
        if stat.S_ISDIR(kind):
            raise AudioFileError(f"{name}: is a folder; give a recording")
        if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
            with open(path, "rb") as stream:
                return _spooled(stream, name), name
        if not stat.S_ISREG(kind):
            raise AudioFileError(f"{name}: is a device; give a recording")
        # Closed by the reader that it is opened for.
        return open(path, "rb"), name  # noqa: SIM115
    except FileNotFoundError:
        raise AudioFileError(f"{name}: no such file; check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AudioFileError(f"{name}: cannot be read ({reason})") from None


def _spooled(stream: BinaryIO, name: str) -> BinaryIO:
    try:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(stream, file, 1 << 20)
            file.flush()
            # Closed by the reader that it is made for.
            stack.pop_all()
            return file
    except OSError as error:
        raise AudioFileError(
            f"{name}: cannot be kept in {temporary_folder()} ({error.strerror}); free some "
            "space or set TMPDIR to another folder"
        ) from error


class StdoutWriter:
    """A result that goes to standard output.

    Raises:
        OptionError: standard output is a terminal.
    """

    name = STDOUT_NAME

    def __init__(self) -> None:
        if sys.stdout.isatty():
            raise OptionError(
                f"{STDOUT_NAME}: is a terminal; send it to a program or a file, or name an output"
            )

    def write(self, pieces: Iterable[bytes]) -> None:
        """Write all `pieces`.

        Raises:
            AudioFileError: nobody reads on, or the disk behind it is full.
        """
        sys.stdout.flush()
        target = sys.stdout.fileno()
        with contextlib.suppress(OSError, AttributeError):
            os.set_blocking(target, True)
        try:
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(target, rest) :]
        except BrokenPipeError:
            raise AudioFileError(
                f"{STDOUT_NAME}: was closed before everything was written"
            ) from None
        except OSError as error:
            raise AudioFileError(f"{STDOUT_NAME}: cannot be written ({error.strerror})") from error
