"""A recording brought to the model's rate, and what is worth saying about it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from .audio import FloatArray
from .audio.levels import LevelMeter, to_gain
from .audio.rates import resample_blocks
from .audio.store import SampleStore
from .audio.tempo import LISTEN_S, estimate_tempo, tempi_differ
from .constants import SAMPLE_RATE
from .errors import AudioFileError
from .options import Fit

HIGHEST_PEAK = 1e30
"""Beyond it float32 cannot hold what is made of a recording."""

SILENT_PEAK = 1e-5
"""Peak, -100 dBFS, below which a recording counts as silence."""

INPUT_LUFS = (-40.0, -8.0)
"""What the model hears lies within: quieter and louder recordings are brought to the bounds."""


class Signal(Protocol):
    """A recording that comes in blocks."""

    @property
    def name(self) -> str: ...

    @property
    def sample_rate(self) -> int: ...

    @property
    def channels(self) -> int: ...

    def blocks(self) -> Iterator[FloatArray]: ...


class Section:
    """The part of a signal that is wanted; it is one itself.

    Args:
        signal: the whole.
        start_s: where the part begins.
        duration_s: how long it is; by default it goes on to the end.
    """

    def __init__(
        self, signal: Signal, start_s: float = 0.0, duration_s: float | None = None
    ) -> None:
        self._signal = signal
        self._duration_s = duration_s
        self.name = signal.name
        self.sample_rate = signal.sample_rate
        self.channels = signal.channels
        self._first = round(start_s * signal.sample_rate)
        wanted = None if duration_s is None else max(1, round(duration_s * signal.sample_rate))
        self._count = wanted
        self._given = 0

    def blocks(self) -> Iterator[FloatArray]:
        """Yield the part in order.

        Shape: each (C, any).

        Raises:
            AudioFileError: the signal ends before the part begins.
        """
        at = 0
        for block in self._signal.blocks():
            begin = max(0, self._first - at)
            at += block.shape[1]
            piece = block[:, begin:]
            if self._count is not None:
                piece = piece[:, : self._count - self._given]
            if piece.shape[1]:
                self._given += piece.shape[1]
                yield piece
            if self._given == self._count:
                return
        if not self._given:
            raise AudioFileError(
                f"{self.name}: lasts {at / self.sample_rate:.2f} s, and the start asked for is at "
                f"{self._first / self.sample_rate:.2f} s; give an earlier one"
            )

    def notes(self) -> list[str]:
        """Return a line where less has come than was wanted."""
        if self._count is None or self._given == self._count:
            return []
        return [
            f"{self.name}: {self._given / self.sample_rate:.2f} s of the {self._duration_s:g} s "
            "asked for are there"
        ]


@dataclass(frozen=True)
class Recording:
    """A signal at the model's rate."""

    store: SampleStore
    frames: int
    """Frames of the source that came in."""

    meter: LevelMeter

    @property
    def silent(self) -> bool:
        return self.meter.peak < SILENT_PEAK

    @property
    def input_gain(self) -> float:
        """Brings the level to where the model is at home; 1 for nearly every recording."""
        loudness = self.meter.loudness_lufs
        if not math.isfinite(loudness):
            # What has a level and no loudness, a steady offset above all.
            return 1.0 / max(1.0, self.meter.peak)
        low, high = INPUT_LUFS
        return to_gain(min(max(loudness, low), high) - loudness)


def take_in(signal: Signal, stack: ExitStack, limit: int | None = None) -> Recording:
    """Return `signal` at the model's rate; from `limit` samples on, no more is read.

    Raises:
        AudioFileError: it is damaged, or louder than any sound.
    """
    store = stack.enter_context(SampleStore(signal.channels))
    meter = LevelMeter(SAMPLE_RATE)
    frames = 0

    def counted() -> Iterator[FloatArray]:
        nonlocal frames
        for block in signal.blocks():
            frames += block.shape[1]
            yield block

    for block in resample_blocks(counted(), signal.sample_rate, SAMPLE_RATE):
        meter.add(block)
        if meter.peak > HIGHEST_PEAK:
            raise AudioFileError(
                f"{signal.name}: a sample of {meter.peak:g} at full scale 1 is no sound; export it "
                "again from its source"
            )
        store.append(block)
        if limit is not None and store.length >= limit:
            break
    return Recording(store, frames, meter)


def check_length(signal: Signal, recording: Recording, least: int) -> None:
    """Do nothing where a recording has `least` samples.

    Raises:
        AudioFileError: it has fewer.
    """
    if recording.store.length < least:
        raise AudioFileError(
            f"{signal.name}: {recording.store.length / SAMPLE_RATE:.3f} s of it to render, and "
            f"{least / SAMPLE_RATE:.3f} s is the least; give a longer recording or section of it"
        )


def describe_pair(
    drums: Signal, piano: Signal, taken: Recording, source: Recording, fit: Fit, aligned: bool
) -> list[str]:
    """Return a line for everything about the two recordings that one might not expect.

    Where they are `aligned`, their tempi and lengths are told by what aligns them.
    """
    notes = []
    if piano.sample_rate != SAMPLE_RATE:
        notes.append(
            f"{piano.name}: {piano.sample_rate} Hz, rendered at {SAMPLE_RATE} Hz and written at "
            f"{piano.sample_rate} Hz"
        )
    if drums.sample_rate != SAMPLE_RATE:
        notes.append(f"{drums.name}: {drums.sample_rate} Hz, rendered at {SAMPLE_RATE} Hz")
    if aligned:
        return notes
    listen = int(LISTEN_S * SAMPLE_RATE)
    first = estimate_tempo(taken.store.read(0, listen))
    second = estimate_tempo(source.store.read(0, listen))
    if fit != "stretch" and tempi_differ(first, second) and first and second:
        notes.append(
            f"tempo: about {first.bpm:.0f} beats a minute in the drums and {second.bpm:.0f} in the "
            "piano; the output keeps the drums' beat, its harmony changes with the piano's"
        )
    length, period = taken.store.length, source.store.length
    if period < length:
        lasts = f"{piano.name}: lasts {period / SAMPLE_RATE:.2f} s of {length / SAMPLE_RATE:.2f} s"
        what = {
            "loop": f"looped {length / period:.2f} times",
            "none": "silence follows",
            "stretch": f"stretched {length / period:.2f} times",
        }[fit]
        notes.append(f"{lasts}, {what}")
    elif fit == "stretch" and period > length:
        notes.append(f"{piano.name}: stretched {length / period:.2f} times to the drums' length")
    return notes
