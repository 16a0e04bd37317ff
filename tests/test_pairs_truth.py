"""The truth rule, against a second writing of it and case by case."""

from __future__ import annotations

import numpy as np
import pytest

from creative_mix.training.notes import HIT_CLASSES, Hit, Note, cut_notes, hit_class, sort_notes
from creative_mix.training.truth import (
    add_own_onsets,
    answer_hits,
    held_notes,
    merge_hits,
    strike_times,
    struck_velocity,
)


def plain(notes: tuple[Note, ...]) -> list[tuple[float, float, int, int]]:
    return [(round(n.start_s, 6), round(n.end_s, 6), n.pitch, n.velocity) for n in notes]


def chord(*pitches: int, start_s: float = 0.0, end_s: float = 4.0) -> list[Note]:
    return [Note(start_s, end_s, pitch, 80) for pitch in pitches]


def random_pair(seed: int) -> tuple[tuple[Note, ...], list[Hit]]:
    rng = np.random.default_rng(seed)
    notes = []
    for _ in range(int(rng.integers(0, 40))):
        start = float(rng.uniform(0, 5))
        end = start + float(rng.uniform(0.02, 1.5))
        notes.append(Note(start, end, int(rng.integers(40, 70)), int(rng.integers(1, 128))))
    hits = [
        Hit(float(rng.uniform(0, 5)), int(rng.integers(35, 60)), int(rng.integers(1, 128)))
        for _ in range(int(rng.integers(0, 50)))
    ]
    return sort_notes(notes), hits


def reference(notes: tuple[Note, ...], hits: list[Hit]) -> list[tuple[float, float, int, int]]:
    """The rule once more, from its words and without regard to speed."""
    groups: list[list[Hit]] = []
    for hit in sorted(hits, key=lambda h: h.time_s):
        if groups and hit.time_s - groups[-1][0].time_s <= 0.015:
            groups[-1].append(hit)
        else:
            groups.append([hit])
    struck: dict[int, list[tuple[float, float, int]]] = {}
    for group in groups:
        time = group[0].time_s
        held = {n.pitch: n for n in notes if n.start_s <= time + 0.03 < n.end_s}
        pitches = sorted(held)
        loud: dict[int, int] = {}
        for hit in group:
            if hit.gm_note in (35, 36, 41, 43, 45):
                chosen = pitches[:1]
            elif hit.gm_note in (37, 38, 39, 40, 47, 48, 50):
                chosen = pitches[1:-1] or pitches[-1:]
            elif hit.gm_note in (49, 52, 55, 57):
                chosen = pitches
            else:
                chosen = pitches[-1:]
            for pitch in chosen:
                velocity = round(held[pitch].velocity * (0.4 + 0.8 * hit.velocity / 127))
                loud[pitch] = max(loud.get(pitch, 0), min(127, max(1, velocity)))
        for pitch, velocity in loud.items():
            struck.setdefault(pitch, []).append((time, held[pitch].end_s, velocity))
    out = []
    for pitch, line in struck.items():
        for at, (time, end, velocity) in enumerate(line):
            stop = min(end, line[at + 1][0]) if at + 1 < len(line) else end
            out.append((round(time, 6), round(stop, 6), pitch, velocity))
    return sorted(out, key=lambda n: (n[0], n[2]))


@pytest.mark.parametrize("seed", range(60))
def test_agrees_with_the_rule_written_a_second_time(seed: int) -> None:
    notes, hits = random_pair(seed)
    assert plain(answer_hits(notes, hits)) == reference(notes, hits)


@pytest.mark.parametrize(
    ("drum", "struck"),
    [
        *((drum, [40]) for drum in (35, 36, 41, 43, 45)),
        *((drum, [52, 55]) for drum in (37, 38, 39, 40, 47, 48, 50)),
        *((drum, [40, 52, 55, 59]) for drum in (49, 52, 55, 57)),
        *((drum, [59]) for drum in (42, 44, 46, 51, 53, 54, 56, 59, 60, 75)),
    ],
)
def test_each_drum_strikes_its_voices(drum: int, struck: list[int]) -> None:
    truth = answer_hits(chord(40, 52, 55, 59), [Hit(1.0, drum, 100)])
    assert [n.pitch for n in truth] == struck
    assert HIT_CLASSES[hit_class(drum)] in HIT_CLASSES


def test_snare_strikes_the_upper_of_two_and_the_only_one() -> None:
    assert [n.pitch for n in answer_hits(chord(40, 52), [Hit(1, 38, 99)])] == [52]
    assert [n.pitch for n in answer_hits(chord(40), [Hit(1, 38, 99)])] == [40]


def test_silent_where_nothing_is_held() -> None:
    notes = chord(60, start_s=1.0, end_s=2.0)
    hits = [Hit(t, 36, 100) for t in (0.5, 0.969, 2.0, 3.0)]
    assert answer_hits(notes, hits) == ()
    assert answer_hits([], hits) == ()
    assert answer_hits(notes, []) == ()


def test_a_note_struck_up_to_30_ms_later_is_held() -> None:
    notes = chord(60, start_s=1.0)
    assert [n.start_s for n in answer_hits(notes, [Hit(0.971, 36, 100)])] == [0.971]
    assert held_notes(notes, 0.969) == ()


def test_a_chord_that_changes_with_the_drum_is_struck_new() -> None:
    notes = sort_notes([*chord(40, 52, end_s=1.01), *chord(45, 57, start_s=1.01)])
    assert [n.pitch for n in answer_hits(notes, [Hit(1.0, 49, 100)])] == [45, 57]


def test_hits_within_15_ms_are_one_at_the_first_and_loudest() -> None:
    hits = [Hit(1.014, 42, 127), Hit(1.0, 36, 10), Hit(1.005, 36, 120), Hit(1.02, 38, 90)]
    assert [(s.time_s, len(s.hits)) for s in merge_hits(hits)] == [(1.0, 3), (1.02, 1)]
    truth = answer_hits(chord(40, 52), hits[:3])
    assert plain(truth) == [
        (1.0, 4.0, 40, struck_velocity(80, 120)),
        (1.0, 4.0, 52, struck_velocity(80, 127)),
    ]


def test_rings_until_the_next_strike_of_the_voice_or_the_release() -> None:
    hits = [Hit(1.0, 36, 64), Hit(2.0, 42, 64), Hit(3.0, 36, 64)]
    spans = [(n.pitch, n.start_s, n.end_s) for n in answer_hits(chord(40, 52), hits)]
    assert spans == [(40, 1.0, 3.0), (52, 2.0, 4.0), (40, 3.0, 4.0)]


@pytest.mark.parametrize(
    ("own", "hit", "result"), [(80, 127, 96), (80, 1, 33), (127, 127, 127), (1, 1, 1), (100, 0, 40)]
)
def test_velocity(own: int, hit: int, result: int) -> None:
    assert struck_velocity(own, hit) == result


def test_own_onsets_are_added_softer_and_never_twice() -> None:
    notes = [Note(0.0, 2.0, 60, 90), Note(1.0, 2.0, 64, 90)]
    truth = answer_hits(notes, [Hit(0.99, 49, 64)])
    assert add_own_onsets(truth, notes, 0.0) == truth
    both = add_own_onsets(truth, notes, 1.0 / 3.0)
    assert plain(both) == [(0.0, 0.99, 60, 30), (0.99, 2.0, 60, 72), (0.99, 2.0, 64, 72)]
    assert strike_times(both).tolist() == [0.0, 0.99]


def test_strike_times_are_sorted_unique_and_float64() -> None:
    notes, hits = random_pair(3)
    times = strike_times(answer_hits(notes, hits))
    assert times.dtype == np.float64
    assert np.all(np.diff(times) > 0.015)
    assert strike_times([]).shape == (0,)


def test_a_pitch_never_sounds_twice_at_once() -> None:
    notes = sort_notes(Note(0.1 * i, 0.1 * i + 0.35, 60, 50 + i) for i in range(5))
    assert all(a.end_s <= b.start_s for a, b in zip(notes, notes[1:], strict=False))
    twin = sort_notes([Note(0.0, 1.0, 60, 50), Note(0.0, 2.0, 60, 40)])
    assert plain(twin) == [(0.0, 2.0, 60, 50)]


def test_cutting_drops_notes_already_held() -> None:
    notes = [Note(0.5, 3.0, 60, 80), Note(1.5, 9.0, 64, 80), Note(4.0, 5.0, 67, 80)]
    assert plain(cut_notes(notes, 1.0, 2.0)) == [(0.5, 2.0, 64, 80)]
