"""`creative-mix info`: what it says is what the file is."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import onnx
import onnxruntime
import pytest
from conftest import Command
from onnx import TensorProto, helper
from standin import LOOKAHEAD_FRAMES, LOOKBACK_FRAMES, write_standin

from creative_mix.description import describe_model
from creative_mix.errors import ModelFileError
from creative_mix.renderer import WEIGHTS_PATH


def test_the_model_that_ships() -> None:
    if not WEIGHTS_PATH.exists():
        pytest.skip("no weights ship with this checkout")
    description = describe_model()
    proto = onnx.load(str(WEIGHTS_PATH))
    assert description.metadata == {each.key: each.value for each in proto.metadata_props}
    assert description.opset == proto.opset_import[0].version
    assert description.parameter_types == ("float16",)
    stored = [t for t in proto.graph.initializer if t.name.startswith("model.")]
    assert description.parameters == sum(prod(tensor.dims) for tensor in stored)
    assert description.size_bytes == WEIGHTS_PATH.stat().st_size
    required = [port.name for port in description.inputs if not port.optional]
    optional = [port.name for port in description.inputs if port.optional]
    assert required == ["drums", "piano", "bias"]
    assert optional == ["skip_frames", "bias_curve", "density", "dynamics"]
    assert description.outputs[0].shape == ("batch", "piano_channels", "samples")


def test_prints_every_fact(command: Command, tmp_path: Path) -> None:
    path = write_standin(tmp_path / "standin.onnx", can_skip=True)
    done = command("info", path)
    assert done.returncode == 0, done.stderr
    for fact in (
        "18",
        f"{LOOKBACK_FRAMES} frames (0.46 s) behind, {LOOKAHEAD_FRAMES} frames (0.06 s) ahead",
        "drums (batch, drum_channels, samples) float32",
        "skip_frames (1) int64, may be left out",
        "mix (batch, piano_channels, made_samples) float32",
        "version = standin",
        onnxruntime.__version__,
        "CPUExecutionProvider",
    ):
        assert fact in done.stdout, fact


def test_json_says_the_same(command: Command, standin_model: Path) -> None:
    told = json.loads(command("info", standin_model, "--json").stdout)
    assert told["metadata"]["least_samples"] == "2048"
    assert told["lookback_s"] == pytest.approx(LOOKBACK_FRAMES * 512 / 44100)
    assert told["inputs"][2] == {
        "name": "bias",
        "dtype": "float32",
        "shape": ["batch", 6],
        "optional": False,
    }


def test_needs_no_onnx_package(command: Command, standin_model: Path, tmp_path: Path) -> None:
    (tmp_path / "onnx.py").write_text("raise ModuleNotFoundError('no onnx', name='onnx')\n")
    done = command("info", standin_model, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr


def test_a_foreign_file_is_one_line(command: Command, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    port = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "other", port[:1], port[1:])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), other)
    words = tmp_path / "words.onnx"
    words.write_text("no model")
    for path, reason in (
        (other, "format_version is None where '1' is needed"),
        (words, "not a model that can be run"),
        (tmp_path / "missing.onnx", "no such model file"),
    ):
        done = command("info", path)
        assert done.returncode == 1
        assert reason in done.stderr and path.name in done.stderr
        assert len(done.stderr.splitlines()) == 1
        with pytest.raises(ModelFileError):
            describe_model(path)
