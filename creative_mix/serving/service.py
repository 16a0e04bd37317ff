"""Renders one pair of files after another with a model that stays loaded."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile as sf

from ..api import render_files
from ..errors import CreativeMixError, OptionError
from ..renderer import Progress, Renderer
from .controls import settings_from

_PLAYABLE = {"PCM_32": "PCM_24", "DOUBLE": "FLOAT"}
"""Sample formats that browsers play, in place of the piano's that they do not."""


class StoppedError(CreativeMixError):
    """The job was cancelled."""


@dataclass(frozen=True)
class Outcome:
    """A finished job."""

    path: Path
    lines: tuple[str, ...]
    """What was decided, a line each."""

    weights: dict[str, float]


@dataclass
class _Job:
    owner: str
    stopped: threading.Event


class Service:
    """Renders pairs, one at a time; whoever comes meanwhile waits.

    Args:
        renderer: the loaded model.
        folder: where the results are put, a folder of its own for each.
    """

    def __init__(self, renderer: Renderer, folder: Path) -> None:
        self._renderer = renderer
        self._folder = folder
        self._turn = threading.Lock()
        self._running: _Job | None = None

    def render(
        self,
        drums: str | None,
        piano: str | None,
        values: Sequence[Any],
        owner: str = "",
        progress: Progress | None = None,
    ) -> Outcome:
        """Return the file in which the piano plays the rhythm of the drums.

        Args:
            drums: path of the recording that gives the rhythm.
            piano: path of the recording that gives the sound.
            values: of CONTROLS, in their order.
            owner: who may cancel the job.
            progress: called with the share that is done, 0..1.

        Raises:
            StoppedError: the owner cancelled the job.
            CreativeMixError: of another kind, with one line that names the file and the remedy.
        """
        if not drums:
            raise OptionError("the drums are missing; give a recording of them")
        if not piano:
            raise OptionError("the piano is missing; give a recording of it")
        settings = settings_from(values)
        lines: list[str] = []
        job = _Job(owner, threading.Event())

        def watched(share: float) -> None:
            if job.stopped.is_set():
                raise StoppedError("stopped")
            if progress is not None:
                progress(share)

        with self._turn:
            self._running = job
            try:
                result = render_files(
                    drums,
                    piano,
                    self._place_for(Path(piano)),
                    settings=settings,
                    subtype=_playable_subtype(piano),
                    renderer=self._renderer,
                    say=lines.append,
                    progress=watched,
                )
            except CreativeMixError as error:
                raise type(error)(_without_folders(str(error), drums, piano)) from error
            finally:
                self._running = None
        told = tuple(_without_folders(line, drums, piano) for line in lines)
        return Outcome(result.path, told, result.weights)

    def cancel(self, owner: str = "") -> bool:
        """Stop the owner's job at its next chunk; return whether one was running."""
        job = self._running
        if job is None or job.owner != owner:
            return False
        job.stopped.set()
        return True

    def _place_for(self, piano: Path) -> Path:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        suffix = ".flac" if piano.suffix.lower() == ".flac" else ".wav"
        return folder / f"{piano.stem}.mix{suffix}"


def _playable_subtype(piano: str) -> str | None:
    """Return a sample format in place of the piano's; none where that one does."""
    try:
        return _PLAYABLE.get(sf.info(piano).subtype)
    except (sf.LibsndfileError, RuntimeError, OSError):
        return None  # the reading of the file will tell what is wrong with it


def _without_folders(line: str, *paths: str) -> str:
    """Return a line that names files as their owners know them."""
    for path in paths:
        line = line.replace(path, Path(path).name)
    return line
