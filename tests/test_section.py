"""A part of the drums, and the time after them in which the last notes ring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import Command
from recordings import make_drums, make_piano

import creative_mix
from creative_mix.api import Settings, render_files
from creative_mix.audio import FloatArray
from creative_mix.errors import AudioFileError, OptionError

RATE = 44100


@pytest.fixture(scope="module")
def renderer(standin_model: Path) -> creative_mix.Renderer:
    return creative_mix.Renderer(standin_model)


def uneven(rate: int, duration_s: float) -> FloatArray:
    """Drums whose every beat is louder than the one before."""
    drums = make_drums(rate, duration_s)
    ramp = np.linspace(0.3, 1.0, drums.shape[1], dtype=np.float32)
    return drums * ramp


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
@pytest.mark.parametrize("start,duration", [(0.0, 1.3), (0.7001, None), (1.25, 0.8), (0.5, 99.0)])
def test_a_section_is_as_the_drums_cut_out(
    rate: int, start: float, duration: float | None, renderer: creative_mix.Renderer
) -> None:
    drums, piano = uneven(rate, 3.0), make_piano(rate, 4.0)
    first = round(start * rate)
    last = drums.shape[1] if duration is None else first + round(duration * rate)
    cut = drums[:, first:last]
    part = creative_mix.render(
        drums, piano, rate, start_s=start, duration_s=duration, renderer=renderer
    )
    np.testing.assert_array_equal(part, creative_mix.render(cut, piano, rate, renderer=renderer))
    assert part.shape[1] == cut.shape[1]


@pytest.mark.parametrize("rate", [22050, 44100])
@pytest.mark.parametrize("tail", [0.25, 2.0])
def test_a_tail_adds_and_changes_nothing_before(
    rate: int, tail: float, renderer: creative_mix.Renderer
) -> None:
    drums, piano = make_drums(rate, 3.0), make_piano(rate, 10.0) * np.float32(0.2)
    plain = creative_mix.render(drums, piano, rate, renderer=renderer)
    longer = creative_mix.render(drums, piano, rate, tail_s=tail, renderer=renderer)
    assert longer.shape[1] == plain.shape[1] + round(tail * rate)
    # Up to the fade that ends the plain one and to what the resampler smears over its end.
    same = plain.shape[1] - round(0.02 * rate)
    np.testing.assert_allclose(longer[:, :same], plain[:, :same], atol=1e-6)
    after = longer[:, plain.shape[1] :]
    first, last = np.abs(after[:, : rate // 10]).max(), np.abs(after[:, -rate // 10 :]).max()
    assert last < first, "the stand-in dies away without drums"
    assert first > 0.002


def test_the_tail_of_a_looped_piano_goes_on(renderer: creative_mix.Renderer) -> None:
    drums, piano = make_drums(RATE, 2.0), make_piano(RATE, 1.0) * np.float32(0.2)
    out = creative_mix.render(drums, piano, RATE, mix=1.0, tail_s=1.0, renderer=renderer)
    np.testing.assert_allclose(
        out[:, 2 * RATE + 300 : 3 * RATE - 300], piano[:, 300:-300], atol=1e-6
    )


def test_silent_drums_have_a_silent_tail(renderer: creative_mix.Renderer) -> None:
    out = creative_mix.render(
        np.zeros(RATE, np.float32), make_piano(RATE, 1.0), RATE, tail_s=0.5, renderer=renderer
    )
    assert out.shape == (2, round(1.5 * RATE)) and not out.any()


def test_files_say_what_is_missing(standin_model: Path, tmp_path: Path) -> None:
    sf.write(tmp_path / "d.wav", make_drums(RATE, 2.0).T, RATE)
    sf.write(tmp_path / "p.wav", make_piano(RATE, 2.0).T, RATE)
    paths = (tmp_path / "d.wav", tmp_path / "p.wav", tmp_path / "o.wav")
    said: list[str] = []
    result = render_files(
        *paths,
        settings=Settings(start_s=1.5, duration_s=1.0, tail_s=0.25),
        model_path=standin_model,
        say=said.append,
    )
    assert result.frames == round(0.75 * RATE)
    assert any("0.50 s of the 1 s asked for are there" in line for line in said)
    with pytest.raises(AudioFileError, match=r"d\.wav: lasts 2\.00 s.*give an earlier one"):
        render_files(*paths, settings=Settings(start_s=2.0), force=True, model_path=standin_model)


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"start_s": -1.0}, "start -1 s"),
        ({"start_s": float("inf")}, "start inf s"),
        ({"duration_s": 0.0}, "duration 0 s"),
        ({"duration_s": float("nan")}, "duration nan s"),
        ({"tail_s": 601.0}, "tail 601 s"),
        ({"loudness_lufs": 3.0}, "loudness 3 LUFS"),
        ({"clip": "squash"}, "clip 'squash'"),
    ],
)
def test_wrong_settings(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Settings(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        ("--start", "-1"),
        ("--start", "nan"),
        ("--start", "inf"),
        ("--duration", "0"),
        ("--tail", "-1"),
        ("--tail", "nan"),
        ("--loudness", "5"),
        ("--loudness", "nan"),
        ("--clip", "squash"),
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_a_usage_error(options: tuple[str, str], command: Command) -> None:
    done = command("drums.wav", "piano.wav", "-o", "out.wav", *options)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and options[0][2:] in done.stderr
