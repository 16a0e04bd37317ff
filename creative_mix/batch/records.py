"""Files of JSON lines that a kill cannot spoil."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import AudioFileError


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON lines; nothing where there is none.

    A line that a kill cut short is passed over.
    """
    try:
        file = path.open(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read ({error.strerror})") from None
    with file:
        for line in file:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry


def append_line(path: Path, line: str) -> None:
    """Add a line in one write; after a line that was cut short it begins anew.

    Raises:
        AudioFileError: the disk is full or the file cannot be written.
    """
    try:
        with path.open("a+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
                if file.read(1) != b"\n":
                    line = "\n" + line
            file.write(line.encode() + b"\n")
    except OSError as error:
        raise AudioFileError(
            f"{path}: cannot be written ({error.strerror}); is the disk full?"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` under a temporary name, then give the file its own.

    Raises:
        AudioFileError: the disk is full or the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise AudioFileError(
            f"{path}: cannot be written ({error.strerror}); choose another place"
        ) from error
