"""Pianos and drum kits out of a SoundFont, played by FluidSynth.

Single strokes are rendered once, the first time an instrument is played, and then used like
recorded samples.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import mido
import numpy as np
import soundfile as sf

from creative_mix.constants import SAMPLE_RATE
from creative_mix.errors import TrainingDataError
from creative_mix.training.instruments import SampledKit, SampledPiano
from creative_mix.training.notes import Hit, Note
from creative_mix.training.samples import Audio, SampleFile, SampleStore

PIANO_PROGRAMS = {0: "grand", 1: "bright"}
"""General MIDI programs that are acoustic pianos; electric ones and harpsichords stay unseen."""

KIT_PROGRAMS = {0: "standard", 8: "room", 16: "power", 24: "electronic", 25: "tr808", 32: "jazz"}
"""Programs of the drum bank in GS/XG SoundFonts."""

VELOCITIES = (24, 56, 88, 118)
PIANO_PITCHES = tuple(range(24, 109, 4))
KIT_NOTES = {
    36: "kick", 37: "sidestick", 38: "snare", 39: "clap", 40: "rimshot", 42: "hat_closed",
    43: "tom_floor", 44: "hat_pedal", 46: "hat_open", 47: "tom_mid", 49: "crash", 50: "tom_hi",
    51: "ride", 52: "china", 53: "ride_bell", 54: "tambourine", 55: "splash", 56: "cowbell",
    57: "crash2", 60: "bongo_hi", 61: "bongo_lo", 62: "conga_mute", 63: "conga_open",
    64: "conga_low", 65: "timbale_hi", 66: "timbale_lo", 69: "cabasa", 70: "maracas",
    75: "claves", 76: "woodblock_hi", 77: "woodblock_lo",
}  # fmt: skip


class SoundFontPiano:
    """A piano program of a SoundFont; renders its strokes when first played."""

    share = 0.5  # SoundFonts' instruments are many and alike

    def __init__(self, font: Path, program: int, store: SampleStore) -> None:
        self.name = f"{font.stem}_{PIANO_PROGRAMS.get(program, program)}"
        self._font, self._program, self._store = font, program, store
        self._sampled: SampledPiano | None = None

    def play(self, notes: Sequence[Note], samples: int, rng: np.random.Generator) -> Audio:
        """Stereo audio of the notes. Shape: (2, samples)."""
        return self.sampled().play(notes, samples, rng)

    def sampled(self) -> SampledPiano:
        """Its strokes, rendered now where they were not yet."""
        if self._sampled is None:
            files = render_strokes(
                self._font, 0, self._program, PIANO_PITCHES, 6.0, f"{self.name}/", self._store
            )
            self._sampled = SampledPiano(self.name, files, self._store)
        return self._sampled


class SoundFontKit:
    """A drum kit of a SoundFont; renders its strokes when first played."""

    share = 0.2  # SoundFonts' instruments are many and alike
    has_hands = True

    def __init__(self, font: Path, program: int, store: SampleStore) -> None:
        self.name = f"{font.stem}_{KIT_PROGRAMS.get(program, program)}"
        self._font, self._program, self._store = font, program, store
        self._sampled: SampledKit | None = None

    def play(
        self, hits: Sequence[Hit], samples: int, rng: np.random.Generator, loose_db: float = 0.0
    ) -> Audio:
        """Stereo audio of the hits. Shape: (2, samples)."""
        return self.sampled().play(hits, samples, rng, loose_db)

    def sampled(self) -> SampledKit:
        """Its strokes, rendered now where they were not yet."""
        if self._sampled is None:
            files = render_strokes(
                self._font, 9, self._program, tuple(KIT_NOTES), 2.5, f"{self.name}/", self._store
            )
            self._sampled = SampledKit(self.name, files, self._store)
        return self._sampled


def soundfont_pianos(
    font: str | Path, store: SampleStore, programs: Sequence[int] = tuple(PIANO_PROGRAMS)
) -> list[SoundFontPiano]:
    """Instruments of a SoundFont that play the piano's part; its acoustic pianos by default.

    Args:
        font: the SoundFont.
        store: of their strokes.
        programs: General MIDI programs, 0..127.

    Raises:
        TrainingDataError: the file or FluidSynth is missing, it is no SoundFont, or a program is
            out of range.
    """
    path = _checked(font)
    for program in programs:
        if not 0 <= program <= 127:
            raise TrainingDataError(f"program {program}: must be 0 to 127")
    return [SoundFontPiano(path, program, store) for program in programs]


def soundfont_kits(font: str | Path, store: SampleStore) -> list[SoundFontKit]:
    """The drum kits of a SoundFont.

    Raises:
        TrainingDataError: the file or FluidSynth is missing, or it is no SoundFont.
    """
    path = _checked(font)
    return [SoundFontKit(path, program, store) for program in KIT_PROGRAMS]


def render_strokes(
    font: Path,
    channel: int,
    program: int,
    pitches: Sequence[int],
    length_s: float,
    key: str,
    store: SampleStore,
) -> list[SampleFile]:
    """Single strokes of a program at several velocities, put into the store.

    Args:
        font: the SoundFont.
        channel: MIDI channel from 0; 9 is the drums'.
        program: MIDI program, 0..127.
        pitches: which notes.
        length_s: how long each sounds, seconds.
        key: what the strokes' names in the store begin with.

    Raises:
        TrainingDataError: FluidSynth fails.
    """
    spacing_s = length_s + 0.5
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=500_000))
    track.append(mido.Message("program_change", channel=channel, program=program))
    ticks = 9600  # a half second
    order = [(pitch, velocity) for pitch in pitches for velocity in VELOCITIES]
    for pitch, velocity in order:
        track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=velocity))
        held = round(length_s * 2 * ticks)
        track.append(mido.Message("note_off", channel=channel, note=pitch, time=held))
        track.append(mido.Message("control_change", channel=channel, control=120, time=ticks))
    song = mido.MidiFile(ticks_per_beat=ticks)
    song.tracks.append(track)
    audio = _synthesise(font, song)
    files = []
    for at, (pitch, velocity) in enumerate(order):
        begin = round(at * spacing_s * SAMPLE_RATE)
        stroke = audio[:, begin : begin + round(length_s * SAMPLE_RATE)]
        if not stroke.size or float(np.max(np.abs(stroke))) < 1e-4:
            continue
        layer = VELOCITIES.index(velocity)
        path = Path(f"{key}{pitch:03}_v{layer + 1}")
        store.pin(str(path), stroke)
        sound = KIT_NOTES.get(pitch, "") if channel == 9 else "note"
        files.append(SampleFile(path, sound, pitch, layer + 1, 1))
    return files


def play_program(font: Path, program: int, notes: Sequence[Note], samples: int) -> Audio:
    """Stereo audio of notes played by a program of a SoundFont. Shape: (2, samples).

    Args:
        font: the SoundFont.
        program: General MIDI program, 0..127.
        notes: of one part.
        samples: how long.

    Raises:
        TrainingDataError: FluidSynth fails.
    """
    ticks = 9600  # a half second
    events = [(n.start_s, "note_on", n.pitch, n.velocity) for n in notes]
    events += [(n.end_s, "note_off", n.pitch, 0) for n in notes]
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=500_000))
    track.append(mido.Message("program_change", program=program))
    now = 0
    for time_s, kind, pitch, velocity in sorted(events):
        place = max(now, round(time_s * 2 * ticks))
        track.append(mido.Message(kind, note=pitch, velocity=velocity, time=place - now))
        now = place
    song = mido.MidiFile(ticks_per_beat=ticks)
    song.tracks.append(track)
    audio = _synthesise(font, song)[:, :samples]
    return np.pad(audio, ((0, 0), (0, samples - audio.shape[1])))


def _synthesise(font: Path, song: mido.MidiFile) -> Audio:
    """What FluidSynth makes of a song, dry. Shape: (2, samples)."""
    with tempfile.TemporaryDirectory() as folder:
        score, wave = Path(folder, "song.mid"), Path(folder, "song.wav")
        song.save(str(score))
        command = ["fluidsynth", "-n", "-i", "-q", "-R", "0", "-C", "0", "-g", "0.5"]
        command += ["-o", "synth.dynamic-sample-loading=1"]
        command += ["-r", str(SAMPLE_RATE), "-O", "s24", "-T", "wav", "-F", str(wave)]
        done = subprocess.run([*command, str(font), str(score)], capture_output=True, text=True)
        if done.returncode != 0 or not wave.is_file():
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise TrainingDataError(f"{font}: FluidSynth could not play it ({last})")
        audio = sf.read(str(wave), dtype="float32", always_2d=True)[0]
    return np.ascontiguousarray(audio.T)


def _checked(font: str | Path) -> Path:
    path = Path(font)
    if not path.is_file():
        raise TrainingDataError(f"{path}: no such SoundFont")
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"sfbk":
        # FluidSynth would play its default in the file's place, and not fail.
        raise TrainingDataError(
            f"{path}: not a SoundFont (.sf2); is it a pointer to one, or a download cut short?"
        )
    if shutil.which("fluidsynth") is None:
        raise TrainingDataError(
            f"{path}: SoundFonts need FluidSynth; install it (Debian: apt-get install fluidsynth)"
        )
    return path
