"""Performances whose two hands come from two pieces: textures that no file holds.

There are few played pieces, and a model that has heard each of them in every key knows what comes
next instead of listening.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from creative_mix.training.notes import Note, sort_notes

SHIFTS = range(-6, 6)
"""Semitones by which the other piece may be moved to fit."""


def other_left_hand(notes: Sequence[Note], other: Sequence[Note]) -> tuple[Note, ...]:
    """The upper half of a performance over the lower half of another, moved to its key.

    Each half is that above or below the performance's median pitch.

    >>> notes = [Note(0.0, 1.0, p, 80) for p in (48, 64, 67)]
    >>> other = [Note(0.5, 1.0, p, 60) for p in (43, 71, 74)]
    >>> [(n.start_s, n.pitch, n.velocity) for n in other_left_hand(notes, other)]
    [(0.0, 64, 80), (0.0, 67, 80), (0.5, 48, 60)]
    """
    if not notes or not other:
        return tuple(notes)
    split, other_split = (np.median([n.pitch for n in each]) for each in (notes, other))
    wanted = pitch_classes(notes)
    shift = max(SHIFTS, key=lambda s: (float(wanted @ np.roll(pitch_classes(other), s)), -abs(s)))
    left = [replace(n, pitch=n.pitch + shift) for n in other if n.pitch < other_split]
    right = [n for n in notes if n.pitch >= split]
    both = sort_notes(n for n in (*left, *right) if 21 <= n.pitch <= 108)
    return _released(both)


def pitch_classes(notes: Sequence[Note]) -> NDArray[np.float64]:
    """How long each of the twelve pitch classes sounds, of length 1. Shape: (12,)."""
    heard = np.zeros(12)
    for note in notes:
        heard[note.pitch % 12] += note.end_s - note.start_s
    return heard / max(float(np.linalg.norm(heard)), 1e-9)


def _released(notes: Sequence[Note]) -> tuple[Note, ...]:
    """Notes of which each ends, at the latest, where its key is struck again."""
    following: dict[int, float] = {}
    out: list[Note] = []
    for note in reversed(notes):
        end_s = min(note.end_s, following.get(note.pitch, note.end_s))
        if end_s > note.start_s:
            out.append(replace(note, end_s=end_s))
            following[note.pitch] = note.start_s
    return sort_notes(out)
