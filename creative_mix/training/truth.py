"""The truth rule: which of the piano's notes each drum strikes again, how loud and how long.

Pure functions on notes. At each drum onset the notes that the piano holds are struck again, the
voices chosen by the drum (`creative_mix.training.notes.hit_class`). A note counts as held at a
drum onset t if it was struck by t + 30 ms and is not released by then: a player who changes the
chord together with the drum is heard in the new chord, not in the old one.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from creative_mix.training.notes import HIT_CLASSES, Hit, Note, hit_class, sort_hits, sort_notes

MERGE_S = 0.015
"""Hits within this time are one."""

LOOKAHEAD_S = 0.030
"""A note struck up to this long after a drum is held by it already."""


@dataclass(frozen=True)
class Strike:
    """A moment at which held notes are struck: its time, and the hits that make it."""

    time_s: float
    hits: tuple[Hit, ...]


def merge_hits(hits: Iterable[Hit], within_s: float = MERGE_S) -> tuple[Strike, ...]:
    """Hits gathered into strikes: all within `within_s` of a first one are one, at its time.

    >>> [s.time_s for s in merge_hits([Hit(0.0, 36, 90), Hit(0.012, 42, 60), Hit(0.02, 38, 80)])]
    [0.0, 0.02]
    """
    strikes: list[Strike] = []
    for hit in sort_hits(hits):
        if strikes and hit.time_s - strikes[-1].time_s <= within_s + 1e-9:
            strikes[-1] = replace(strikes[-1], hits=(*strikes[-1].hits, hit))
        else:
            strikes.append(Strike(hit.time_s, (hit,)))
    return tuple(strikes)


def held_notes(notes: Sequence[Note], time_s: float) -> tuple[Note, ...]:
    """The notes held at a drum onset, lowest first, one a pitch.

    Held are those struck by `time_s` + 30 ms and not yet released by then.

    >>> chord = [Note(0.0, 1.0, p, 80) for p in (64, 60)] + [Note(1.02, 2.0, 62, 80)]
    >>> [n.pitch for n in held_notes(chord, 0.5)], [n.pitch for n in held_notes(chord, 1.0)]
    ([60, 64], [62])
    """
    moment = time_s + LOOKAHEAD_S
    held: dict[int, Note] = {}
    for note in notes:
        if note.start_s <= moment < note.end_s:
            other = held.get(note.pitch)
            if other is None or note.start_s >= other.start_s:
                held[note.pitch] = note
    return tuple(held[pitch] for pitch in sorted(held))


def struck_voices(held: Sequence[Note], gm_note: int) -> tuple[Note, ...]:
    """Those of the held notes (lowest first) that a drum strikes.

    Low: the lowest. Inner: all but the lowest and the highest; of two notes the upper; the only
    one. All: all. Top: the highest.

    >>> held = [Note(0, 1, p, 80) for p in (48, 60, 64, 67)]
    >>> [[n.pitch for n in struck_voices(held, drum)] for drum in (36, 38, 49, 42)]
    [[48], [60, 64], [48, 60, 64, 67], [67]]
    >>> [[n.pitch for n in struck_voices(held[:count], 38)] for count in (2, 1)]
    [[60], [48]]
    """
    if not held:
        return ()
    kind = HIT_CLASSES[hit_class(gm_note)]
    if kind == "low":
        return (held[0],)
    if kind == "inner":
        return tuple(held[1:-1]) if len(held) > 2 else (held[-1],)
    if kind == "all":
        return tuple(held)
    return (held[-1],)


def struck_velocity(note_velocity: int, hit_velocity: int) -> int:
    """The velocity of a struck note: its own x (0.4 + 0.8 x hit / 127), within 1..127.

    >>> struck_velocity(80, 127), struck_velocity(127, 127), struck_velocity(1, 1)
    (96, 127, 1)
    """
    return int(np.clip(round(note_velocity * (0.4 + 0.8 * hit_velocity / 127.0)), 1, 127))


def answer_hits(notes: Sequence[Note], hits: Iterable[Hit]) -> tuple[Note, ...]:
    """The truth: the notes that the piano plays, driven by the drums.

    Each struck note rings until the next strike of the same pitch or until the performance
    releases it, whichever is first. Hits that make one strike give the union of their voices,
    each with its loudest hit. Where nothing is held there is nothing.

    >>> truth = answer_hits([Note(0.0, 2.0, 60, 100)], [Hit(0.5, 36, 127), Hit(1.0, 36, 64)])
    >>> [(n.start_s, n.end_s, n.velocity) for n in truth]
    [(0.5, 1.0, 120), (1.0, 2.0, 80)]
    """
    window = _HeldWindow(notes)
    struck: list[Note] = []
    for strike in merge_hits(hits):
        held = held_notes(window.candidates(strike.time_s + LOOKAHEAD_S), strike.time_s)
        loudest: dict[int, Note] = {}
        for hit in strike.hits:
            for note in struck_voices(held, hit.gm_note):
                velocity = struck_velocity(note.velocity, hit.velocity)
                other = loudest.get(note.pitch)
                if other is None or velocity > other.velocity:
                    loudest[note.pitch] = replace(note, start_s=strike.time_s, velocity=velocity)
        struck.extend(loudest.values())
    return sort_notes(struck)


def add_own_onsets(truth: Sequence[Note], notes: Sequence[Note], share: float) -> tuple[Note, ...]:
    """The truth with strikes at the piano's own onsets too, as a bias to target_rhythm asks.

    Args:
        truth: what `answer_hits` gave.
        notes: the performance.
        share: 0..1, by which the velocity of a note struck at its own onset is multiplied.

    A note that a drum strikes within 30 ms of its own onset is not struck twice; the louder
    velocity stays.

    >>> notes = [Note(0.0, 2.0, 60, 100)]
    >>> both = add_own_onsets(answer_hits(notes, [Hit(1.0, 36, 127)]), notes, 0.5)
    >>> [(n.start_s, n.end_s, n.velocity) for n in both]
    [(0.0, 1.0, 50), (1.0, 2.0, 120)]
    """
    if share <= 0.0:
        return tuple(truth)
    struck: dict[int, list[Note]] = {}
    for note in truth:
        struck.setdefault(note.pitch, []).append(note)
    for note in notes:
        line = struck.setdefault(note.pitch, [])
        velocity = int(np.clip(round(note.velocity * min(1.0, share)), 1, 127))
        for at, other in enumerate(line):
            if abs(other.start_s - note.start_s) <= LOOKAHEAD_S:
                line[at] = replace(other, velocity=max(other.velocity, velocity))
                break
        else:
            line.append(replace(note, velocity=velocity))
    return sort_notes(note for line in struck.values() for note in line)


def strike_times(truth: Sequence[Note], within_s: float = MERGE_S) -> NDArray[np.float64]:
    """Times at which the truth really has a new strike, sorted, those within 15 ms as one.

    Shape:
        (S,), seconds.

    >>> strike_times([Note(0.5, 1, 60, 90), Note(0.5, 1, 64, 90), Note(0.7, 1, 67, 90)]).tolist()
    [0.5, 0.7]
    """
    times: list[float] = []
    for start_s in sorted(note.start_s for note in truth):
        if not times or start_s - times[-1] > within_s + 1e-9:
            times.append(start_s)
    return np.asarray(times, dtype=np.float64)


class _HeldWindow:
    """Notes that may sound at a moment, found quickly: those begun within the longest length."""

    def __init__(self, notes: Sequence[Note]) -> None:
        self._notes = sorted(notes, key=lambda n: n.start_s)
        self._starts = [n.start_s for n in self._notes]
        self._longest = max((n.end_s - n.start_s for n in self._notes), default=0.0)

    def candidates(self, moment_s: float) -> Sequence[Note]:
        first = bisect.bisect_left(self._starts, moment_s - self._longest - 1e-6)
        return self._notes[first : bisect.bisect_right(self._starts, moment_s)]
