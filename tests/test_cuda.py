"""What a GPU needs, as far as a CPU can tell; and the GPU itself, where there is one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from recordings import make_drums, make_piano
from standin import LEAST_SAMPLES, LOOKAHEAD_FRAMES, LOOKBACK_FRAMES, write_standin

from creative_mix import Renderer, renderer, runtime
from creative_mix.binding import BoundCall
from creative_mix.constants import HOP_LENGTH
from creative_mix.errors import DeviceError
from creative_mix.placement import Placement, place, read_placement
from creative_mix.runtime import Session, open_session

RATE = 44100


@pytest.fixture
def skipping(tmp_path: Path) -> Path:
    return write_standin(tmp_path / "skip.onnx", can_skip=True)


def feeds_of(samples: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    drums, piano = (0.1 * random.standard_normal((1, 2, samples)) for _ in range(2))
    return {
        "drums": drums.astype(np.float32),
        "piano": piano.astype(np.float32),
        "bias": np.zeros((1, 6), np.float32),
    }


def test_bound_calls_equal_plain_ones(skipping: Path) -> None:
    """New values in the same buffers, new shapes, an input left out again, other outputs."""
    session = open_session(skipping, "cpu", 1)
    call = BoundCall(session)
    skip = {"skip_frames": np.array([7], np.int64)}
    asked = [
        (["mix", "weights", "strikes"], feeds_of(20_000, 1)),
        (["mix", "weights", "strikes"], feeds_of(20_000, 2)),
        (["mix", "weights", "strikes"], feeds_of(20_000, 3) | skip),
        (["mix"], feeds_of(30_000, 4) | skip),
        (["strikes", "mix"], feeds_of(30_000, 4)),
    ]
    made = [call(outputs, feeds) for outputs, feeds in asked]
    for (outputs, feeds), mine in zip(asked, made, strict=True):
        expected = session.run.run(outputs, feeds)
        assert len(mine) == len(outputs)
        for one, other in zip(mine, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("duration_s", [0.2, 3.0])
def test_a_gpu_gets_one_shape_and_gives_the_same(
    skipping: Path, duration_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    drums, piano = make_drums(RATE, duration_s), make_piano(RATE, duration_s)
    expected = Renderer(skipping, "cpu", chunk_frames=100).render(drums, piano)
    shapes = set()

    class Watched(BoundCall):
        def __call__(self, outputs: Any, feeds: Any) -> Any:
            shapes.add((feeds["drums"].shape, feeds["piano"].shape))
            return super().__call__(outputs, feeds)

    def open_like_a_gpu(path: Path, device: str, threads: int | None) -> Session:
        return Session(open_session(path, "cpu", threads).run, "cuda", 1, memory="cpu")

    monkeypatch.setattr(renderer, "open_session", open_like_a_gpu)
    monkeypatch.setattr(renderer, "bind", Watched)
    made = Renderer(skipping, chunk_frames=100).render(drums, piano)
    np.testing.assert_allclose(made, expected, atol=1e-6)
    samples = (40 + 100 + 5) * HOP_LENGTH
    assert shapes == {((1, 1, samples), (1, 2, samples))}


class TensorRtLess:
    """An onnxruntime for CUDA whose TensorRT provider does not load."""

    def __init__(self, providers: list[str], got: list[str]) -> None:
        self.providers, self.got = providers, got
        self.asked: list[Any] = []

    def get_available_providers(self) -> list[str]:
        return self.providers

    def set_default_logger_severity(self, level: int) -> None:
        pass

    def SessionOptions(self) -> Any:  # noqa: N802
        return onnxruntime.SessionOptions()

    def InferenceSession(self, path: str, options: Any, providers: list[Any]) -> Any:  # noqa: N802
        print("EP Error: falling back")
        self.asked = providers
        got = self.got

        class Made:
            def get_providers(self) -> list[str]:
                return got

        return Made()


CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"


def test_tensorrt_that_does_not_load_is_said(
    standin_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fake = TensorRtLess([CUDA], [])
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="the installed onnxruntime has none"):
        open_session(standin_model, "tensorrt")
    fake.providers, fake.got = [TENSORRT, CUDA], [CUDA, "CPUExecutionProvider"]
    with pytest.raises(DeviceError, match=r"TensorRT cannot be used.*--device cuda"):
        open_session(standin_model, "tensorrt")
    fake.got = [TENSORRT, CUDA]
    session = open_session(standin_model, "tensorrt")
    assert (session.device, session.memory) == ("tensorrt", "cuda")
    assert fake.asked[0][1]["trt_engine_cache_path"] == str(tmp_path / "creative-mix" / "tensorrt")
    assert fake.asked[1] == (CUDA, runtime._CUDA_OPTIONS)
    assert capsys.readouterr().out == ""


def test_nodes_are_counted_by_provider(standin_model: Path) -> None:
    placement = place(standin_model, "cpu", feeds_of(LEAST_SAMPLES))
    frames, width = LEAST_SAMPLES // HOP_LENGTH, LOOKBACK_FRAMES + 1 + LOOKAHEAD_FRAMES
    assert placement.operations == 2 * frames * (HOP_LENGTH + width)
    assert placement.moved_bytes > 3 * 4 * LEAST_SAMPLES
    (kinds,) = placement.nodes.values()
    assert set(placement.nodes) == {"CPUExecutionProvider"}
    # The runtime may fuse or fold what lies around it, but not these.
    assert kinds["Sigmoid"] == 1 and kinds["Sqrt"] == 1 and kinds["Conv"] >= 1
    assert placement.fallen["Sigmoid"] == 1 and "Shape" not in placement.fallen
    assert not placement.copies


def test_copies_are_told_from_nodes() -> None:
    def event(name: str, operator: str, provider: str) -> dict[str, Any]:
        arguments = {"op_name": operator, "provider": provider}
        return {"cat": "Node", "name": f"{name}_kernel_time", "args": arguments}

    events: list[dict[str, Any]] = [
        {"cat": "Session", "name": "model_loading"},
        event("a", "Conv", CUDA),
        event("a", "Conv", CUDA),
        event("b", "Conv", CUDA),
        event("c", "Shape", "CPUExecutionProvider"),
        event("d", "Erf", "CPUExecutionProvider"),
        event("e", "MemcpyToHost", CUDA),
    ]
    placement = read_placement(events)
    assert placement.nodes[CUDA] == {"Conv": 2}
    assert placement.fallen == {"Erf": 1}
    assert placement.copies == {"MemcpyToHost": 1}
    assert placement.lines()[0] == "CPUExecutionProvider: 2 nodes (1 Shape, 1 Erf)"
    assert placement.lines()[-1] == "copies between host and device: 1"


@pytest.fixture(scope="module")
def gpu() -> None:
    """Skip the test, and say why, where no GPU can be used."""
    if CUDA not in onnxruntime.get_available_providers():
        pytest.skip("the installed onnxruntime has no CUDA: pip install 'creative-mix[cuda]'")
    try:
        open_session(renderer.WEIGHTS_PATH, "cuda")
    except DeviceError as error:
        pytest.skip(str(error))


def largest_placement(device: Any) -> Placement:
    return place(renderer.WEIGHTS_PATH, device, feeds_of(4 * RATE))


@pytest.mark.gpu
@pytest.mark.usefixtures("gpu")
def test_devices_agree() -> None:
    on_cpu, on_gpu = Renderer(device="cpu"), Renderer(device="cuda")
    assert on_gpu.device == "cuda"
    for duration_s in (0.1, 0.7, 3.0, 20.0):
        drums, piano = make_drums(RATE, duration_s), make_piano(RATE, duration_s)
        difference = on_gpu.render(drums, piano) - on_cpu.render(drums, piano)
        assert np.abs(difference).max() < 1e-3
        assert np.sqrt(np.mean(difference**2)) < 1e-4


@pytest.mark.gpu
@pytest.mark.usefixtures("gpu")
def test_nothing_but_sizes_falls_to_the_cpu() -> None:
    placement = largest_placement("cuda")
    assert not placement.fallen, placement.lines()
    assert placement.nodes[CUDA]["MatMul"] > 0 or placement.nodes[CUDA]["Conv"] > 0


@pytest.mark.gpu
@pytest.mark.usefixtures("gpu")
def test_memory_stays_bounded() -> None:
    """A second render of the same shape takes no more memory than the first left."""
    torch = pytest.importorskip("torch", reason="torch tells the free memory of the GPU")
    on_gpu = Renderer(device="cuda")
    drums, piano = make_drums(RATE, 40.0), make_piano(RATE, 40.0)
    free = []
    for _ in range(3):
        on_gpu.render(drums, piano)
        free.append(torch.cuda.mem_get_info()[0])
    assert abs(free[2] - free[1]) < 32 << 20
