"""Density, dynamics and a bias over time, from the options to the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from batchkit import write_folders
from conftest import Command
from recordings import make_drums, make_piano
from standin import write_standin

import creative_mix
from creative_mix.audio import FloatArray
from creative_mix.batch import BatchOptions, run_batch
from creative_mix.constants import OWN_LEVEL
from creative_mix.controls import Controls
from creative_mix.curve import BiasCurve
from creative_mix.errors import ModelFileError, OptionError
from creative_mix.mixing import Settings
from creative_mix.trace import Trace

RATE = 44100
CURVE = BiasCurve.of({"time_s": [0.5, 1.5], "input_rhythm": [-4.0, 4.0]})
"""The stand-in is louder where input_rhythm weighs more."""


@pytest.fixture(scope="module")
def pair() -> tuple[FloatArray, FloatArray]:
    return make_drums(RATE, 2.3), make_piano(RATE, 2.3)


@pytest.fixture(scope="module")
def renderer(new_model: Path) -> creative_mix.Renderer:
    return creative_mix.Renderer(new_model)


def test_a_model_without_controls_renders_as_ever(
    pair: tuple[FloatArray, FloatArray], standin_model: Path, renderer: creative_mix.Renderer
) -> None:
    old = creative_mix.Renderer(standin_model).render(*pair)
    np.testing.assert_allclose(renderer.render(*pair), old, atol=1e-6)


@pytest.mark.parametrize("chunk_frames", [1, 23, 64])
def test_chunks_get_their_frames_of_the_curve(
    pair: tuple[FloatArray, FloatArray], new_model: Path, chunk_frames: int
) -> None:
    controls = Controls(0.8, 0.5, CURVE)
    whole = creative_mix.Renderer(new_model, chunk_frames=10_000)
    chunked = creative_mix.Renderer(new_model, chunk_frames=chunk_frames)
    expected = whole.render(*pair, controls=controls)
    np.testing.assert_allclose(chunked.render(*pair, controls=controls), expected, atol=1e-6)
    assert np.abs(expected - whole.render(*pair)).max() > 1e-2


def test_the_curve_moves_the_weights_at_its_time(
    pair: tuple[FloatArray, FloatArray], renderer: creative_mix.Renderer
) -> None:
    trace = Trace()
    creative_mix.render(*pair, RATE, bias_curve=CURVE, renderer=renderer, trace=trace)
    rhythm = trace.weights[0]
    expected = np.interp(trace.times_s, [0.5, 1.5], [-4.0, 4.0])
    np.testing.assert_allclose(rhythm, np.exp(expected) / (np.exp(expected) + 5), atol=1e-4)


def test_columns_are_a_curve_and_add_to_the_bias(
    pair: tuple[FloatArray, FloatArray], renderer: creative_mix.Renderer
) -> None:
    level = {"time_s": [0.0], "input_rhythm": [1.5]}
    moved = creative_mix.render(*pair, RATE, bias_curve=level, renderer=renderer)
    steady = creative_mix.render(*pair, RATE, bias={"input_rhythm": 1.5}, renderer=renderer)
    np.testing.assert_allclose(moved, steady, atol=1e-6)
    both, cancelled = Trace(), {"time_s": [0.0], "input_rhythm": [-1.5]}
    creative_mix.render(
        *pair,
        RATE,
        bias={"input_rhythm": 1.5},
        bias_curve=cancelled,
        renderer=renderer,
        trace=both,
    )
    np.testing.assert_allclose(both.weights, 1 / 6, atol=1e-5)


def test_density_leaves_the_weakest_strikes_out(
    pair: tuple[FloatArray, FloatArray], renderer: creative_mix.Renderer
) -> None:
    struck = {}
    for density in (1.0, 0.5, 0.0):
        trace = Trace()
        creative_mix.render(*pair, RATE, density=density, renderer=renderer, trace=trace)
        levels = [strike.levels for strike in trace.strikes()]
        struck[density] = [name for each in levels for name in each]
    assert {"low", "top"} == set(struck[1.0])
    # Of the stand-in's voices low is at 0.4 and top at 0.6.
    assert set(struck[0.5]) == {"top"}
    assert struck[0.0] == []


def test_dynamics_reach_model_and_velocities(
    pair: tuple[FloatArray, FloatArray], renderer: creative_mix.Renderer
) -> None:
    even, lively = Trace(), Trace()
    first = renderer.render(*pair, controls=Controls(dynamics=0.0))
    second = renderer.render(*pair)
    assert np.abs(first - second).max() > 1e-2
    creative_mix.render(*pair, RATE, dynamics=0.0, renderer=renderer, trace=even)
    creative_mix.render(*pair, RATE, dynamics=2.0, renderer=renderer, trace=lively)
    assert {note.velocity for note in even.notes()} == {80}
    # Those of the stand-in are below a hit that changes nothing: twice as much is softer still.
    assert max(note.velocity for note in lively.notes()) < 70


@pytest.mark.parametrize(
    ("options", "name"),
    [({"density": 0.5}, "density"), ({"dynamics": 0.5}, "dynamics"), ({"bias_curve": CURVE}, "")],
)
def test_an_older_model_says_what_it_cannot(
    pair: tuple[FloatArray, FloatArray],
    standin_model: Path,
    options: dict[str, float],
    name: str,
) -> None:
    renderer = creative_mix.Renderer(standin_model)
    with pytest.raises(ModelFileError, match=f"older form.*{name}.*leave --.* out"):
        creative_mix.render(*pair, RATE, renderer=renderer, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"density": -0.1}, {"density": 1.1}, {"dynamics": 2.5}, {"density": float("nan")}]
)
def test_values_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="out of range"):
        Settings(**options)  # type: ignore[arg-type]


def test_silent_drums_are_rendered_where_a_curve_asks(renderer: creative_mix.Renderer) -> None:
    drums, piano = np.zeros((1, RATE), np.float32), make_piano(RATE, 1.0)
    flat, drawn = Trace(), Trace()
    level = BiasCurve.of({"time_s": [0], "input_rhythm": [0]})
    creative_mix.render(drums, piano, RATE, bias_curve=level, renderer=renderer, trace=flat)
    assert flat.weights.shape == (6, 0)
    creative_mix.render(drums, piano, RATE, bias_curve=CURVE, renderer=renderer, trace=drawn)
    assert drawn.weights.shape == (6, 87)


def test_the_command_takes_them(command: Command, new_model: Path, tmp_path: Path) -> None:
    sf.write(tmp_path / "d.wav", make_drums(RATE, 1.0).T, RATE)
    sf.write(tmp_path / "p.wav", make_piano(RATE, 1.0).T, RATE)
    (tmp_path / "curve.csv").write_text("time_s,input_rhythm\n0,-4\n1,4\n")
    (tmp_path / "bad.csv").write_text("time_s,input_rhythm\n0,loud\n")
    options = ("--density", "0.9", "--dynamics", "0.5", "--bias-curve", "curve.csv")
    done = command(
        "d.wav", "p.wav", "-o", "a.wav", "--no-dither", "--model", new_model, *options, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    expected = creative_mix.render(
        sf.read(tmp_path / "d.wav", dtype="float32")[0],
        sf.read(tmp_path / "p.wav", dtype="float32")[0].T,
        RATE,
        density=0.9,
        dynamics=0.5,
        bias_curve={"time_s": [0, 1], "input_rhythm": [-4, 4]},
        renderer=creative_mix.Renderer(new_model),
    )
    made = sf.read(tmp_path / "a.wav", dtype="float32")[0].T
    np.testing.assert_allclose(made, expected, atol=1e-4)
    done = command("d.wav", "p.wav", "-o", "b.wav", "--bias-curve", "bad.csv", cwd=tmp_path)
    assert done.returncode == 1 and not (tmp_path / "b.wav").exists()
    assert done.stderr.startswith("creative-mix: bad.csv: line 2: 'loud'")


def test_a_batch_knows_a_curve_by_what_it_says(new_model: Path, tmp_path: Path) -> None:
    folders = write_folders(tmp_path, drums=1, pianos=1)
    curve = tmp_path / "curve.csv"

    def run() -> tuple[int, int]:
        settings = Settings(bias_curve=BiasCurve.read(curve))
        options = BatchOptions(model_path=new_model, workers=1, threads=1, settings=settings)
        done = run_batch(*folders, tmp_path / "out", options)
        return done.count("rendered"), done.count("skipped")

    curve.write_text("time_s,input_rhythm\n0,1\n")
    assert run() == (1, 0)
    curve.write_text("time_s,input_rhythm\n0.0,1.00\n")
    assert run() == (0, 1)
    curve.write_text("time_s,input_rhythm\n0,2\n")
    assert run() == (1, 0)


def test_the_level_that_changes_nothing_is_the_models() -> None:
    from creative_mix.model import rhythm

    assert OWN_LEVEL == rhythm.OWN_LEVEL


def test_the_exported_names_are_those_that_are_fed() -> None:
    from creative_mix.export.onnx_file import OPTIONAL, OUTPUTS
    from creative_mix.renderer import NOTE_OUTPUTS

    assert set(Controls(0.5, 0.5, CURVE).asked) <= set(OPTIONAL)
    assert set(NOTE_OUTPUTS) <= set(OUTPUTS)


def test_the_new_standin_has_the_contract(new_model: Path, tmp_path: Path) -> None:
    """The other tests rest on it."""
    import onnxruntime

    from creative_mix.export.onnx_file import OPTIONAL, OUTPUTS

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(new_model), options)
    assert {each.name for each in session.get_overridable_initializers()} >= set(OPTIONAL)
    assert [each.name for each in session.get_outputs()] == list(OUTPUTS)
    assert write_standin(tmp_path / "again.onnx", new_form=True).read_bytes() == (
        new_model.read_bytes()
    )
