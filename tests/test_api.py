"""`creative_mix.render` and the rules of a mix: length, level, silence, blend."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile as sf
from recordings import make_drums, make_piano

import creative_mix
from creative_mix.api import Settings, render_files
from creative_mix.audio import FloatArray
from creative_mix.audio.levels import LevelMeter
from creative_mix.errors import AudioFileError, OptionError

RATE = 44100


@pytest.fixture(scope="module")
def renderer(model_path: Path) -> creative_mix.Renderer:
    return creative_mix.Renderer(model_path)


def loudness(samples: FloatArray, rate: int) -> float:
    meter = LevelMeter(rate)
    meter.add(np.atleast_2d(samples))
    return meter.loudness_lufs


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_shape_is_the_drums_length_and_the_pianos_channels(
    renderer: creative_mix.Renderer, rate: int, channels: int
) -> None:
    drums, piano = make_drums(rate, 1.237), make_piano(rate, 1.0, channels)
    out = creative_mix.render(drums, piano, rate, renderer=renderer)
    assert out.shape == (channels, drums.shape[1])
    assert out.dtype == np.float32


def test_flat_arrays_give_a_flat_array(renderer: creative_mix.Renderer) -> None:
    drums, piano = make_drums(RATE, 1.0)[0], make_piano(RATE, 1.0)[0]
    flat = creative_mix.render(drums, piano, RATE, renderer=renderer)
    assert flat.shape == drums.shape
    deep = creative_mix.render(drums[None], piano[None], RATE, renderer=renderer)
    np.testing.assert_array_equal(deep[0], flat)


def test_any_layout_in_memory(renderer: creative_mix.Renderer) -> None:
    # Files are read as (samples, channels), and so arrays come turned round.
    drums, piano = make_drums(RATE, 1.0), make_piano(RATE, 1.0)
    turned = np.ascontiguousarray(piano.T).T
    plain = creative_mix.render(drums, piano, RATE, renderer=renderer)
    np.testing.assert_array_equal(
        creative_mix.render(drums, turned, RATE, renderer=renderer), plain
    )
    wide = creative_mix.render(
        drums.astype(np.float64)[:, ::-1][:, ::-1], piano.tolist(), RATE, renderer=renderer
    )
    np.testing.assert_array_equal(wide, plain)


def test_loudness_follows_the_piano(renderer: creative_mix.Renderer) -> None:
    drums = make_drums(RATE, 4.0)
    for level in (0.1, 0.3):
        piano = make_piano(RATE, 4.0) * np.float32(level)
        out = creative_mix.render(drums, piano, RATE, renderer=renderer)
        assert loudness(out, RATE) == pytest.approx(loudness(piano, RATE), abs=0.5)


def test_peaks_never_clip(renderer: creative_mix.Renderer) -> None:
    out = creative_mix.render(
        make_drums(RATE, 2.0), make_piano(RATE, 2.0) * np.float32(5), RATE, renderer=renderer
    )
    assert np.abs(out).max() == pytest.approx(10 ** (-0.1 / 20), abs=1e-4)


def test_mix_blends_the_piano_in(renderer: creative_mix.Renderer) -> None:
    drums, piano = make_drums(RATE, 2.0), make_piano(RATE, 2.0) * np.float32(0.5)
    wet, half, dry = (
        creative_mix.render(drums, piano, RATE, mix=share, renderer=renderer)
        for share in (0.0, 0.5, 1.0)
    )
    inside = slice(0, -300)  # the end is faded
    blend = ((wet + dry) / 2)[:, inside]
    scale = float((half[:, inside] * blend).sum() / (blend**2).sum())
    np.testing.assert_allclose(half[:, inside], scale * blend, atol=1e-5)
    heard = [pyloudnorm.Meter(RATE).integrated_loudness(part.T) for part in (wet, half, dry, piano)]
    np.testing.assert_allclose(heard, heard[3], atol=0.1)
    np.testing.assert_allclose(dry[:, :-300], piano[:, :-300], atol=1e-6)


@pytest.mark.parametrize("kind", ["int16", "complex64", "U4"])
def test_samples_that_are_no_floats_are_refused(kind: str, renderer: creative_mix.Renderer) -> None:
    drums = make_drums(RATE, 1.0)
    with pytest.raises(OptionError, match=f"piano has the type .*{kind[:3]}.*-1..1"):
        creative_mix.render(drums, np.zeros(RATE, kind), RATE, renderer=renderer)


def test_what_is_unexpected_is_said(renderer: creative_mix.Renderer) -> None:
    told: list[str] = []
    drums, piano = make_drums(RATE, 2.0), make_piano(RATE, 1.0)
    creative_mix.render(drums, piano, RATE, renderer=renderer, duration_s=3.0, say=told.append)
    assert any("2.00 s of the 3 s asked for" in line for line in told)
    assert any("looped 2.00 times" in line for line in told)


@pytest.mark.parametrize("subtype", ["pcm_24", "ULAW"])
def test_a_sample_format_that_cannot_be_written_is_refused_at_once(
    subtype: str, renderer: creative_mix.Renderer, tmp_path: Path
) -> None:
    for name, samples in (("d", make_drums(RATE, 1.0)), ("p", make_piano(RATE, 1.0))):
        sf.write(tmp_path / f"{name}.wav", samples.T, RATE)
    paths = (tmp_path / "d.wav", tmp_path / "p.wav", tmp_path / "o.wav")
    with pytest.raises(OptionError, match=f"cannot hold {subtype}; choose one of PCM_U8"):
        render_files(*paths, subtype=subtype, renderer=renderer)


@pytest.mark.parametrize(
    ("bias", "reason"),
    [
        (np.full(6, 100.0), "bias 100 is out of range; give -8 to 8"),
        (np.full(6, np.nan), "bias nan is out of range"),
        (np.zeros(5), r"bias of shape \(5,\); give \(6,\)"),
    ],
)
def test_a_bias_as_an_array_is_checked(
    bias: FloatArray, reason: str, renderer: creative_mix.Renderer
) -> None:
    drums, piano = (np.atleast_2d(make(RATE, 1.0)) for make in (make_drums, make_piano))
    with pytest.raises(OptionError, match=reason):
        renderer.render(drums, piano, bias)


def test_settings_may_be_numpys_and_are_the_settings_own() -> None:
    bias = {"target_rhythm": np.float32(0.5)}
    settings = Settings(mix=np.float32(0.5), density=np.float64(1), duration_s=2, bias=bias)
    bias["target_rhythm"] = np.float32(9)
    assert json.dumps([settings.mix, settings.duration_s, dict(settings.bias)])
    assert settings.bias == {"target_rhythm": 0.5}


def test_the_end_is_faded(renderer: creative_mix.Renderer) -> None:
    out = creative_mix.render(
        make_drums(RATE, 1.0), make_piano(RATE, 1.0), RATE, mix=1.0, renderer=renderer
    )
    assert np.abs(out[:, -1]).max() < 1e-3


def test_silence_gives_silence(renderer: creative_mix.Renderer) -> None:
    drums, piano = make_drums(RATE, 1.0), make_piano(RATE, 1.0)
    for first, second in ((np.zeros_like(drums), piano), (drums, np.zeros_like(piano))):
        done: list[float] = []
        out = creative_mix.render(first, second, RATE, renderer=renderer, progress=done.append)
        assert not out.any() and done == [1.0]


@pytest.mark.parametrize("level", [1e-25, 1e10, 1e25])
def test_a_steady_level_of_any_height(level: float, renderer: creative_mix.Renderer) -> None:
    # It has no loudness to be brought to the model's by, and its square is beyond float32.
    steady, piano = np.full(RATE, level, np.float32), make_piano(RATE, 1.0)
    for first, second in ((steady, piano), (make_drums(RATE, 1.0), steady)):
        out = creative_mix.render(first, second, RATE, renderer=renderer)
        assert np.isfinite(out).all() and np.abs(out).max() <= 1.0


def test_no_sound_is_as_loud(renderer: creative_mix.Renderer) -> None:
    loud = make_piano(RATE, 1.0) * np.float32(1e35)
    with pytest.raises(AudioFileError, match="piano: a sample of .* is no sound"):
        creative_mix.render(make_drums(RATE, 1.0), loud, RATE, renderer=renderer)


def test_antiphase_stereo_does_not_vanish(renderer: creative_mix.Renderer) -> None:
    drums, piano = make_drums(RATE, 2.0), make_piano(RATE, 2.0, 1) * np.float32(0.3)
    out = creative_mix.render(drums, np.concatenate([piano, -piano]), RATE, renderer=renderer)
    assert loudness(out[:1], RATE) > -60
    assert np.corrcoef(out)[0, 1] < -0.9


def test_files_and_arrays_agree(
    renderer: creative_mix.Renderer, model_path: Path, tmp_path: Path
) -> None:
    drums, piano = make_drums(RATE, 1.5), make_piano(RATE, 1.0) * np.float32(0.5)
    sf.write(tmp_path / "d.wav", drums.T, RATE, "FLOAT")
    sf.write(tmp_path / "p.wav", piano.T, RATE, "FLOAT")
    said: list[str] = []
    result = render_files(
        tmp_path / "d.wav",
        tmp_path / "p.wav",
        tmp_path / "o.wav",
        settings=Settings(mix=0.25),
        model_path=model_path,
        say=said.append,
    )
    assert (result.frames, result.subtype, result.channels) == (drums.shape[1], "FLOAT", 2)
    assert set(result.weights) == set(creative_mix.renderer.COMPONENT_NAMES)
    assert any(line.startswith("device: ") for line in said)
    written, _ = sf.read(tmp_path / "o.wav", dtype="float32")
    expected = creative_mix.render(drums, piano, RATE, mix=0.25, renderer=renderer)
    np.testing.assert_allclose(written.T, expected, atol=1e-6)


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"mix": 2.0}, "mix"),
        ({"fit": "squeeze"}, "fit"),
        ({"bias": {"groove": 1.0}}, "groove"),
        ({"sample_rate": 100}, "sample_rate"),
        ({"drums": np.zeros((3, 9000))}, "shape"),
        ({"drums": np.zeros((1, 0))}, "no samples"),
        ({"piano": np.full(9000, np.nan)}, "NaN"),
    ],
)
def test_wrong_arguments(
    arguments: dict[str, object], message: str, renderer: creative_mix.Renderer
) -> None:
    given: dict[str, object] = {
        "drums": make_drums(RATE, 1.0),
        "piano": make_piano(RATE, 1.0),
        "sample_rate": RATE,
        "renderer": renderer,
        **arguments,
    }
    with pytest.raises(OptionError, match=message):
        creative_mix.render(**given)  # type: ignore[arg-type]


def test_too_short_is_said(renderer: creative_mix.Renderer) -> None:
    with pytest.raises(AudioFileError, match="drums: 0.002 s of it to render"):
        creative_mix.render(np.zeros(100) + 0.1, make_piano(RATE, 1.0), RATE, renderer=renderer)
