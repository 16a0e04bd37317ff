"""A performance as a Standard MIDI File."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from .errors import RuntimeMissingError
from .notes import Note

DEFAULT_BPM = 120.0
"""Tempo of a file whose own is not known: what a sequencer takes where none is told."""

MOST_TICKS = 32767
"""Ticks a quarter note that the format can hold."""

SUFFIXES = (".mid", ".midi")

_RELEASE_VELOCITY = 64


def check_midi() -> None:
    """Do nothing where MIDI can be written.

    Raises:
        RuntimeMissingError: the extra `midi` is not installed.
    """
    _load()


def midi_bytes(
    notes: Sequence[Note], sample_rate: int, duration_s: float, bpm: float | None = None
) -> bytes:
    """Return a MIDI file of format 1 with the tempo in one track and the piano in another.

    A tick is as long as a sample where the format allows it (44.1 kHz: from 81 beats a minute on),
    and then every event is at its sample; else it is the shortest that there is, 30 us at 60 beats
    a minute, and an event is half of that away from its time at most.

    Args:
        notes: in order of their starts, none of one pitch over another.
        sample_rate: of the audio that they go with.
        duration_s: of the audio: where the tracks end.
        bpm: quarter notes a minute; by default DEFAULT_BPM.

    Raises:
        RuntimeMissingError: the extra `midi` is not installed.
    """
    mido = _load()
    tempo_us = round(60e6 / (bpm or DEFAULT_BPM))
    ticks_per_beat = min(MOST_TICKS, -(-tempo_us * sample_rate // 1_000_000))
    ticks_per_second = ticks_per_beat * 1e6 / tempo_us

    def tick(time_s: float) -> int:
        # The sample first: what is heard begins on one.
        return round(round(time_s * sample_rate) / sample_rate * ticks_per_second)

    song = mido.MidiFile(type=1, ticks_per_beat=ticks_per_beat, charset="utf-8")
    end = tick(duration_s)
    song.add_track("creative-mix").extend(
        [
            mido.MetaMessage("set_tempo", tempo=tempo_us),
            mido.MetaMessage("end_of_track", time=end),
        ]
    )
    piano = song.add_track("piano")
    piano.append(mido.Message("program_change", program=0))
    at = 0
    for when, _, message in sorted(_events(mido, notes, tick), key=lambda event: event[:2]):
        piano.append(message.copy(time=when - at))
        at = when
    piano.append(mido.MetaMessage("end_of_track", time=max(0, end - at)))
    file = io.BytesIO()
    song.save(file=file)
    return file.getvalue()


def _events(mido: Any, notes: Sequence[Note], tick: Any) -> list[tuple[int, int, Any]]:
    """Return tick, order within the tick, and message: a key goes up before it goes down again."""
    events = []
    for note in notes:
        start, end = tick(note.start_s), tick(note.end_s)
        down = mido.Message("note_on", note=note.pitch, velocity=note.velocity)
        up = mido.Message("note_off", note=note.pitch, velocity=_RELEASE_VELOCITY)
        events += [(start, 1, down), (max(end, start + 1), 0, up)]
    return events


def _load() -> Any:
    try:
        import mido
    except ModuleNotFoundError:
        raise RuntimeMissingError(
            "MIDI needs mido, which is missing: pip install 'creative-mix[midi]'"
        ) from None
    return mido
