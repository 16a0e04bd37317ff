"""Generated piano performances: chords and patterns as popular music has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from creative_mix.training.chords import SCALES, Chord, voice_chords
from creative_mix.training.grooves import generate_groove
from creative_mix.training.notes import Note, sort_notes

__all__ = ["generate_groove", "generate_performance"]

Rng = np.random.Generator

# Where a comping hand plays, in sixteenths of a bar.
_COMPS: tuple[tuple[int, ...], ...] = (
    (0, 6), (0, 6, 12), (0, 3, 6, 10, 12), (2, 6, 10, 14), (0, 4, 8, 12), (0, 3, 8, 11), (4, 12),
    (0, 7, 10), (3, 6, 10), (0, 2, 4, 6, 8, 10, 12, 14), (0, 10), (6, 14), (0, 3, 6, 8, 11, 14),
)  # fmt: skip


class _Player:
    """Collects notes in beats, and gives them in seconds with a human's unevenness."""

    def __init__(self, rng: Rng, bpm: float, offset_s: float) -> None:
        self.rng = rng
        self.beat_s = 60.0 / bpm
        self.offset_s = offset_s
        self.timing_s = float(rng.choice((0.0, 0.003, 0.008, 0.014)))
        self.unevenness = float(rng.uniform(2.0, 11.0))
        self.loudness = float(rng.uniform(42.0, 102.0))
        self.roll_s = float(rng.choice((0.0, 0.0, 0.004, 0.012, 0.03)))
        self.notes: list[Note] = []

    def strike(self, beat: float, beats: float, pitch: int, accent: float = 0.0) -> None:
        """One note from a beat on, for some beats, louder or softer by an accent."""
        start_s = self.offset_s + beat * self.beat_s + self.rng.normal(0.0, self.timing_s)
        end_s = self.offset_s + (beat + beats) * self.beat_s + self.rng.normal(0.0, self.timing_s)
        velocity = self.loudness + accent + self.rng.normal(0.0, self.unevenness)
        pitch = int(np.clip(pitch, 21, 108))
        if end_s > start_s + 0.02:
            self.notes.append(Note(start_s, end_s, pitch, int(np.clip(round(velocity), 8, 127))))

    def chord(self, beat: float, beats: float, pitches: Sequence[int], accent: float = 0.0) -> None:
        """Several notes together, sometimes rolled upwards."""
        for at, pitch in enumerate(sorted(pitches)):
            late = at * self.roll_s / self.beat_s
            self.strike(beat + late, beats - late, pitch, accent + (3.0 if at else 0.0))


def _play_blocks(player: _Player, chords: list[Chord]) -> None:
    rng = player.rng
    every = float(rng.choice((1.0, 1.0, 2.0, 2.0, 4.0)))
    length = float(rng.choice((0.3, 0.6, 0.9, 1.0, 1.0)))
    with_bass = rng.random() < 0.75
    for chord in chords:
        step = min(every, chord.beats)
        for i in range(int(chord.beats / step)):
            beat = chord.beat + i * step
            pitches = [chord.bass, *chord.upper] if with_bass else chord.upper
            player.chord(beat, step * length, pitches, 6.0 if i == 0 else 0.0)


def _play_arpeggio(player: _Player, chords: list[Chord]) -> None:
    rng = player.rng
    step = float(rng.choice((0.25, 0.5, 0.5, 1.0 / 3.0, 1.0)))
    shape = int(rng.integers(4))
    pedal = rng.random() < 0.65
    octaves = rng.random() < 0.4
    for chord in chords:
        line = [chord.bass, *chord.upper]
        if octaves:
            line += [pitch + 12 for pitch in chord.upper]
        if shape == 1:
            line = line[::-1]
        elif shape == 2:
            line = line + line[-2:0:-1]
        elif shape == 3:
            line = [line[int(i)] for i in rng.permutation(len(line))]
        for i in range(round(chord.beats / step)):
            beat = chord.beat + i * step
            beats = chord.beat + chord.beats - beat if pedal else step * 0.95
            player.strike(beat, beats, line[i % len(line)], 5.0 if i == 0 else 0.0)


def _play_alberti(player: _Player, chords: list[Chord]) -> None:
    step = float(player.rng.choice((0.25, 0.5)))
    for chord in chords:
        low, *middle = sorted(pitch - 12 for pitch in (chord.upper + [chord.upper[0] + 7])[:3])
        top = middle[-1]
        cycle = (low, top, middle[0], top)
        for i in range(round(chord.beats / step)):
            player.strike(chord.beat + i * step, step * 1.05, cycle[i % 4], -6.0)
    _add_melody(player, chords, 1.0)


def _play_comping(player: _Player, chords: list[Chord]) -> None:
    rng = player.rng
    pattern = _COMPS[int(rng.integers(len(_COMPS)))]
    short = rng.random() < 0.5
    bass_style = int(rng.integers(3))
    for chord in chords:
        for bar in range(max(1, round(chord.beats / 4.0))):
            begin = chord.beat + 4.0 * bar
            inside = [s for s in pattern if begin + s / 4.0 < chord.beat + chord.beats]
            for i, sixteenth in enumerate(inside):
                following = inside[i + 1] if i + 1 < len(inside) else 16
                beats = 0.35 if short else (following - sixteenth) / 4.0 * 0.97
                player.chord(begin + sixteenth / 4.0, beats, chord.upper)
            if bass_style == 1:
                player.strike(begin, min(4.0, chord.beats) * 0.97, chord.bass, 4.0)
            elif bass_style == 2:
                for beat in range(int(min(4.0, chord.beats))):
                    walk = chord.bass + (0, 4, 7, 9)[beat % 4]
                    player.strike(begin + beat, 0.9, walk if beat else chord.bass)


def _play_ballad(player: _Player, chords: list[Chord]) -> None:
    rng = player.rng
    broken = rng.random() < 0.5
    for chord in chords:
        player.strike(chord.beat, chord.beats, chord.bass, 4.0)
        if rng.random() < 0.5:
            player.strike(chord.beat, chord.beats, chord.bass - 12, 2.0)
        line = chord.upper if broken else []
        for i, pitch in enumerate(line):
            player.strike(chord.beat + 0.5 * (i + 1), chord.beats - 0.5 * (i + 1), pitch, -8.0)
        if not broken:
            for beat in range(1, int(chord.beats), 2):
                player.chord(chord.beat + beat, chord.beats - beat, chord.upper, -8.0)
    _add_melody(player, chords, float(rng.choice((0.5, 1.0))))


def _play_sustained(player: _Player, chords: list[Chord]) -> None:
    octave = player.rng.random() < 0.4
    for chord in chords:
        pitches = [chord.bass, *chord.upper]
        if octave:
            pitches.append(chord.bass - 12)
        player.chord(chord.beat, chord.beats * 0.99, pitches)


def _play_stride(player: _Player, chords: list[Chord]) -> None:
    for chord in chords:
        for beat in range(int(chord.beats)):
            if beat % 2 == 0:
                fifth = 7 if beat % 4 else 0
                player.strike(chord.beat + beat, 0.8, chord.bass + fifth, 4.0)
            else:
                player.chord(chord.beat + beat, 0.6, chord.upper, -2.0)
    if player.rng.random() < 0.6:
        _add_melody(player, chords, 0.5)


def _play_octaves(player: _Player, chords: list[Chord]) -> None:
    step = float(player.rng.choice((0.5, 1.0)))
    for chord in chords:
        for i in range(round(chord.beats / step)):
            pitch = chord.bass + (12 if i % 2 else 0)
            player.strike(chord.beat + i * step, step * 0.9, pitch)
        player.chord(chord.beat, chord.beats * 0.97, chord.upper)


def _play_melody(player: _Player, chords: list[Chord]) -> None:
    _add_melody(player, chords, float(player.rng.choice((0.5, 1.0))), lower=12)


def _add_melody(player: _Player, chords: list[Chord], step: float, lower: int = 0) -> None:
    """A tune over the chords: steps in the scale, chord notes on strong beats, rests."""
    rng = player.rng
    minor = 3 in [(chords[0].upper[0] - chords[0].key) % 12]
    scale = SCALES["minor" if minor else "major"]
    pitch = max(chords[0].upper) + 7 - lower
    density = float(rng.uniform(0.45, 0.95))
    for chord in chords:
        beat = chord.beat
        while beat < chord.beat + chord.beats - 1e-6:
            beats = step * float(rng.choice((1.0, 1.0, 2.0)))
            beats = min(beats, chord.beat + chord.beats - beat)
            if rng.random() < density:
                if beat == chord.beat:
                    choices = [p + 12 * k - lower for p in chord.upper for k in (0, 1, 2)]
                    pitch = choices[int(np.argmin(np.abs(np.asarray(choices) - pitch)))]
                else:
                    pitch += int(rng.choice((-4, -2, -1, 1, 2, 3)))
                    pitch = int(np.clip(pitch, max(chord.upper) + 1 - lower, 96))
                    while (pitch - chord.key) % 12 not in scale:
                        pitch += 1
                player.strike(beat, beats * 0.97, pitch, 10.0)
            beat += beats


_STYLES: dict[str, Callable[[_Player, list[Chord]], None]] = {
    "blocks": _play_blocks,
    "arpeggio": _play_arpeggio,
    "alberti": _play_alberti,
    "comping": _play_comping,
    "ballad": _play_ballad,
    "sustained": _play_sustained,
    "stride": _play_stride,
    "octaves": _play_octaves,
    "melody": _play_melody,
}
_STYLE_SHARES = (0.2, 0.18, 0.06, 0.16, 0.16, 0.12, 0.05, 0.04, 0.03)


def generate_performance(
    rng: Rng, duration_s: float, bpm: float | None = None, offset_s: float = 0.0
) -> tuple[str, tuple[Note, ...]]:
    """The style and the notes of a new performance.

    Args:
        rng: what decides everything.
        duration_s: how long it plays, seconds.
        bpm: quarter notes a minute; None draws one.
        offset_s: when the first beat is, seconds; may be negative.
    """
    if bpm is None:
        bpm = float(rng.uniform(58.0, 150.0))
    while bpm > 160.0:
        bpm /= 2.0
    while bpm < 50.0:
        bpm *= 2.0
    style = str(rng.choice(list(_STYLES), p=_STYLE_SHARES))
    player = _Player(rng, bpm, offset_s)
    chords = voice_chords(rng, (duration_s - offset_s) / player.beat_s)
    _STYLES[style](player, chords)
    return style, sort_notes(player.notes)
