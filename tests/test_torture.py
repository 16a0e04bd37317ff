"""Whatever comes in: a whole result or one line that says why not.

Examples are drawn by hypothesis, few of them and always the same ones; CREATIVE_MIX_TORTURE=2000
draws so many, new in every run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import creative_mix
from creative_mix.api import Settings, render_files
from creative_mix.audio import FloatArray
from creative_mix.audio.files import AudioReader
from creative_mix.audio.fit import FittedPiano
from creative_mix.audio.levels import CEILING_DB, LevelMeter, to_gain
from creative_mix.audio.limiter import LIMIT_DB, Limiter
from creative_mix.audio.quantise import DITHERED_BITS, Quantiser
from creative_mix.audio.rates import resample_blocks, resampled_length
from creative_mix.audio.riff import wave_header
from creative_mix.audio.store import SampleStore
from creative_mix.errors import AudioFileError, CreativeMixError
from creative_mix.options import CLIPS, SUBTYPES

WANTED = int(os.environ.get("CREATIVE_MIX_TORTURE", "0"))


def torture(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Settings for so many examples, or as many as were asked for."""
    return settings(
        max_examples=WANTED or examples,
        derandomize=not WANTED,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


COMMON_RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 176400, 192000)
RATES = st.one_of(st.sampled_from(COMMON_RATES), st.integers(8000, 192000))
LEVELS = st.sampled_from((0.0, 1e-30, 1e-7, 1e-4, 0.01, 0.3, 1.0, 40.0, 1e6, 1e25))
KINDS = st.sampled_from(("noise", "tone", "click", "steady", "antiphase"))
READABLE = st.sampled_from(
    [
        *(("wav", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32")),
        *(("wav", "FLOAT"), ("wav", "DOUBLE"), ("wav", "ULAW"), ("wav", "IMA_ADPCM")),
        *(("rf64", "PCM_24"), ("w64", "FLOAT"), ("caf", "PCM_16"), ("au", "PCM_16")),
        *(("flac", "PCM_S8"), ("flac", "PCM_16"), ("flac", "PCM_24"), ("aiff", "PCM_24")),
    ]
)


def seconds(longest: float) -> st.SearchStrategy[float]:
    """Lengths of which many are very short: 0 stands for a single sample."""
    return st.one_of(st.just(0.0), st.floats(0.0, 0.1), st.floats(0.1, longest))


def make(kind: str, rate: int, duration_s: float, channels: int, level: float) -> FloatArray:
    """A signal with at least one sample."""
    count = max(1, round(rate * duration_s))
    random = np.random.default_rng(count)
    time = np.arange(count) / rate
    wave = {
        "noise": lambda: random.standard_normal((channels, count)) * np.exp(-(time % 0.25) * 9),
        "tone": lambda: np.sin(2 * np.pi * 220 * time + np.arange(channels)[:, None]),
        "click": lambda: np.tile(time % 0.5 < 1.5 / rate, (channels, 1)),
        "steady": lambda: np.ones((channels, count)),
        "antiphase": lambda: (
            np.sin(2 * np.pi * 220 * time) * (-1.0) ** np.arange(channels)[:, None]
        ),
    }[kind]()
    return (wave * level).astype(np.float32)


def write(folder: Path, name: str, samples: FloatArray, rate: int, form: tuple[str, str]) -> Path:
    """Write what the format can hold of it."""
    suffix, subtype = form
    path = folder / f"{name}.{suffix}"
    held = samples if subtype in ("FLOAT", "DOUBLE") else np.clip(samples, -1, 1)
    try:
        sf.write(path, held.T, rate, subtype, format=suffix.upper())
    except sf.LibsndfileError:
        assume(False)
    return path


@pytest.fixture(scope="module")
def renderer(new_model: Path) -> creative_mix.Renderer:
    return creative_mix.Renderer(new_model, threads=1)


@torture(60)
@given(data=st.data())
def test_any_files(
    data: st.DataObject,
    standin_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    draw = data.draw
    folder = tmp_path_factory.mktemp("any")
    paths, lengths, rates = [], [], []
    for name in ("drums", "piano"):
        rate, channels = draw(RATES), draw(st.sampled_from((1, 2, 2, 3, 6)))
        samples = make(draw(KINDS), rate, draw(seconds(1.5)), channels, draw(LEVELS))
        form = draw(READABLE)
        path = write(folder, name, samples, rate, form)
        paths.append(path)
        # A format of blocks holds a few samples more than it was given.
        lengths.append(sf.info(path).frames)
        rates.append(rate)
    subtype = draw(st.none() | st.sampled_from(SUBTYPES))
    output = folder / draw(st.sampled_from(("out.wav", "out.flac")))
    start, duration, tail = (
        draw(seconds(0.5)),
        draw(st.none() | st.floats(1e-6, 2)),
        draw(seconds(1)),
    )
    chosen = Settings(
        fit=draw(st.sampled_from(("loop", "none"))),
        mix=draw(st.floats(0, 1)),
        start_s=start,
        duration_s=duration,
        tail_s=tail,
        loudness_lufs=draw(st.none() | st.floats(-70, 0)),
        clip=draw(st.sampled_from(CLIPS)),
    )
    try:
        result = render_files(
            *(*paths, output), settings=chosen, subtype=subtype, model_path=standin_model, threads=1
        )
    except CreativeMixError as error:
        assert str(error) and "\n" not in str(error)
        assert sorted(folder.iterdir()) == sorted(paths)
        return
    first = round(start * rates[0])
    wanted = lengths[0] - first
    if duration is not None:
        wanted = min(wanted, max(1, round(duration * rates[0])))
    wanted = resampled_length(wanted + round(tail * rates[0]), rates[0], rates[1])
    info = sf.info(output)
    assert (info.frames, info.samplerate) == (wanted, rates[1])
    assert (result.frames, result.subtype) == (wanted, info.subtype)
    assert sorted(folder.iterdir()) == sorted([*paths, output])
    made, _ = sf.read(output, always_2d=True)
    assert np.isfinite(made).all()
    if chosen.clip != "none":
        bits = DITHERED_BITS.get(info.subtype, 24)
        assert np.abs(made).max() <= to_gain(CEILING_DB) + 2.0 ** (2 - bits)


@torture(60)
@given(
    rate=RATES,
    drums=st.tuples(KINDS, seconds(1.0), LEVELS),
    piano=st.tuples(KINDS, seconds(1.0), LEVELS, st.sampled_from((1, 2))),
    bias=st.floats(-8, 8),
    density=st.floats(0, 1),
    dynamics=st.floats(0, 2),
    align=st.booleans(),
    tail=seconds(0.5),
    clip=st.sampled_from(CLIPS),
    loudness=st.none() | st.floats(-70, 0),
)
def test_any_arrays(
    rate: int,
    drums: tuple[str, float, float],
    piano: tuple[str, float, float, int],
    bias: float,
    density: float,
    dynamics: float,
    align: bool,
    tail: float,
    clip: str,
    loudness: float | None,
    renderer: creative_mix.Renderer,
) -> None:
    kind, duration, level = drums
    first = make(kind, rate, duration, 1, level)
    kind, duration, level, channels = piano
    second = make(kind, rate, duration, channels, level)

    def render() -> FloatArray:
        return creative_mix.render(
            *(first, second, rate),
            bias={"input_timbre": bias},
            density=density,
            dynamics=dynamics,
            align=align,
            tail_s=tail,
            clip=clip,  # type: ignore[arg-type]
            loudness_lufs=loudness,
            renderer=renderer,
        )

    try:
        out = render()
    except CreativeMixError as error:
        assert str(error) and "\n" not in str(error)
        return
    assert out.shape == (channels, first.shape[1] + round(tail * rate))
    assert np.isfinite(out).all()
    if clip != "none":
        assert np.abs(out).max() <= to_gain(CEILING_DB) * 1.00001
    np.testing.assert_array_equal(out, render())


@torture(200)
@given(
    spoilt=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 900),
    chunks=st.lists(
        st.tuples(
            st.sampled_from(
                (b"bext", b"acid", b"LIST", b"ds64", b"data", b"fmt ", b"JUNK", b"cue ")
            ),
            st.binary(max_size=700),
        ),
        max_size=4,
    ),
    magic=st.sampled_from(
        (b"RIFF", b"RF64", b"RIFX", b"BW64", b"FORM", b"fLaC", b"OggS", b"ID3\4")
    ),
)
def test_any_header(
    spoilt: list[tuple[int, int]],
    cut: int,
    chunks: list[tuple[bytes, bytes]],
    magic: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    raw = bytearray(wave_header(44100, 1, "PCM_16", 400, chunks) + bytes(800))
    raw[:4] = magic
    for place, value in spoilt:
        raw[place % len(raw)] = value
    path = tmp_path_factory.getbasetemp() / "header.wav"
    path.write_bytes(bytes(raw[: len(raw) - cut]))
    try:
        with AudioReader(path) as reader:
            held = reader.metadata
            held.chunks()
            assert held.tempo_bpm is None or 20 <= held.tempo_bpm <= 999
            count = 0
            for block in reader.blocks():
                count += block.shape[1]
                assert block.dtype == np.float32 and block.shape[0] in (1, 2)
                # A header can promise what a file of a kilobyte cannot hold.
                if count > 1 << 20:
                    break
    except CreativeMixError as error:
        assert str(error) and "\n" not in str(error)


@torture(80)
@given(
    frames=st.integers(1, 40_000),
    rate_in=RATES,
    rate_out=RATES,
    block=st.integers(1, 40_000),
)
def test_any_rate_keeps_the_length(frames: int, rate_in: int, rate_out: int, block: int) -> None:
    assume(frames / block < 200)
    samples = np.ones((1, frames), np.float32)
    blocks = (samples[:, start : start + block] for start in range(0, frames, block))
    made = sum(each.shape[1] for each in resample_blocks(blocks, rate_in, rate_out))
    assert made == resampled_length(frames, rate_in, rate_out)


@torture(60)
@given(
    kind=KINDS,
    rate=RATES,
    duration=seconds(0.7),
    level=LEVELS,
    gain=st.sampled_from((1e-6, 0.5, 1.0, 7.0, 1e4)),
)
def test_any_level_is_limited(
    kind: str, rate: int, duration: float, level: float, gain: float
) -> None:
    assume(level * gain < 1e30)
    samples = make(kind, rate, duration, 2, level)
    with SampleStore(2) as store:
        store.append(samples)
        out = np.concatenate(list(Limiter(store, gain, rate).blocks()), axis=1)
    assert out.shape == samples.shape and np.isfinite(out).all()
    assert np.abs(out).max() <= to_gain(LIMIT_DB) * 1.00001


@torture(60)
@given(
    samples=st.lists(st.floats(-(2.0**120), 2.0**120, width=32), min_size=1, max_size=200),
    subtype=st.sampled_from([*DITHERED_BITS, "PCM_32"]),
    cut=st.integers(0, 200),
    dither=st.booleans(),
)
def test_any_number_is_rounded_within_a_step_and_a_half(
    samples: list[float], subtype: str, cut: int, dither: bool
) -> None:
    block = np.array([samples], np.float32)
    quantiser = Quantiser(subtype, dither)
    parts = [quantiser.quantise(part) for part in (block[:, :cut], block[:, cut:])]
    numbers = np.concatenate(parts)
    np.testing.assert_array_equal(numbers, Quantiser(subtype, dither).quantise(block))
    scale = 2.0 ** (quantiser.bits - 1)
    wanted = np.clip(block.T.astype(np.float64) * scale, -scale, scale - 1)
    assert np.abs(numbers - wanted).max() <= 1.5
    assert not numbers[block.T == 0].any()


@torture(80)
@given(
    period=st.integers(1, 3000),
    length=st.integers(1, 9000),
    fit=st.sampled_from(("loop", "none")),
    cuts=st.lists(st.integers(0, 9000), max_size=6),
)
def test_any_piece_of_a_fitted_piano(period: int, length: int, fit: str, cuts: list[int]) -> None:
    with SampleStore(1) as store:
        store.append(make("noise", 44100, period / 44100, 1, 0.5))
        fitted = FittedPiano(store, length, fit, 44100)  # type: ignore[arg-type]
        whole = fitted.read(0, length)
        edges = sorted({0, length, *(min(cut, length) for cut in cuts)})
        parts = [fitted.read(a, b) for a, b in zip(edges, edges[1:], strict=False)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    assert np.abs(whole).max() <= 2.5


@torture(30)
@given(kind=KINDS, rate=RATES, duration=seconds(1.5), level=LEVELS, block=st.integers(1, 50_000))
def test_any_blocks_have_one_loudness(
    kind: str, rate: int, duration: float, level: float, block: int
) -> None:
    samples = make(kind, rate, duration, 2, level)
    assume(samples.shape[1] / block < 300)
    whole, parts = LevelMeter(rate), LevelMeter(rate)
    whole.add(samples)
    for start in range(0, samples.shape[1], block):
        parts.add(samples[:, start : start + block])
    assert parts.peak == whole.peak
    np.testing.assert_allclose(parts.loudness_lufs, whole.loudness_lufs, atol=0.01)


def test_a_file_that_is_no_file_is_said(tmp_path: Path) -> None:
    for name in ("a\0b.wav", "x" * 300 + ".wav", ""):
        with pytest.raises(AudioFileError):
            AudioReader(name)
