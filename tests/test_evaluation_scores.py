"""The scores answer as they must on signals whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("librosa")
pytest.importorskip("mir_eval")

import mir_eval

from creative_mix.constants import SAMPLE_RATE
from creative_mix.evaluation import onsets, scores
from creative_mix.evaluation.features import Features
from creative_mix.evaluation.probing import mean_auc
from creative_mix.evaluation.statistics import bootstrap_interval, count_wins

DURATION_S = 4.0
LENGTH = int(DURATION_S * SAMPLE_RATE)
STRIKES_S = np.array([0.31, 0.74, 1.02, 1.55, 1.9, 2.41, 2.66, 3.13, 3.58])


def notes(times_s: np.ndarray, pitch_hz: float = 330.0, decay_s: float = 0.2) -> np.ndarray:
    """Decaying tones of four partials at the times, over a faint noise."""
    generator = np.random.default_rng(1)
    out = 1e-5 * generator.standard_normal(LENGTH)
    for time_s in times_s:
        start = round(time_s * SAMPLE_RATE)
        t = np.arange(LENGTH - start) / SAMPLE_RATE
        tone = sum(np.sin(2 * np.pi * pitch_hz * k * t) / k for k in range(1, 5))
        out[start:] += 0.2 * tone * np.exp(-t / decay_s)
    return out.astype(np.float32)


def noise(seed: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(LENGTH).astype(np.float32)


@pytest.fixture(scope="module")
def struck() -> Features:
    return Features(notes(STRIKES_S))


def test_known_strikes_are_found_and_chance_is_far_below(struck: Features) -> None:
    found = struck.onsets_s
    assert onsets.onset_f(STRIKES_S, found, 0.05) == pytest.approx(1.0, abs=0.07)
    assert onsets.chance_f(STRIKES_S, found, DURATION_S, 0.05) < 0.5


def test_a_train_shifted_within_the_window_counts_beyond_it_does_not() -> None:
    assert onsets.onset_f(STRIKES_S, STRIKES_S + 0.04, 0.05) == 1.0
    assert onsets.onset_f(STRIKES_S, STRIKES_S + 0.04, 0.03) == 0.0
    chance = onsets.chance_f(STRIKES_S, STRIKES_S, DURATION_S, 0.05)
    assert 0.05 < chance < 0.6
    assert chance == onsets.chance_f(STRIKES_S, STRIKES_S, DURATION_S, 0.05)


def test_empty_sides_score_nothing() -> None:
    assert np.isnan(onsets.onset_f([], STRIKES_S))
    assert onsets.onset_f(STRIKES_S, []) == 0.0
    assert onsets.chance_f(STRIKES_S, [], DURATION_S) == 0.0
    assert len(onsets.attack_errors([], STRIKES_S)) == 0


def test_fast_matching_equals_that_of_mir_eval() -> None:
    generator = np.random.default_rng(3)
    for _ in range(30):
        a, b = (np.sort(generator.uniform(0, 3, generator.integers(1, 50))) for _ in range(2))
        assert len(onsets.match_onsets(a, b, 0.05)) == len(mir_eval.util.match_events(a, b, 0.05))


def test_refined_onsets_lie_within_three_milliseconds(struck: Features) -> None:
    errors = onsets.attack_errors(STRIKES_S, struck.refined_onsets_s)
    assert len(errors) >= len(STRIKES_S) - 1
    assert np.median(errors) < 0.003
    late = onsets.attack_errors(STRIKES_S, struck.refined_onsets_s + 0.02)
    assert np.median(late) == pytest.approx(0.02, abs=0.004)


def test_pre_echo_is_told_in_decibels_and_close_strikes_are_left_out(struck: Features) -> None:
    clean = onsets.pre_echo_db(struck.audio, STRIKES_S, SAMPLE_RATE)
    assert len(clean) == len(STRIKES_S)
    smeared = struck.audio.copy()
    for time_s in STRIKES_S:
        at = round(time_s * SAMPLE_RATE)
        span = slice(at - 882, at)
        level = np.sqrt(0.1 * np.mean(struck.audio[at : at + 882] ** 2))
        smeared[span] = level * np.sign(np.random.default_rng(0).standard_normal(882))
    echoes = onsets.pre_echo_db(smeared, STRIKES_S, SAMPLE_RATE)
    assert echoes == pytest.approx(np.full(len(STRIKES_S), -10.0), abs=0.1)
    assert np.mean(clean) < -15
    crowded = np.sort(np.concatenate([STRIKES_S, STRIKES_S + 0.03]))
    assert len(onsets.pre_echo_db(struck.audio, crowded, SAMPLE_RATE)) == len(STRIKES_S)
    assert len(onsets.pre_echo_db(struck.audio, [], SAMPLE_RATE)) == 0


@pytest.mark.parametrize("gain", [1.0, 0.02, 30.0])
def test_distances_to_itself_are_zero_at_any_level(struck: Features, gain: float) -> None:
    louder = Features(struck.audio * np.float32(gain))
    assert scores.mel_distance(louder, struck) == pytest.approx(0.0, abs=2e-4)
    assert scores.log_stft_distance(louder, struck) == pytest.approx(0.0, abs=2e-3)


def test_distances_grow_with_the_fault(struck: Features) -> None:
    near = Features(notes(STRIKES_S + 0.003))
    far = Features(notes(STRIKES_S + 0.1))
    for distance in (scores.mel_distance, scores.log_stft_distance):
        assert 0 < distance(near, struck) < distance(far, struck)


def test_distances_have_their_stated_unit() -> None:
    low, high = Features(noise(0)), Features(noise(0))
    # A plain gain on one half in time: 20 dB apart between the halves, so 20 dB in sum of both.
    half = high.audio.copy()
    half[LENGTH // 2 :] *= 0.1
    assert scores.mel_distance(Features(half), low) == pytest.approx(0.5, abs=0.06)
    wanted = 0.5 * np.log(10)
    assert scores.log_stft_distance(Features(half), low) == pytest.approx(wanted, abs=0.12)


def test_silence_is_scored_without_nan(struck: Features) -> None:
    silence = Features(np.zeros(LENGTH, np.float32))
    assert scores.mel_distance(silence, struck) > 0.3
    assert len(silence.onsets_s) == 0
    assert scores.envelope_correlation(silence, struck) == 0.0
    assert scores.drum_leak(silence, struck) == 0.0
    assert scores.linear_mix_share(silence.audio, struck.audio, noise(1)) == 0.0
    assert np.isnan(scores.chroma_cosine(silence, struck))


def test_chroma_knows_the_pitch(struck: Features) -> None:
    other = Features(notes(STRIKES_S, pitch_hz=330.0 * 2 ** (1 / 12)))
    octave = Features(notes(STRIKES_S, pitch_hz=660.0))
    assert scores.chroma_cosine(struck, struck) == pytest.approx(1.0)
    assert scores.chroma_cosine(octave, struck) > 0.8
    assert scores.chroma_cosine(other, struck) < 0.5


def test_linear_mix_share_is_one_for_a_mix_and_small_for_what_is_new(struck: Features) -> None:
    drums = noise(2)
    mix = 0.3 * drums - 0.8 * struck.audio
    assert scores.linear_mix_share(mix, drums, struck.audio) == pytest.approx(1.0, abs=1e-6)
    assert scores.linear_mix_share(noise(5), drums, struck.audio) < 0.01


def test_leak_finds_the_drums_even_filtered(struck: Features) -> None:
    drums, others = Features(noise(2)), Features(noise(6))
    filtered = Features(np.convolve(drums.audio, [0.5, 0.5])[:LENGTH].astype(np.float32))
    assert scores.drum_leak(drums, drums) == pytest.approx(1.0, abs=1e-4)
    assert scores.drum_leak(filtered, drums) > 0.98
    assert scores.drum_leak(drums, others) < 0.02
    mixed = Features(struck.audio + 0.3 * drums.audio)
    assert scores.drum_leak(mixed, drums) > 5 * scores.drum_leak(struck, drums)


def test_envelope_correlation_follows_the_rhythm(struck: Features) -> None:
    same_rhythm = Features(notes(STRIKES_S, pitch_hz=523.0))
    other_rhythm = Features(notes(STRIKES_S[::2] + 0.13))
    assert scores.envelope_correlation(same_rhythm, struck) > 0.8
    assert scores.envelope_correlation(other_rhythm, struck) < 0.3


def test_bootstrap_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    inside = 0
    for trial in range(200):
        interval = bootstrap_interval(generator.normal(0.4, 1.0, 60), draws=400, seed=trial)
        inside += interval.low <= 0.4 <= interval.high
    assert 0.9 <= inside / 200 <= 0.99


def test_bootstrap_leaves_out_nan_and_repeats_by_seed() -> None:
    interval = bootstrap_interval([1.0, float("nan"), 3.0])
    assert (interval.mean, interval.count) == (2.0, 2)
    assert interval == bootstrap_interval([1.0, float("nan"), 3.0])
    assert np.isnan(bootstrap_interval([]).mean)


def test_wins_are_counted_by_direction() -> None:
    ours, theirs = [1.0, 2.0, 3.0, float("nan")], [2.0, 2.0, 1.0, 1.0]
    wins = count_wins(ours, theirs, "rival", higher_is_better=True)
    assert (wins.won, wins.drawn, wins.count) == (1, 1, 3)
    assert count_wins(ours, theirs, "rival", higher_is_better=False).won == 1


def test_auc_of_scores_that_tell_nothing_is_a_half() -> None:
    for labels in ([0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0]):
        assert mean_auc(np.zeros((4, 1)), np.array(labels)[:, None]) == 0.5
    assert mean_auc(np.array([[0.1], [0.4], [0.9]]), np.array([[0.0], [1.0], [0.0]])) == 0.5
