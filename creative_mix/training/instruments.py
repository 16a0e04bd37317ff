"""Sampled pianos and drum kits: notes and hits in, stereo audio out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from creative_mix.constants import SAMPLE_RATE
from creative_mix.errors import TrainingDataError
from creative_mix.training.notes import Hit, Note
from creative_mix.training.samples import Audio, SampleFile, SampleStore, VelocityMap, add_stroke

UNDAMPED_FROM = 90  # F#6 and up: pianos have no dampers there
CHOKES = {42: (46,), 44: (46,)}  # a closing hi-hat silences the open one
CHOKE_S = 0.03

# What to play for a General MIDI note when a kit lacks the sound: (instrument, semitones) in
# order of preference.
DRUM_SOUNDS: dict[int, tuple[tuple[str, float], ...]] = {
    35: (("kick", -1.0),),
    36: (("kick", 0.0),),
    37: (("sidestick", 0.0), ("rimshot", 0.0), ("snare", 3.0)),
    38: (("snare", 0.0),),
    39: (("clap", 0.0), ("snare", 1.0)),
    40: (("snare_edge", 0.0), ("rimshot", 0.0), ("snare3", 0.0), ("snare", 0.5)),
    41: (("tom_floor", -2.0),),
    43: (("tom_floor", 0.0),),
    45: (("tom_lowmid", 0.0), ("tom_floor", 2.5), ("tom_mid", -2.5)),
    47: (("tom_mid", 0.0), ("tom_hi", -2.0)),
    48: (("tom_hi", -1.0), ("tom_mid", 2.0)),
    50: (("tom_hi", 0.5), ("tom_mid", 3.0)),
    42: (("hat_closed", 0.0),),
    44: (("hat_pedal", 0.0), ("hat_closed", -1.0)),
    46: (("hat_open", 0.0), ("hat_half", 0.0), ("hat_closed", 0.0)),
    49: (("crash", 0.0), ("crash2", 0.0)),
    51: (("ride", 0.0), ("hat_closed", 2.0)),
    52: (("china", 0.0), ("crash2", 0.0), ("crash", -2.0)),
    53: (("ride_bell", 0.0), ("ride", 1.0), ("hat_closed", 3.0)),
    54: (("tambourine", 0.0), ("hat_closed", 1.0)),
    55: (("splash", 0.0), ("crash_bell", 0.0), ("crash", 4.0)),
    56: (("cowbell", 0.0), ("sidestick", 0.0), ("rimshot", 0.0), ("snare", 4.0)),
    57: (("crash2", 0.0), ("crash", 2.0)),
    59: (("ride", 0.5), ("hat_closed", 2.0)),
    60: (("bongo_hi", 0.0),),
    61: (("bongo_lo", 0.0),),
    62: (("conga_mute", 0.0),),
    63: (("conga_open", 0.0),),
    64: (("conga_low", 0.0),),
    65: (("timbale_hi", 0.0),),
    66: (("timbale_lo", 0.0),),
    69: (("cabasa", 0.0), ("hat_closed", 1.0)),
    70: (("maracas", 0.0), ("hat_closed", 2.0)),
    75: (("claves", 0.0), ("sidestick", 2.0)),
    76: (("woodblock_hi", 0.0), ("sidestick", 3.0)),
    77: (("woodblock_lo", 0.0), ("sidestick", 1.0)),
}
HAND_DRUMS = frozenset({"bongo_hi", "bongo_lo", "conga_mute", "conga_open", "conga_low"})
_STANDARD_MIX_DB = {"kick": 0.0, "snare": -1.0, "rimshot": -2.0, "sidestick": -7.0, "clap": -4.0}
_STANDARD_MIX_DB |= {"tom": -3.0, "hat": -13.0, "ride": -12.0, "crash": -6.0, "splash": -9.0}
_STANDARD_MIX_DB |= {"china": -8.0, "cowbell": -10.0, "tambourine": -10.0}
_STANDARD_MIX_DB |= {"conga": -3.0, "bongo": -4.0, "timbale": -4.0, "cabasa": -12.0}
_STANDARD_MIX_DB |= {"maracas": -13.0, "claves": -9.0, "woodblock": -9.0}


class Piano(Protocol):
    """Anything that plays notes."""

    name: str
    share: float  # how often it is drawn, against others

    def play(self, notes: Sequence[Note], samples: int, rng: np.random.Generator) -> Audio:
        """Stereo audio of the notes. Shape: (2, samples)."""
        ...

    def sampled(self) -> SampledPiano:
        """It as recorded strokes."""
        ...


class Kit(Protocol):
    """Anything that plays hits."""

    name: str
    share: float  # how often it is drawn, against others
    has_hands: bool  # whether it has hand drums too

    def play(
        self, hits: Sequence[Hit], samples: int, rng: np.random.Generator, loose_db: float = 0.0
    ) -> Audio:
        """Stereo audio of the hits. Shape: (2, samples)."""
        ...


class RecordedKit(Kit, Protocol):
    """A kit of which there are recorded strokes."""

    def sampled(self) -> SampledKit:
        """It as those strokes."""
        ...


def release_s(pitch: int) -> float:
    """Time constant of a damper's fade: longer on the heavy low strings. Seconds."""
    return float(np.interp(pitch, (21, 48, 72, 90), (0.13, 0.075, 0.05, 0.04)))


class SampledPiano:
    """A piano from recorded notes.

    Args:
        name: what it is called.
        files: its samples.
        store: where decoded samples are kept.
        levels_db: each layer's own level, softest first; measured where it is not known.

    Raises:
        TrainingDataError: there are no samples.
    """

    share = 1.0

    def __init__(
        self,
        name: str,
        files: Sequence[SampleFile],
        store: SampleStore,
        levels_db: Sequence[float] | None = None,
    ) -> None:
        if not files:
            raise TrainingDataError(f"piano {name}: no samples found")
        self.name = name
        self.files = tuple(files)
        self.store = store
        layers = sorted({f.layer for f in files})
        self._layers: list[dict[int, list[SampleFile]]] = [{} for _ in layers]
        for file in sorted(files, key=lambda f: (f.layer, f.pitch, f.round_robin, str(f.path))):
            self._layers[layers.index(file.layer)].setdefault(file.pitch, []).append(file)
        self._pitches = [np.asarray(sorted(layer)) for layer in self._layers]
        self._map = None if levels_db is None else VelocityMap(levels_db)

    def sampled(self) -> SampledPiano:
        """Itself."""
        return self

    def only(self, files: Sequence[SampleFile]) -> SampledPiano:
        """The instrument with some of its samples."""
        return SampledPiano(self.name, files, self.store)

    @property
    def velocity_map(self) -> VelocityMap:
        """Layers and gains, from the measured peaks of a few notes of each layer."""
        if self._map is None:
            levels = []
            for layer, pitches in zip(self._layers, self._pitches, strict=True):
                some = [p for p in pitches if 40 <= p <= 84][::3] or list(pitches)
                peaks = [self.store.get(layer[int(p)][0].path).peak_db for p in some]
                levels.append(float(np.median(peaks)))
            self._map = VelocityMap(levels)
        return self._map

    def play(self, notes: Sequence[Note], samples: int, rng: np.random.Generator) -> Audio:
        """Stereo audio of the notes, other layers and round robins by `rng`.

        Shape: (2, samples).
        """
        out = np.zeros((2, samples), np.float32)
        mapping = self.velocity_map
        following = next_of_pitch(notes)
        for at, note in enumerate(notes):
            layer = mapping.layer(note.velocity + rng.normal(0.0, 3.0))
            pitches = self._pitches[layer]
            nearest = int(pitches[np.argmin(np.abs(pitches - note.pitch))])
            takes = self._layers[layer][nearest]
            take = takes[int(rng.integers(len(takes)))]
            stroke = self.store.get(take.path, float(note.pitch - nearest))
            gain = mapping.gain(note.velocity, layer)
            if not mapping.natural:  # every file was levelled by itself
                gain *= 10.0 ** ((mapping.own[layer] - stroke.peak_db) / 20.0)
            next_s = following[at]
            if note.pitch >= UNDAMPED_FROM:
                stop_s, fade_s = next_s, 0.12
            else:
                stop_s, fade_s = min(note.end_s, next_s or note.end_s), release_s(note.pitch)
            add_stroke(
                out,
                stroke,
                note.start_s * SAMPLE_RATE,
                gain,
                None if stop_s is None else stop_s * SAMPLE_RATE,
                round(fade_s * SAMPLE_RATE),
            )
        return out


class SampledKit:
    """A drum kit from recorded strokes.

    Args:
        name: what it is called.
        files: its samples; `sound` is the drum's name as in `DRUM_SOUNDS`.
        store: where decoded samples are kept.
        levelled: whether every drum's samples were levelled by themselves, so that the kit needs
            a balance; judged by their levels where it is not known.

    Raises:
        TrainingDataError: it has neither kick, snare nor hi-hat.
    """

    share = 1.0

    def __init__(
        self,
        name: str,
        files: Sequence[SampleFile],
        store: SampleStore,
        levelled: bool | None = None,
    ) -> None:
        self.name = name
        self.files = tuple(files)
        self.store = store
        self._levelled = levelled
        self._takes: dict[str, list[list[SampleFile]]] = {}
        by_sound: dict[str, dict[int, list[SampleFile]]] = {}
        for file in sorted(files, key=lambda f: (f.sound, f.layer, f.round_robin, str(f.path))):
            by_sound.setdefault(file.sound, {}).setdefault(file.layer, []).append(file)
        for sound, layers in by_sound.items():
            self._takes[sound] = [layers[n] for n in sorted(layers)]
        missing = {"kick", "snare", "hat_closed"} - set(self._takes)
        if missing:
            raise TrainingDataError(
                f"drum kit {name}: no samples of {', '.join(sorted(missing))}; name files such as "
                f"{min(missing)}_v1_rr1.wav, or list them in an index.csv"
            )
        self.has_hands = HAND_DRUMS <= set(self._takes)
        self._maps: dict[str, VelocityMap] = {}
        self._mix_db: dict[str, float] | None = None

    def sampled(self) -> SampledKit:
        """Itself."""
        return self

    def only(self, files: Sequence[SampleFile]) -> SampledKit:
        """The instrument with some of its samples."""
        return SampledKit(self.name, files, self.store, self._levelled)

    @property
    def sounds(self) -> tuple[str, ...]:
        """The drums it has samples of."""
        return tuple(self._takes)

    def play(
        self, hits: Sequence[Hit], samples: int, rng: np.random.Generator, loose_db: float = 0.0
    ) -> Audio:
        """Stereo audio of the hits, round robins by `rng`.

        Args:
            loose_db: one sigma by which each drum's level in the mix departs from the kit's own.

        Shape: (2, samples).
        """
        out = np.zeros((2, samples), np.float32)
        departure = {s: float(rng.normal(0.0, loose_db)) for s in sorted(self._takes)}
        stops = choke_times(hits)
        for hit, stop_s in zip(hits, stops, strict=True):
            sound, semitones = self._sound(hit.gm_note)
            mapping = self._velocity_map(sound)
            layer = mapping.layer(hit.velocity + rng.normal(0.0, 3.0))
            takes = self._takes[sound][layer]
            stroke = self.store.get(takes[int(rng.integers(len(takes)))].path, semitones)
            gain = mapping.gain(hit.velocity, layer)
            gain *= 10.0 ** ((self._mix()[sound] + departure[sound]) / 20.0)
            add_stroke(
                out,
                stroke,
                hit.time_s * SAMPLE_RATE,
                gain,
                None if stop_s is None else stop_s * SAMPLE_RATE,
                round(CHOKE_S * SAMPLE_RATE),
            )
        return out

    def _sound(self, gm_note: int) -> tuple[str, float]:
        for sound, semitones in DRUM_SOUNDS.get(gm_note, ()):
            if sound in self._takes:
                return sound, semitones
        return ("hat_closed", 0.0) if gm_note >= 42 else ("snare", 0.0)

    def _velocity_map(self, sound: str) -> VelocityMap:
        if sound not in self._maps:
            levels = [
                float(np.median([self.store.get(t.path).peak_db for t in takes]))
                for takes in self._takes[sound]
            ]
            self._maps[sound] = VelocityMap(levels)
        return self._maps[sound]

    def _mix(self) -> Mapping[str, float]:
        """Gains in dB that give a kit of levelled samples the balance of a played one."""
        if self._mix_db is None:
            tops = {s: float(self._velocity_map(s).levels[-1]) for s in self._takes}
            levelled = self._levelled
            if levelled is None:
                levelled = tops["hat_closed"] > max(tops["kick"], tops["snare"]) - 4.0
            self._mix_db = {
                s: (_standard_mix_db(s) - top if levelled else 0.0) for s, top in tops.items()
            }
        return self._mix_db


def next_of_pitch(notes: Sequence[Note]) -> list[float | None]:
    """For each note when its pitch is struck next, in seconds, or None."""
    following: list[float | None] = [None] * len(notes)
    seen: dict[int, float] = {}
    for at in range(len(notes) - 1, -1, -1):
        following[at] = seen.get(notes[at].pitch)
        seen[notes[at].pitch] = notes[at].start_s
    return following


def choke_times(hits: Sequence[Hit]) -> list[float | None]:
    """For each hit (sorted) when another silences it, in seconds, or None."""
    stops: list[float | None] = [None] * len(hits)
    seen: dict[int, float] = {}
    for at in range(len(hits) - 1, -1, -1):
        hit = hits[at]
        stops[at] = seen.get(hit.gm_note)
        for silenced in CHOKES.get(hit.gm_note, ()):
            seen[silenced] = hit.time_s
    return stops


def _standard_mix_db(sound: str) -> float:
    return next((db for start, db in _STANDARD_MIX_DB.items() if sound.startswith(start)), -6.0)
