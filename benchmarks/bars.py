"""Learns how a bar looks (`creative_mix/audio/bars.json`), and measures what that is worth.

    python benchmarks/bars.py MATERIAL --count 600

MATERIAL is a folder as `creative-mix pairs` takes it.  Grooves and generated performances of known
tempo and known bar lines are rendered and read; the weights are fitted to those of the training
split and measured on those of the validation split.  What `--align` would make of each pair of
drums and piano is measured as well.  Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from creative_mix import alignment
from creative_mix.audio import FloatArray, beats
from creative_mix.audio.rises import FRAME_RATE, onset_rows
from creative_mix.training import midi
from creative_mix.training.generators import generate_groove, generate_performance
from creative_mix.training.material import Material
from creative_mix.training.notes import cut_hits, cut_notes

RATE = 44100
METRES = {"4-4": 4, "3-4": 3}
PENALTY = 5.0
THREES = 0.15
"""Share of pairs made into bars of three, of which Groove has few."""

CERTAINTIES = (0.6, 0.7, 0.8)


@dataclass(frozen=True)
class Case:
    """A recording of which the bars are known."""

    kind: beats.Kind
    rows: np.ndarray | None
    """What begins in it, from `onset_rows`."""

    bpm: float
    beats_in_bar: int
    downbeat_s: float
    audio: FloatArray | None = None
    """None where its bars were made into bars of three."""

    @property
    def duration_s(self) -> float:
        return 0.0 if self.rows is None else self.rows.shape[1] / FRAME_RATE


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
    bar_s = metre * 60.0 / bpm
    how = rng.random()
    if how < 0.5:
        begin = bar_s * int(rng.integers(4)) - 0.02 - float(rng.choice((0.0, 0.0, 0.5, 1.3)))
    elif how < 0.75:
        begin = float(rng.uniform(0.0, 2.0 * bar_s))
    else:
        begin = -float(rng.uniform(0.0, 1.0))
    moved = cut_hits([replace(h, time_s=h.time_s - begin) for h in hits], 0.0, duration_s)
    drums = np.atleast_2d(kit.play(moved, int(duration_s * RATE), rng)).astype(np.float32)
    piano = material.pianos[int(rng.integers(len(material.pianos)))]
    own_bpm = float(rng.uniform(60.0, 150.0))
    early = rng.random() < 0.4
    offset = -float(rng.uniform(0.0, 3.0)) if early else float(rng.uniform(0.0, 1.0))
    _, notes = generate_performance(rng, 1.4 * duration_s, own_bpm, 0.0)
    notes = tuple(replace(n, start_s=n.start_s + offset, end_s=n.end_s + offset) for n in notes)
    keys = piano.play(cut_notes(notes, 0.0, duration_s), int(duration_s * RATE), rng)
    keys = keys.astype(np.float32)
    pair = [
        Case("drums", onset_rows(drums), bpm, metre, (-begin) % bar_s, drums),
        Case("piano", onset_rows(keys), own_bpm, 4, offset % (240.0 / own_bpm), keys),
    ]
    return [in_three(case) for case in pair] if rng.random() < THREES else pair


def in_three(case: Case) -> Case:
    """Return a case of bars of four as one of bars of three: what begins in third beats is out.

    A beat begins a tenth of itself before its time, for what is a little early belongs to it.
    """
    if case.beats_in_bar != 4 or case.rows is None:
        return case
    period = 60.0 / case.bpm
    times = np.arange(case.rows.shape[1]) / FRAME_RATE
    inside = ((times - case.downbeat_s) / period + 0.1) % 4.0
    stays = (inside < 2.0) | (inside >= 3.0)
    gone_s = np.count_nonzero(~stays & (times < case.downbeat_s)) / FRAME_RATE
    return Case(
        *(case.kind, case.rows[:, stays], case.bpm, 3),
        (case.downbeat_s - gone_s) % (3.0 * period),
    )


def is_right(case: Case, reading: beats.Reading) -> bool:
    """Return whether a reading has the tempo, the metre and the bar lines."""
    if abs(np.log2(reading.bpm / case.bpm)) > 0.017 or reading.beats_in_bar != case.beats_in_bar:
        return False
    return off_grid_s(reading.downbeat_s, case.downbeat_s, 60 * case.beats_in_bar / case.bpm) < 0.06


def off_grid_s(time_s: float, line_s: float, period_s: float) -> float:
    """Return how far a time is from the nearest line."""
    away = ((time_s - line_s) / period_s + 0.5) % 1.0 - 0.5
    return abs(away) * period_s


def table_of(case: Case) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the features of all readings of a case, and which are right; None where none is."""
    readings = [] if case.rows is None else list(beats.read_bars(case.rows))
    right = np.array([is_right(case, each) for each in readings])
    if not right.any():
        return None
    return np.array([each.features for each in readings], np.float32), right


def fit(tables: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the weights under which the right readings are the most likely."""
    scale = np.concatenate([features for features, _ in tables]).std(axis=0) + 1e-6
    longest = max(len(right) for _, right in tables)
    readings = torch.zeros(len(tables), longest, len(scale))
    # Minus infinity where there is no reading, and where it is wrong.
    is_there, is_right_one = torch.full((2, len(tables), longest), -torch.inf)
    for i, (features, right) in enumerate(tables):
        readings[i, : len(right)] = torch.tensor(features / scale)
        is_there[i, : len(right)] = 0.0
        is_right_one[i, : len(right)][torch.tensor(right)] = 0.0
    weights = torch.zeros(len(scale), requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        scores = readings @ weights
        gaps = torch.logsumexp(scores + is_there, 1) - torch.logsumexp(scores + is_right_one, 1)
        total = PENALTY * (weights**2).sum() + gaps.sum()
        total.backward()
        return total

    solver.step(loss)
    return weights.detach().numpy() / scale


def write_weights(cases: Iterable[Case]) -> None:
    """Fit the weights to cases of both kinds and put them where `find_beats` reads them."""
    tables: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"drums": [], "piano": []}
    for case in cases:
        table = table_of(case)
        if table is not None:
            tables[case.kind].append(table)
    fitted = {kind: [round(float(w), 4) for w in fit(table)] for kind, table in tables.items()}
    path = Path(beats.__file__).parent / "bars.json"
    path.write_text(json.dumps(fitted) + "\n", encoding="utf-8")
    beats._weights.cache_clear()


def librosa_tempo_and_beat(audio: FloatArray) -> tuple[float, float]:
    """Return tempo and first beat by `librosa.beat`, a line laid through its beats."""
    import librosa

    _, times = librosa.beat.beat_track(y=audio.mean(axis=0), sr=RATE, units="time")
    if len(times) < 4:
        return 1.0, 0.0
    slope, first = np.polyfit(np.arange(len(times)), times, 1)
    return 60.0 / slope, first


class Report:
    """How often tempo, beat and bar are right, and how often `--align` is."""

    def __init__(self, with_librosa: bool = False) -> None:
        self._with_librosa = with_librosa
        self._rows: dict[tuple[str, str], list[bool]] = {}

    def note(self, kind: str, what: str, right: bool) -> None:
        self._rows.setdefault((kind, what), []).append(bool(right))

    def add(self, pair: list[Case]) -> None:
        """Measure a pair of drums and piano."""
        found = [self._add_one(case) for case in pair]
        for limit in CERTAINTIES:
            sure = all(each is not None and each.certainty >= limit for each in found)
            self.note("pair", f"aligned, from {limit}", sure)
            if sure:
                self._add_meeting(pair, found, f"from {limit}")

    def _add_one(self, case: Case) -> beats.Beats | None:
        period, kind = 60.0 / case.bpm, f"{case.kind} in {case.beats_in_bar}"
        if self._with_librosa and case.audio is not None:
            bpm, first = librosa_tempo_and_beat(case.audio)
            right = is_tempo(bpm, case.bpm)
            self.note(kind, "tempo, librosa", right)
            self.note(
                kind, "beat, librosa", right and off_grid_s(first, case.downbeat_s, period) < 0.06
            )
        found = None if case.rows is None else beats.beats_of(case.rows, case.kind)
        tempo = beat = metre = bar = False
        if found is not None:
            tempo = is_tempo(found.bpm, case.bpm)
            beat = tempo and off_grid_s(found.beat_s, case.downbeat_s, period) < 0.06
            metre = found.beats_in_bar == case.beats_in_bar
            line = found.first_downbeat_s(int(np.argmax(found.bars)))
            bar = off_grid_s(line, case.downbeat_s, period * case.beats_in_bar) < 0.06
        self.note(kind, "tempo", tempo)
        self.note(kind, "beat", beat)
        self.note(kind, "metre", metre)
        self.note(kind, "bar", beat and metre and bar)
        for limit in CERTAINTIES:
            sure = found is not None and found.certainty >= limit
            self.note(kind, f"is {limit} sure", sure)
            if sure:
                self.note(kind, f"beat, where {limit} sure", beat)
        return found

    def _add_meeting(self, pair: list[Case], found: list[beats.Beats | None], what: str) -> None:
        drums, piano = pair
        first, second = found
        assert first is not None and second is not None
        meeting = alignment.meet(first, second, drums.duration_s)
        # Where the true bar lines lie, counted from what was brought together.
        own = piano.bpm / meeting.factor
        apart_s = (drums.downbeat_s - meeting.drums_s) - (
            piano.downbeat_s * meeting.factor - meeting.piano_s
        )
        beat_s = 60.0 / max(own, drums.bpm)
        together = is_tempo(own, drums.bpm) and off_grid_s(apart_s, 0.0, beat_s) < 0.08
        self.note("pair", f"beats together, {what}", together)
        self.note("pair", f"by downbeats, {what}", meeting.on_downbeat)
        if meeting.on_downbeat:
            alike = drums.beats_in_bar == piano.beats_in_bar
            bar_s = drums.beats_in_bar * min(60.0 / own, 60.0 / drums.bpm)
            lines = together and alike and off_grid_s(apart_s, 0.0, bar_s) < 0.08
            self.note("pair", f"downbeats together where said, {what}", lines)

    def show(self) -> None:
        for (kind, what), right in sorted(self._rows.items()):
            print(f"{kind:11} {what:45} {np.mean(right):.3f} of {len(right)}")


def is_tempo(bpm: float, truth_bpm: float) -> bool:
    """Return whether a tempo is right within a hundredth, or is its half or its double."""
    octaves = np.log2(bpm / truth_bpm)
    return min(abs(octaves - k) for k in (-1, 0, 1)) < 0.0145


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
        training = material.for_split("train")
        write_weights(case for i in range(options.count) for case in draw(training, i))
    report = Report(options.librosa)
    validation = material.for_split("validation")
    for number in range(options.count // 3):
        report.add(draw(validation, 1_000_000 + number))
    report.show()


if __name__ == "__main__":
    main()
