"""The main job for arrays and for files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from . import __version__
from .audio import BLOCK_FRAMES, FloatArray
from .audio.files import AudioReader
from .audio.metadata import carry_over
from .audio.output import AudioWriter, check_rate, check_subtype, choose_subtype, output_format
from .audio.pipes import is_pipe
from .audio.rates import HIGHEST_RATE, LOWEST_RATE
from .audio.riff import SAMPLE_BYTES
from .curve import BiasCurve
from .errors import OptionError
from .mixing import Settings, mix_signals
from .options import Clip, Device, Fit
from .renderer import Progress, Renderer, bias_vector
from .report.facts import Facts
from .sidefiles import SideFiles, SideWriter
from .trace import Trace


@dataclass(frozen=True)
class _ArraySignal:
    name: str
    sample_rate: int
    samples: FloatArray

    @property
    def channels(self) -> int:
        return self.samples.shape[0]

    def blocks(self) -> Iterator[FloatArray]:
        for start in range(0, self.samples.shape[1], BLOCK_FRAMES):
            yield self.samples[:, start : start + BLOCK_FRAMES]


def render(
    drums: npt.ArrayLike,
    piano: npt.ArrayLike,
    sample_rate: int,
    *,
    fit: Fit = "loop",
    align: bool = False,
    mix: float = 0.0,
    bias: Mapping[str, float] | None = None,
    bias_curve: BiasCurve | Mapping[str, Sequence[float]] | None = None,
    density: float = 1.0,
    dynamics: float = 1.0,
    start_s: float = 0.0,
    duration_s: float | None = None,
    tail_s: float = 0.0,
    loudness_lufs: float | None = None,
    clip: Clip = "rescale",
    device: Device = "auto",
    threads: int | None = None,
    renderer: Renderer | None = None,
    progress: Progress | None = None,
    trace: Trace | None = None,
    say: Callable[[str], None] | None = None,
) -> FloatArray:
    """Return the piano's performance in the rhythm of the drums, as long as the drums and the tail.

    Args:
        drums: samples, nominally within -1..1.
        piano: samples of the same rate, of any length.
        sample_rate: samples a second of both and of the result, 4000..768000.
        fit: what to do with a shorter piano: "loop", "stretch" (also with a longer one) or "none".
        align: whether the piano's tempo and first downbeat are brought to the drums', or its beats
            where bars are not clear; where a beat is not clear, the piano stays as it is.
        mix: share of the untouched piano in the result, 0..1.
        bias: of the selector, by component name, each -8..8.
        bias_curve: added to it over the seconds of the result: "time_s" and values by component
            name, with lines between them.
        density: share of the strikes that stay, the strongest first, 0..1.
        dynamics: factor on the differences between loud and soft strikes, 0..2.
        start_s: where in the drums to begin.
        duration_s: how much of the drums to take; by default all that follow.
        tail_s: how long the last notes ring on after the drums, 0..600.
        loudness_lufs: of the result, -70..0; by default the piano's.
        clip: what to do about peaks that would clip: "rescale", "limit" or "none".
        device: "auto", "cpu" or "cuda"; not used where `renderer` is given.
        threads: CPU threads; not used where `renderer` is given.
        renderer: a loaded model, to render many recordings with.
        progress: called with the share that is done, 0..1.
        trace: holds afterwards what was composed: weights, strikes and notes over time.
        say: called with a line for everything that one might not expect.

    Shape: drums (N,) or (1 or 2, N), piano (M,) or (C, M) with C of 1 or 2 -> (N,) or (C, N), where
        N is that of the drums but for `start_s`, `duration_s` and `tail_s`.

    Raises:
        OptionError: an argument is out of range.
        AudioFileError: a recording is shorter than the model takes.
        RuntimeMissingError: no ONNX Runtime is installed.
        DeviceError: `device` is "cuda" and CUDA cannot be used.
        ModelFileError: the model cannot do what is asked of it.
    """
    if bias_curve is not None and not isinstance(bias_curve, BiasCurve):
        bias_curve = BiasCurve.of(bias_curve)
    settings = Settings(
        fit=fit,
        align=align,
        mix=mix,
        bias=bias or {},
        bias_curve=bias_curve,
        density=density,
        dynamics=dynamics,
        start_s=start_s,
        duration_s=duration_s,
        tail_s=tail_s,
        loudness_lufs=loudness_lufs,
        clip=clip,
    )
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise OptionError(
            f"sample_rate {sample_rate} is out of range; give {LOWEST_RATE} to {HIGHEST_RATE} Hz"
        )
    first = _as_signal("drums", drums, sample_rate)
    second = _as_signal("piano", piano, sample_rate)
    with ExitStack() as stack:
        loaded = renderer or Renderer(device=device, threads=threads)
        mixture = mix_signals(first, second, lambda: loaded, settings, stack, progress, trace)
        if say is not None:
            for line in mixture.notes:
                say(line)
        out = np.concatenate(list(mixture.blocks()), axis=1)
    return out[0] if np.ndim(piano) == 1 else out


def _as_signal(name: str, samples: npt.ArrayLike, sample_rate: int) -> _ArraySignal:
    given = np.asarray(samples)
    if isinstance(samples, np.ndarray) and given.dtype.kind != "f":
        raise OptionError(
            f"{name} has the type {given.dtype}; give floating-point samples within -1..1"
        )
    array = np.ascontiguousarray(given, np.float32)
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or not 1 <= array.shape[0] <= 2:
        raise OptionError(
            f"{name} has the shape {np.shape(samples)}; give (samples,) or (1 or 2, samples)"
        )
    if not array.shape[1]:
        raise OptionError(f"{name} has no samples")
    if not np.isfinite(array).all():
        raise OptionError(f"{name} has a NaN or infinite sample; remove it")
    return _ArraySignal(name, int(sample_rate), array)


@dataclass(frozen=True)
class FileResult:
    """What was written."""

    path: Path
    sample_rate: int
    channels: int
    frames: int
    subtype: str
    device: str
    weights: dict[str, float]
    strikes: int

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self.frames / self.sample_rate


def render_files(
    drums: str | os.PathLike[str],
    piano: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    settings: Settings | None = None,
    subtype: str | None = None,
    dither: bool = True,
    force: bool = False,
    device: Device = "auto",
    threads: int | None = None,
    model_path: str | os.PathLike[str] | None = None,
    renderer: Renderer | None = None,
    side: SideFiles | None = None,
    say: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> FileResult:
    """Write the piano's performance in the rhythm of the drums, in bounded memory.

    The output is as long as the drums; rate, channels (up to two) and subtype are the piano's, and
    so are title and the like.  Of the two inputs, one may be "-" for standard input.

    Args:
        drums: recording that gives the rhythm: WAV, FLAC, OGG or MP3.
        piano: recording that gives the sound and the harmony.
        output: .wav or .flac; nothing appears there unless the whole job succeeds.  "-" is standard
            output, which takes a WAV.
        settings: how to mix.
        subtype: one of `creative_mix.audio.output.SUBTYPES`; by default the piano's.
        dither: whether outputs of up to 24 bits are dithered.
        force: whether an existing output may be replaced.
        device: "auto", "cpu", "cuda" or "tensorrt"; not used where `renderer` is given.
        threads: CPU threads, by default as many as there are cores; not used where `renderer` is
            given.
        model_path: another model than the one that comes with the package.
        renderer: a loaded model, to render many recordings with.
        side: what to write beside the audio; `force` holds for it, too.
        say: called with one line for everything that was decided.
        progress: called with the share that is done, 0..1.

    Raises:
        CreativeMixError: of some kind, with one line that names the file and the remedy.
    """
    settings, side = settings or Settings(), side or SideFiles()
    say = say or (lambda line: None)
    output_format(output)
    if is_pipe(drums) and is_pipe(piano):
        raise OptionError("drums and piano cannot both come from standard input; give one a file")
    if subtype is not None:
        check_subtype(output, subtype)
    with ExitStack() as stack:
        first = stack.enter_context(AudioReader(drums))
        second = stack.enter_context(AudioReader(piano))
        for source in (first, second):
            for path in [output, *side.paths()]:
                if not is_pipe(path) and source.is_at(path):
                    raise OptionError(f"{path}: is an input too; give the output another name")
        check_rate(output, second.sample_rate)
        writer = AudioWriter(output, force)
        stack.callback(writer.discard)
        beside = SideWriter(side, force, stack)
        # The model loads while the recordings come in.
        loading = stack.enter_context(ThreadPoolExecutor(1)).submit(
            lambda: renderer or Renderer(model_path, device, threads)
        )

        def load() -> Renderer:
            loaded = loading.result()
            beside.check_model(loaded)
            if loaded is not renderer:
                if loaded.notice:
                    say(loaded.notice)
                where = loaded.device
                if where == "cpu":
                    where += f", {loaded.threads} threads"
                say(f"device: {where}")
            return loaded

        for source in (first, second):
            if source.file_channels > 2:
                say(f"{source.name}: {source.file_channels} channels, mixed down to stereo")
        word = None
        if subtype is None:
            subtype, word = choose_subtype(output, second.subtype)
        trace = Trace() if side.paths() else None
        mixture = mix_signals(
            first, second, load, settings, stack, progress, trace, bool(side.reports)
        )
        frames = mixture.store.length
        for line in [*mixture.notes, word]:
            if line:
                say(line)
        told = []
        if trace is not None:
            facts = Facts(first.name, second.name, writer.name, settings, subtype, mixture, trace)
            told = beside.fill(facts)
        metadata = carry_over(
            first.metadata,
            second.metadata,
            rates=(first.sample_rate, second.sample_rate),
            start_s=settings.start_s,
            frames=frames,
            coding=_coding_history(second.sample_rate, second.channels, subtype),
        )
        word = writer.write(
            mixture.blocks(),
            mixture.sample_rate,
            second.channels,
            frames,
            subtype,
            metadata,
            dither,
        )
        beside.give_names()
        for line in [word, *told]:
            if line:
                say(line)
    return FileResult(
        Path(output),
        mixture.sample_rate,
        second.channels,
        frames,
        subtype,
        loading.result().device,
        mixture.weights,
        mixture.strikes,
    )


def _coding_history(sample_rate: int, channels: int, subtype: str) -> str:
    """Return a line as EBU R 98 has it."""
    mode = "stereo" if channels == 2 else "mono"
    bits = 8 * SAMPLE_BYTES[subtype]
    return f"A=PCM,F={sample_rate},W={bits},M={mode},T=creative-mix {__version__}"


__all__ = ["FileResult", "Settings", "bias_vector", "render", "render_files"]
