"""Pairs on disk: three 16-bit WAV files and a JSON file of the notes behind them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from creative_mix.constants import COMPONENT_NAMES, SAMPLE_RATE
from creative_mix.errors import TrainingDataError
from creative_mix.training.notes import Hit, Note
from creative_mix.training.samples import Audio

PARTS = ("drums", "piano", "truth")


@dataclass(frozen=True)
class Pair:
    """Drums, piano and the truth, with the notes behind them.

    Args:
        drums: float32 (channels, samples).
        piano: float32 (2, samples).
        truth: float32 (2, samples).
        sample_rate: of all three, hertz.
        hits: the drums' hits, in the audio's own seconds.
        piano_notes: the piano's notes, the pedal applied.
        truth_notes: what the truth plays.
        strikes_s: float64 (S,), when the truth has a new strike, sorted.
        bias: float32 (6,), the selector bias that goes with this truth; zero for the plain job.
        seed: what the pair was made from.
        meta: names of the piano, kit, groove and performance.
    """

    drums: Audio
    piano: Audio
    truth: Audio
    sample_rate: int
    hits: tuple[Hit, ...]
    piano_notes: tuple[Note, ...]
    truth_notes: tuple[Note, ...]
    strikes_s: NDArray[np.float64]
    bias: Audio
    seed: int
    meta: dict[str, str]


def write_pair(pair: Pair, folder: str | Path, stem: str) -> None:
    """Write `STEM.drums.wav`, `STEM.piano.wav`, `STEM.truth.wav` and `STEM.json`.

    Each file is written under a temporary name and renamed, the truth last: a stem that
    `pair_stems` lists is complete.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "sample_rate": pair.sample_rate,
        "seed": pair.seed,
        "meta": pair.meta,
        "bias": [float(b) for b in pair.bias],
        "strikes_s": [float(t) for t in pair.strikes_s],
        "hits": [[h.time_s, h.gm_note, h.velocity] for h in pair.hits],
        "piano_notes": [[n.start_s, n.end_s, n.pitch, n.velocity] for n in pair.piano_notes],
        "truth_notes": [[n.start_s, n.end_s, n.pitch, n.velocity] for n in pair.truth_notes],
    }
    temporary = folder / f".{stem}.json.{os.getpid()}"
    temporary.write_text(json.dumps(about) + "\n", encoding="utf-8")
    temporary.replace(folder / f"{stem}.json")
    for part in PARTS:
        audio: Audio = getattr(pair, part)
        temporary = folder / f".{stem}.{part}.{os.getpid()}"
        sf.write(str(temporary), audio.T, pair.sample_rate, subtype="PCM_16", format="WAV")
        temporary.replace(folder / f"{stem}.{part}.wav")


def read_pair(folder: str | Path, stem: str) -> Pair:
    """The pair of a stem. Without its JSON file it has no notes, hits or strikes.

    Raises:
        TrainingDataError: a part is missing, not readable, or of another rate or length.
    """
    folder = Path(folder)
    audio = {part: _read_part(folder / f"{stem}.{part}.wav") for part in PARTS}
    lengths = {part: data.shape[1] for part, data in audio.items()}
    if len(set(lengths.values())) != 1:
        told = ", ".join(f"{part} {count}" for part, count in lengths.items())
        raise TrainingDataError(f"{folder / stem}: the parts differ in length ({told} samples)")
    about = _read_about(folder / f"{stem}.json")
    try:
        return Pair(
            drums=audio["drums"],
            piano=audio["piano"],
            truth=audio["truth"],
            sample_rate=SAMPLE_RATE,
            hits=tuple(Hit(float(t), int(n), int(v)) for t, n, v in about.get("hits", ())),
            piano_notes=_notes(about.get("piano_notes", ())),
            truth_notes=_notes(about.get("truth_notes", ())),
            strikes_s=np.asarray(about.get("strikes_s", ()), dtype=np.float64),
            bias=np.asarray(about.get("bias", [0.0] * len(COMPONENT_NAMES)), dtype=np.float32),
            seed=int(about.get("seed", 0)),
            meta={str(k): str(v) for k, v in about.get("meta", {}).items()},
        )
    except (TypeError, ValueError) as error:
        name = folder / f"{stem}.json"
        raise TrainingDataError(f"{name}: not a pair's description ({error})") from error


def tells_notes(folder: str | Path, stem: str) -> bool:
    """Whether a pair's JSON tells both the drums' hits and the piano's notes.

    Raises:
        TrainingDataError: it is not readable.
    """
    return {"hits", "piano_notes"} <= _read_about(Path(folder) / f"{stem}.json").keys()


def pair_stems(folder: str | Path) -> list[str]:
    """Stems of the complete pairs in a folder, sorted.

    Raises:
        TrainingDataError: the folder is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise TrainingDataError(f"{folder}: no such folder of pairs")
    names = {p.name for p in folder.iterdir()}
    stems = [name[: -len(".truth.wav")] for name in names if name.endswith(".truth.wav")]
    return sorted(s for s in stems if {f"{s}.drums.wav", f"{s}.piano.wav"} <= names)


def _read_part(path: Path) -> Audio:
    try:
        data, rate = sf.read(str(path), dtype="float32", always_2d=True)
    except (OSError, sf.SoundFileError) as error:
        raise TrainingDataError(f"{path}: not readable as audio ({error})") from error
    if rate != SAMPLE_RATE:
        raise TrainingDataError(f"{path}: {rate} Hz; pairs must be at {SAMPLE_RATE} Hz")
    return np.ascontiguousarray(data.T)


def _read_about(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingDataError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(about, dict):
        raise TrainingDataError(f"{path}: not a pair's description")
    return about


def _notes(rows: Any) -> tuple[Note, ...]:
    return tuple(Note(float(a), float(b), int(p), int(v)) for a, b, p, v in rows)
