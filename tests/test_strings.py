"""Pianos that nobody recorded: pitch, decay, dynamics, and that the truth is played on the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from samplekit import write_material

from creative_mix.constants import SAMPLE_RATE
from creative_mix.training import rooms
from creative_mix.training.material import Material
from creative_mix.training.notes import Note
from creative_mix.training.pairs import PairMaker
from creative_mix.training.strings import NAME, PianoBody, _sum_modes, draw_piano


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_sums_of_modes_are_what_they_should_be() -> None:
    modes = np.asarray([2j * np.pi * 441.0 - 3.0, 2j * np.pi * 1234.5 - 20.0])
    amplitudes = np.asarray([[1.0, 0.5j], [0.2, 0.1]])
    time_s = np.arange(5000) / SAMPLE_RATE
    wanted = (amplitudes @ np.exp(modes[:, None] * time_s)).real
    assert np.allclose(_sum_modes(amplitudes, modes, 5000), wanted, atol=1e-4)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pitch", [33, 57, 81])
def test_a_key_sounds_at_its_pitch(seed: int, pitch: int) -> None:
    """A partial of the key is the loudest; within a third of a semitone of where it belongs."""
    sound = PianoBody.draw(rng(seed)).stroke(pitch, 80).mean(axis=0)[: 2 * SAMPLE_RATE]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
    loudest_hz = np.argmax(spectrum[40:]) / 2 + 20
    number = loudest_hz / (440.0 * 2 ** ((pitch - 69) / 12))
    nearest = max(1, round(number))
    assert abs(12 * np.log2(number / nearest)) < 0.34


def test_low_keys_ring_longer() -> None:
    body = PianoBody.draw(rng(1))

    def falls_db(pitch: int) -> float:
        early, late = np.split(body.stroke(pitch, 80)[:, : 2 * SAMPLE_RATE], 2, axis=1)
        return rooms.rms_db(early) - rooms.rms_db(late)

    assert 0.0 < falls_db(36) < falls_db(60) < falls_db(84)


@pytest.mark.parametrize("seed", range(4))
def test_soft_strokes_are_softer_and_duller(seed: int) -> None:
    body = dataclasses.replace(PianoBody.draw(rng(seed)), knock_db=-90.0)

    def bright(sound: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(sound.mean(axis=0)[:SAMPLE_RATE])) ** 2
        return float(power @ np.arange(power.size) / power.sum())

    soft, loud = body.stroke(60, 30), body.stroke(60, 110)
    assert rooms.rms_db(loud) - rooms.rms_db(soft) > 8.0
    assert bright(loud) > bright(soft)


def test_a_drawn_piano_plays_what_it_is_given() -> None:
    notes = [Note(0.2, 0.6, 60, 90), Note(0.2, 0.6, 64, 50)]
    first, again, other = (
        draw_piano(rng(seed)).play(notes, SAMPLE_RATE, rng(5)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again) and not np.allclose(first, other, atol=1e-3)
    assert first.dtype == np.float32 and np.all(np.isfinite(first))
    begin = round(0.2 * SAMPLE_RATE)
    assert not np.any(first[:, : begin - 64]) and np.abs(first[:, begin:]).max() > 0.01
    assert rooms.rms_db(first[:, -SAMPLE_RATE // 10 :]) < rooms.rms_db(first) - 20.0
    single = draw_piano(rng(1))
    levels = [
        rooms.rms_db(single.play([Note(0.0, 1.0, 60, v)], SAMPLE_RATE, rng(7)))
        for v in range(20, 128, 12)
    ]
    assert all(a < b for a, b in zip(levels, levels[1:], strict=False))


def test_the_truth_is_played_on_the_same_piano(tmp_path_factory: pytest.TempPathFactory) -> None:
    material = Material.from_folder(write_material(tmp_path_factory.mktemp("material")))
    maker = PairMaker(material, duration_s=3.0, bias_share=0.0, synthesised_pianos=1.0)
    pair = maker.make(3)
    assert pair.meta["piano"] == NAME
    assert np.array_equal(pair.truth, maker.make(3).truth)
    score = maker._compose(3)
    piano, (same,) = maker._record_piano(3, score, [(score.notes, "piano strokes")])
    noise = piano - same
    assert rooms.rms_db(noise) < rooms.rms_db(piano) - 25.0
    plain = PairMaker(material, duration_s=3.0, bias_share=0.0).make(3)
    assert plain.meta["piano"] != NAME and plain.piano_notes == pair.piano_notes
    assert np.array_equal(plain.drums, pair.drums)
