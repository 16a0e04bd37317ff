"""The renderer: chunks equal the whole, devices are honest, models are checked."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import onnx
import pytest
from recordings import make_drums, make_piano
from standin import LEAST_SAMPLES, write_standin

from creative_mix import Renderer
from creative_mix.constants import COMPONENT_NAMES
from creative_mix.errors import DeviceError, ModelFileError, OptionError, RuntimeMissingError
from creative_mix.renderer import WEIGHTS_PATH, bias_vector
from creative_mix.runtime import open_session

RATE = 44100

shipped = pytest.mark.skipif(not WEIGHTS_PATH.exists(), reason="no weights are here")


@pytest.mark.parametrize("length", [LEAST_SAMPLES, 5000, 88200, 88200 + 257, 512 * 150])
@pytest.mark.parametrize("chunk_frames", [1, 7, 64])
def test_chunks_equal_the_whole(standin_model: Path, length: int, chunk_frames: int) -> None:
    drums, piano = make_drums(RATE, 3.0)[:, :length], make_piano(RATE, 3.0)[:, :length]
    whole = Renderer(standin_model, chunk_frames=10_000).render(drums, piano)
    chunked = Renderer(standin_model, chunk_frames=chunk_frames).render(drums, piano)
    assert whole.shape == piano.shape
    assert np.abs(whole).max() > 1e-3
    np.testing.assert_allclose(chunked, whole, atol=1e-6)


@pytest.mark.parametrize("chunk_frames", [7, 64])
def test_a_model_that_skips_its_context_gives_the_same(
    standin_model: Path, tmp_path: Path, chunk_frames: int
) -> None:
    drums, piano = make_drums(RATE, 3.0), make_piano(RATE, 3.0)
    skipping = Renderer(
        write_standin(tmp_path / "skip.onnx", can_skip=True), chunk_frames=chunk_frames
    )
    whole = Renderer(standin_model, chunk_frames=10_000).render(drums, piano)
    np.testing.assert_allclose(skipping.render(drums, piano), whole, atol=1e-6)


def test_a_context_that_is_too_short_shows(standin_model: Path, tmp_path: Path) -> None:
    """The planted fault: the test above would notice a wrong receptive field."""
    model = onnx.load(standin_model)
    for entry in model.metadata_props:
        if entry.key == "lookahead_frames":
            entry.value = "1"
    onnx.save(model, tmp_path / "short.onnx")
    drums, piano = make_drums(RATE, 2.0), make_piano(RATE, 2.0)
    whole = Renderer(standin_model).render(drums, piano)
    chunked = Renderer(tmp_path / "short.onnx", chunk_frames=7).render(drums, piano)
    assert np.abs(chunked - whole).max() > 1e-3


@shipped
def test_chunks_of_the_shipped_model_equal_the_whole() -> None:
    drums, piano = make_drums(RATE, 24.3), make_piano(RATE, 24.3)
    whole = Renderer(chunk_frames=100_000).render(drums, piano)
    chunked = Renderer(chunk_frames=400).render(drums, piano)
    np.testing.assert_allclose(chunked, whole, atol=1e-4)


def test_blocks_tell_weights_and_strikes(model_path: Path) -> None:
    drums, piano = make_drums(RATE, 1.5), make_piano(RATE, 1.5)
    renderer = Renderer(model_path, chunk_frames=50)
    blocks = list(
        renderer.render_blocks(
            lambda start, stop: drums[:, start:stop],
            lambda start, stop: piano[:, start:stop],
            drums.shape[1],
        )
    )
    weights = np.concatenate([block.weights for block in blocks], axis=1)
    strikes = np.concatenate([block.strikes for block in blocks])
    frames = -(-drums.shape[1] // 512)
    assert weights.shape == (6, frames) and strikes.shape == (frames,)
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, atol=1e-4)
    assert [block.start for block in blocks] == [512 * 50 * k for k in range(len(blocks))]


def test_bias_reaches_the_model(model_path: Path) -> None:
    drums, piano = make_drums(RATE, 1.0), make_piano(RATE, 1.0)
    renderer = Renderer(model_path)
    plain = renderer.render(drums, piano)
    biased = renderer.render(drums, piano, bias={"target_rhythm": 4.0})
    by_vector = renderer.render(drums, piano, bias=bias_vector({"target_rhythm": 4.0}))
    assert np.abs(plain - biased).max() > 1e-4
    np.testing.assert_array_equal(biased, by_vector)


def test_same_inputs_same_samples(model_path: Path) -> None:
    drums, piano = make_drums(RATE, 1.0), make_piano(RATE, 1.0)
    first = Renderer(model_path).render(drums, piano)
    np.testing.assert_array_equal(first, Renderer(model_path).render(drums, piano))


def test_progress_reaches_one(standin_model: Path) -> None:
    shares: list[float] = []
    Renderer(standin_model, chunk_frames=30).render(
        make_drums(RATE, 1.0), make_piano(RATE, 1.0), progress=shares.append
    )
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) > 1


def test_wrong_arguments(standin_model: Path) -> None:
    renderer = Renderer(standin_model)
    drums, piano = make_drums(RATE, 1.0), make_piano(RATE, 1.0)
    with pytest.raises(OptionError, match="do not go together"):
        renderer.render(drums[:, 1:], piano)
    with pytest.raises(OptionError, match="too few"):
        renderer.render(drums[:, :100], piano[:, :100])
    with pytest.raises(OptionError, match="groove"):
        renderer.render(drums, piano, bias={"groove": 1.0})
    with pytest.raises(OptionError, match="out of range"):
        bias_vector({COMPONENT_NAMES[0]: -8.5})
    with pytest.raises(OptionError, match="threads"):
        Renderer(standin_model, threads=0)
    with pytest.raises(OptionError, match="tpu"):
        Renderer(standin_model, device="tpu")  # type: ignore[arg-type]


def test_models_of_another_kind_are_refused(standin_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such model"):
        Renderer(tmp_path / "nowhere.onnx")
    model = onnx.load(standin_model)
    for entry in model.metadata_props:
        if entry.key == "sample_rate":
            entry.value = "48000"
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ModelFileError, match="sample_rate is '48000'"):
        Renderer(tmp_path / "other.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(ModelFileError, match="format_version"):
        Renderer(tmp_path / "bare.onnx")


class FakeRuntime(types.ModuleType):
    """An onnxruntime built for CUDA, on a machine where CUDA does not work."""

    def __init__(self, works: bool) -> None:
        super().__init__("onnxruntime")
        self.works = works
        self.asked: list[object] = []

    def get_available_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def set_default_logger_severity(self, level: int) -> None:
        pass

    def preload_dlls(self) -> None:
        if not self.works:
            print("Failed to load libcublas.so.13: no such file")

    def SessionOptions(self) -> types.SimpleNamespace:  # noqa: N802
        return types.SimpleNamespace()

    def InferenceSession(  # noqa: N802
        self, path: str, options: object, providers: list[object]
    ) -> types.SimpleNamespace:
        self.asked = providers
        names = [each if isinstance(each, str) else each[0] for each in providers]  # type: ignore[index]
        if not self.works:
            names = ["CPUExecutionProvider"]
        return types.SimpleNamespace(get_providers=lambda: names)


def test_cuda_that_does_not_work_is_said(
    standin_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", FakeRuntime(works=False))
    with pytest.raises(DeviceError, match="failed to load libcublas.so.13.*--device cpu"):
        open_session(standin_model, "cuda")
    session = open_session(standin_model, "auto")
    assert session.device == "cpu"
    assert session.notice is not None and "CUDA cannot be used" in session.notice
    assert open_session(standin_model, "cpu").notice is None
    assert capsys.readouterr().out == ""


def test_cuda_that_works_is_used(standin_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRuntime(works=True)
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    for device in ("auto", "cuda"):
        session = open_session(standin_model, device)  # type: ignore[arg-type]
        assert (session.device, session.notice) == ("cuda", None)
    assert fake.asked[0][1]["cudnn_conv_algo_search"] == "HEURISTIC"  # type: ignore[index]
    assert open_session(standin_model, "cpu").device == "cpu"


def test_without_a_runtime_both_extras_are_named(
    standin_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeMissingError, match=r"\[cpu\].*\[cuda\]"):
        Renderer(standin_model)
