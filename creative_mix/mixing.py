"""The main job on signals: bring in, fit, render, level, bring out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np

from .alignment import LISTEN_S, LONGEST_STRETCH, Alignment, align_piano
from .audio import FloatArray
from .audio.fit import FittedPiano, falling, stretch_blocks
from .audio.levels import LevelMeter, to_gain
from .audio.rates import resample_blocks, resampled_length
from .audio.store import SampleStore
from .audio.tempo import clear_tempo
from .constants import COMPONENT_NAMES, SAMPLE_RATE, STRIKE_THRESHOLD
from .controls import Controls, bias_vector
from .curve import BiasCurve
from .errors import OptionError
from .finishing import Finish, choose_finish
from .intake import Recording, Section, Signal, check_length, describe_pair, take_in
from .options import CLIPS, FITS, LONGEST_TAIL_S, LOUDNESS_RANGE, Clip, Fit
from .renderer import Block, Progress, Renderer
from .trace import Trace

MATCH_DB = 24.0
"""Most that the result's level is changed to follow the piano's."""

END_FADE_S = 0.005


@dataclass(frozen=True)
class Settings:
    """How to mix."""

    fit: Fit = "loop"
    """What to do with a piano of another length."""

    align: bool = False
    """Whether the piano's tempo and first downbeat are brought to the drums'."""

    mix: float = 0.0
    """Share of the untouched piano in the result, 0..1."""

    bias: Mapping[str, float] = field(default_factory=dict)
    """Bias of the selector by component name, each -8..8."""

    bias_curve: BiasCurve | None = None
    """Added to it, over the seconds of the output."""

    density: float = 1.0
    """Share of the strikes that stay, the strongest first, 0..1."""

    dynamics: float = 1.0
    """Factor on the differences between loud and soft strikes, 0..2."""

    start_s: float = 0.0
    """Where in the drums to begin."""

    duration_s: float | None = None
    """How much of the drums to take; by default all that follow."""

    tail_s: float = 0.0
    """How long the last notes ring on after the drums, 0..600."""

    loudness_lufs: float | None = None
    """Loudness of the result, -70..0; by default the piano's."""

    clip: Clip = "rescale"
    """What to do about peaks that would clip: "rescale" makes the whole quieter, "limit" holds them
    down, "none" leaves them."""

    def __post_init__(self) -> None:
        for name in (
            "mix",
            "density",
            "dynamics",
            "start_s",
            "duration_s",
            "tail_s",
            "loudness_lufs",
        ):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, float(value))  # NumPy's scalars are no JSON
        own = {name: float(value) for name, value in self.bias.items()}
        object.__setattr__(self, "bias", own)
        if self.fit not in FITS:
            raise OptionError(f"fit {self.fit!r} is unknown; choose one of {', '.join(FITS)}")
        if not 0.0 <= self.mix <= 1.0:
            raise OptionError(f"mix {self.mix:g} is out of range; give 0 to 1")
        bias_vector(self.bias)
        if self.align and self.fit == "stretch":
            raise OptionError(
                "align stretches the piano to the drums' tempo and fit 'stretch' to their length; "
                "give one of the two"
            )
        _ = self.controls  # it checks its values
        if not 0.0 <= self.start_s < math.inf:
            raise OptionError(f"start {self.start_s:g} s is out of range; give 0 or more")
        if self.duration_s is not None and not 0.0 < self.duration_s < math.inf:
            raise OptionError(f"duration {self.duration_s:g} s is out of range; give more than 0")
        if not 0.0 <= self.tail_s <= LONGEST_TAIL_S:
            raise OptionError(
                f"tail {self.tail_s:g} s is out of range; give 0 to {LONGEST_TAIL_S:g}"
            )
        low, high = LOUDNESS_RANGE
        if self.loudness_lufs is not None and not low <= self.loudness_lufs <= high:
            raise OptionError(
                f"loudness {self.loudness_lufs:g} LUFS is out of range; give {low:g} to {high:g}"
            )
        if self.clip not in CLIPS:
            raise OptionError(f"clip {self.clip!r} is unknown; choose one of {', '.join(CLIPS)}")

    @property
    def controls(self) -> Controls:
        """What is asked of the model beside the bias."""
        return Controls(self.density, self.dynamics, self.bias_curve)

    @property
    def has_bias(self) -> bool:
        """Whether any component is drawn at, at any time."""
        curve = self.bias_curve
        return any(self.bias.values()) or (curve is not None and not curve.is_flat)


@dataclass(frozen=True)
class Sources:
    """What a result was made from, at 44.1 kHz and of its length."""

    drums: SampleStore
    piano: FittedPiano


@dataclass
class Mixture:
    """A result that waits to be written."""

    store: SampleStore
    """Its samples at the piano's rate, before `finish`."""

    sample_rate: int
    finish: Finish
    """What brings them to their level."""

    weights: dict[str, float]
    """Mean weight of each component over the frames."""

    strikes: int
    """Strikes that the model made."""

    notes: list[str]
    """One line for everything that was decided."""

    sources: Sources | None = None
    """Where they were to be kept."""

    def blocks(self) -> Iterator[FloatArray]:
        """Return the finished samples in order, in blocks of shape (C, any)."""
        return self.finish.blocks(self.store, self.sample_rate)


def mix_signals(
    drums: Signal,
    piano: Signal,
    load: Callable[[], Renderer],
    settings: Settings,
    stack: ExitStack,
    progress: Progress | None = None,
    trace: Trace | None = None,
    keep_sources: bool = False,
) -> Mixture:
    """Return the piano's performance in the rhythm of the drums.

    It lasts as long as what is taken of the drums and the tail after it, and has the piano's rate
    and channels.

    Args:
        drums: the rhythm.
        piano: the sound and the harmony.
        load: gives the model, once the recordings are in.
        settings: how to mix.
        stack: closes the result's store, and those of the sources that are kept.
        progress: called with the share that is done.
        trace: notes what the model says beside the audio.
        keep_sources: whether the result shall hold what it was made from.

    Raises:
        AudioFileError: a recording is damaged or too short.
    """
    with ExitStack() as inner:
        section = Section(drums, settings.start_s, settings.duration_s)
        taken = take_in(section, inner)
        heard = taken.store.length
        frames = taken.frames + round(settings.tail_s * drums.sample_rate)
        taken.store.append_silence(resampled_length(frames, drums.sample_rate, SAMPLE_RATE) - heard)
        length = taken.store.length
        out_length = resampled_length(frames, drums.sample_rate, piano.sample_rate)
        # A piano that is cut need not be read beyond the drums' end.
        limit = None if settings.fit == "stretch" else length
        if settings.align:
            limit = int(length * LONGEST_STRETCH + LISTEN_S * SAMPLE_RATE)
        source = take_in(piano, inner, limit)
        renderer = load()
        for signal, recording in ((drums, taken), (piano, source)):
            check_length(signal, recording, renderer.least_samples)
        alignment = Alignment()
        if settings.align:
            alignment = align_piano(
                *(taken.store, source.store, drums.name, piano.name), loops=settings.fit == "loop"
            )
        aligned = alignment.placement is not None
        notes = section.notes()
        notes += describe_pair(drums, piano, taken, source, settings.fit, aligned)
        notes += alignment.notes
        fitted = _fit(source, length, settings.fit, alignment, inner)
        if trace is not None:
            duration_s = out_length / piano.sample_rate
            trace.begin(duration_s, settings.dynamics, clear_tempo(taken.store))

        rendered = inner.enter_context(SampleStore(piano.channels))
        match = _LevelMatch(heard)
        counts = _Counts()
        if source.silent:
            notes.append(f"{piano.name}: silent, and so is the output")
            rendered.append_silence(length)
        elif taken.silent and not settings.has_bias:
            notes.append(f"{drums.name}: silent, and so nothing is struck")
            rendered.append_silence(length)
        else:
            for block in _render(renderer, taken, source, fitted, settings, trace is not None):
                stop = block.start + block.mix.shape[1]
                match.add(block.start, block.mix, fitted.read(block.start, stop))
                rendered.append(block.mix)
                counts.add(block.weights, block.strikes)
                if trace is not None:
                    trace.add(block)
                if progress is not None:
                    progress(stop / length)

        if progress is not None and not counts.frames:
            progress(1.0)
        out = stack.enter_context(SampleStore(piano.channels))
        level = 1.0
        if 0 < settings.mix < 1:  # the two are hardly alike, and what they make together is softer
            both = _LevelMatch(heard)
            for start, mixed in _blend(rendered, fitted, match.gain, settings.mix):
                both.add(start, mixed, fitted.read(start, start + mixed.shape[1]))
            level = both.gain
        blended = (
            mixed * np.float32(level)
            for _, mixed in _blend(rendered, fitted, match.gain, settings.mix)
        )
        meter = LevelMeter(piano.sample_rate)
        for piece in _fade_end(
            resample_blocks(blended, SAMPLE_RATE, piano.sample_rate, out_length),
            out_length,
            piano.sample_rate,
        ):
            meter.add(piece)
            out.append(piece)
        sources = None
        if keep_sources:
            sources = Sources(taken.store, fitted)
            stack.enter_context(inner.pop_all())
    finish = choose_finish(out, meter, piano.sample_rate, settings.loudness_lufs, settings.clip)
    notes.extend(finish.notes)
    weights, strikes = counts.mean_weights(), counts.strikes
    return Mixture(out, piano.sample_rate, finish, weights, strikes, notes, sources)


def _fit(
    source: Recording, length: int, fit: Fit, alignment: Alignment, stack: ExitStack
) -> FittedPiano:
    store = source.store
    wanted = length if fit == "stretch" else round(store.length * alignment.factor)
    if store.length != wanted:
        store = stack.enter_context(SampleStore(source.store.channels))
        for block in stretch_blocks(source.store, wanted, SAMPLE_RATE):
            store.append(block)
    return FittedPiano(store, length, fit, SAMPLE_RATE, alignment.placement)


class _LevelMatch:
    """The level of the performance beside the piano's, while there are drums."""

    def __init__(self, heard: int) -> None:
        self._heard = heard
        self._wet, self._dry = LevelMeter(SAMPLE_RATE), LevelMeter(SAMPLE_RATE)

    def add(self, start: int, wet: FloatArray, dry: FloatArray) -> None:
        # In the tail the performance dies away, and the piano it is compared with does not.
        count = max(0, self._heard - start)
        self._wet.add(wet[:, :count])
        self._dry.add(dry[:, :count])

    @property
    def gain(self) -> float:
        """Makes the performance as loud as the piano; 1 where either is silent."""
        change_db = self._dry.loudness_lufs - self._wet.loudness_lufs
        if not math.isfinite(change_db):
            return 1.0
        return to_gain(min(max(change_db, -MATCH_DB), MATCH_DB))


class _Counts:
    """What the model says beside the audio, summed over the blocks."""

    def __init__(self) -> None:
        self._sums = np.zeros(len(COMPONENT_NAMES))
        self.frames = 0
        self.strikes = 0
        self._struck = False

    def add(self, weights: FloatArray, strikes: FloatArray) -> None:
        self._sums += weights.sum(axis=1, dtype=np.float64)
        self.frames += weights.shape[1]
        struck = np.concatenate([[self._struck], strikes > STRIKE_THRESHOLD])
        self.strikes += int((struck[1:] & ~struck[:-1]).sum())
        self._struck = bool(struck[-1])

    def mean_weights(self) -> dict[str, float]:
        if not self.frames:
            return {}
        mean = self._sums / self.frames
        return {name: float(value) for name, value in zip(COMPONENT_NAMES, mean, strict=True)}


def _render(
    renderer: Renderer,
    taken: Recording,
    source: Recording,
    fitted: FittedPiano,
    settings: Settings,
    with_notes: bool,
) -> Iterator[Block]:
    """Yield the performance in order, at the piano's own level."""
    drums_gain, piano_gain = np.float32(taken.input_gain), np.float32(source.input_gain)
    for block in renderer.render_blocks(
        lambda start, stop: taken.store.read(start, stop) * drums_gain,
        lambda start, stop: fitted.read(start, stop) * piano_gain,
        taken.store.length,
        settings.bias,
        settings.controls,
        with_notes,
    ):
        yield replace(block, mix=block.mix / piano_gain)


def _blend(
    rendered: SampleStore, fitted: FittedPiano, gain: float, share: float
) -> Iterator[tuple[int, FloatArray]]:
    """Yield what is mixed of performance and piano, and at which sample it begins."""
    start = 0
    for block in rendered.blocks():
        stop = start + block.shape[1]
        mixed = block * np.float32(gain * (1.0 - share))
        if share > 0:
            mixed += fitted.read(start, stop) * np.float32(share)
        yield start, mixed
        start = stop


def _fade_end(blocks: Iterator[FloatArray], length: int, sample_rate: int) -> Iterator[FloatArray]:
    """Yield `blocks` with the last 5 ms faded."""
    fade = falling(min(int(END_FADE_S * sample_rate), length))
    first = length - len(fade)
    start = 0
    for block in blocks:
        stop = start + block.shape[1]
        if stop > first:
            block = block.copy()
            begin = max(start, first)
            block[:, begin - start :] *= fade[begin - first : stop - first]
        start = stop
        yield block
