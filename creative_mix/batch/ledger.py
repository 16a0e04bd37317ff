"""What a batch has made, and from what: so that it is made once."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import AudioFileError
from .digests import Fingerprint, digest
from .records import append_line, read_lines

Recipe = dict[str, Any]
"""What an output follows from: digests of drums, piano and model, the version, the options.

Neither the device nor the number of threads is part of it: they move rounding alone, and a folder
that was begun with one number of workers may be ended with another."""


@dataclass(frozen=True)
class Entry:
    """An output that was made."""

    output: str
    """Relative to the batch's folder."""

    recipe: Recipe
    state: Fingerprint
    part: str
    """Relative place of the finished file before it got its name."""

    result: dict[str, Any]
    """What the render said of itself."""


class Ledger:
    """The entries of a folder, in a file of JSON lines that one process at a time adds to.

    An entry is written before its output gets its name.  So after a kill at any moment an output
    that is there has its entry, and an entry whose output is not there tells where it waits.

    Args:
        folder: the batch's folder.
        path: of the file, which need not exist.
    """

    def __init__(self, folder: Path, path: Path) -> None:
        self._folder, self._path = folder, path
        self._entries: defaultdict[str, list[Entry]] = defaultdict(list)
        for line in read_lines(path):
            try:
                line["state"] = Fingerprint(**line["state"])
                entry = Entry(**line)
            except (KeyError, TypeError):
                continue
            self._entries[entry.output].append(entry)

    def outputs(self) -> set[Path]:
        """Return the resolved paths of all outputs that were ever made."""
        return {(self._folder / name).resolve() for name in self._entries}

    def knows(self, output: str) -> bool:
        """Whether the output was made once, be it there or not."""
        return output in self._entries

    def whole(self, output: str) -> Entry | None:
        """Return the entry of what lies there, or None where it is not as it was made.

        The content is read only where the time is not the one that was noted.
        """
        path, entries = self._folder / output, self._entries.get(output, [])
        for entry in reversed(entries):
            if entry.state.may_be(path):
                return entry
        try:
            size = path.stat().st_size
            alike = [entry for entry in entries if entry.state.size == size]
            found = digest(path) if alike else ""
        except OSError:
            return None
        return next((entry for entry in reversed(alike) if entry.state.digest == found), None)

    def recover(self) -> None:
        """Give their names to finished files that a kill kept from having them."""
        for output, entries in self._entries.items():
            path, entry = self._folder / output, entries[-1]
            if not entry.state.may_be(self._folder / entry.part):
                continue
            # Beside nothing, or in place of what an earlier batch made; of nobody else's file.
            if self.whole(output) is not None or not path.exists():
                self._name(entry)

    def commit(self, entry: Entry) -> None:
        """Note an output and give the finished file its name.

        Raises:
            AudioFileError: the disk is full or the folder cannot be written.
        """
        append_line(self._path, json.dumps(asdict(entry)))
        self._entries[entry.output].append(entry)
        self._name(entry)

    def _name(self, entry: Entry) -> None:
        path = self._folder / entry.output
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._folder / entry.part, path)
        except OSError as error:
            raise AudioFileError(
                f"{path}: cannot be written ({error.strerror}); is the folder writable?"
            ) from error
