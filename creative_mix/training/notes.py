"""Notes of a piano performance and hits of a drum groove, as the training pairs know them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

HIT_CLASSES: tuple[str, str, str, str] = ("low", "inner", "all", "top")
"""What a drum strikes on the piano: the lowest voice, the inner voices, every voice, the top."""

LOW_DRUMS = frozenset({35, 36, 41, 43, 45})
INNER_DRUMS = frozenset({37, 38, 39, 40, 47, 48, 50})
CRASHES = frozenset({49, 52, 55, 57})


@dataclass(frozen=True)
class Note:
    """One piano note, the pedal already applied to its end.

    Args:
        start_s: when the hammer strikes, in seconds.
        end_s: when the damper falls, in seconds, after `start_s`.
        pitch: MIDI pitch, 21..108 on a piano.
        velocity: MIDI velocity, 1..127.
    """

    start_s: float
    end_s: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Hit:
    """One stroke on a drum: time in seconds, General MIDI percussion note, velocity 1..127."""

    time_s: float
    gm_note: int
    velocity: int


def hit_class(gm_note: int) -> int:
    """Index into `HIT_CLASSES` of the voices that this drum strikes.

    Kick and low toms strike the lowest voice, snares, claps, sticks and high toms the inner ones,
    crashes all, every other cymbal and hand percussion the top.

    >>> [HIT_CLASSES[hit_class(n)] for n in (36, 38, 49, 42, 56)]
    ['low', 'inner', 'all', 'top', 'top']
    """
    if gm_note in LOW_DRUMS:
        return 0
    if gm_note in INNER_DRUMS:
        return 1
    if gm_note in CRASHES:
        return 2
    return 3


def sort_notes(notes: Iterable[Note]) -> tuple[Note, ...]:
    """The notes in order of start, then pitch, with no two of one pitch sounding at once.

    A key cannot be struck while it is down: an earlier note of the same pitch ends where the
    next begins; of two that begin together (within 1 ms) the louder stays.

    >>> sort_notes([Note(1.0, 2.0, 60, 80), Note(0.0, 1.5, 60, 70)])[0].end_s
    1.0
    """
    by_pitch: dict[int, list[Note]] = {}
    for note in sorted(notes, key=lambda n: (n.start_s, n.pitch, n.velocity, n.end_s)):
        line = by_pitch.setdefault(note.pitch, [])
        if line and note.start_s - line[-1].start_s < 1e-3:
            last = line[-1]
            line[-1] = replace(
                last,
                end_s=max(last.end_s, note.end_s),
                velocity=max(last.velocity, note.velocity),
            )
            continue
        if line and line[-1].end_s > note.start_s:
            line[-1] = replace(line[-1], end_s=note.start_s)
        line.append(note)
    flat = [note for line in by_pitch.values() for note in line if note.end_s > note.start_s]
    return tuple(sorted(flat, key=lambda n: (n.start_s, n.pitch)))


def sort_hits(hits: Iterable[Hit]) -> tuple[Hit, ...]:
    """The hits in order of time, then drum."""
    return tuple(sorted(hits, key=lambda h: (h.time_s, h.gm_note, h.velocity)))


def cut_notes(notes: Iterable[Note], start_s: float, duration_s: float) -> tuple[Note, ...]:
    """The notes that begin inside a window, in the window's own time, ends clipped to it.

    Notes already held when the window begins are dropped: their attack is not there to be heard.
    """
    inside = []
    for note in notes:
        begin = note.start_s - start_s
        if 0.0 <= begin < duration_s:
            end = min(note.end_s - start_s, duration_s)
            if end > begin:
                inside.append(replace(note, start_s=begin, end_s=end))
    return sort_notes(inside)


def cut_hits(hits: Iterable[Hit], start_s: float, duration_s: float) -> tuple[Hit, ...]:
    """The hits inside a window, in the window's own time."""
    return sort_hits(
        replace(h, time_s=h.time_s - start_s)
        for h in hits
        if 0.0 <= h.time_s - start_s < duration_s
    )
