"""Pairs as if other instruments had played them: sound, notes and truth move together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trainingkit import tone, write_pairs

from creative_mix.training.dataset import CropShape
from creative_mix.training.notes import Hit, Note
from creative_mix.training.pairfiles import pair_stems
from creative_mix.training.sources import PairFolder
from creative_mix.training.variation import SEMITONES, Variation

FLAT = np.array([[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]])
SHAPE = CropShape(96, 0)


def peak_hz(sound: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(sound, 1 << 18)).argmax() * 44100 / (1 << 18))


@pytest.mark.parametrize("semitones", [-SEMITONES, 0, 3])
def test_notes_are_where_they_are_heard(semitones: int) -> None:
    variation = Variation(semitones, FLAT, FLAT)
    played = variation.play("piano", tone([(0.5, 69)], 2 * 44100).astype(np.float32))
    (note,) = variation.notes((Note(0.5, 1.5, 69, 80),))
    (hit,) = variation.hits((Hit(0.5, 36, 100),))
    assert note.pitch == 69 + semitones
    assert peak_hz(played) == pytest.approx(440 * 2 ** ((note.pitch - 69) / 12), abs=1.5)
    began = np.flatnonzero(np.abs(played) > 0.02)[0] / 44100
    assert began == pytest.approx(note.start_s, abs=0.002)
    assert hit.time_s == note.start_s
    assert note.end_s - note.start_s == pytest.approx(1.0 / variation.speed)


def test_the_truth_stays_true() -> None:
    sound = np.random.default_rng(1).standard_normal(30000).astype(np.float32)
    for seed in range(8):
        variation = Variation.draw(np.random.default_rng(seed), together=False)
        piano, truth = variation.play("piano", sound), variation.play("truth", 0.5 * sound)
        assert np.allclose(truth, 0.5 * piano, atol=1e-5)
        assert not np.allclose(variation.play("drums", sound), piano, atol=1e-2)
        assert len(piano) == pytest.approx(len(sound) / variation.speed, abs=2)


def test_where_the_truth_holds_drums_both_are_equalised_alike() -> None:
    sound = np.random.default_rng(2).standard_normal(9000).astype(np.float32)
    variation = Variation.draw(np.random.default_rng(0), together=True)
    assert np.array_equal(variation.play("drums", sound), variation.play("truth", sound))


def test_crops_tell_the_keys_that_sound(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs")
    folder = PairFolder(pairs, pair_stems(pairs), SHAPE, varied_share=1.0)
    heard = set()
    for seed in range(24):
        crop = folder.crop(np.random.default_rng(seed), 0)
        again = folder.crop(np.random.default_rng(seed), 0)
        assert np.array_equal(crop["truth"], again["truth"])
        assert crop["piano"].shape == (96 * 512,) == crop["drums"].shape
        struck = np.flatnonzero(crop["piano_onsets"]["exact"].any(0))
        for frame in struck[(struck > 2) & (struck < 80)]:
            new = np.flatnonzero(crop["pitches"][:, frame] > crop["pitches"][:, frame - 1])
            after = crop["piano"][(frame + 1) * 512 : (frame + 13) * 512]
            before = np.sqrt(np.mean(crop["piano"][(frame - 2) * 512 : (frame - 1) * 512] ** 2))
            assert np.sqrt(np.mean(after**2)) > 1.2 * before
            power = np.abs(np.fft.rfft(after * np.hanning(len(after)), 1 << 17)) ** 2
            at = [round(440 * 2 ** ((key + 21 - 69) / 12) * (1 << 17) / 44100) for key in new]
            for place in at:
                near = power[round(place * 0.93) : round(place * 1.07)]
                assert abs(int(near.argmax()) + round(place * 0.93) - place) < 0.015 * place
            heard.update(int(key) for key in new)
    assert len(heard) > 4, "every variation plays the same keys"


def test_no_variation_unless_asked_for(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs")
    plain = PairFolder(pairs, pair_stems(pairs), SHAPE)
    crop = plain.crop(np.random.default_rng(0), 0)
    assert {int(key) for key in np.flatnonzero(crop["pitches"].any(1))} <= {27, 43}
