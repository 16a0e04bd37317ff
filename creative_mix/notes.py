"""The notes of a performance, read from what the model says about every frame.

The rule is that of the truth which the model learned: at a strike each voice strikes its keys, hits
within 15 ms are one strike, and a note rings until its key is struck again or the piano lets it go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .audio import FloatArray
from .constants import (
    HOP_LENGTH,
    LOWEST_PITCH,
    OWN_LEVEL,
    SAMPLE_RATE,
    STRIKE_THRESHOLD,
    VOICE_NAMES,
)
from .renderer import NoteFrames

MERGE_S = 0.015
"""Strikes of several voices within this time are one."""

OWN_VELOCITY = 80
"""Velocity that the piano's own notes are taken to have: mezzo-forte, for nothing tells it."""

KEY_THRESHOLD = 0.3
"""Probability from which an inner voice strikes a key: where the F measure of notes is highest."""

LIKELY_KEY = 0.15
"""Probability from which a voice strikes its likeliest key, be it the only one."""

HELD_THRESHOLD = 0.3
"""Probability below which a key no longer sounds."""

_HELD_AHEAD_S = 0.030
"""A strike strikes what sounds so much later: by so much is a key let go later than it seems."""

_GAP_FRAMES = 4
"""A key that seems to be let go for less is still held."""

SHORTEST_NOTE_S = 0.05
LONGEST_NOTE_S = 30.0


@dataclass(frozen=True)
class Note:
    """A note that is struck; times in seconds from the output's beginning."""

    start_s: float
    end_s: float
    pitch: int
    """MIDI pitch, 21..108."""

    velocity: int
    """MIDI velocity, 1..127."""


@dataclass(frozen=True)
class Strike:
    """A moment at which voices are struck, in seconds from the output's beginning."""

    time_s: float
    levels: Mapping[str, float]
    """How hard each struck voice is, 0..1, a velocity / 127 of the drum hit."""

    pitches: Mapping[str, tuple[int, ...]]
    """MIDI pitches that each struck voice strikes; none where nothing is held."""


@dataclass(frozen=True)
class _Peak:
    """A frame in which a voice is struck."""

    time_s: float
    voice: int
    frame: int
    probability: float
    level: float


class NoteReader:
    """Collects what a model says frame by frame, and reads strikes and notes from it.

    About 50 bytes a frame, 16 MB an hour.
    """

    def __init__(self) -> None:
        self._onsets: list[FloatArray] = []
        self._timing: list[FloatArray] = []
        self._levels: list[FloatArray] = []
        self._held: list[npt.NDArray[np.uint8]] = []
        self._keys: dict[int, npt.NDArray[np.uint8]] = {}
        self._frames = 0

    def add(self, told: NoteFrames) -> None:
        """Add the next frames."""
        self._onsets.append(told.onsets)
        self._timing.append(told.timing)
        self._levels.append(told.levels)
        held = told.keys.max(axis=0) >= HELD_THRESHOLD
        self._held.append(np.packbits(held, axis=0))
        # Of the keys only what a strike can need is kept, in steps of 1/255.
        for frame in np.flatnonzero((told.onsets > STRIKE_THRESHOLD).any(axis=0)):
            kept = np.rint(told.keys[:, :, frame] * 255)
            self._keys[self._frames + int(frame)] = kept.astype(np.uint8)
        self._frames += told.timing.shape[0]

    def strikes(self) -> list[Strike]:
        """Return every strike, in order."""
        return [
            Strike(
                time_s,
                {VOICE_NAMES[peak.voice]: peak.level for peak in group},
                {VOICE_NAMES[peak.voice]: self._struck(peak) for peak in group},
            )
            for time_s, group in self._groups()
        ]

    def notes(self, duration_s: float, dynamics: float = 1.0) -> list[Note]:
        """Return every note, in order of start and pitch, none of one pitch over another.

        Args:
            duration_s: of the output: where the last notes end.
            dynamics: factor on the differences between loud and soft strikes, as it was rendered.
        """
        struck: dict[int, list[tuple[float, int, int]]] = {}
        for time_s, group in self._groups():
            loudest: dict[int, tuple[float, int, int]] = {}
            for peak in group:
                velocity = struck_velocity(peak.level, dynamics)
                for pitch in self._struck(peak):
                    if pitch not in loudest or velocity > loudest[pitch][2]:
                        loudest[pitch] = (time_s, peak.frame, velocity)
            for pitch, each in loudest.items():
                struck.setdefault(pitch, []).append(each)
        found = [
            note for pitch, line in struck.items() for note in self._end(pitch, line, duration_s)
        ]
        return sorted(found, key=lambda note: (note.start_s, note.pitch))

    def _groups(self) -> list[tuple[float, list[_Peak]]]:
        """Return the peaks that make one strike each, one a voice, with the strike's time."""
        groups: list[list[_Peak]] = []
        for peak in self._peaks():
            if groups and peak.time_s - groups[-1][0].time_s <= MERGE_S + 1e-9:
                groups[-1].append(peak)
            else:
                groups.append([peak])
        found = []
        for group in groups:
            surest = sorted(group, key=lambda peak: -peak.probability)
            voices: dict[int, _Peak] = {}
            for peak in surest:
                voices.setdefault(peak.voice, peak)
            found.append((surest[0].time_s, [voices[voice] for voice in sorted(voices)]))
        return found

    def _peaks(self) -> list[_Peak]:
        """Return the highest of neighbouring frames above the threshold, in order of time."""
        if not self._onsets:
            return []
        onsets = np.concatenate(self._onsets, axis=1)
        timing, levels = np.concatenate(self._timing), np.concatenate(self._levels, axis=1)
        before = np.pad(onsets[:, :-1], ((0, 0), (1, 0)))
        after = np.pad(onsets[:, 1:], ((0, 0), (0, 1)))
        highest = (onsets > STRIKE_THRESHOLD) & (onsets >= before) & (onsets > after)
        peaks = [
            _Peak(
                max(0.0, (int(frame) * HOP_LENGTH + float(timing[frame])) / SAMPLE_RATE),
                int(voice),
                int(frame),
                float(onsets[voice, frame]),
                float(levels[voice, frame]),
            )
            for voice, frame in zip(*np.nonzero(highest), strict=True)
        ]
        return sorted(peaks, key=lambda peak: (peak.time_s, peak.voice))

    def _struck(self, peak: _Peak) -> tuple[int, ...]:
        """Return the pitches that a voice strikes: one, but for the inner voices."""
        chances = self._keys[peak.frame][peak.voice] / 255
        likeliest = int(np.argmax(chances))
        if VOICE_NAMES[peak.voice] == "inner" and chances[likeliest] >= KEY_THRESHOLD:
            keys = np.flatnonzero(chances >= KEY_THRESHOLD)
        else:
            keys = np.array([likeliest] if chances[likeliest] >= LIKELY_KEY else [], np.int64)
        return tuple(LOWEST_PITCH + int(key) for key in keys)

    def _end(self, pitch: int, line: list[tuple[float, int, int]], duration_s: float) -> list[Note]:
        """Return the notes of a pitch, each ended."""
        released = self._released(pitch - LOWEST_PITCH)
        notes = []
        for place, (start_s, frame, velocity) in enumerate(line):
            at = np.searchsorted(released, frame + 1)
            end_s = start_s + LONGEST_NOTE_S
            if at < len(released):
                let_go = int(released[at]) * HOP_LENGTH / SAMPLE_RATE + _HELD_AHEAD_S
                end_s = min(end_s, max(let_go, start_s + SHORTEST_NOTE_S))
            if place + 1 < len(line):
                end_s = min(end_s, line[place + 1][0])
            end_s = min(end_s, duration_s)
            if end_s > start_s:
                notes.append(Note(start_s, end_s, pitch, velocity))
        return notes

    def _released(self, key: int) -> npt.NDArray[np.int64]:
        """Return the frames from which on a key is not held for a while, sorted."""
        row, bit = divmod(key, 8)
        held = np.concatenate([(packed[row] >> (7 - bit)) & 1 for packed in self._held])
        ahead = np.pad(held, (0, _GAP_FRAMES - 1))
        soon = np.lib.stride_tricks.sliding_window_view(ahead, _GAP_FRAMES).any(axis=1)
        return np.flatnonzero(~soon)


def struck_velocity(level: float, dynamics: float = 1.0) -> int:
    """Return the MIDI velocity of a note that a hit strikes: its own x (0.4 + 0.8 x level).

    Args:
        level: of the hit, 0..1.
        dynamics: factor on its difference from a hit that changes nothing.

    >>> struck_velocity(0.75), struck_velocity(0.0), struck_velocity(1.0), struck_velocity(1.0, 0.0)
    (80, 32, 96, 80)
    """
    changed = min(max(OWN_LEVEL + dynamics * (level - OWN_LEVEL), 0.0), 1.5)
    return min(max(round(OWN_VELOCITY * (0.4 + 0.8 * changed)), 1), 127)
