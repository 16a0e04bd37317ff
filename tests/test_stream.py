"""The streaming file and what runs it: the offline render, block by block."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile as sf
import torch
from conftest import Command
from hosts import EXAMPLES, read_samples, run_host
from test_model import SMALL
from test_streaming import striking

from creative_mix.audio import FloatArray
from creative_mix.constants import HOP_LENGTH
from creative_mix.errors import ModelFileError, OptionError
from creative_mix.export.field import receptive_field
from creative_mix.export.onnx_file import export_onnx
from creative_mix.export.parity import percussive
from creative_mix.export.stream_file import export_stream
from creative_mix.export.stream_parity import refuse_stream_drift, streamed, whole
from creative_mix.model.checkpoint import load_model, model_metadata, save_tensors
from creative_mix.model.system import CreativeMix
from creative_mix.renderer import Renderer
from creative_mix.stream import Stream

FRAMES = 64
PYTHON_HOST = EXAMPLES / "python" / "stream.py"


@pytest.fixture(scope="module")
def model() -> CreativeMix:
    torch.manual_seed(3)
    return striking(CreativeMix(SMALL), 15)


@pytest.fixture(scope="module")
def exported(
    model: CreativeMix, tmp_path_factory: pytest.TempPathFactory, command: Command
) -> Path:
    """What the command makes of a checkpoint."""
    folder = tmp_path_factory.mktemp("stream")
    weights, path = folder / "small.safetensors", folder / "live.onnx"
    save_tensors(weights, dict(model.named_parameters()), model_metadata(SMALL))
    done = command("export", weights, "-o", path, "--stream")
    assert done.returncode == 0, done.stderr
    assert "10752 samples of latency" in done.stdout
    assert sorted(each.name for each in folder.iterdir()) == ["live.onnx", "small.safetensors"]
    return path


@pytest.fixture(scope="module")
def loaded(exported: Path) -> Stream:
    return Stream(exported, "cpu", threads=1)


@pytest.fixture
def stream(loaded: Stream) -> Stream:
    loaded.reset()
    return loaded


@pytest.fixture(scope="module")
def pair() -> tuple[FloatArray, FloatArray]:
    samples = FRAMES * HOP_LENGTH
    return percussive(samples, 2, 10, 0.15)[0], percussive(samples, 2, 50, 0.3)[0]


@pytest.fixture(scope="module")
def expected(exported: Path, pair: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, ...]:
    made = whole(exported, *pair)
    assert (made[2] > 0.2).any() and np.abs(made[0]).max() > 0.05
    return made


@pytest.mark.parametrize("block", [512, 1024, 2048, 4096, 16384])
def test_blocks_make_the_whole(
    stream: Stream,
    pair: tuple[FloatArray, FloatArray],
    expected: tuple[FloatArray, ...],
    block: int,
) -> None:
    for mine, theirs in zip(streamed(stream, *pair, block), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


def test_a_render_is_what_a_stream_makes(
    model: CreativeMix, stream: Stream, pair: tuple[FloatArray, FloatArray], tmp_path: Path
) -> None:
    """In blocks whose size changes, beside the file for whole recordings in chunks."""
    export_onnx(model, tmp_path / "offline.onnx")
    rendered = Renderer(tmp_path / "offline.onnx", "cpu", 1, chunk_frames=40).render(*pair)
    made, at = [], 0
    late, length = stream.latency_samples, pair[0].shape[1]
    drums, piano = (np.pad(each, ((0, 0), (0, late))) for each in pair)
    sizes: Iterator[int] = iter([1, 7, 2, 30, 1, 5] + [8] * 20)
    while at < late + length:
        step = min(next(sizes) * HOP_LENGTH, late + length - at)
        made.append(stream.process(drums[:, at : at + step], piano[:, at : at + step]).mix)
        at += step
    assert stream.latency_s == pytest.approx(late / 44100)
    np.testing.assert_allclose(np.concatenate(made, 1)[:, late:], rendered, atol=1e-4)


def test_the_first_block_follows_endless_silence(
    stream: Stream, pair: tuple[FloatArray, FloatArray]
) -> None:
    fresh = streamed(stream, *pair, 8192)
    behind = receptive_field(SMALL)[0]
    silence = np.zeros((2, (behind + -behind % 16) * HOP_LENGTH), np.float32)
    longer = (np.concatenate([silence, each], 1) for each in pair)
    late = streamed(stream, *longer, 8192)
    for mine, theirs in zip(fresh, late, strict=True):
        np.testing.assert_allclose(mine, theirs[..., -mine.shape[-1] :], atol=1e-5)


def test_what_is_asked_for_is_heard(stream: Stream, pair: tuple[FloatArray, FloatArray]) -> None:
    drums, piano = (np.pad(each, ((0, 0), (0, stream.latency_samples))) for each in pair)
    plain = stream.process(drums, piano)
    stream.reset()
    biased = stream.process(drums, piano, bias={"target_rhythm": 4.0})
    late = stream.latency_samples // HOP_LENGTH
    assert (biased.weights[3, late:] > 3 * plain.weights[3, late:]).all()
    stream.reset()
    curve = np.zeros((6, drums.shape[1] // HOP_LENGTH), np.float32)
    curve[3, :20] = 4.0
    moved = stream.process(drums, piano, bias=curve).weights
    np.testing.assert_allclose(moved[:, : late + 20], biased.weights[:, : late + 20], atol=1e-6)
    np.testing.assert_allclose(moved[:, late + 20 :], plain.weights[:, late + 20 :], atol=1e-6)
    stream.reset()
    thin = stream.process(drums, piano, density=0.0)
    assert plain.strikes.max() > 0.2 and thin.strikes[late:].max() == 0
    stream.reset()
    flat = stream.process(drums, piano, dynamics=0.0)
    assert np.abs(flat.mix - plain.mix).max() > 1e-4


def test_mono_does_for_every_channel(stream: Stream, pair: tuple[FloatArray, FloatArray]) -> None:
    mono = pair[0][:1]
    first = stream.process(mono, pair[1]).mix
    stream.reset()
    np.testing.assert_array_equal(first, stream.process(mono.repeat(2, 0), pair[1]).mix)


@pytest.mark.parametrize(
    ("drums", "piano", "options", "reason"),
    [
        ((2, 700), (2, 700), {}, "block of 700 samples; give a multiple of 512"),
        ((2, 0), (2, 0), {}, "block of 0 samples"),
        ((2, 1024), (2, 512), {}, "drums of 1024 samples and piano of 512"),
        ((3, 512), (2, 512), {}, r"drums of shape \(3, 512\).*of 2 channels or one"),
        ((2, 512), (512,), {}, r"piano of shape \(512,\)"),
        ((2, 512), (2, 512), {"density": 1.5}, "density 1.5 is out of range; give 0 to 1"),
        ((2, 512), (2, 512), {"dynamics": -1.0}, "dynamics -1 is out of range"),
        ((2, 512), (2, 512), {"bias": {"loudness": 1.0}}, "bias 'loudness' is unknown"),
        (
            (2, 512),
            (2, 512),
            {"bias": np.full(6, np.nan)},
            "bias nan is out of range; give -8 to 8",
        ),
        ((2, 512), (2, 512), {"bias": np.zeros((6, 2), "f")}, r"bias of shape \(6, 2\).*\(6, 1\)"),
    ],
)
def test_what_a_block_cannot_be(
    stream: Stream,
    drums: tuple[int, ...],
    piano: tuple[int, ...],
    options: dict[str, Any],
    reason: str,
) -> None:
    with pytest.raises(OptionError, match=reason):
        stream.process(np.zeros(drums, "f"), np.zeros(piano, "f"), **options)


def test_a_sample_that_is_no_number_does_not_stay(stream: Stream) -> None:
    silence, bad = np.zeros((2, 512), "f"), np.zeros((2, 512), "f")
    bad[1, 5] = np.nan
    stream.process(silence, silence)
    for name, blocks in (("drums", (bad, silence)), ("piano", (silence, bad))):
        with pytest.raises(OptionError, match=f"{name} has a NaN"):
            stream.process(*blocks)
    assert np.isfinite(stream.process(silence, silence).mix).all()


def test_each_form_refuses_the_other(exported: Path, standin_model: Path) -> None:
    with pytest.raises(ModelFileError, match="takes a stream, block by block"):
        Renderer(exported, "cpu")
    with pytest.raises(ModelFileError, match="takes whole recordings, not a stream"):
        Stream(standin_model, "cpu")


def test_a_file_that_drifts_is_refused(exported: Path, tmp_path: Path) -> None:
    proto = onnx.load(str(exported))
    for node in proto.graph.node:
        if node.op_type == "Sigmoid":
            node.op_type = "HardSigmoid"
    planted = tmp_path / "drifts.onnx"
    onnx.save(proto, str(planted))
    with pytest.raises(ModelFileError, match="differs from torch"):
        refuse_stream_drift(planted)


def test_the_weights_are_those_of_the_model(exported: Path, model: CreativeMix) -> None:
    parameters = dict(model.named_parameters())
    for name, value in load_model(exported).named_parameters():
        assert torch.equal(value, parameters[name].half().float()), name


def test_a_fixed_block(model: CreativeMix, tmp_path: Path) -> None:
    path = tmp_path / "fixed.onnx"
    export_stream(model, path, channels=1, block_samples=1024)
    assert refuse_stream_drift(path) < 1e-4
    stream = Stream(path, "cpu", threads=1)
    block = np.zeros((1, 1024), np.float32)
    assert stream.process(block, block).mix.shape == (1, 1024)
    assert stream.state_bytes == sum(each.numpy().nbytes for each in stream._state.values())
    with pytest.raises(OptionError, match="block of 512 samples; this model takes 1024"):
        stream.process(block[:, :512], block[:, :512])


def test_info_says_what_a_stream_takes(exported: Path, command: Command) -> None:
    done = command("info", exported)
    assert done.returncode == 0, done.stderr
    size = Stream(exported).state_bytes / 1e6
    for fact in (
        "latency         10752 samples (0.244 s)",
        "block           any multiple of 512 samples",
        f"inputs in_NAME, outputs out_NAME, {size:.1f} MB in all",
        "density (1) float32, may be left out",
        "channels = 2",
    ):
        assert fact in done.stdout, fact
    assert "in_drums" not in done.stdout


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--stream", "--static-samples", "700"], "700 samples is no multiple of 512"),
        (["--static-samples", "512"], "512 samples are too few"),
        (["--channels", "1"], "--channels goes with --stream"),
    ],
)
def test_options_that_do_not_go_together(
    command: Command, tmp_path: Path, options: list[str], reason: str
) -> None:
    done = command("export", tmp_path / "weights.safetensors", "-o", tmp_path / "x.onnx", *options)
    assert done.returncode == 2 and reason in done.stderr


def test_a_bare_host_plays_the_same(
    exported: Path, stream: Stream, pair: tuple[FloatArray, FloatArray], tmp_path: Path
) -> None:
    for name, samples in zip(("drums", "piano"), pair, strict=True):
        sf.write(tmp_path / f"{name}.wav", samples.T, 44100, "PCM_24")
    files = [tmp_path / f"{name}.wav" for name in ("drums", "piano", "out")]
    done = run_host(sys.executable, PYTHON_HOST, exported, *files, "4096")
    assert done.returncode == 0, done.stderr
    assert "a block of 92.9 ms took" in done.stdout and "latency 244 ms" in done.stdout
    mix, _, _ = streamed(stream, *(read_samples(path) for path in files[:2]), 4096)
    np.testing.assert_allclose(read_samples(files[2]), mix, atol=1e-5)
    wrong = run_host(sys.executable, PYTHON_HOST, exported, *files, "700")
    assert wrong.returncode == 1 and "give a multiple of 512" in wrong.stderr


def test_the_bare_host_needs_numpy_and_the_runtime_alone() -> None:
    probe = (
        f"import runpy, sys\nsys.path.insert(0, {str(PYTHON_HOST.parent)!r})\n"
        f"runpy.run_path({str(PYTHON_HOST)!r})\n"
        "print([n for n in ('creative_mix', 'soundfile', 'soxr', 'torch') if n in sys.modules])"
    )
    assert run_host(sys.executable, "-c", probe).stdout == "[]\n"
