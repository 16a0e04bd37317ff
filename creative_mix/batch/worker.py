"""What a worker does, on this machine or another: load the model once, render pair after pair."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AudioFileError, CreativeMixError, ModelFileError
from ..options import Device
from .digests import Fingerprint, digest, fingerprint

if TYPE_CHECKING:
    from ..mixing import Settings
    from ..renderer import Progress, Renderer


@dataclass(frozen=True)
class WorkerSpec:
    """What all workers of a batch have in common."""

    settings: Settings
    subtype: str | None
    dither: bool
    device: Device
    threads: int
    model_path: str | None
    """None for the model in the package, wherever that lies on the worker's machine."""

    model_digest: str
    version: str


@dataclass(frozen=True)
class Job:
    """One pair to render."""

    index: int
    drums: str
    piano: str
    output: str
    """What messages call the result."""

    part: str
    """Where the result is written; whoever gave the job gives the file its name."""

    known: dict[str, Fingerprint] = field(default_factory=dict)
    """What "drums" and "piano" held when they were last looked at."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job: a finished file, or a reason why there is none."""

    index: int
    error: str | None = None
    state: Fingerprint | None = None
    """Of the finished file."""

    inputs: dict[str, Fingerprint] = field(default_factory=dict)
    """What "drums" and "piano" held."""

    result: dict[str, Any] = field(default_factory=dict)
    took_s: float = 0.0


@dataclass(frozen=True)
class Ready:
    """A worker is there, with its model loaded."""

    device: str
    notice: str | None
    """Why "auto" did not get the GPU."""


class PairRenderer:
    """The model, loaded, and one job after another done with it.

    Args:
        spec: what to render with.
    """

    def __init__(self, spec: WorkerSpec) -> None:
        self.spec = spec
        self._renderer: Renderer | None = None

    def load(self) -> Ready:
        """Load the model.

        Raises:
            ModelFileError: it is not the model of the batch, or this not its version.
            CreativeMixError: no runtime, no device, no model.
        """
        from .. import __version__
        from ..renderer import WEIGHTS_PATH, Renderer

        spec = self.spec
        path = Path(spec.model_path) if spec.model_path else WEIGHTS_PATH
        if __version__ != spec.version:
            raise ModelFileError(
                f"a worker has creative-mix {__version__} where the batch has {spec.version}; "
                "install the same version everywhere"
            )
        renderer = Renderer(path, spec.device, spec.threads)
        if digest(path) != spec.model_digest:
            raise ModelFileError(
                f"{path}: not the model that the batch began with; install the same everywhere, "
                "or give --model with a path that all machines share"
            )
        self._renderer = renderer
        return Ready(renderer.device, renderer.notice)

    def render(self, job: Job, progress: Progress | None = None) -> Outcome:
        """Write the result of a job to its part and say how it went; nothing is raised."""
        started = time.perf_counter()
        error = None
        try:
            return self._render(job, progress, started)
        except CreativeMixError as expected:
            error = str(expected)
        except MemoryError:
            error = "there was not enough memory; give fewer --workers"
        except Exception as unexpected:
            # One pair's fault, of whatever kind, must not cost the others.
            error = f"{type(unexpected).__name__}: {unexpected}"
        error = " ".join(error.replace(job.part, job.output).split())
        return Outcome(job.index, error, took_s=time.perf_counter() - started)

    def _render(self, job: Job, progress: Progress | None, started: float) -> Outcome:
        from ..api import render_files

        assert self._renderer is not None
        inputs = {
            part: _look(path, job.known.get(part))
            for part, path in (("drums", job.drums), ("piano", job.piano))
        }
        notes: list[str] = []
        result = render_files(
            job.drums,
            job.piano,
            job.part,
            settings=self.spec.settings,
            subtype=self.spec.subtype,
            dither=self.spec.dither,
            force=True,  # what a worker that died may have left there
            renderer=self._renderer,
            say=notes.append,
            progress=progress,
        )
        for part, path in (("drums", job.drums), ("piano", job.piano)):
            if not inputs[part].may_be(path):
                raise AudioFileError(f"{path}: was changed while it was rendered; run it again")
        return Outcome(
            job.index,
            state=fingerprint(job.part),
            inputs=inputs,
            result={
                "duration_s": round(result.duration_s, 6),
                "sample_rate": result.sample_rate,
                "channels": result.channels,
                "frames": result.frames,
                "subtype": result.subtype,
                "strikes": result.strikes,
                "weights": result.weights,
                "notes": notes,
            },
            took_s=time.perf_counter() - started,
        )


def _look(path: str, known: Fingerprint | None) -> Fingerprint:
    try:
        return fingerprint(path, known)
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be read ({error.strerror}); check the path") from None
