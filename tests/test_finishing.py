"""Loudness and peaks of a result, checked against another meter and between the samples."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import pytest
import soxr
from recordings import make_drums, make_piano

import creative_mix
from creative_mix.audio import FloatArray
from creative_mix.audio.levels import LevelMeter, to_db, to_gain
from creative_mix.audio.limiter import LIMIT_DB, Limiter
from creative_mix.audio.store import SampleStore
from creative_mix.finishing import choose_finish

RATE = 44100


@pytest.fixture(scope="module")
def renderer(standin_model: object) -> creative_mix.Renderer:
    return creative_mix.Renderer(standin_model)  # type: ignore[arg-type]


def integrated(samples: FloatArray, rate: int) -> float:
    """Loudness by pyloudnorm."""
    return float(pyloudnorm.Meter(rate).integrated_loudness(samples.T.astype(np.float64)))


def true_peak_db(samples: FloatArray) -> float:
    """Highest peak at eight times the rate."""
    between = soxr.resample(np.ascontiguousarray(samples.T), 1, 8, quality="VHQ")
    return to_db(float(max(np.abs(between).max(), np.abs(samples).max())))


def stored(samples: FloatArray) -> tuple[SampleStore, LevelMeter]:
    store, meter = SampleStore(samples.shape[0]), LevelMeter(RATE)
    store.append(samples)
    meter.add(samples)
    return store, meter


@pytest.mark.parametrize("rate", [22050, 44100, 48000, 96000])
@pytest.mark.parametrize("kind", ["drums", "piano", "noise"])
def test_the_meter_agrees_with_another_one(rate: int, kind: str) -> None:
    make = {"drums": make_drums, "piano": make_piano, "noise": make_noise}[kind]
    samples = make(rate, 7.03, 2)
    meter = LevelMeter(rate)
    for start in range(0, samples.shape[1], 7777):
        meter.add(samples[:, start : start + 7777])
    assert meter.loudness_lufs == pytest.approx(integrated(samples, rate), abs=0.1)


def make_noise(rate: int, duration_s: float, channels: int) -> FloatArray:
    """Noise that comes and goes, so that the gates have something to do."""
    random = np.random.default_rng(3)
    count = round(rate * duration_s)
    swell = 10.0 ** (-2.5 + 2.5 * np.sin(np.arange(count) / rate) ** 2)
    return (0.3 * swell * random.standard_normal((channels, count))).astype(np.float32)


@pytest.mark.parametrize("clip", ["rescale", "limit"])
@pytest.mark.parametrize("target", [-30.0, -23.0, -16.0])
def test_the_asked_loudness_is_reached(
    target: float, clip: str, renderer: creative_mix.Renderer
) -> None:
    out = creative_mix.render(
        *(make_drums(RATE, 5.0), make_piano(RATE, 5.0), RATE),
        loudness_lufs=target,
        clip=clip,  # type: ignore[arg-type]
        renderer=renderer,
    )
    assert integrated(out, RATE) == pytest.approx(target, abs=0.2)
    assert true_peak_db(out) < 0.0


def test_a_loudness_beyond_full_scale_is_neared_and_said() -> None:
    samples = make_piano(RATE, 5.0) * np.float32(0.2)
    samples[:, ::RATE] = 0.9
    store, meter = stored(samples)
    rescaled = choose_finish(store, meter, RATE, -8.0, "rescale")
    limited = choose_finish(store, meter, RATE, -8.0, "limit")
    assert "peaks would have clipped" in rescaled.notes[0]
    assert "limiter" in limited.notes[-1]
    first, second = (
        np.concatenate(list(finish.blocks(store, RATE)), axis=1) for finish in (rescaled, limited)
    )
    assert to_db(float(np.abs(first).max())) == pytest.approx(-0.1, abs=0.01)
    assert true_peak_db(second) < LIMIT_DB + 0.3
    assert integrated(first, RATE) < integrated(second, RATE) - 3 < -8.0


def test_without_a_clip_remedy_peaks_stay(renderer: creative_mix.Renderer) -> None:
    loud = make_piano(RATE, 2.0) * np.float32(5)
    out = creative_mix.render(
        make_drums(RATE, 2.0), loud, RATE, mix=1.0, clip="none", renderer=renderer
    )
    np.testing.assert_allclose(out[:, :-300], loud[:, :-300], rtol=1e-5)
    store, meter = stored(loud)
    (note,) = choose_finish(store, meter, RATE, None, "none").notes
    assert "beyond full scale" in note


@pytest.mark.parametrize("level", [0.0, 0.7])
@pytest.mark.parametrize("clip", ["rescale", "limit", "none"])
def test_what_has_no_loudness_stays_as_it_is(level: float, clip: str) -> None:
    # A steady level is inaudible, and to the meter it is silence.
    store, meter = stored(np.full((1, RATE), level, np.float32))
    finish = choose_finish(store, meter, RATE, -16.0, clip)  # type: ignore[arg-type]
    out = np.concatenate(list(finish.blocks(store, RATE)), axis=1)
    np.testing.assert_allclose(out, level, rtol=1e-6)


class TestLimiter:
    @pytest.mark.parametrize("rate", [8000, 44100, 192000])
    @pytest.mark.parametrize("count", [1, 7, 1500, 100_000])
    def test_peaks_stay_below_the_ceiling(self, rate: int, count: int) -> None:
        time = np.arange(count) / rate
        # A quarter of the rate, between whose samples the peaks stand 3 dB higher.
        wave = np.sin(np.pi / 2 * np.arange(count) + np.pi / 4) * np.exp(-(time % 0.1) * 9)
        samples = np.stack([wave, 0.2 * wave]).astype(np.float32)
        limiter = Limiter(stored(samples)[0], 4.0, rate)
        out = np.concatenate(list(limiter.blocks()), axis=1)
        assert out.shape == samples.shape
        assert np.abs(out).max() <= to_gain(LIMIT_DB) * (1 + 1e-6)
        assert true_peak_db(out) < LIMIT_DB + 0.3

    def test_what_is_below_passes_untouched(self) -> None:
        samples = make_piano(RATE, 2.0) * np.float32(0.5)
        limiter = Limiter(stored(samples)[0], 1.0, RATE)
        np.testing.assert_array_equal(np.concatenate(list(limiter.blocks()), axis=1), samples)
        assert limiter.most_reduction_db == 0.0

    def test_the_gain_moves_slowly_and_is_one_for_both_channels(self) -> None:
        random = np.random.default_rng(0)
        samples = np.full((2, 4 * RATE), 0.1, np.float32)
        samples[0, random.integers(0, samples.shape[1], 30)] = 1.0
        limiter = Limiter(stored(samples)[0], 2.0, RATE)
        out = np.concatenate(list(limiter.blocks()), axis=1)
        gain = out / samples
        np.testing.assert_allclose(gain[0], gain[1], rtol=1e-5)
        # From 0 to the deepest reduction takes the time of the look-ahead.
        steepest = np.abs(np.diff(20 * np.log10(gain[1]))).max() * RATE
        assert steepest < 2 * limiter.most_reduction_db / 0.005
        assert gain[1].min() < 1.0 < gain[1].max() <= 2.0

    def test_blocks_of_a_long_signal_join(self) -> None:
        # Longer than the pieces that it is worked on in, with a swell over every border.
        count = 600_000
        wave = np.sin(np.arange(count) / 20) * (1 + 0.5 * np.sin(np.arange(count) / 9000))
        samples = wave[None].astype(np.float32)
        limiter = Limiter(stored(samples)[0], 1.5, RATE)
        out = np.concatenate(list(limiter.blocks()), axis=1)
        loud = np.abs(samples) > 0.05
        gain = np.where(loud, out / np.where(loud, samples, 1), np.nan)
        gain = gain[np.isfinite(gain)]
        assert np.abs(np.diff(gain)).max() < 0.01
