"""A tiny kit of made-up samples and MIDI files, laid out as training material is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import mido
import numpy as np
import soundfile

if TYPE_CHECKING:
    from creative_mix.training.instruments import Piano

RATE = 44100
PITCHES = (36, 48, 60, 72, 84, 96)


def write_material(folder: Path, midi: bool = True) -> Path:
    """Write two pianos, two kits and, if wanted, grooves and performances; return the folder."""
    for name, bright in (("alpha", 0.4), ("beta", 0.7)):
        write_piano(folder / "piano" / name, bright)
    for seed, name in enumerate(("first", "second")):
        write_drums(folder / "drums" / name, seed)
    if midi:
        for number in range(10):
            write_groove(folder / "midi" / "drums" / f"groove{number}.mid", number)
            write_performance(folder / "midi" / "piano" / f"piece{number}.mid", number)
    return folder


def write_piano(folder: Path, bright: float = 0.4, leveled: bool = False) -> None:
    """Write decaying harmonic tones in two layers, each with 20 ms of silence before its attack."""
    folder.mkdir(parents=True)
    time = np.arange(int(1.5 * RATE)) / RATE
    for pitch in PITCHES:
        hertz = 440.0 * 2.0 ** ((pitch - 69) / 12.0)
        tone = sum(bright**n * np.sin(2 * np.pi * hertz * (n + 1) * time) for n in range(3))
        tone = tone * np.exp(-2.0 * time) * np.minimum(1.0, time / 0.001)
        tone = np.concatenate([np.zeros(int(0.02 * RATE)), tone / np.max(np.abs(tone))])
        for layer, peak in ((1, 0.9 if leveled else 0.08), (2, 0.9)):
            stereo = np.stack([tone, 0.8 * tone], axis=1) * peak
            soundfile.write(str(folder / f"m{pitch:03}_v{layer}_rr1.wav"), stereo, RATE)


def write_drums(folder: Path, seed: int = 0) -> None:
    """Write a kick, a snare in two round robins, and closed and open hi-hats."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    time = np.arange(int(0.4 * RATE)) / RATE
    noise = random.standard_normal((4, time.size))
    sounds = {
        "kick_v1": np.sin(2 * np.pi * 60.0 * time) * np.exp(-12.0 * time),
        "snare_v1_rr1": noise[0] * np.exp(-20.0 * time) * 0.3,
        "snare_v1_rr2": noise[1] * np.exp(-20.0 * time) * 0.3,
        "hat_closed_v1": noise[2] * np.exp(-80.0 * time) * 0.05,
        "hat_open_v1": noise[3] * np.exp(-6.0 * time) * 0.05,
    }
    for name, sound in sounds.items():
        soundfile.write(str(folder / f"{name}.wav"), sound, RATE)


def write_groove(path: Path, seed: int = 0, bars: int = 8) -> None:
    """Write kick and snare with hi-hats at 120 beats a minute."""
    random = np.random.default_rng(seed)
    hits = []
    for eighth in range(8 * bars):
        hits.append((eighth * 0.25, 42, int(random.integers(40, 90))))
        if eighth % 2 == 0:
            hits.append((eighth * 0.25, 36 if eighth % 4 == 0 else 38, 100))
    _write(path, [(t, 9, "note_on", note, velocity) for t, note, velocity in hits])


def write_performance(path: Path, seed: int = 0, chords: int = 20) -> None:
    """Write chords of three notes, one a second, with the pedal down in every second one."""
    random = np.random.default_rng(seed)
    events: list[tuple[float, int, str, int, int]] = []
    for second in range(chords):
        root = int(random.integers(48, 60))
        events.append((second + 0.01, 0, "control_change", 64, 127 * (second % 2)))
        for pitch in (root, root + 4, root + 7):
            events.append((float(second), 0, "note_on", pitch, 70))
            events.append((second + 0.5, 0, "note_off", pitch, 0))
    _write(path, events)


def _write(path: Path, events: list[tuple[float, int, str, int, int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    song = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()
    song.tracks.append(track)
    now = 0
    for time_s, channel, kind, number, value in sorted(events, key=lambda event: event[0]):
        ticks = round(time_s * 960)
        if kind == "control_change":
            message = mido.Message(kind, channel=channel, control=number, value=value)
        else:
            message = mido.Message(kind, channel=channel, note=number, velocity=value)
        track.append(message.copy(time=ticks - now))
        now = ticks
    song.save(str(path))


def one_note(piano: Piano, pitch: int) -> np.ndarray:
    """A second in which a piano plays one loud note, the same each time."""
    from creative_mix.training.notes import Note

    return piano.play([Note(0.0, 1.0, pitch, 110)], RATE, np.random.default_rng(5))
