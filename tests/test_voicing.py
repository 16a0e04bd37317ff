"""Recorded pianos voiced anew: in tune, each key otherwise, and the truth played on the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from samplekit import PITCHES, one_note

from creative_mix.constants import SAMPLE_RATE
from creative_mix.training import rooms
from creative_mix.training.instruments import SampledPiano
from creative_mix.training.material import Material
from creative_mix.training.pairs import PairMaker
from creative_mix.training.samples import Stroke
from creative_mix.training.voicing import FADE_S, LONGEST_S, MOVED, Voicing, voice


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def stroke(seconds: float) -> Stroke:
    """Steady noise from 100 samples on."""
    data = rng().integers(-9000, 9000, (2, round(seconds * SAMPLE_RATE))).astype(np.int16)
    data[:, :100] = 0
    return Stroke(data, 1 / 32767.0, 100)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("pitch", [48, 61, 74])
def test_keys_stay_in_tune(tiny_piano: SampledPiano, seed: int, pitch: int) -> None:
    heard = one_note(voice(tiny_piano, rng(seed)), pitch).mean(axis=0)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(heard.size), 4 * heard.size))
    hertz = 440.0 * 2 ** ((pitch - 69) / 12)
    near = slice(round(4 * hertz * 0.75), round(4 * hertz * 1.35))
    found = (np.argmax(spectrum[near]) + near.start) / 4
    assert abs(12 * np.log2(found / hertz)) < 0.2


def test_a_voiced_piano_is_the_same_for_the_same_draws(tiny_piano: SampledPiano) -> None:
    first, again, other = (one_note(voice(tiny_piano, rng(seed)), 60) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and np.all(np.isfinite(first))
    assert not np.allclose(first, other, atol=1e-3)
    assert not np.allclose(first, one_note(tiny_piano, 60), atol=1e-3)
    order = voice(tiny_piano, rng(1))
    one_note(order, 72)
    assert np.array_equal(first, one_note(order, 60))


def test_keys_differ_in_level_and_decay(tiny_piano: SampledPiano) -> None:
    piano = voice(tiny_piano, rng(3))

    def level_db(pitch: int, of: SampledPiano) -> float:
        return rooms.rms_db(one_note(of, pitch))

    apart = [level_db(p, piano) - level_db(p, tiny_piano) for p in range(48, 84)]
    assert 0.8 < np.std(apart) < 6.0
    steady = np.asarray([[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]])
    made = Voicing(steady, 2.0, 6.0).apply(stroke(1.5))
    plain = Voicing(steady, 0.0, 0.0).apply(stroke(1.5))
    assert np.allclose(plain, stroke(1.5).data / 32767.0, atol=1e-6)
    start, second = slice(0, 2000), slice(44_200, 44_202)
    gain_db = [rooms.rms_db(made[:, at]) - rooms.rms_db(plain[:, at]) for at in (start, second)]
    assert gain_db[0] == pytest.approx(2.0, abs=0.2) and gain_db[1] == pytest.approx(-4.0, abs=0.1)


def test_long_strokes_end_softly() -> None:
    flat = Voicing(np.asarray([[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]]), 0.0, 0.0)
    made = flat.apply(stroke(LONGEST_S + 1.0))
    assert made.shape == (2, round(LONGEST_S * SAMPLE_RATE)) and made.dtype == np.float32
    assert np.abs(made[:, -20:]).max() < 20 / (FADE_S * SAMPLE_RATE)
    before = made[:, : round((LONGEST_S - FADE_S) * SAMPLE_RATE)]
    assert np.allclose(
        before, stroke(LONGEST_S + 1.0).data[:, : before.shape[1]] / 32767.0, atol=1e-6
    )


def test_the_sound_moves_and_recordings_are_left_out(tiny_piano: SampledPiano) -> None:
    moved, counts = set(), set()
    for seed in range(60):
        pitches = {file.pitch for file in voice(tiny_piano, rng(seed)).files}
        counts.add(len(pitches))
        moved.add((min(pitches) - PITCHES[0]) % (PITCHES[1] - PITCHES[0]))
    assert counts == {len(PITCHES), len(PITCHES) // 2}
    assert moved == {shift % 12 for shift in range(-MOVED, MOVED + 1)}


def test_the_truth_is_played_on_the_same_piano(tiny_material: Material) -> None:
    maker = PairMaker(tiny_material, duration_s=3.0, bias_share=0.0, voiced_share=1.0)
    pair, plain = maker.make(3), PairMaker(tiny_material, duration_s=3.0, bias_share=0.0).make(3)
    assert pair.meta["piano"] == f"{plain.meta['piano']}, voiced"
    assert np.array_equal(pair.truth, maker.make(3).truth)
    assert plain.piano_notes == pair.piano_notes and np.array_equal(plain.drums, pair.drums)
    assert not np.allclose(plain.piano, pair.piano, atol=1e-3)
    score = maker._compose(3)
    piano, (same,) = maker._record_piano(3, score, [(score.notes, "piano strokes")])
    assert rooms.rms_db(piano - same) < rooms.rms_db(piano) - 25.0


def test_some_are_voiced(tiny_material: Material) -> None:
    maker = PairMaker(tiny_material, duration_s=2.0, bias_share=0.0, voiced_share=0.5)
    voiced = [maker._compose(seed).piano.name.endswith("voiced") for seed in range(40)]
    assert 10 <= sum(voiced) <= 30
    both = PairMaker(tiny_material, duration_s=2.0, voiced_share=1.0, synthesised_pianos=1.0)
    assert both._compose(1).piano.name == "synthesised"


def test_fonts_pianos_are_voiced_as_files_are(tiny_piano: SampledPiano, tmp_path: Path) -> None:
    """Whatever plays the piano's part is voiced through its strokes."""
    from creative_mix.training.soundfont import SoundFontPiano

    font = SoundFontPiano(tmp_path / "font.sf2", 0, tiny_piano.store)
    font._sampled = tiny_piano
    assert np.array_equal(
        one_note(voice(font.sampled(), rng(2)), 60), one_note(voice(tiny_piano, rng(2)), 60)
    )
