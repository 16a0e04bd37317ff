"""Make the sample recordings beside this file: three pairs of drums and piano.

Needs FluidSynth and a General MIDI SoundFont (Debian: fluidsynth, fluid-soundfont-gm):

    python samples/make_samples.py          # the recordings
    python samples/make_samples.py --mix    # what creative-mix makes of them, too

The music is written out below.  Everything is seeded: the same notes come out every time.
"""

from __future__ import annotations

import argparse
import random
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

HERE = Path(__file__).parent
SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
SAMPLE_RATE = 44100
TICKS_A_BEAT = 480

KICK, SIDESTICK, SNARE, CLOSED, PEDAL_HAT, OPEN, CRASH, RIDE = 36, 37, 38, 42, 44, 46, 49, 51
PIANO_CHANNEL, DRUM_CHANNEL = 0, 9
STANDARD_KIT, POWER_KIT, BRUSH_KIT = 0, 16, 40


@dataclass(frozen=True)
class Event:
    """A note, its times in beats."""

    start: float
    length: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Piece:
    """A pair of recordings in the making."""

    name: str
    beats_a_minute: float
    beats: int
    drum_kit: int
    drums: list[Event]
    piano: list[Event]
    pedal: list[tuple[float, float]]
    """When the sustain pedal is down, in beats."""


def pattern(lines: dict[int, str], bars: int, beats: int, dice: random.Random) -> list[Event]:
    """Return the hits of a bar written as lines, one character a sixteenth, played `bars` times.

    "." is a rest, "1" to "9" are velocities.  Each hit is a little early or late and its
    velocity a little off, as by hand.
    """
    hits = []
    for bar in range(bars):
        for pitch, line in lines.items():
            for step, sign in enumerate(line):
                if sign == ".":
                    continue
                start = bar * beats + step / 4 + dice.gauss(0, 0.006)
                velocity = round(int(sign) * 13 + dice.gauss(0, 4))
                hits.append(Event(max(0.0, start), 0.2, pitch, min(127, max(1, velocity))))
    return hits


def chord(
    start: float,
    length: float,
    pitches: str,
    velocity: int,
    dice: random.Random,
    roll: float = 0.015,
) -> list[Event]:
    """Return the notes of a chord, named as in "C3 G3 E4", rolled a little from below."""
    notes = []
    for place, name in enumerate(pitches.split()):
        at = start + place * roll + abs(dice.gauss(0, 0.004))
        soft = round(velocity + dice.gauss(0, 4) - (6 if 0 < place < 3 else 0))
        notes.append(Event(at, length, to_pitch(name), soft))
    return notes


def to_pitch(name: str) -> int:
    """Return the MIDI number of a note name.

    >>> to_pitch("A4"), to_pitch("Eb3"), to_pitch("F#2")
    (69, 51, 42)
    """
    base = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[name[0]]
    shift = name.count("#") - name.count("b")
    return 12 * (int(name.lstrip("ABCDEFG#b")) + 1) + base + shift


def funk() -> Piece:
    """A sixteenth-note groove at 98 beats a minute; a piano that holds slow gospel chords."""
    dice = random.Random(98)
    bar_a = {
        KICK: "8..5..7...8..4..",
        SNARE: "....8..2.2..8..3",
        CLOSED: "6353635363536.53",
        OPEN: ".............5..",
    }
    bar_b = {
        KICK: "8..5....6.7..5..",
        SNARE: "....8..2....8.56",
        CLOSED: "635363536353....",
    }
    drums = [Event(0.0, 0.2, CRASH, 92)]
    for bar in range(5):
        lines = bar_b if bar in (3, 4) else bar_a
        drums += [
            Event(hit.start + 4 * bar, hit.length, hit.pitch, hit.velocity)
            for hit in pattern(lines, 1, 4, dice)
        ]
    changes = [
        (0, 4, "D2 A2 F4 A4 C5 E5"),
        (4, 2, "G2 D3 F4 A4 B4 D5"),
        (6, 2, "G2 B2 F4 A4 B4 E5"),
        (8, 4, "C2 G2 E4 G4 B4 D5"),
        (12, 2, "F2 C3 E4 A4 C5 E5"),
        (14, 2, "E2 B2 D4 G#4 C5"),
        (16, 4, "A2 E3 C4 G4 B4 E5"),
    ]
    piano, pedal = [], []
    for start, length, pitches in changes:
        piano += chord(start, length - 0.1, pitches, 74, dice)
        pedal.append((start + 0.1, start + length - 0.05))
    melody = [
        (1.5, "G5", 66),
        (2.5, "A5", 70),
        (5.5, "D5", 60),
        (9.5, "G5", 68),
        (10.5, "E5", 62),
        (13.0, "G5", 70),
        (15.0, "F5", 64),
        (17.5, "C6", 68),
    ]
    piano += [Event(start, 1.4, to_pitch(name), velocity) for start, name, velocity in melody]
    return Piece("funk", 98, 20, STANDARD_KIT, drums, piano, pedal)


def waltz() -> Piece:
    """Brushes in three at 138 beats a minute; a piano in broken chords at 92."""
    dice = random.Random(138)
    lines = {
        KICK: "7...........",
        SNARE: "....5...6.3.",
        PEDAL_HAT: "....5...5...",
        RIDE: "6...5.4.5.3.",
    }
    drums = pattern(lines, 9, 3, dice)
    # The piano's own beat is 92 a minute: two of its beats are three of the drums'.
    figures = [
        "F2 C3 A3 C4 F4 A4",
        "D2 A2 F3 A3 D4 F4",
        "Bb1 F2 D3 F3 Bb3 D4",
        "C2 G2 E3 Bb3 C4 E4",
        "A1 E2 C3 G3 C4 E4",
        "D2 A2 F3 C4 D4 F4",
        "G1 D2 Bb2 F3 Bb3 D4",
        "C2 G2 Bb2 E3 Bb3 D4",
        "F1 C2 A2 E3 G3 C4",
    ]
    piano, pedal = [], []
    for turn, figure in enumerate(figures):
        begin = 3.0 * turn
        for place, name in enumerate(figure.split()):
            start = begin + place * 0.375
            velocity = round(72 - 3 * (place % 3) + dice.gauss(0, 4))
            piano.append(Event(start, 2.9 - place * 0.375, to_pitch(name) + 12, velocity))
        pedal.append((begin + 0.1, begin + 2.9))
    return Piece("waltz", 138, 27, BRUSH_KIT, drums, piano, pedal)


def breakbeat() -> Piece:
    """A chopped break at 168 beats a minute; a piano with one dark chord a bar."""
    dice = random.Random(168)
    lines = [
        {KICK: "9.7.......87....", SNARE: "....9..4.4..9..4", RIDE: "7.6.7.6.7.6.7.6."},
        {
            KICK: "9.7.......8.....",
            SNARE: "....9..4.4....9.",
            RIDE: "7.6.7.6.7.6.7.6.",
            CRASH: "..........7.....",
        },
    ]
    drums = [Event(0.0, 0.2, CRASH, 104)]
    for bar in range(8):
        drums += [
            Event(hit.start + 4 * bar, hit.length, hit.pitch, hit.velocity)
            for hit in pattern(lines[bar % 4 == 3], 1, 4, dice)
        ]
    changes = [
        "C2 C3 G3 Eb4 G4 D5",
        "Ab1 Ab2 Eb3 C4 G4 Bb4",
        "F1 F2 C3 Ab3 Eb4 G4",
        "G1 G2 D3 B3 F4 Ab4",
    ] * 2
    piano, pedal = [], []
    for bar, pitches in enumerate(changes):
        piano += chord(4.0 * bar, 3.85, pitches, 70 + 3 * (bar % 4), dice, roll=0.05)
        pedal.append((4.0 * bar + 0.15, 4.0 * bar + 3.9))
        top = pitches.split()[-1]
        piano += chord(4.0 * bar + 2.5, 1.3, top, 60, dice)
    return Piece("breakbeat", 168, 32, POWER_KIT, drums, piano, pedal)


def variable_length(value: int) -> bytes:
    """Return a MIDI variable-length quantity."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(0x80 | value & 0x7F)
    return bytes(reversed(out))


def midi_file(
    events: list[Event],
    beats_a_minute: float,
    channel: int,
    program: int,
    pedal: list[tuple[float, float]] | None = None,
) -> bytes:
    """Return a standard MIDI file of one track."""
    messages: list[tuple[int, int, bytes]] = []
    for event in events:
        start = round(event.start * TICKS_A_BEAT)
        end = round((event.start + event.length) * TICKS_A_BEAT)
        messages.append((start, 2, bytes([0x90 | channel, event.pitch, event.velocity])))
        messages.append((end, 0, bytes([0x80 | channel, event.pitch, 0])))
    for down, up in pedal or []:
        messages.append((round(down * TICKS_A_BEAT), 1, bytes([0xB0 | channel, 64, 127])))
        messages.append((round(up * TICKS_A_BEAT), 1, bytes([0xB0 | channel, 64, 0])))
    tempo = round(60e6 / beats_a_minute)
    track = b"\x00\xff\x51\x03" + tempo.to_bytes(3, "big")
    track += b"\x00" + bytes([0xC0 | channel, program])
    before = 0
    for tick, _, message in sorted(messages):
        track += variable_length(tick - before) + message
        before = tick
    track += b"\x00\xff\x2f\x00"
    head = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, TICKS_A_BEAT)
    return head + struct.pack(">4sI", b"MTrk", len(track)) + track


def synthesise(midi: bytes, soundfont: Path, duration_s: float, room: bool) -> np.ndarray:
    """Return the audio of a MIDI file, its peak at -3 dB.

    Shape: (N, 2).
    """
    with tempfile.TemporaryDirectory() as folder:
        score, audio = Path(folder, "score.mid"), Path(folder, "audio.wav")
        score.write_bytes(midi)
        subprocess.run(
            [
                "fluidsynth",
                "-q",
                "-n",
                "-i",
                "-g",
                "0.5",
                "-r",
                str(SAMPLE_RATE),
                "-C",
                "0",
                "-R",
                "1" if room else "0",
                "-o",
                "synth.reverb.level=0.35",
                "-O",
                "float",
                "-T",
                "wav",
                "-F",
                str(audio),
                str(soundfont),
                str(score),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        samples, _ = sf.read(audio, always_2d=True)
    frames = round(duration_s * SAMPLE_RATE)
    samples = np.pad(samples, ((0, max(0, frames - len(samples))), (0, 0)))[:frames]
    fade = round(0.01 * SAMPLE_RATE)
    samples[-fade:] *= np.linspace(1, 0, fade)[:, None]
    scaled: np.ndarray = samples * (10 ** (-3 / 20) / np.abs(samples).max())
    return scaled


def recordings(soundfont: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the file name and the samples of every recording."""
    for piece in (funk(), waltz(), breakbeat()):
        duration_s = piece.beats * 60 / piece.beats_a_minute
        drums = midi_file(piece.drums, piece.beats_a_minute, DRUM_CHANNEL, piece.drum_kit)
        mono = synthesise(drums, soundfont, duration_s, room=False).mean(axis=1, keepdims=True)
        yield f"{piece.name}.drums.flac", mono
        piano = midi_file(piece.piano, piece.beats_a_minute, PIANO_CHANNEL, 0, piece.pedal)
        yield f"{piece.name}.piano.flac", synthesise(piano, soundfont, duration_s, room=True)


def main() -> None:
    """Write the recordings."""
    parser = argparse.ArgumentParser(description="Make the sample recordings.")
    parser.add_argument("--soundfont", type=Path, default=SOUNDFONT, help="General MIDI SoundFont")
    parser.add_argument(
        "--mix", action="store_true", help="render the pairs with creative-mix, too"
    )
    options = parser.parse_args()
    if not options.soundfont.exists():
        sys.exit(f"{options.soundfont}: no such SoundFont; give one with --soundfont")
    for name, samples in recordings(options.soundfont):
        sf.write(HERE / name, samples, SAMPLE_RATE, "PCM_16")
    if options.mix:
        for drums in sorted(HERE.glob("*.drums.flac")):
            stem = drums.name.removesuffix(".drums.flac")
            subprocess.run(
                [
                    "creative-mix",
                    drums,
                    HERE / f"{stem}.piano.flac",
                    "--force",
                    "--quiet",
                    "-o",
                    HERE / f"{stem}.mix.flac",
                ],
                check=True,
            )


if __name__ == "__main__":
    main()
