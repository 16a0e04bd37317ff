"""Tempo and bar lines of made-up recordings, and a piano brought to the drums by them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import Command
from recordings import make_drums

import creative_mix
from creative_mix import alignment
from creative_mix.alignment import MOST_STRAY_BEATS, align_piano, meet
from creative_mix.audio import FloatArray
from creative_mix.audio.beats import Beats, find_beats
from creative_mix.audio.fit import FittedPiano, Placement
from creative_mix.audio.follow import follow_beats
from creative_mix.audio.store import SampleStore
from creative_mix.batch.plan import describe_options
from creative_mix.errors import OptionError
from creative_mix.mixing import Settings

RATE = 44100


@pytest.fixture(scope="module")
def renderer(standin_model: Path) -> creative_mix.Renderer:
    return creative_mix.Renderer(standin_model)


def store_of(samples: FloatArray) -> SampleStore:
    store = SampleStore(samples.shape[0])
    store.append(samples)
    return store


def add(out: FloatArray, at_s: float, sound: np.ndarray) -> None:
    begin = round(at_s * RATE)
    count = min(len(sound), out.shape[1] - begin)
    if begin >= 0 and count > 0:
        out[:, begin : begin + count] += sound[:count]


def drum_loop(
    bpm: float, first_bar_s: float, duration_s: float, beats: int = 4, loose_s: float = 0.0
) -> FloatArray:
    """Kick on the first beat and on the third of four, snare on the others, hi-hat on eighths."""
    random = np.random.default_rng(5)
    time = np.arange(round(0.25 * RATE)) / RATE
    kick = np.sin(2 * np.pi * 55 * time) * np.exp(-14 * time)
    snare = random.standard_normal(len(time)) * np.exp(-22 * time) * 0.3
    hat = np.diff(random.standard_normal(len(time) + 1)) * np.exp(-90 * time) * 0.08
    out = np.zeros((1, round(duration_s * RATE)), np.float32)
    beat_s = 60.0 / bpm
    for eighth in range(int((duration_s - first_bar_s) / beat_s * 2) + 1):
        at = first_bar_s + eighth * beat_s / 2 + loose_s * random.standard_normal()
        add(out, at, hat)
        beat = eighth / 2 % beats
        if beat == 0 or (beats == 4 and beat == 2):
            add(out, at, kick * (1.0 if beat == 0 else 0.8))
        elif beat in (1, 2, 3):
            add(out, at, snare)
    return out


CHORDS = ((48, 64, 67, 72), (45, 64, 69, 72), (41, 65, 69, 72), (43, 62, 67, 71))


def piano_part(
    bpm: float, first_bar_s: float, duration_s: float, beats: int = 4, per_beat: int = 1
) -> FloatArray:
    """Another chord in every bar: its bass on the first beat, the rest on every beat."""
    out = np.zeros((2, round(duration_s * RATE)), np.float32)
    beat_s = 60.0 / bpm
    step_s = beat_s / per_beat
    for step in range(int((duration_s - first_bar_s) / step_s) + 1):
        chord = CHORDS[step // (beats * per_beat) % len(CHORDS)]
        pitches: Sequence[int] = chord[1:] if step % (beats * per_beat) else chord
        for pitch in pitches:
            add(out, first_bar_s + step * step_s, note(pitch, 2.0 * beat_s))
    return out * np.float32(0.5)


def note(pitch: int, duration_s: float) -> np.ndarray:
    """A struck string with a few harmonics."""
    time = np.arange(round(duration_s * RATE)) / RATE
    hertz = 440.0 * 2.0 ** ((pitch - 69) / 12)
    tone = sum(0.5**k * np.sin(2 * np.pi * hertz * (k + 1) * time) for k in range(5))
    ends = np.minimum(1.0, time / 0.002) * np.minimum(1.0, (duration_s - time) / 0.02)
    return 0.15 * tone * np.exp(-3.0 * time) * ends


def found(beats: Beats | None) -> Beats:
    assert beats is not None
    return beats


class TestBeats:
    @pytest.mark.parametrize("bpm,first", [(83.0, 0.4), (104.0, 0.0), (128.0, 1.3)])
    def test_drums(self, bpm: float, first: float) -> None:
        beats = found(find_beats(drum_loop(bpm, first, 20.0), "drums"))
        assert beats.bpm == pytest.approx(bpm, rel=0.003)
        assert beats.beats_in_bar == 4 and beats.certainty > 0.5
        assert beats.first_downbeat_s(int(np.argmax(beats.bars))) == pytest.approx(first, abs=0.03)

    @pytest.mark.parametrize("bpm,first", [(76.0, 0.8), (97.0, 0.1), (118.0, 0.0)])
    def test_piano(self, bpm: float, first: float) -> None:
        beats = found(find_beats(piano_part(bpm, first, 20.0), "piano"))
        assert beats.bpm == pytest.approx(bpm, rel=0.003)
        assert beats.beats_in_bar == 4 and beats.certainty > 0.5
        assert beats.first_downbeat_s(int(np.argmax(beats.bars))) == pytest.approx(first, abs=0.03)

    def test_bars_of_three(self) -> None:
        drums = found(find_beats(drum_loop(140.0, 0.5, 25.0, beats=3), "drums"))
        piano = found(find_beats(piano_part(140.0, 0.5, 25.0, beats=3), "piano"))
        assert (drums.beats_in_bar, piano.beats_in_bar) == (3, 3)
        assert drums.bpm == pytest.approx(140.0, rel=0.003)

    def test_nothing_to_find(self) -> None:
        assert find_beats(np.zeros((2, 10 * RATE), np.float32), "drums") is None
        assert find_beats(make_drums(RATE, 2.0), "drums") is None
        assert find_beats(np.full((1, 10 * RATE), 0.5, np.float32), "piano") is None


class TestFollow:
    def test_a_long_recording_sharpens_the_tempo(self) -> None:
        drums = drum_loop(101.37, 0.25, 180.0)
        beats = found(find_beats(drums[:, : 20 * RATE], "drums"))
        longer = follow_beats(store_of(drums), beats)
        assert longer.bpm == pytest.approx(101.37, rel=5e-5)
        assert longer.stray_beats < 0.02

    def test_a_beat_that_strays_is_told(self) -> None:
        slow, fast = drum_loop(100.0, 0.0, 40.0), drum_loop(104.0, 0.0, 40.0)
        drums = np.concatenate([slow, fast, slow], axis=1)
        beats = found(find_beats(drums[:, : 40 * RATE], "drums"))
        assert follow_beats(store_of(drums), beats).stray_beats > MOST_STRAY_BEATS


def align(drums: FloatArray, piano: FloatArray) -> alignment.Alignment:
    return align_piano(store_of(drums), store_of(piano), "d.wav", "p.wav", loops=True)


class TestAlignment:
    @pytest.mark.parametrize("drums_bpm,piano_bpm", [(100.0, 92.0), (128.0, 70.0), (84.0, 160.0)])
    def test_the_piano_falls_on_the_drums(
        self,
        drums_bpm: float,
        piano_bpm: float,
        renderer: creative_mix.Renderer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        pytest.importorskip("python_stretch")
        # What is right here need not be sure.
        monkeypatch.setattr(alignment, "LEAST_CERTAINTY", 0.5)
        drums = drum_loop(drums_bpm, 0.7, 16.0)
        piano = piano_part(piano_bpm, 0.35, 24.0)
        # Nothing but the piano, as it runs along the drums.
        out = creative_mix.render(drums, piano, RATE, mix=1.0, align=True, renderer=renderer)
        assert out.shape[1] == drums.shape[1]
        beats = found(find_beats(out[:, : 16 * RATE], "piano"))
        ratio = beats.bpm / drums_bpm
        assert min(abs(ratio / each - 1) for each in (0.5, 1.0, 2.0)) < 0.004
        away = (beats.beat_s - 0.7) / (60 / max(beats.bpm, drums_bpm))
        assert abs(away - round(away)) * 60 / max(beats.bpm, drums_bpm) < 0.03

    def test_downbeat_on_downbeat_without_a_stretch(self) -> None:
        made = align(drum_loop(100.0, 1.1, 20.0), piano_part(100.0, 0.3, 20.0))
        assert made.factor == 1.0 and made.placement is not None
        assert made.placement.shift / RATE == pytest.approx(0.8, abs=0.03)
        assert any("first downbeat on first downbeat" in line for line in made.notes)

    def test_a_loop_has_whole_bars(self) -> None:
        # Four bars and the ring of the last chord.
        piano = np.pad(piano_part(100.0, 0.3, 0.3 + 9.59), ((0, 0), (0, round(1.5 * RATE))))
        made = align(drum_loop(100.0, 0.0, 40.0), piano)
        assert made.placement is not None
        assert made.placement.period / RATE == pytest.approx(9.6, rel=0.002)
        assert any("4 bars" in line for line in made.notes)

    def test_a_beat_that_is_not_sure_is_not_followed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(alignment, "LEAST_CERTAINTY", 1.01)
        made = align(drum_loop(100.0, 0.0, 8.0), piano_part(100.0, 0.0, 8.0))
        assert made.placement is None and any("beat is not clear" in line for line in made.notes)

    def test_where_there_is_no_beat_nothing_is_done(self, renderer: creative_mix.Renderer) -> None:
        random = np.random.default_rng(0)
        rain = (0.1 * random.standard_normal((1, 12 * RATE))).astype(np.float32)
        piano = piano_part(96.0, 0.3, 12.0)
        made = align(rain, piano)
        assert (made.factor, made.placement) == (1.0, None)
        assert any("not aligned" in line for line in made.notes)
        plain, aligned = (
            creative_mix.render(rain, piano, RATE, align=each, renderer=renderer)
            for each in (False, True)
        )
        np.testing.assert_array_equal(plain, aligned)

    def test_two_ways_to_fit_at_once(self) -> None:
        with pytest.raises(OptionError, match="give one of the two"):
            Settings(align=True, fit="stretch")

    @pytest.mark.parametrize("words", [(), ("batch",)])
    def test_every_command_that_renders_takes_it(
        self, words: tuple[str, ...], command: Command
    ) -> None:
        done = command(*words, "d.wav", "p.wav", "-o", "o", "--align", "--fit", "stretch")
        assert done.returncode == 2 and "give one of the two" in done.stderr

    def test_a_batch_tells_it_from_what_was_made_without(self) -> None:
        assert describe_options(Settings(align=True), None, True) == {"align": True}


def heard(bpm: float, beat_s: float, *bars: float) -> Beats:
    return Beats(bpm, len(bars), beat_s, 0.9, np.array(bars), beat_s)


class TestMeeting:
    def test_downbeats(self) -> None:
        drums, piano = heard(120.0, 0.2, 0, 1, 0, 0), heard(100.0, 0.1, 0, 0, 1, 0)
        made = meet(drums, piano, 20.0)
        assert made.factor == pytest.approx(100 / 120) and made.on_downbeat
        assert made.drums_s == pytest.approx(0.7)
        assert made.piano_s == pytest.approx((0.1 + 2 * 0.6) * made.factor)

    def test_what_runs_apart_too_little_to_be_heard_is_not_stretched(self) -> None:
        assert meet(heard(120.0, 0.0, 1, 0, 0, 0), heard(120.05, 0.0, 1, 0, 0, 0), 30.0).factor == 1
        assert meet(heard(120.0, 0.0, 1, 0, 0, 0), heard(120.05, 0.0, 1, 0, 0, 0), 90.0).factor != 1

    def test_a_piano_in_half_or_double_time(self) -> None:
        for bpm, factor in ((60.0, 1.0), (125.0, 125 / 120), (230.0, 115 / 120)):
            made = meet(heard(120.0, 0.0, 1, 0, 0, 0), heard(bpm, 0.0, 1, 0, 0, 0), 30.0)
            assert made.factor == pytest.approx(factor) and made.on_downbeat

    @pytest.mark.parametrize(
        "bars,why", [((1, 0, 0), "not alike"), ((0.4, 0.1, 0.3, 0.2), "not clear")]
    )
    def test_beat_on_beat(self, bars: tuple[float, ...], why: str) -> None:
        made = meet(heard(120.0, 0.5, 1, 0, 0, 0), heard(120.0, 0.4, *bars), 20.0)
        assert not made.on_downbeat and why in made.note
        assert made.drums_s - made.piano_s == pytest.approx(0.1)


class TestPlacement:
    def ramp(self, count: int) -> SampleStore:
        return store_of(np.arange(1, count + 1, dtype=np.float32)[None])

    def test_later(self) -> None:
        out = FittedPiano(self.ramp(9000), 12000, "none", RATE, Placement(500, 0, 9000)).read(
            0, 12000
        )
        assert not out[:, :500].any() and not out[:, 9500:].any()
        np.testing.assert_array_equal(out[0, 1000:9000], np.arange(501, 8501))

    def test_earlier_and_round(self) -> None:
        place = Placement(-300, 1000, 4000)
        out = FittedPiano(self.ramp(9000), 20000, "loop", RATE, place).read(0, 20000)[0]
        np.testing.assert_array_equal(out[:4700], np.arange(301, 5001))
        # After the seam, in which the recording rings on, every turn is the same.
        np.testing.assert_array_equal(out[4700 + 300 : 8700], np.arange(1301, 5001))
        np.testing.assert_array_equal(out[8700:12700], out[4700:8700])
        assert out[4700] == pytest.approx(5001, rel=0.01)

    def test_a_loop_longer_than_the_piano_has_a_pause(self) -> None:
        place = Placement(0, 1000, 8500)
        out = FittedPiano(self.ramp(9000), 30000, "loop", RATE, place).read(0, 30000)[0]
        assert not out[9000:9500].any()
        np.testing.assert_array_equal(out[9500 + 300 : 9500 + 7000], np.arange(1301, 8001))

    @pytest.mark.parametrize("fit", ["loop", "none"])
    @pytest.mark.parametrize("place", [(700, 100, 3000), (-900, 2000, 7500), (30000, 0, 10)])
    def test_any_piece_equals_the_whole(self, fit: str, place: tuple[int, int, int]) -> None:
        fitted = FittedPiano(self.ramp(9000), 20000, fit, RATE, Placement(*place))  # type: ignore[arg-type]
        whole = fitted.read(0, 20000)
        random = np.random.default_rng(2)
        for _ in range(50):
            start, stop = np.sort(random.integers(0, 20001, 2))
            np.testing.assert_array_equal(fitted.read(start, stop), whole[:, start:stop])
