"""Grooves and performances from MIDI files, as hits and notes in seconds."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mido

from creative_mix.errors import TrainingDataError
from creative_mix.training.notes import Hit, Note, sort_hits, sort_notes

MIDI_SUFFIXES = (".mid", ".midi")

HOLD_OUT_EVERY = 10
"""Of the performances in alphabetical order, numbers 9, 19, 29, ... (from 0) are validation."""

SHORTEST_GROOVE_S = 4.0
"""Grooves shorter than this (fills, mostly) are left out."""

# Groove was played on an electronic kit whose notes differ from General MIDI in these.
GROOVE_TO_GM = {22: 42, 26: 46, 58: 43}


@dataclass(frozen=True)
class GrooveFile:
    """A groove on disk: its file, name, split ("train", "validation" or "") and tempo (or 0)."""

    path: Path
    name: str
    split: str
    bpm: float


def read_hits(path: Path) -> tuple[Hit, ...]:
    """The hits of a drum MIDI file, electronic kits' own notes turned into General MIDI ones.

    Raises:
        TrainingDataError: the file is not readable as MIDI.
    """
    hits = [
        Hit(time_s, GROOVE_TO_GM.get(message.note, message.note), message.velocity)
        for time_s, message in _messages(path)
        if message.type == "note_on" and message.velocity > 0
    ]
    return sort_hits(hits)


def read_notes(path: Path) -> tuple[Note, ...]:
    """The notes of a piano MIDI file, the sustain pedal applied to their ends.

    A note released while the pedal is down sounds until the pedal is lifted or its key is struck
    again. Drum channels are left out; so are pitches outside a piano's 21..108.

    Raises:
        TrainingDataError: the file is not readable as MIDI.
    """
    notes: list[Note] = []
    down: dict[tuple[int, int], tuple[float, int]] = {}
    waiting: dict[tuple[int, int], tuple[float, int]] = {}
    pedal: dict[int, bool] = {}
    time_s = 0.0

    def finish(key: tuple[int, int], begun: tuple[float, int], end_s: float) -> None:
        if 21 <= key[1] <= 108 and end_s > begun[0]:
            notes.append(Note(begun[0], end_s, key[1], begun[1]))

    for time_s, message in _messages(path):
        channel = getattr(message, "channel", None)
        if channel is None or channel == 9:
            continue
        if message.type == "note_on" and message.velocity > 0:
            key = (channel, message.note)
            for store in (down, waiting):
                if key in store:
                    finish(key, store.pop(key), time_s)
            down[key] = (time_s, message.velocity)
        elif message.type in ("note_on", "note_off"):
            key = (channel, message.note)
            if key in down:
                begun = down.pop(key)
                if pedal.get(channel, False):
                    waiting[key] = begun
                else:
                    finish(key, begun, time_s)
        elif message.type == "control_change" and message.control == 64:
            pedal[channel] = message.value >= 64
            if not pedal[channel]:
                for key in [k for k in waiting if k[0] == channel]:
                    finish(key, waiting.pop(key), time_s)
    for store in (down, waiting):
        for key, begun in store.items():
            finish(key, begun, time_s)
    return sort_notes(notes)


def find_grooves(folder: Path) -> list[GrooveFile]:
    """Grooves below a folder, sorted by name.

    With Groove MIDI's `info.csv` its splits, tempos and beat types count, fills left out; without
    it every `*.mid` is taken, with no split of its own.
    """
    found: list[GrooveFile] = []
    tables = sorted(folder.rglob("info.csv"))
    for table in tables:
        with table.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                path = table.parent / row["midi_filename"]
                long = float(row.get("duration") or SHORTEST_GROOVE_S) >= SHORTEST_GROOVE_S
                if path.is_file() and row.get("beat_type") != "fill" and long:
                    bpm = float(row.get("bpm") or 0.0)
                    found.append(GrooveFile(path, row["midi_filename"], row.get("split", ""), bpm))
    if not tables:
        for path in find_midi(folder):
            found.append(GrooveFile(path, path.relative_to(folder).as_posix(), "", 0.0))
    return sorted(found, key=lambda groove: groove.name)


def find_midi(folder: Path) -> list[Path]:
    """MIDI files below a folder, in alphabetical order of their paths."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in MIDI_SUFFIXES)


def split_performances(paths: Sequence[Path], split: str) -> list[Path]:
    """The performances of a split: every tenth in alphabetical order is held out.

    >>> names = [Path(f"{i:02}.mid") for i in range(20)]
    >>> [p.stem for p in split_performances(names, "validation")]
    ['09', '19']
    """
    ordered = sorted(paths)
    held = [p for i, p in enumerate(ordered) if i % HOLD_OUT_EVERY == HOLD_OUT_EVERY - 1]
    if split == "validation":
        return held
    return [p for i, p in enumerate(ordered) if i % HOLD_OUT_EVERY != HOLD_OUT_EVERY - 1]


def _messages(path: Path) -> list[tuple[float, mido.Message]]:
    """Messages of a MIDI file with their times in seconds."""
    try:
        time_s = 0.0
        out = []
        for message in mido.MidiFile(str(path), clip=True):
            time_s += message.time
            out.append((time_s, message))
        return out
    except (OSError, EOFError, ValueError, IndexError, KeyError) as error:
        raise TrainingDataError(f"{path}: not readable as a MIDI file ({error})") from error
