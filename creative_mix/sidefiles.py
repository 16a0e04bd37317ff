"""What a render can write beside the audio: MIDI, the weights over time, and reports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ModelFileError, OptionError
from .midi import SUFFIXES as MIDI_SUFFIXES
from .midi import check_midi, midi_bytes
from .newfile import NewFile

if TYPE_CHECKING:
    from .renderer import Renderer
    from .report.facts import Facts

AnyPath = str | os.PathLike[str]

WEIGHTS_SUFFIXES = (".csv",)
REPORT_SUFFIXES = (".html", ".json")


@dataclass(frozen=True)
class SideFiles:
    """Where to write what."""

    midi: AnyPath | None = None
    """What was composed, .mid."""

    weights: AnyPath | None = None
    """The six weights and the strikes over time, .csv."""

    reports: tuple[AnyPath, ...] = ()
    """Pages or data that show the render, .html or .json."""

    def __post_init__(self) -> None:
        for path, suffixes in self._paths():
            suffix = Path(path).suffix.lower()
            if suffix not in suffixes:
                raise OptionError(f"{path}: name this file {' or '.join(suffixes)}")

    def paths(self) -> list[AnyPath]:
        """Return all of them."""
        return [path for path, _ in self._paths()]

    def _paths(self) -> Iterator[tuple[AnyPath, tuple[str, ...]]]:
        if self.midi is not None:
            yield self.midi, MIDI_SUFFIXES
        if self.weights is not None:
            yield self.weights, WEIGHTS_SUFFIXES
        for path in self.reports:
            yield path, REPORT_SUFFIXES


class SideWriter:
    """Files beside the audio in the making; none shows under its name until all are whole.

    Args:
        wanted: where to write what.
        force: whether existing files may be replaced.
        stack: takes away what is not finished.

    Raises:
        AudioFileError: a file exists already, or its folder cannot be written.
        OptionError: two of them are one.
        RuntimeMissingError: a package that one of them needs is not installed.
    """

    def __init__(self, wanted: SideFiles, force: bool, stack: ExitStack) -> None:
        self._wanted = wanted
        places = [os.path.realpath(path) for path in wanted.paths()]
        for path, place in zip(wanted.paths(), places, strict=True):
            if places.count(place) > 1:
                raise OptionError(f"{path}: is to be two files; give them different names")
        if wanted.midi is not None:
            check_midi()
        self._files: dict[str, NewFile] = {}
        for path in wanted.paths():
            file = NewFile(path, force)
            stack.callback(file.discard)
            self._files[str(path)] = file

    def check_model(self, renderer: Renderer) -> None:
        """Do nothing where a model can tell what is wanted.

        Raises:
            ModelFileError: it tells no notes, and MIDI is wanted.
        """
        if self._wanted.midi is not None and not renderer.tells_notes:
            raise ModelFileError(
                "the model is of an older form, which does not tell its notes; leave --midi out, "
                "or give a model that `creative-mix export` of this version wrote"
            )

    def fill(self, facts: Facts) -> list[str]:
        """Write all files, which have no names yet, and return a line about each.

        Args:
            facts: of the render.

        Raises:
            AudioFileError: the disk is full or a file cannot be written.
        """
        lines, trace = [], facts.trace
        if self._wanted.midi is not None:
            notes = trace.notes()
            bpm = trace.tempo.bpm if trace.tempo else None
            written = midi_bytes(notes, facts.sample_rate, trace.duration_s, bpm)
            self._files[str(self._wanted.midi)].fill(written)
            told = f"{bpm:.1f} beats a minute" if bpm else "no clear tempo"
            lines.append(f"{self._wanted.midi}: {len(notes)} notes, {told}")
        if self._wanted.weights is not None:
            self._files[str(self._wanted.weights)].fill(trace.csv().encode())
            lines.append(f"{self._wanted.weights}: {len(trace.times_s)} frames")
        if self._wanted.reports:
            from .report.writing import write_report

            for path, content in write_report(facts, self._wanted.reports):
                self._files[str(path)].fill(content)
                lines.append(f"{path}: {len(content) / 1e6:.1f} MB")
        return lines

    def give_names(self) -> None:
        """Let the files appear.

        Raises:
            AudioFileError: another file has come to bear the name of one.
        """
        for file in self._files.values():
            with file.writing():
                file.give_name()
