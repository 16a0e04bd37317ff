"""The ONNX file: the same numbers as torch, at lengths that the export never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import Command
from test_model import SMALL

from creative_mix.constants import COMPONENT_NAMES
from creative_mix.errors import ModelFileError
from creative_mix.export.field import LEAST_SAMPLES, receptive_field, settling_frames
from creative_mix.export.onnx_file import export_onnx
from creative_mix.export.parity import (
    HALF_TOLERANCE,
    compare,
    largest_difference,
    percussive,
    refuse_drift,
)
from creative_mix.model.checkpoint import load_model, model_metadata, save_tensors
from creative_mix.model.system import Controls, CreativeMix
from creative_mix.renderer import Renderer


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    model = CreativeMix(SMALL).eval()
    with torch.no_grad():
        for head in (model.drum_rhythm, model.piano_rhythm):
            head.leave.weight.mul_(10)
        model.permit.weight.mul_(20)
        # Values that float16 holds, so that the file says exactly what the model is.
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())
    path = tmp_path_factory.mktemp("export") / "small.onnx"
    export_onnx(model, path, version="test")
    for name, parameter in load_model(path).named_parameters():
        assert torch.equal(parameter, dict(model.named_parameters())[name]), name
    return path


@pytest.mark.parametrize(("batch", "channels"), [(1, 1), (1, 2), (3, 1)])
def test_agrees_with_torch_at_other_lengths(exported: Path, batch: int, channels: int) -> None:
    lengths = (LEAST_SAMPLES, 10_007, 90_000)
    differences = largest_difference(exported, lengths, channels, batch)
    assert max(differences.values()) < 1e-4


def test_skipped_frames_are_context(exported: Path) -> None:
    session = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    feeds = {
        "drums": percussive(60_000, 2, 1, 0.2),
        "piano": percussive(60_000, 2, 2, 0.5),
        "bias": np.zeros((1, 6), np.float32),
    }
    whole = session.run(None, feeds)
    for skip in (0, 5, 60):
        part = session.run(None, feeds | {"skip_frames": np.array([skip], np.int64)})
        for mine, theirs, step in zip(part, whole, (512, *[1] * 6), strict=True):
            np.testing.assert_allclose(mine, theirs[..., skip * step :], atol=1e-5)


def test_more_silence_before_the_start_changes_nothing(exported: Path) -> None:
    session = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    sounds = [percussive(40 * 512, 1, 1, 0.2), percussive(40 * 512, 1, 2, 0.5)]

    def after(silent_frames: int) -> np.ndarray:
        padded = [np.pad(s, ((0, 0), (0, 0), (silent_frames * 512, 0))) for s in sounds]
        feeds = {
            "drums": padded[0],
            "piano": padded[1],
            "bias": np.zeros((1, 6), np.float32),
            "skip_frames": np.array([silent_frames], np.int64),
        }
        (mix,) = session.run(["mix"], feeds)
        return np.asarray(mix)

    lookback, settled = receptive_field(SMALL)[0], settling_frames(SMALL)
    assert settled < lookback
    whole = after(lookback)
    assert np.abs(whole).max() > 1e-2
    np.testing.assert_allclose(after(settled), whole, atol=1e-5)
    assert np.abs(after(2) - whole).max() > 1e-5


def test_controls_are_optional_and_agree_with_torch(exported: Path) -> None:
    session = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    feeds = {
        "drums": percussive(30_000, 1, 1, 0.2),
        "piano": percussive(30_000, 2, 2, 0.5),
        "bias": np.zeros((1, 6), np.float32),
    }
    curve = np.zeros((1, 6, 59), np.float32)
    curve[0, 3, 30:] = 4.0
    options = {
        "bias_curve": curve,
        "density": np.array([0.5], np.float32),
        "dynamics": np.array([0.2], np.float32),
    }
    plain = session.run(["mix", "weights"], feeds)
    mix, weights = session.run(["mix", "weights"], feeds | options)
    assert (weights[0, 3, 30:] > 3 * plain[1][0, 3, 30:]).all()
    np.testing.assert_allclose(weights[0, :, :30], plain[1][0, :, :30], atol=1e-6)
    tensors = {name: torch.from_numpy(value) for name, value in (feeds | options).items()}
    with torch.inference_mode():
        result = load_model(exported)(
            tensors["drums"],
            tensors["piano"],
            tensors["bias_curve"],
            controls=Controls(tensors["density"], tensors["dynamics"]),
        )
    assert float(np.abs(mix - result.mix.numpy()).max()) < 1e-4
    assert np.abs(mix - plain[0]).max() > 1e-3


def test_says_what_it_is(exported: Path) -> None:
    proto = onnx.load(str(exported))
    told = {entry.key: entry.value for entry in proto.metadata_props}
    lookback, lookahead = receptive_field(SMALL)
    assert told["sample_rate"] == "44100" and told["hop_length"] == "512"
    assert (told["lookback_frames"], told["lookahead_frames"]) == (str(lookback), str(lookahead))
    assert told["settling_frames"] == str(settling_frames(SMALL))
    assert told["component_names"] == ",".join(COMPONENT_NAMES)
    assert told["version"] == "test" and told["licence"] == "MIT"


def test_real_arithmetic_and_plain_operators_only(exported: Path) -> None:
    proto = onnx.load(str(exported))
    assert {opset.domain for opset in proto.opset_import} <= {"", "ai.onnx"}
    kinds = {node.op_type for node in proto.graph.node}
    assert not kinds & {"STFT", "DFT", "Loop", "Scan", "If", "BatchNormalization"}
    types = {tensor.data_type for tensor in proto.graph.initializer}
    assert not types & {onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128}


def test_weights_are_halves_under_torch_names(exported: Path) -> None:
    proto = onnx.load(str(exported))
    halves = {t.name for t in proto.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16}
    names = {f"model.{name}" for name, _ in CreativeMix(SMALL).named_parameters()}
    assert halves == names


def test_a_file_that_drifts_is_refused(exported: Path, tmp_path: Path) -> None:
    proto = onnx.load(str(exported))
    for node in proto.graph.node:
        if node.op_type == "Sigmoid":
            node.op_type = "HardSigmoid"
    planted = tmp_path / "drifts.onnx"
    onnx.save(proto, str(planted))
    with pytest.raises(ModelFileError, match="differs from torch"):
        refuse_drift(planted)
    with pytest.raises(ModelFileError, match="strikes lie elsewhere"):
        refuse_drift(planted, tolerance=100.0)


def test_half_arithmetic_shapes_the_sound_and_moves_no_strike(
    exported: Path, tmp_path: Path
) -> None:
    path = tmp_path / "half.onnx"
    export_onnx(load_model(exported), path, compute="fp16")
    proto = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    kinds = {each.name: each.type.tensor_type.elem_type for each in proto.graph.value_info}
    products = [n for n in proto.graph.node if n.op_type in ("Conv", "MatMul", "Gemm")]
    halves = [n for n in products if kinds.get(n.output[0]) == onnx.TensorProto.FLOAT16]
    assert 0 < len(halves) < len(products)
    assert all("decoder" in n.name or "key_reader" in n.name for n in halves)
    assert "compute" in {entry.key for entry in proto.metadata_props if entry.value == "fp16"}

    lengths = (10_007, 90_000)
    agreements = list(compare(path, lengths))
    full = max(each.difference for each in compare(exported, lengths))
    # No farther away than a float32 file, it would have rounded nothing.
    assert 2 * full < max(each.difference for each in agreements) < HALF_TOLERANCE
    assert all(each.moved_strikes == 0 for each in agreements)
    feeds = {
        "drums": percussive(60_000, 2, 1, 0.2),
        "piano": percussive(60_000, 2, 2, 0.5),
        "bias": np.zeros((1, 6), np.float32),
    }
    told = []
    for each in (exported, path):
        session = onnxruntime.InferenceSession(str(each), providers=["CPUExecutionProvider"])
        told.append(session.run(["strikes", "onsets", "timing", "levels", "weights"], feeds))
    for mine, theirs in zip(*told, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(b"no model")
    with pytest.raises(ModelFileError, match="not a readable ONNX file"):
        load_model(foreign)
    with pytest.raises(ModelFileError, match="no such file"):
        load_model(tmp_path / "missing.safetensors")


def test_shipped_weights_agree_with_torch() -> None:
    from creative_mix.renderer import WEIGHTS_PATH

    differences = largest_difference(WEIGHTS_PATH, (LEAST_SAMPLES, 44_100 * 3 + 17))
    assert max(differences.values()) < 1e-4
    assert WEIGHTS_PATH.stat().st_size <= 56_000_000
    assert np.isfinite(list(differences.values())).all()


@pytest.fixture(scope="module")
def checkpoint(exported: Path) -> Path:
    """The exported model as a safetensors file."""
    path = exported.with_name("small.safetensors")
    model = load_model(exported)
    save_tensors(path, dict(model.named_parameters()), model_metadata(model.config))
    return path


@pytest.mark.parametrize(
    ("options", "opset", "kind", "length"),
    [
        (["--precision", "fp32", "--opset", "20"], 20, onnx.TensorProto.FLOAT, "samples"),
        (["--static-samples", "30000"], 17, onnx.TensorProto.FLOAT16, 30_000),
    ],
)
def test_export_options(
    checkpoint: Path,
    tmp_path: Path,
    command: Command,
    options: list[str],
    opset: int,
    kind: int,
    length: int | str,
) -> None:
    path = tmp_path / "out.onnx"
    done = command("export", checkpoint, "-o", path, *options)
    assert done.returncode == 0, done.stderr
    assert "of torch at" in done.stdout
    proto = onnx.load(str(path))
    assert proto.opset_import[0].version == opset
    stored = [t for t in proto.graph.initializer if t.name.startswith("model.")]
    assert {tensor.data_type for tensor in stored} == {kind}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    shapes = {each.name: each.shape for each in (*session.get_inputs(), *session.get_outputs())}
    assert shapes["piano"][2] == shapes["mix"][2] == length
    frames = "frames" if length == "samples" else -(-int(length) // 512)
    assert shapes["weights"][2] == shapes["strikes"][1] == frames
    assert len(session.get_overridable_initializers()) == (4 if length == "samples" else 0)
    if length != "samples":
        with pytest.raises(ModelFileError, match="without --static-samples"):
            Renderer(path)
    expected = load_model(checkpoint).state_dict()
    for name, tensor in load_model(path).state_dict().items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("form", [[], ["--stream"]])
def test_a_drifting_export_leaves_no_file(
    form: list[str], checkpoint: Path, tmp_path: Path
) -> None:
    from click.testing import CliRunner

    from creative_mix.cli.export import export

    output = str(tmp_path / "out.onnx")
    result = CliRunner().invoke(
        export, [str(checkpoint), "-o", output, "--tolerance", "1e-12", *form]
    )
    assert isinstance(result.exception, ModelFileError)
    assert str(result.exception).startswith(f"{output}: ")
    assert "more than 1e-12" in str(result.exception)
    assert list(tmp_path.iterdir()) == []
