"""All that a report shows, as plain values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import __version__
from ..audio import FloatArray
from ..audio.levels import to_db
from ..audio.rates import resample_blocks
from ..audio.store import SampleStore
from ..constants import COMPONENT_NAMES, SAMPLE_RATE
from ..curve import BiasCurve
from ..mixing import Settings
from ..notes import Note, Strike
from .facts import Facts
from .players import Player, make_player
from .scoring import SCORED_S, Scores, score
from .sketch import Readable, Sketch, columns_of, draw_sketch, pooled

ROLES = ("drums", "piano", "output")


@dataclass(frozen=True)
class Sound:
    """One of the three sounds."""

    role: str
    name: str
    """Of the file."""

    sketch: Sketch
    player: Player


@dataclass(frozen=True)
class Sheet:
    """What a report shows."""

    sounds: Mapping[str, Sound]
    duration_s: float
    columns: int
    tempo_bpm: float | None
    mean_weights: Mapping[str, float]
    weights: FloatArray
    """Over the columns, shape (6, K)."""

    tells_notes: bool
    strikes: tuple[Strike, ...]
    struck: int
    """Number of strikes, also where the model does not tell notes."""

    notes: tuple[Note, ...]
    scores: Scores
    onsets_by: str
    """Who found the onsets."""

    options: Mapping[str, Any]
    """Those that are not as they are by default."""

    remarks: tuple[str, ...]
    """What was decided while rendering."""

    output_format: str

    def as_json(self) -> dict[str, Any]:
        """Return all of it but waveforms, spectrograms and sound, as plain values."""
        return {
            "format_version": 1,
            "creative_mix": __version__,
            "duration_s": round(self.duration_s, 6),
            "tempo_bpm": _rounded(self.tempo_bpm, 2),
            "options": dict(self.options),
            "remarks": list(self.remarks),
            "output_format": self.output_format,
            "sounds": {role: _sound_json(sound) for role, sound in self.sounds.items()},
            "onsets_by": self.onsets_by,
            "times_s": [
                round((column + 0.5) * self.duration_s / self.columns, 4)
                for column in range(self.columns)
            ],
            "weights": {
                name: {
                    "mean": _rounded(self.mean_weights.get(name), 4),
                    "values": _listed(row, 4),
                }
                for name, row in zip(COMPONENT_NAMES, self.weights, strict=True)
            },
            "strike_count": self.struck,
            "strikes": [
                {
                    "time_s": round(strike.time_s, 6),
                    "voices": {
                        name: {
                            "level": round(level, 3),
                            "pitches": list(strike.pitches[name]),
                        }
                        for name, level in strike.levels.items()
                    },
                }
                for strike in self.strikes
            ],
            "notes": [
                {
                    "start_s": round(note.start_s, 6),
                    "end_s": round(note.end_s, 6),
                    "pitch": note.pitch,
                    "velocity": note.velocity,
                }
                for note in self.notes
            ],
            "scores": {
                row.key: {
                    "label": row.label,
                    "value": _rounded(row.value, 4),
                    "beside": _rounded(row.beside, 4),
                    "beside_label": row.beside_label,
                    "gate": _rounded(row.gate, 4),
                    "higher_is_better": row.higher_is_better,
                }
                for row in self.scores.rows
            },
            "scored_s": round(self.scores.duration_s, 3),
            "missing": [self.scores.missing] if self.scores.missing else [],
        }


def make_sheet(facts: Facts) -> Sheet:
    """Return what the reports of a render show."""
    mixture, trace = facts.mixture, facts.trace
    assert mixture.sources is not None
    with ExitStack() as stack:
        made = stack.enter_context(SampleStore(mixture.store.channels))
        length = mixture.sources.drums.length
        for block in resample_blocks(
            mixture.blocks(), mixture.sample_rate, SAMPLE_RATE, length=length
        ):
            made.append(block)
        stores: dict[str, Readable] = {
            "drums": mixture.sources.drums,
            "piano": mixture.sources.piano,
            "output": made,
        }
        columns = columns_of(length)
        scored = min(length, round(SCORED_S * SAMPLE_RATE))
        scores = score(*(stores[role].read(0, scored) for role in ROLES))
        names = dict(zip(ROLES, (facts.drums, facts.piano, facts.output), strict=True))
        sounds = {}
        whole = scores.drum_onsets_s is not None and scored == length
        for role in ROLES:
            sketch = draw_sketch(stores[role], columns)
            if whole:
                # The marks are those that the scores were made from.
                onsets = {
                    "drums": scores.drum_onsets_s,
                    "piano": scores.piano_onsets_s,
                    "output": scores.output_onsets_s,
                }[role]
                assert onsets is not None
                sketch = dataclasses.replace(sketch, onsets_s=onsets)
            sounds[role] = Sound(role, names[role], sketch, make_player(stores[role]))
    tempo, strikes = trace.tempo, tuple(trace.strikes())
    return Sheet(
        sounds=sounds,
        duration_s=length / SAMPLE_RATE,
        columns=columns,
        tempo_bpm=tempo.bpm if tempo else None,
        mean_weights=mixture.weights,
        weights=pooled(trace.weights, columns),
        tells_notes=trace.tells_notes,
        strikes=strikes,
        struck=len(strikes) if trace.tells_notes else mixture.strikes,
        notes=tuple(trace.notes()),
        scores=scores,
        onsets_by="librosa" if whole else "creative-mix",
        options=describe_settings(facts.settings),
        remarks=tuple(mixture.notes),
        output_format=_format(facts),
    )


def describe_settings(settings: Settings) -> dict[str, Any]:
    """Return the options that are not as they are by default, as JSON can have them."""
    plain = Settings()
    found: dict[str, Any] = {}
    for each in dataclasses.fields(settings):
        value = getattr(settings, each.name)
        if value == getattr(plain, each.name):
            continue
        if isinstance(value, BiasCurve):
            value = {
                name: [list(point) for point in zip(times, values, strict=True)]
                for name, times, values in value.points
            }
        found[each.name] = dict(value) if isinstance(value, Mapping) else value
    return found


def _format(facts: Facts) -> str:
    channels = "stereo" if facts.mixture.store.channels == 2 else "mono"
    return f"{facts.sample_rate} Hz, {channels}, {facts.subtype}"


def _sound_json(sound: Sound) -> dict[str, Any]:
    sketch = sound.sketch
    return {
        "name": sound.name,
        "loudness_lufs": _rounded(sketch.loudness_lufs, 2),
        "peak_db": _rounded(to_db(sketch.peak), 2),
        "onsets_s": _listed(sketch.onsets_s, 4),
        "chroma": [_listed(row, 3) for row in sketch.chroma],
    }


def _listed(values: Any, digits: int) -> list[float]:
    # Rounded as Python numbers: float32 would come with its own digits.
    return [round(float(value), digits) for value in np.asarray(values)]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), digits)
