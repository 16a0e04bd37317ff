"""What the notes of a pair say about every frame: the supervision behind the named components."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from creative_mix.constants import HOP_LENGTH, SAMPLE_RATE, VOICE_NAMES
from creative_mix.model.rhythm import OWN_LEVEL
from creative_mix.training.notes import HIT_CLASSES, Hit, Note, hit_class
from creative_mix.training.truth import MERGE_S, held_notes, merge_hits

VOICES = len(VOICE_NAMES)
LOWEST_PITCH, PITCHES = 21, 88
NEAR_FRAMES, UNSURE_FRAMES = 0.75, 1.25
_STRUCK = {"low": (1, 0, 0), "inner": (0, 1, 0), "top": (0, 0, 1), "all": (1, 1, 1)}


@dataclasses.dataclass(frozen=True)
class OnsetTargets:
    """Onsets of one source as the rhythm head should see them.

    Shape: every array (..., T).
    """

    label: NDArray[np.uint8]
    """(V, T) 1 in the one or two frames nearest to an onset of the voice."""
    counted: NDArray[np.uint8]
    """(V, T) 0 where a frame is neither near nor far enough to count."""
    exact: NDArray[np.uint8]
    """(V, T) 1 in the frame that holds the onset."""
    offset: NDArray[np.float32]
    """(T,) frames from the frame's middle to the nearest onset, where ``timed``."""
    timed: NDArray[np.uint8]
    """(T,) 1 where an onset is near enough to be timed."""
    level: NDArray[np.float32]
    """(V, T) velocity / 127 of the hit, in the frames where ``label`` is 1."""


@dataclasses.dataclass(frozen=True)
class FrameTargets:
    """Supervision of one pair, frame by frame."""

    drums: OnsetTargets
    piano: OnsetTargets
    pitches: NDArray[np.uint8]
    """(88, T) 1 where the key sounds."""
    ends: NDArray[np.uint8]
    """(88, T) 1 in the frame in which a note of the key ends."""
    begins: NDArray[np.uint8]
    """(88, T) 1 in the frame in which a note of the key begins, and in those beside it."""


TimedOnset = tuple[float, tuple[float, ...]]
"""Time in seconds, and the level of each voice that is struck; 0 for the others."""


def drum_onsets(hits: tuple[Hit, ...]) -> list[TimedOnset]:
    """Time of every strike, and how hard its hits strike each voice.

    >>> drum_onsets((Hit(0.5, 36, 127), Hit(0.5, 42, 0)))
    [(0.5, (1.0, 0.0, 0.01))]
    """
    return [
        (
            strike.time_s,
            tuple(
                max(
                    float(struck) * max(hit.velocity / 127, 0.01)
                    for hit in strike.hits
                    for struck in (_STRUCK[HIT_CLASSES[hit_class(hit.gm_note)]][voice],)
                )
                for voice in range(VOICES)
            ),
        )
        for strike in merge_hits(hits)
    ]


def piano_onsets(notes: tuple[Note, ...]) -> list[TimedOnset]:
    """Time of every attack of the piano and the voices that its notes are, among those held.

    >>> piano_onsets((Note(0.0, 2.0, 48, 80), Note(1.0, 2.0, 60, 80)))
    [(0.0, (0.75, 0.75, 0.75)), (1.0, (0.0, 0.75, 0.75))]
    """
    onsets: list[TimedOnset] = []
    group: list[Note] = []
    for note in (*sorted(notes, key=lambda n: n.start_s), None):
        if group and (note is None or note.start_s - group[0].start_s > MERGE_S):
            struck = tuple(OWN_LEVEL * voice for voice in _voices_of(group, notes))
            onsets.append((group[0].start_s, struck))
            group = []
        if note is not None:
            group.append(note)
    return onsets


def _voices_of(group: list[Note], notes: tuple[Note, ...]) -> tuple[int, ...]:
    pitches = [n.pitch for n in held_notes(notes, group[0].start_s)]
    struck = {n.pitch for n in group}
    if not pitches:
        return (0, 0, 0)
    inner = pitches[1:-1] if len(pitches) > 2 else pitches[-1:]
    return (
        int(pitches[0] in struck),
        int(any(p in struck for p in inner)),
        int(pitches[-1] in struck),
    )


def onset_targets(onsets: list[TimedOnset], frames: int) -> OnsetTargets:
    """Frame targets of timed, voiced onsets."""
    label = np.zeros((VOICES, frames), np.uint8)
    counted = np.ones((VOICES, frames), np.uint8)
    exact = np.zeros((VOICES, frames), np.uint8)
    offset = np.full(frames, 9.0, np.float32)
    level = np.zeros((VOICES, frames), np.float32)
    for time_s, levels in onsets:
        struck = np.flatnonzero(levels)
        position = time_s * SAMPLE_RATE / HOP_LENGTH - 0.5
        frame = int(np.floor(position + 0.5))
        if not 0 <= frame < frames:
            continue
        exact[struck, frame] = 1
        for near in range(max(0, frame - 1), min(frames, frame + 2)):
            away = position - near
            if abs(away) <= NEAR_FRAMES:
                label[struck, near] = 1
                level[struck, near] = np.take(levels, struck)
            elif abs(away) < UNSURE_FRAMES:
                counted[struck, near] = 0
            if abs(away) < abs(offset[near]):
                offset[near] = away
    timed = (np.abs(offset) < UNSURE_FRAMES).astype(np.uint8)
    counted |= label
    return OnsetTargets(
        label, counted, exact, np.where(timed, offset, 0).astype("f4"), timed, level
    )


def pitch_targets(notes: tuple[Note, ...], frames: int) -> NDArray[np.uint8]:
    """Keys that sound in each frame."""
    sounding = np.zeros((PITCHES, frames), np.uint8)
    for note in notes:
        key = note.pitch - LOWEST_PITCH
        if 0 <= key < PITCHES:
            first = int(note.start_s * SAMPLE_RATE / HOP_LENGTH)
            last = int(note.end_s * SAMPLE_RATE / HOP_LENGTH)
            sounding[key, max(0, first) : max(0, last)] = 1
    return sounding


def end_targets(notes: tuple[Note, ...], frames: int) -> NDArray[np.uint8]:
    """Keys of which a note ends in each frame: the first in which ``pitch_targets`` has it no more.

    >>> np.argwhere(end_targets((Note(0.0, 0.5, 60, 80),), 60)).tolist()
    [[39, 43]]
    """
    return _mark([(note.pitch, note.end_s) for note in notes], frames)


def begin_targets(notes: tuple[Note, ...], frames: int) -> NDArray[np.uint8]:
    """Keys of which a note begins in each frame or in one beside it.

    An attack may seem to be in a neighbouring frame, and notes within 15 ms make one attack.

    >>> np.argwhere(begin_targets((Note(0.5, 1.0, 60, 80),), 60)).tolist()
    [[39, 42], [39, 43], [39, 44]]
    """
    beginning = _mark([(note.pitch, note.start_s) for note in notes], frames)
    padded = np.pad(beginning, ((0, 0), (1, 1)))
    return np.maximum(np.maximum(padded[:, :-2], padded[:, 2:]), beginning)


def _mark(events: list[tuple[int, float]], frames: int) -> NDArray[np.uint8]:
    """1 at the key and frame of every pitch and time: (88, T)."""
    marked = np.zeros((PITCHES, frames), np.uint8)
    for pitch, time_s in events:
        key, frame = pitch - LOWEST_PITCH, int(time_s * SAMPLE_RATE / HOP_LENGTH)
        if 0 <= key < PITCHES and 0 <= frame < frames:
            marked[key, frame] = 1
    return marked


def frame_targets(
    hits: tuple[Hit, ...], piano_notes: tuple[Note, ...], frames: int
) -> FrameTargets:
    """All targets of a pair of ``frames`` frames."""
    return FrameTargets(
        onset_targets(drum_onsets(hits), frames),
        onset_targets(piano_onsets(piano_notes), frames),
        pitch_targets(piano_notes, frames),
        end_targets(piano_notes, frames),
        begin_targets(piano_notes, frames),
    )
