"""Learns how a bar looks (`creative_mix/audio/bars.json`), and measures what that is worth.

    python benchmarks/bars.py MATERIAL --count 600

MATERIAL is a folder as `creative-mix pairs` takes it.  Grooves and generated performances of known
tempo and known bar lines are rendered and read; the weights are fitted to those of the training
split and measured on those of the validation split.  Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from creative_mix.audio import FloatArray, beats
from creative_mix.audio.rises import onset_rows
from creative_mix.training import midi
from creative_mix.training.generators import generate_groove, generate_performance
from creative_mix.training.material import Material
from creative_mix.training.notes import cut_hits, cut_notes

RATE = 44100
METRES = {"4-4": 4, "3-4": 3}
PENALTY = 5.0
THREES = 0.2
"""Share of bars of four made into bars of three, of which Groove has few."""


@dataclass(frozen=True)
class Case:
    """A recording of which the bars are known."""

    kind: beats.Kind
    audio: FloatArray
    bpm: float
    beats_in_bar: int
    downbeat_s: float


def draw(material: Material, seed: int) -> list[Case]:
    """Return drums and a piano, each at a tempo of its own."""
    rng = np.random.default_rng(seed)
    duration_s = float(rng.choice((8.0, 12.0, 20.0, 30.0)))
    kit = material.kits[int(rng.integers(len(material.kits)))]
    metre = 4
    files = [g for g in material.grooves if g.bpm > 0 and g.name.rsplit("_", 1)[-1][:-4] in METRES]
    if rng.random() < 0.25 or not files:
        _, bpm, hits = generate_groove(rng, duration_s + 12.0)
        hits = tuple(hits)
    else:
        file = files[int(rng.integers(len(files)))]
        speed = float(np.exp(rng.uniform(np.log(0.85), np.log(1.18))))
        bpm = file.bpm * speed
        metre = METRES[file.name.rsplit("_", 1)[-1][:-4]]
        played = [replace(h, time_s=h.time_s / speed) for h in midi.read_hits(file.path)]
        bar_s = metre * 60.0 / bpm
        length_s = bar_s * max(1.0, np.ceil(played[-1].time_s / bar_s - 0.1))
        rounds = int(np.ceil((duration_s + 12.0) / length_s)) + 1
        hits = tuple(
            replace(h, time_s=h.time_s + i * length_s) for i in range(rounds) for h in played
        )
    if metre == 4 and rng.random() < THREES:
        metre = 3
        hits = tuple(
            replace(h, time_s=time_s)
            for h in hits
            if (time_s := without_third_beat(h.time_s, 60.0 / bpm)) is not None
        )
    bar_s = metre * 60.0 / bpm
    how = rng.random()
    if how < 0.5:
        begin = bar_s * int(rng.integers(4)) - 0.02 - float(rng.choice((0.0, 0.0, 0.5, 1.3)))
    elif how < 0.75:
        begin = float(rng.uniform(0.0, 2.0 * bar_s))
    else:
        begin = -float(rng.uniform(0.0, 1.0))
    moved = cut_hits([replace(h, time_s=h.time_s - begin) for h in hits], 0.0, duration_s)
    drums = np.atleast_2d(kit.play(moved, int(duration_s * RATE), rng))
    piano = material.pianos[int(rng.integers(len(material.pianos)))]
    own_bpm = float(rng.uniform(60.0, 150.0))
    early = rng.random() < 0.4
    offset = -float(rng.uniform(0.0, 3.0)) if early else float(rng.uniform(0.0, 1.0))
    _, notes = generate_performance(rng, 1.4 * duration_s, own_bpm, 0.0)
    own_metre = 4
    if rng.random() < THREES:
        own_metre, beat_s = 3, 60.0 / own_bpm
        notes = tuple(
            replace(n, start_s=start_s, end_s=start_s + min(n.end_s - n.start_s, beat_s))
            for n in notes
            if (start_s := without_third_beat(n.start_s, beat_s)) is not None
        )
    notes = tuple(replace(n, start_s=n.start_s + offset, end_s=n.end_s + offset) for n in notes)
    played_piano = piano.play(cut_notes(notes, 0.0, duration_s), int(duration_s * RATE), rng)
    return [
        Case("drums", drums.astype(np.float32), bpm, metre, (-begin) % bar_s),
        Case(
            *("piano", played_piano.astype(np.float32), own_bpm, own_metre),
            offset % (60.0 * own_metre / own_bpm),
        ),
    ]


def without_third_beat(time_s: float, beat_s: float) -> float | None:
    """Return the time in a bar of three made of one of four by taking its third beat out."""
    # What is a little early belongs to the next beat.
    bar, inside = divmod(time_s / beat_s + 0.1, 4.0)
    if 2.0 <= inside < 3.0:
        return None
    return (3.0 * bar + inside - (inside >= 3.0) - 0.1) * beat_s


def is_right(case: Case, reading: beats.Reading) -> bool:
    """Return whether a reading has the tempo, the metre and the bar lines."""
    if abs(np.log2(reading.bpm / case.bpm)) > 0.017 or reading.beats_in_bar != case.beats_in_bar:
        return False
    return off_grid_s(reading.downbeat_s, case.downbeat_s, 60 * case.beats_in_bar / case.bpm) < 0.06


def off_grid_s(time_s: float, line_s: float, period_s: float) -> float:
    """Return how far a time is from the nearest line."""
    away = ((time_s - line_s) / period_s + 0.5) % 1.0 - 0.5
    return abs(away) * period_s


def fit(tables: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the weights under which the right readings are the most likely."""
    scale = np.concatenate([features for features, _ in tables]).std(axis=0) + 1e-6
    pairs = [
        (torch.tensor(features / scale, dtype=torch.float32), torch.tensor(right))
        for features, right in tables
    ]
    weights = torch.zeros(len(scale), requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        total = PENALTY * (weights**2).sum()
        for features, right in pairs:
            scores = features @ weights
            total = total + torch.logsumexp(scores, 0) - torch.logsumexp(scores[right], 0)
        total.backward()
        return total

    solver.step(loss)
    return weights.detach().numpy() / scale


def librosa_tempo_and_beat(audio: FloatArray) -> tuple[float, float]:
    """Return tempo and first beat by `librosa.beat`, a line laid through its beats."""
    import librosa

    _, times = librosa.beat.beat_track(y=audio.mean(axis=0), sr=RATE, units="time")
    if len(times) < 4:
        return 1.0, 0.0
    slope, first = np.polyfit(np.arange(len(times)), times, 1)
    return 60.0 / slope, first


def report(material: Material, count: int, seed: int, with_librosa: bool) -> None:
    """Print how often tempo, beat and bar are right."""
    rows: dict[tuple[str, str], list[bool]] = {}
    for number in range(count):
        for case in draw(material, seed + number):
            period = 60.0 / case.bpm

            def note(what: str, right: bool, kind: str = case.kind) -> None:
                rows.setdefault((kind, what), []).append(bool(right))

            def tempo_right(bpm: float, case: Case = case) -> bool:
                octaves = np.log2(bpm / case.bpm)
                return min(abs(octaves - k) for k in (-1, 0, 1)) < 0.0145

            if with_librosa:
                bpm, first = librosa_tempo_and_beat(case.audio)
                right = tempo_right(bpm)
                note("tempo, librosa", right)
                right = right and off_grid_s(first, case.downbeat_s, period) < 0.06
                note("beat, librosa", right)
            found = beats.find_beats(case.audio, case.kind)
            if found is None:
                for what in ("tempo", "beat", "bar"):
                    note(what, False)
                continue
            beat = tempo_right(found.bpm) and (
                off_grid_s(found.beat_s, case.downbeat_s, period) < 0.06
            )
            line = found.first_downbeat_s(int(np.argmax(found.bars)))
            bar = beat and found.beats_in_bar == case.beats_in_bar
            bar = bar and off_grid_s(line, case.downbeat_s, period * case.beats_in_bar) < 0.06
            note("tempo", tempo_right(found.bpm))
            note("beat", beat)
            note("bar", bar)
            note("metre", found.beats_in_bar == case.beats_in_bar)
            for limit in (0.4, 0.6, 0.8):
                note(f"surer than {limit}", found.certainty > limit)
                if found.certainty > limit:
                    note(f"beat, surer than {limit}", beat)
                    if found.bars.max() > 0.6:
                        note(f"bar, surer than {limit} and 0.6", bar)
    for (kind, what), right in sorted(rows.items()):
        print(f"{kind:6} {what:30} {np.mean(right):.3f} of {len(right)}")


def main() -> None:
    """Fit, write, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("material", type=Path)
    parser.add_argument("--count", type=int, default=600, help="recordings of each kind")
    parser.add_argument("--measure-only", action="store_true")
    parser.add_argument("--librosa", action="store_true", help="measure librosa.beat as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    material = Material.from_folder(options.material)
    if not options.measure_only:
        tables: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"drums": [], "piano": []}
        for number in range(options.count):
            for case in draw(material.for_split("train"), number):
                rows = onset_rows(case.audio)
                readings = [] if rows is None else list(beats.read_bars(rows))
                right = np.array([is_right(case, each) for each in readings])
                if right.any():
                    tables[case.kind].append((np.array([r.features for r in readings]), right))
        fitted = {kind: [round(float(w), 4) for w in fit(table)] for kind, table in tables.items()}
        path = Path(beats.__file__).parent / "bars.json"
        path.write_text(json.dumps(fitted) + "\n", encoding="utf-8")
        beats._weights.cache_clear()
    report(material.for_split("validation"), options.count // 3, 1_000_000, options.librosa)


if __name__ == "__main__":
    main()
