"""Strikes and notes, read from what a model says frame by frame; and the CSV over time."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from recordings import make_drums, make_piano
from standin import STRUCK, TIMING, TOP_LEVEL

import creative_mix
from creative_mix.constants import COMPONENT_NAMES, HOP_LENGTH, SAMPLE_RATE
from creative_mix.notes import Note, NoteReader, struck_velocity
from creative_mix.renderer import Block, NoteFrames
from creative_mix.trace import Trace

FRAMES = 400
LOW, INNER, TOP = 0, 1, 2
HOP_S = HOP_LENGTH / SAMPLE_RATE


class Told:
    """What a model could say: silence, until strikes and keys are put in."""

    def __init__(self) -> None:
        self.frames = NoteFrames(
            np.full((3, FRAMES), 0.02, np.float32),
            np.full(FRAMES, 256.0, np.float32),
            np.full((3, FRAMES), 0.5, np.float32),
            np.zeros((3, 88, FRAMES), np.float32),
        )

    def strike(self, voice: int, frame: int, level: float = 0.75, chance: float = 0.9) -> None:
        self.frames.onsets[voice, frame] = chance
        self.frames.levels[voice, frame] = level

    def hold(self, voice: int, pitch: int, first: int, last: int, chance: float = 0.8) -> None:
        self.frames.keys[voice, pitch - 21, first:last] = chance

    def reader(self, *cuts: int) -> NoteReader:
        reader = NoteReader()
        edges = [0, *cuts, FRAMES]
        for first, last in zip(edges, edges[1:], strict=False):
            frames = self.frames
            reader.add(
                NoteFrames(
                    frames.onsets[:, first:last],
                    frames.timing[first:last],
                    frames.levels[:, first:last],
                    frames.keys[:, :, first:last],
                )
            )
        return reader


def time_of(frame: int, offset: float = 256.0) -> float:
    return (frame * HOP_LENGTH + offset) / SAMPLE_RATE


def test_a_note_begins_to_the_sample_and_ends_with_its_key() -> None:
    told = Told()
    told.strike(LOW, 20)
    told.frames.timing[20] = 511.5
    told.hold(LOW, 40, 10, 101)
    (note,) = told.reader().notes(10.0)
    assert (note.start_s, note.pitch, note.velocity) == (time_of(20, 511.5), 40, 80)
    # A strike in frame 100 would still have struck it, and in frame 101 no more.
    assert note.end_s == pytest.approx(101 * HOP_S + 0.030, abs=1e-6)


def test_a_note_ends_where_its_key_is_struck_again() -> None:
    told = Told()
    told.hold(LOW, 40, 0, FRAMES)
    told.hold(TOP, 40, 0, FRAMES)
    told.strike(LOW, 20)
    told.strike(TOP, 120)  # another voice, the same key
    first, second = told.reader().notes(4.0)
    assert first.end_s == second.start_s == time_of(120)
    assert second.end_s == 4.0


def test_a_key_that_flickers_is_held() -> None:
    told = Told()
    told.strike(LOW, 20)
    told.hold(LOW, 40, 0, 200)
    told.hold(LOW, 40, 60, 62, chance=0.1)
    (note,) = told.reader().notes(10.0)
    assert note.end_s == pytest.approx(200 * HOP_S + 0.030, abs=1e-6)


def test_voices_within_15_ms_are_one_strike() -> None:
    told = Told()
    for voice, pitch in ((LOW, 40), (TOP, 76)):
        told.hold(voice, pitch, 0, FRAMES)
    told.strike(LOW, 50, level=1.0, chance=0.7)
    told.strike(TOP, 51, level=0.25, chance=0.95)
    told.frames.timing[50], told.frames.timing[51] = 500.0, 20.0
    (strike,) = told.reader().strikes()
    assert strike.time_s == time_of(51, 20.0)  # the surest knows the time best
    assert strike.levels == {"low": 1.0, "top": 0.25}
    assert strike.pitches == {"low": (40,), "top": (76,)}
    starts = {note.start_s for note in told.reader().notes(5.0)}
    assert starts == {strike.time_s}

    told.frames.onsets[TOP] = 0.0
    told.strike(TOP, 53)
    assert len(told.reader().strikes()) == 2


def test_the_highest_of_neighbours_is_the_strike() -> None:
    told = Told()
    told.hold(LOW, 40, 0, FRAMES)
    for frame, chance in ((60, 0.5), (61, 0.8), (62, 0.8), (63, 0.4), (90, 0.29)):
        told.strike(LOW, frame, chance=chance)
    (strike,) = told.reader().strikes()
    assert strike.time_s == time_of(62)


def test_low_and_top_strike_one_key_and_inner_all_of_its_own() -> None:
    told = Told()
    for voice in (LOW, INNER, TOP):
        told.strike(voice, 30)
        told.hold(voice, 60, 0, FRAMES, chance=0.5)
        told.hold(voice, 64, 0, FRAMES, chance=0.6)
        told.hold(voice, 67, 0, FRAMES, chance=0.1)
    (strike,) = told.reader().strikes()
    assert strike.pitches == {"low": (64,), "inner": (60, 64), "top": (64,)}


def test_a_strike_of_which_no_key_is_likely_has_no_note() -> None:
    told = Told()
    told.strike(INNER, 30)
    told.hold(INNER, 60, 0, FRAMES, chance=0.1)
    (strike,) = told.reader().strikes()
    assert strike.pitches == {"inner": ()} and told.reader().notes(5.0) == []
    told.hold(INNER, 60, 0, FRAMES, chance=0.2)
    assert [note.pitch for note in told.reader().notes(5.0)] == [60]


def test_of_two_voices_on_one_key_the_louder_counts() -> None:
    told = Told()
    for voice, level in ((LOW, 0.25), (TOP, 1.0)):
        told.strike(voice, 30, level=level)
        told.hold(voice, 60, 0, FRAMES)
    (note,) = told.reader().notes(5.0)
    assert note.velocity == struck_velocity(1.0) == 96


@pytest.mark.parametrize("cuts", [(31,), (30, 31, 32), (7, 29, 300)])
def test_blocks_make_no_difference(cuts: tuple[int, ...]) -> None:
    told = Told()
    told.hold(LOW, 40, 0, 300)
    for frame, chance in ((29, 0.5), (30, 0.8), (31, 0.6), (150, 0.4)):
        told.strike(LOW, frame, chance=chance)
    whole = told.reader()
    assert len(whole.strikes()) == 2
    assert told.reader(*cuts).strikes() == whole.strikes()
    assert told.reader(*cuts).notes(6.0) == whole.notes(6.0)


def test_nothing_is_told_of_nothing() -> None:
    assert NoteReader().strikes() == [] and NoteReader().notes(1.0) == []
    trace = Trace()
    assert trace.csv().splitlines() == [trace.csv().strip()]
    assert trace.weights.shape == (6, 0) and trace.times_s.shape == (0,)


def test_a_trace_begins_anew() -> None:
    trace = Trace()
    told = Told()
    told.strike(LOW, 20)
    told.hold(LOW, 40, 0, FRAMES)
    weights = np.full((6, FRAMES), 1 / 6, np.float32)
    trace.begin(5.0)
    trace.add(Block(0, np.zeros((1, 1)), weights, told.frames.onsets.max(0), told.frames))
    assert trace.tells_notes and len(trace.notes()) == 1
    trace.begin(3.0)
    assert not trace.tells_notes and trace.notes() == [] and trace.weights.size == 0


@pytest.mark.parametrize("rate", [44100, 22050])
def test_the_standin_tells_its_own_notes(new_model: Path, rate: int) -> None:
    """Every burst of the drums strikes C2 and C5, 100 samples into the frame in which it rises."""
    trace = Trace()
    drums, piano = make_drums(rate, 2.2), make_piano(rate, 2.2)
    renderer = creative_mix.Renderer(new_model, chunk_frames=30)
    creative_mix.render(drums, piano, rate, renderer=renderer, trace=trace)
    strikes, notes = trace.strikes(), trace.notes()
    assert len(strikes) == 5
    for number, strike in enumerate(strikes):
        frame = int(number * 0.5 / HOP_S)
        assert strike.time_s == pytest.approx((frame * 512 + TIMING) / SAMPLE_RATE, abs=HOP_S)
        assert strike.levels["top"] == pytest.approx(TOP_LEVEL)
        assert strike.pitches == {"low": (STRUCK["low"],), "top": (STRUCK["top"],)}
    assert [note.pitch for note in notes] == [36, 72] * 5
    assert notes[0].end_s == notes[2].start_s
    assert notes[-1] == Note(strikes[-1].time_s, 2.2, 72, struck_velocity(TOP_LEVEL))


def test_the_csv_has_a_line_a_frame(new_model: Path) -> None:
    trace = Trace()
    renderer = creative_mix.Renderer(new_model)
    drums, piano = make_drums(SAMPLE_RATE, 1.2), make_piano(SAMPLE_RATE, 1.2)
    creative_mix.render(
        drums,
        piano,
        SAMPLE_RATE,
        bias={"input_timbre": 2.0},
        renderer=renderer,
        trace=trace,
    )
    rows = list(csv.DictReader(io.StringIO(trace.csv())))
    assert len(rows) == -(-drums.shape[1] // HOP_LENGTH)
    assert list(rows[0]) == ["time_s", *COMPONENT_NAMES, "strike", "low", "inner", "top"]
    times = np.array([float(row["time_s"]) for row in rows])
    np.testing.assert_allclose(times, (np.arange(len(rows)) + 0.5) * HOP_S, atol=1e-4)
    weights = np.array([[float(row[name]) for name in COMPONENT_NAMES] for row in rows])
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=5e-4)
    assert (weights[:, 2] > 0.55).all()
    struck = [row for row in rows if row["low"]]
    assert len(struck) == 3 and all(row["top"] == "0.600" for row in struck)
    assert not any(row["inner"] for row in rows)
    for row, strike in zip(struck, trace.strikes(), strict=True):
        assert abs(float(row["time_s"]) - strike.time_s) < HOP_S
