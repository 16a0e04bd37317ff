"""What else sounds in a drum recording: a bass, a voice, chords. None of it is a hit.

Loops are cut from records, and a break with its bass line is still meant as a rhythm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from creative_mix.training import rooms
from creative_mix.training.generators import generate_performance
from creative_mix.training.notes import Note, sort_notes
from creative_mix.training.samples import Audio

Rng = np.random.Generator

LEVELS_DB = (-22.0, -2.0)
"""Lowest and highest level against the drums."""


@dataclass(frozen=True)
class _Part:
    """A part: its General MIDI programs, the range of its pitches, and how often it is drawn."""

    programs: tuple[int, ...]
    lowest: int
    share: float


_PARTS = {
    "bass": _Part(tuple(range(32, 40)), 28, 0.5),
    "voice": _Part((52, 53, 54, 65, 66, 80, 81, 85), 57, 0.25),
    "chords": _Part((16, 17, 18, 25, 26, 27, 28, 48, 50, 61, 88, 89, 90), 48, 0.25),
}


@dataclass(frozen=True)
class Accompaniment:
    """A part beside the drums.

    Args:
        part: "bass", "voice" or "chords".
        program: the General MIDI program that plays it.
        notes: what it plays.
        level_db: RMS level against the drums'.
    """

    part: str
    program: int
    notes: tuple[Note, ...]
    level_db: float

    def play(self, fonts: Sequence[Path], samples: int, rng: Rng) -> Audio:
        """The part alone, in a room of its own; silence where it has no notes.

        Args:
            fonts: SoundFonts, of which one plays; without any, plain tones do, and what they like.
            samples: how long.
            rng: of all that is not in the notes.

        Shape:
            (2, samples), RMS 1 or 0.

        Raises:
            TrainingDataError: FluidSynth fails.
        """
        if fonts:
            from creative_mix.training.soundfont import play_program

            font = fonts[int(rng.integers(len(fonts)))]
            audio = play_program(font, self.program, self.notes, samples)
        else:
            audio = rooms.make_bleed(rng, samples)
        audio = rooms.convolve(audio, rooms.draw_response(rng, dry_share=0.6))
        level_db = rooms.rms_db(audio)
        if level_db < -120.0:
            return np.zeros_like(audio)
        return audio * np.float32(10.0 ** (-level_db / 20.0))


def draw_accompaniment(
    rng: Rng, duration_s: float, bpm: float | None, first_bar_s: float
) -> Accompaniment:
    """A part in a key of its own, mostly in the groove's tempo and on its bars.

    Args:
        rng: what decides.
        duration_s: how long, seconds.
        bpm: the groove's quarter notes a minute, if it is known.
        first_bar_s: its first bar line, seconds.
    """
    name = str(rng.choice(list(_PARTS), p=[part.share for part in _PARTS.values()]))
    part = _PARTS[name]
    in_time = bpm is not None and rng.random() < 0.8
    offset_s = first_bar_s - 240.0 / bpm if in_time and bpm else -float(rng.uniform(0.0, 1.0))
    _, notes = generate_performance(rng, duration_s, bpm if in_time else None, offset_s)
    if name == "bass":
        notes = _line(notes, highest=False)
    elif name == "voice":
        notes = _line(notes, highest=True)
    moved = (replace(n, pitch=part.lowest + (n.pitch - part.lowest) % 24) for n in notes)
    heard = sort_notes(
        replace(n, start_s=max(0.0, n.start_s)) for n in moved if n.end_s > max(0.0, n.start_s)
    )
    program = part.programs[int(rng.integers(len(part.programs)))]
    return Accompaniment(name, program, heard, float(rng.uniform(*LEVELS_DB)))


def _line(notes: Sequence[Note], highest: bool) -> tuple[Note, ...]:
    """One voice: of notes that begin together the highest or lowest, each until the next.

    >>> chord = [Note(0.0, 2.0, p, 80) for p in (48, 64)] + [Note(1.0, 2.0, 50, 80)]
    >>> [(n.pitch, n.end_s) for n in _line(chord, highest=False)]
    [(48, 1.0), (50, 2.0)]
    """
    line: list[Note] = []
    for note in sort_notes(notes):
        if line and note.start_s - line[-1].start_s < 0.03:
            if (note.pitch > line[-1].pitch) == highest:
                line[-1] = replace(note, start_s=line[-1].start_s)
            continue
        if line:
            line[-1] = replace(line[-1], end_s=min(line[-1].end_s, note.start_s))
        line.append(note)
    return tuple(line)
