"""Recorded pianos that hiss: with each stroke, as loud as drawn, in pitch, and in the truth too."""

from __future__ import annotations

import numpy as np
import pytest
from samplekit import one_note

from creative_mix.constants import SAMPLE_RATE
from creative_mix.training import rooms
from creative_mix.training.hiss import (
    BED_S,
    FADE_S,
    LEVEL_DB,
    STROKE_DB,
    add_hiss,
    draw_hiss,
    hissing,
)
from creative_mix.training.instruments import SampledPiano
from creative_mix.training.material import Material
from creative_mix.training.pairs import PairMaker
from creative_mix.training.samples import Stroke


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def silent(seconds: float, peak: float = 0.5) -> Stroke:
    """A click and nothing after it."""
    data = np.zeros((2, round(seconds * SAMPLE_RATE)), np.int16)
    data[:, 0] = 32767
    return Stroke(data, peak / 32767.0, 0)


@pytest.mark.parametrize("seed", range(8))
def test_hiss_is_as_loud_as_drawn_and_differs_from_side_to_side(seed: int) -> None:
    bed = draw_hiss(rng(seed))
    assert bed.shape == (2, round(BED_S * SAMPLE_RATE)) and bed.dtype == np.float32
    assert LEVEL_DB[0] - 0.1 <= rooms.rms_db(bed) <= LEVEL_DB[1] + 0.1
    assert abs(np.corrcoef(bed)[0, 1]) < 0.05


def test_hiss_follows_the_strokes_peak_and_fades_at_its_end() -> None:
    bed = draw_hiss(rng(1))
    for peak in (0.5, 0.05):
        made = add_hiss(silent(2.0, peak), bed, rng(2))
        assert made.shape == (2, 2 * SAMPLE_RATE) and made.dtype == np.float32
        heard_db = rooms.rms_db(made[:, 100 : SAMPLE_RATE + 100])
        assert abs(heard_db - 20 * np.log10(peak) - rooms.rms_db(bed)) < 4 * STROKE_DB
    end = made[:, -round(0.01 * FADE_S * SAMPLE_RATE) :]
    assert rooms.rms_db(end) < heard_db - 30.0


def test_strokes_longer_than_the_hiss_keep_their_sound() -> None:
    bed = draw_hiss(rng(1))
    made = add_hiss(silent(BED_S + 1.0), bed, rng(2))
    assert made.shape == (2, round((BED_S + 1.0) * SAMPLE_RATE))
    assert np.all(made[:, bed.shape[1] + 1 :] == 0.0) and made[0, 0] == pytest.approx(0.5, abs=0.01)


def test_each_stroke_has_its_own_hiss_and_the_same_for_the_same_draws(
    tiny_piano: SampledPiano,
) -> None:
    def noise(seed: int, pitch: int) -> np.ndarray:
        return one_note(hissing(tiny_piano, rng(seed)), pitch) - one_note(tiny_piano, pitch)

    first = noise(3, 60)
    assert np.array_equal(first, noise(3, 60))
    assert 0.0 < np.abs(first).max() < 0.02 * np.abs(one_note(tiny_piano, 60)).max()
    for other in (noise(4, 60), noise(3, 72)):
        assert abs(np.corrcoef(first[0], other[0])[0, 1]) < 0.1


def test_the_truth_hisses_as_the_recording_does(tiny_material: Material) -> None:
    hissed, plain = (
        PairMaker(tiny_material, duration_s=3.0, bias_share=0.0, hissing_share=share)
        for share in (1.0, 0.0)
    )
    pair, before = hissed.make(3), plain.make(3)
    assert pair.meta["piano"] == f"{before.meta['piano']}, hissing"
    assert np.array_equal(pair.truth, hissed.make(3).truth)
    assert before.piano_notes == pair.piano_notes and np.array_equal(before.drums, pair.drums)
    assert not np.allclose(before.truth, pair.truth, atol=1e-6)
    assert rooms.rms_db(pair.truth - before.truth) < rooms.rms_db(pair.truth) - 30.0


def test_some_pianos_hiss_voiced_ones_too_synthesised_ones_never(tiny_material: Material) -> None:
    maker = PairMaker(tiny_material, duration_s=2.0, voiced_share=1.0, hissing_share=0.5)
    names = [maker._compose(seed).piano.name for seed in range(40)]
    assert 10 <= sum(name.endswith(", voiced, hissing") for name in names) <= 30
    both = PairMaker(tiny_material, duration_s=2.0, hissing_share=1.0, synthesised_pianos=1.0)
    assert both._compose(1).piano.name == "synthesised"
