"""Chord progressions, voiced for two hands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator

# Chords as (semitones of the root above the key's, intervals), by mode.
_MAJ, _MIN, _DIM = (0, 4, 7), (0, 3, 7), (0, 3, 6)
_MAJ7, _MIN7, _DOM7 = (0, 4, 7, 11), (0, 3, 7, 10), (0, 4, 7, 10)
_SUS4, _ADD9, _MIN9, _MAJ9 = (0, 5, 7), (0, 4, 7, 14), (0, 3, 7, 10, 14), (0, 4, 7, 11, 14)
_SIX, _HALF_DIM, _SUS2 = (0, 4, 7, 9), (0, 3, 6, 10), (0, 2, 7)

_PROGRESSIONS: tuple[tuple[tuple[int, tuple[int, ...]], ...], ...] = (
    ((0, _MAJ), (7, _MAJ), (9, _MIN), (5, _MAJ)),
    ((9, _MIN), (5, _MAJ), (0, _MAJ), (7, _MAJ)),
    ((0, _MAJ), (9, _MIN), (5, _MAJ), (7, _MAJ)),
    ((0, _MAJ), (5, _MAJ), (7, _MAJ), (5, _MAJ)),
    ((0, _ADD9), (5, _MAJ7), (9, _MIN7), (7, _SUS4)),
    ((2, _MIN7), (7, _DOM7), (0, _MAJ7), (9, _MIN7)),
    ((2, _MIN9), (7, _DOM7), (0, _MAJ9), (0, _SIX)),
    ((0, _MIN), (8, _MAJ), (3, _MAJ), (10, _MAJ)),
    ((0, _MIN), (10, _MAJ), (8, _MAJ), (7, _MAJ)),
    ((0, _MIN7), (5, _MIN7), (0, _MIN7), (7, _MIN7)),
    ((0, _MIN9), (5, _DOM7)),
    ((0, _MIN), (5, _MIN), (7, _MAJ), (0, _MIN)),
    ((2, _HALF_DIM), (7, _DOM7), (0, _MIN7), (8, _MAJ7)),
    ((0, _DOM7), (0, _DOM7), (5, _DOM7), (0, _DOM7), (7, _DOM7), (5, _DOM7), (0, _DOM7)),
    ((0, _MAJ), (4, _MIN), (5, _MAJ), (5, _MIN)),
    ((0, _MAJ), (2, _DOM7), (7, _SUS4), (7, _MAJ)),
    ((0, _SUS2), (9, _MIN7), (5, _ADD9), (7, _SUS4)),
    ((0, _MAJ), (10, _MAJ), (5, _MAJ), (0, _MAJ)),
    ((0, _MAJ), (11, _DIM), (9, _MIN), (7, _MAJ)),
    ((0, _MIN),),
    ((0, _MAJ7), (0, _MAJ7), (1, _MAJ7), (1, _MAJ7)),
)

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}


@dataclass(frozen=True)
class Chord:
    """A voiced chord.

    Args:
        beat: when it begins, in beats.
        beats: how long it lasts.
        bass: MIDI pitch of the left hand's note.
        upper: MIDI pitches of the right hand's, lowest first.
        key: pitch class of the key, 0..11.
    """

    beat: float
    beats: float
    bass: int
    upper: list[int]
    key: int


def voice_chords(rng: Rng, beats: float) -> list[Chord]:
    """A progression in some key, voiced with little motion between neighbours."""
    progression = _PROGRESSIONS[int(rng.integers(len(_PROGRESSIONS)))]
    key = int(rng.integers(12))
    length = float(rng.choice((2.0, 4.0, 4.0, 4.0, 8.0)))
    centre = float(rng.uniform(54, 68))
    size = int(rng.integers(2, 5))
    spread = rng.random() < 0.25
    bass_low = int(rng.integers(31, 44))
    inversions = rng.random() < 0.3
    chords: list[Chord] = []
    beat, at = 0.0, 0
    while beat < beats:
        degree, intervals = progression[at % len(progression)]
        root = (key + degree) % 12
        tones = list(intervals[-size:] if len(intervals) > size else intervals)
        upper: list[int] = []
        for tone in tones:
            pitch = (root + tone) % 12
            upper.append(pitch + 12 * round((centre - pitch) / 12))
        upper = sorted(set(upper))
        while len(upper) < size:
            upper.append(upper[len(upper) - len(tones)] + 12)
        if spread and len(upper) > 2:
            upper[1] -= 12
        bass_tone = root if not inversions or rng.random() < 0.6 else root + int(intervals[1])
        bass = bass_low + (bass_tone - bass_low) % 12
        chords.append(Chord(beat, length, bass, sorted(set(upper)), key))
        beat += length
        at += 1
    return chords
