"""The piano's beat brought to the drums': what was found, how far to stretch, where to begin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .audio.beats import Beats, Kind, find_beats
from .audio.fit import Placement
from .audio.follow import follow_beats
from .audio.store import SampleStore
from .constants import SAMPLE_RATE

LISTEN_S = 60.0
"""From so much at the beginning, tempo and bar lines are found; the rest is followed."""

LEAST_CERTAINTY = 0.7
"""Of a beat, to be followed: in bars of four, 98 of 100 drums and 96 of 100 pianos of known tempo
are right then, as `benchmarks/bars.py` counts, and beats come together in 95 of 100 pairs."""

LEAST_VOTE = 0.8
"""Of a way to lay bars over bars, which is right then in 78 of 100; below, beat meets beat."""

MOST_STRAY_BEATS = 0.1
"""A beat that strays further from an even one is not to be met by an even stretch."""

LONGEST_STRETCH = 2.0**0.5
"""With the tempo's octaves to choose from, no piano becomes longer than so many times itself."""

HEARD_APART_S = 0.02
"""What runs apart by less over the whole recording is not worth a stretch."""

_OCTAVES = (1.0, 0.5, 2.0)
_BEFORE_BAR_S = 0.02
"""A loop is cut so long before the bar line, in what still rings and not in the stroke."""

_MISSING_SHARE = 0.1
"""Share of a bar that may be missing at the end of a loop."""


@dataclass(frozen=True)
class Alignment:
    """How the piano is to meet the drums."""

    factor: float = 1.0
    """How many times as long it becomes."""

    placement: Placement | None = None
    """Where it lies then; None where it stays as it is."""

    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Meeting:
    """How far the piano is stretched, and where it then comes together with the drums."""

    factor: float
    drums_s: float
    piano_s: float
    """Of the stretched piano; both fall together: downbeats, or beats where bars are not clear."""

    note: str
    on_downbeat: bool = False
    vote: float = 0.0
    """Of bar lines upon bar lines, 0..1; what it is worth, `benchmarks/bars.py` measures."""


def align_piano(
    drums: SampleStore, piano: SampleStore, drums_name: str, piano_name: str, loops: bool
) -> Alignment:
    """Return how the piano meets the drums' beat; where that is not clear it stays as it is.

    Args:
        drums: at 44.1 kHz.
        piano: at 44.1 kHz.
        drums_name: what to call the drums.
        piano_name: what to call the piano.
        loops: whether a shorter piano loops.
    """
    first, first_word = _listen(drums, "drums")
    second, second_word = _listen(piano, "piano")
    notes = [f"{drums_name}: {first_word}", f"{piano_name}: {second_word}"]
    if first is None or second is None:
        return Alignment(notes=(*notes, "not aligned: the piano stays as it is"))
    meeting = meet(first, second, min(drums.length, piano.length) / SAMPLE_RATE)
    factor = meeting.factor
    shift_s = meeting.drums_s - meeting.piano_s
    bar_s = 60.0 / first.bpm * first.beats_in_bar
    placement = _place(meeting, shift_s, bar_s, first.beats_in_bar, piano.length * factor)
    word = "" if factor == 1.0 else f"stretched {factor:.4f} times, and "
    where = "later" if shift_s >= 0 else "earlier"
    notes.append(f"aligned: the piano is {word}{abs(shift_s):.3f} s {where}; {meeting.note}")
    if loops and placement.shift + placement.loop_start + placement.period < drums.length:
        bars = placement.period / SAMPLE_RATE / bar_s
        notes.append(f"{piano_name}: comes round every {bars:.4g} bars")
    return Alignment(factor, placement, tuple(notes))


def _listen(store: SampleStore, kind: Kind) -> tuple[Beats | None, str]:
    """Return the beats where they can be trusted, and a word about them."""
    beats = find_beats(store.read(0, int(LISTEN_S * SAMPLE_RATE)), kind)
    if beats is None:
        return None, "no beat to be found"
    beats = follow_beats(store, beats)
    bar = int(np.argmax(beats.bars))
    word = (
        f"{beats.bpm:.2f} beats a minute ({beats.certainty:.0%} sure), probably "
        f"{beats.beats_in_bar} in a bar, with the first downbeat at "
        f"{beats.first_downbeat_s(bar):.2f} s"
    )
    if beats.certainty < LEAST_CERTAINTY:
        return None, f"{word}: the beat is not clear"
    if beats.stray_beats > MOST_STRAY_BEATS:
        return None, f"{word}: played freely, by up to {beats.stray_beats:.2f} beats"
    return beats, word


def meet(drums: Beats, piano: Beats, together_s: float) -> Meeting:
    """Return where the two come together, when they run together for so long.

    Every bar line of the one may fall on every bar line of the other; what counts is which of the
    few ways to lay one over the other is the likeliest in all, for two recordings that may both
    be heard from their third beat agree whichever it is.
    """
    octave = min(_OCTAVES, key=lambda each: abs(np.log2(piano.bpm * each / drums.bpm)))
    factor = piano.bpm * octave / drums.bpm
    if abs(factor - 1.0) * together_s < HEARD_APART_S:
        factor = 1.0
    period = min(1.0, octave) * 60.0 / drums.bpm
    if drums.beats_in_bar != piano.beats_in_bar:
        return _meet_on_beat(drums, piano, factor, period, "their bars are not alike")
    ways = 2 * drums.beats_in_bar
    # A piano heard in double time has a bar line in the middle of the drums' bars, too, and either
    # of its lines may fall on theirs.
    lines = 2 if octave == 0.5 else 1
    votes = np.zeros(ways)
    pairs: dict[int, tuple[float, int, int]] = {}
    for i, first in enumerate(drums.bars):
        for j, second in enumerate(piano.bars):
            for line in range(lines):
                shift = i - j * octave - line * drums.beats_in_bar / 2
                way = round(2 * shift) % ways
                votes[way] += first * second
                pairs[way] = max(pairs.get(way, (0.0, 0, 0)), (first * second, i, j))
    way = int(np.argmax(votes))
    if votes[way] < LEAST_VOTE:
        return _meet_on_beat(drums, piano, factor, period, "their bars are not clear")
    _, i, j = pairs[way]
    return Meeting(
        factor,
        drums.first_downbeat_s(i),
        piano.first_downbeat_s(j) * factor,
        "first downbeat on first downbeat, as far as bars can be heard",
        on_downbeat=True,
        vote=float(votes[way]),
    )


def _meet_on_beat(drums: Beats, piano: Beats, factor: float, period: float, why: str) -> Meeting:
    """Return the nearest way to bring beats together."""
    there = piano.beat_s * factor
    there += np.ceil(-there / period) * period
    shift = (drums.beat_s - there + period / 2) % period - period / 2
    return Meeting(factor, there + shift, there, f"beat on beat, for {why}")


def _place(
    meeting: Meeting, shift_s: float, bar_s: float, beats_in_bar: int, length: float
) -> Placement:
    """Return where a stretched piano of `length` samples lies, and what of it loops: whole bars."""
    loop_s = max(0.0, meeting.piano_s - _BEFORE_BAR_S)
    there_s = length / SAMPLE_RATE - loop_s
    unit_s = bar_s if there_s / bar_s + _MISSING_SHARE >= 1.0 else bar_s / beats_in_bar
    count = max(1, int(there_s / unit_s + _MISSING_SHARE))
    return Placement(
        round(shift_s * SAMPLE_RATE),
        round(loop_s * SAMPLE_RATE),
        max(1, round(count * unit_s * SAMPLE_RATE)),
    )
