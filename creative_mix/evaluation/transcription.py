"""How well the notes that a model tells are the truth's: onset within 50 ms, and the pitch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import mir_eval
import numpy as np
from numpy.typing import NDArray

CHANCE_SHIFTS = 10
WINDOW_S = 0.05

Notes = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Start and end in seconds (S, 2), and frequency in hertz (S,)."""


class Played(Protocol):
    """A note, of the truth or of a model."""

    @property
    def start_s(self) -> float: ...

    @property
    def end_s(self) -> float: ...

    @property
    def pitch(self) -> int: ...


def note_f(truth: Iterable[Played], played: Iterable[Played], window_s: float = WINDOW_S) -> float:
    """The F measure of notes against the known ones (mir_eval), their ends left out of account.

    A note is right when its onset is within the window and its pitch the same. nan without known
    notes.
    """
    return _f(_arrays(truth), _arrays(played), window_s)


def chance_note_f(
    truth: Iterable[Played],
    played: Iterable[Played],
    duration_s: float,
    window_s: float = WINDOW_S,
    shifts: int = CHANCE_SHIFTS,
    seed: int = 0,
) -> float:
    """The mean F measure of the same notes shifted round in time.

    What one scores who plays as many notes of as many pitches, at times that know nothing of the
    truth.

    Args:
        truth: the known notes.
        played: those to score.
        duration_s: at which the shifted times wrap round.
        window_s: the largest distance in seconds of two onsets.
        shifts: how many random shifts.
        seed: of the shifts.
    """
    known, (times, pitches) = _arrays(truth), _arrays(played)
    generator = np.random.default_rng(seed)
    margin = min(0.25, duration_s / 4)
    scores = []
    for shift in generator.uniform(margin, duration_s - margin, shifts):
        starts = (times[:, 0] + shift) % duration_s
        moved = np.stack([starts, starts + np.diff(times, axis=1)[:, 0]], axis=1)
        scores.append(_f(known, (moved, pitches), window_s))
    return float(np.mean(scores))


def _arrays(notes: Iterable[Played]) -> Notes:
    held = list(notes)
    times = [(note.start_s, max(note.end_s, note.start_s + 1e-3)) for note in held]
    hertz = [440.0 * 2.0 ** ((note.pitch - 69) / 12.0) for note in held]
    return np.asarray(times, dtype=np.float64).reshape(-1, 2), np.asarray(hertz, dtype=np.float64)


def _f(truth: Notes, played: Notes, window_s: float) -> float:
    if not len(truth[0]):
        return float("nan")
    if not len(played[0]):
        return 0.0
    found = mir_eval.transcription.precision_recall_f1_overlap(
        *truth, *played, onset_tolerance=window_s, pitch_tolerance=25.0, offset_ratio=None
    )
    return float(found[2])
