"""The hosts in `examples/`: each renders what this package renders."""

from __future__ import annotations

import importlib.util
import sys
import wave
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest
import soundfile as sf
from hosts import EXAMPLES, Pair, make_pair, need_node, read_samples, run_host
from recordings import make_drums, make_piano
from standin import write_standin

from creative_mix.controls import Controls
from creative_mix.curve import BiasCurve
from creative_mix.renderer import WEIGHTS_PATH, Renderer

PYTHON_HOST = EXAMPLES / "python" / "render.py"
NODE_HOST = EXAMPLES / "node" / "render.mjs"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    if not WEIGHTS_PATH.exists():
        pytest.skip("no weights ship with this checkout")
    return make_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def bare() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bare_host", PYTHON_HOST)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_python_makes_the_same_file(pair: Pair, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    done = run_host(sys.executable, PYTHON_HOST, WEIGHTS_PATH, pair.drums, pair.piano, out)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(read_samples(out), pair.mix, atol=1e-5)


def test_python_needs_numpy_and_the_runtime_alone() -> None:
    probe = (
        f"import runpy, sys\nrunpy.run_path({str(PYTHON_HOST)!r})\n"
        "print([n for n in ('creative_mix', 'soundfile', 'soxr', 'torch') if n in sys.modules])"
    )
    assert run_host(sys.executable, "-c", probe).stdout == "[]\n"


@pytest.mark.parametrize("chunk_frames", [7, 100, 1536])
@pytest.mark.parametrize(("drum_channels", "piano_channels"), [(1, 2), (2, 1)])
def test_python_chunks_equal_the_package(
    bare: ModuleType, tmp_path: Path, chunk_frames: int, drum_channels: int, piano_channels: int
) -> None:
    model = write_standin(tmp_path / "standin.onnx", can_skip=True)
    drums, piano = make_drums(44100, 2.01, drum_channels), make_piano(44100, 2.01, piano_channels)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    mine = bare.render(session, drums, piano, chunk_frames=chunk_frames)
    np.testing.assert_allclose(mine, Renderer(model).render(drums, piano), atol=1e-6)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32"])
def test_python_reads_and_writes_wav(bare: ModuleType, tmp_path: Path, subtype: str) -> None:
    samples = make_piano(44100, 0.1)
    sf.write(tmp_path / "in.wav", samples.T, 44100, subtype)
    read = bare.read_wav(str(tmp_path / "in.wav"))
    np.testing.assert_array_equal(read, read_samples(tmp_path / "in.wav"))
    bare.write_wav(str(tmp_path / "out.wav"), 3 * samples)
    written = read_samples(tmp_path / "out.wav")
    np.testing.assert_allclose(written, samples / np.abs(samples).max(), atol=2e-7)


@pytest.mark.parametrize("host", ["python", "node"])
def test_a_host_says_what_is_wrong(host: str, tmp_path: Path) -> None:
    if host == "node":
        start: list[str | Path] = [need_node(NODE_HOST.parent, "onnxruntime-node"), NODE_HOST]
    else:
        start = [sys.executable, PYTHON_HOST]
    model = write_standin(tmp_path / "standin.onnx", can_skip=True)
    good, words, slow, brief = (tmp_path / f"{n}.wav" for n in ("good", "words", "slow", "brief"))
    sf.write(good, make_drums(44100, 0.5).T, 44100)
    sf.write(slow, make_drums(22050, 0.5).T, 22050)
    sf.write(brief, make_drums(44100, 0.01).T, 44100)
    words.write_text("no sound")
    for drums, word in ((words, "WAV file"), (slow, "give 44100 Hz"), (brief, "too short")):
        done = run_host(*start, model, drums, good, tmp_path / "out.wav")
        assert done.returncode == 1 and word in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not (tmp_path / "out.wav").exists()


def test_node_makes_the_same_file(pair: Pair, tmp_path: Path) -> None:
    node = need_node(NODE_HOST.parent, "onnxruntime-node")
    out = tmp_path / "out.wav"
    done = run_host(node, NODE_HOST, WEIGHTS_PATH, pair.drums, pair.piano, out)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(read_samples(out), pair.mix, atol=1e-5)


def test_node_chunks_equal_the_package(tmp_path: Path) -> None:
    """The stand-in's 40 frames of context make a skip that is not taken show."""
    node = need_node(NODE_HOST.parent, "onnxruntime-node")
    model = write_standin(tmp_path / "standin.onnx", can_skip=True)
    drums, piano = make_drums(44100, 40.0, 2), make_piano(44100, 40.0, 1)
    sf.write(tmp_path / "d.wav", drums.T, 44100, "FLOAT")
    sf.write(tmp_path / "p.wav", piano.T, 44100, "FLOAT")
    done = run_host(
        node, NODE_HOST, model, tmp_path / "d.wav", tmp_path / "p.wav", tmp_path / "o.wav"
    )
    assert done.returncode == 0, done.stderr
    with wave.open(str(tmp_path / "o.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 3)
    mix = Renderer(model).render(drums, piano)
    expected = mix / max(1.0, float(np.abs(mix).max()))
    np.testing.assert_allclose(read_samples(tmp_path / "o.wav"), expected, atol=1e-5)


CONTROLLED = """
import { readFileSync, writeFileSync } from "node:fs";
import ort from "./node/node_modules/onnxruntime-node/dist/index.js";
import { Renderer } from "./javascript/renderer.mjs";
import { readWav } from "./javascript/wav.mjs";

const [model, drums, piano, out] = process.argv.slice(1);
const renderer = await Renderer.open(ort, readFileSync(model), { intraOpNumThreads: 1 });
const [first, second] = [drums, piano].map((path) => readWav(readFileSync(path)).channels);
const frames = Math.ceil(second[0].length / 512);
const biasCurve = Array.from({ length: 6 }, (_, row) =>
  Float32Array.from({ length: frames }, (_, at) => (row === 3 ? (2 * at) / frames : 0)),
);
const found = [];
for (const settings of [{ density: 0 }, { dynamics: 0 }, { density: 0.5, biasCurve }]) {
  const { mix, strikes } = await renderer.render(first, second, { ...settings, chunkFrames: 60 });
  found.push([...mix, strikes]);
}
writeFileSync(out, Buffer.concat(found.flat().map((row) => Buffer.from(row.buffer))));
"""
"""Renders with controls in Node and writes mix and strikes of each, float32."""


def test_node_takes_the_controls(pair: Pair, tmp_path: Path) -> None:
    node = need_node(NODE_HOST.parent, "onnxruntime-node")
    out = tmp_path / "out"
    drums, piano = (read_samples(path)[:, : 3 * 44100] for path in (pair.drums, pair.piano))
    for name, samples in (("d", drums), ("p", piano)):
        sf.write(tmp_path / f"{name}.wav", samples.T, 44100, "FLOAT")
    done = run_host(
        *(node, "--input-type=module", "--eval", CONTROLLED, WEIGHTS_PATH),
        *(tmp_path / "d.wav", tmp_path / "p.wav", out),
        cwd=EXAMPLES,
    )
    assert done.returncode == 0, done.stderr
    frames = -(-piano.shape[1] // 512)
    middles = (np.arange(frames) + 0.5) * 512 / 44100
    rise = BiasCurve.of(
        {"time_s": middles.tolist(), "target_rhythm": (2 * np.arange(frames) / frames).tolist()}
    )
    made = np.frombuffer(out.read_bytes(), np.float32).reshape(3, -1)
    cases = (Controls(density=0), Controls(dynamics=0), Controls(density=0.5, bias_curve=rise))
    renderer = Renderer(threads=1)
    plain = renderer.render(drums, piano)
    for ours, controls in zip(made, cases, strict=True):
        mix = renderer.render(drums, piano, controls=controls)
        np.testing.assert_allclose(ours[: mix.size], mix.reshape(-1), atol=1e-5)
        assert np.abs(mix - plain).max() > 0.01
    assert made[0, plain.size :].max() < 0.3 < made[1, plain.size :].max()


def test_node_refuses_a_foreign_model(pair: Pair, tmp_path: Path) -> None:
    node = need_node(NODE_HOST.parent, "onnxruntime-node")
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(b"no model")
    done = run_host(node, NODE_HOST, foreign, pair.drums, pair.piano, tmp_path / "o.wav")
    assert done.returncode == 1 and "not an ONNX file" in done.stderr


def test_every_host_has_its_command_in_the_page() -> None:
    page = (EXAMPLES / "README.md").read_text()
    for folder in EXAMPLES.iterdir():
        if folder.is_dir() and folder.name != "javascript":
            assert f"{folder.name}/" in page, folder.name
