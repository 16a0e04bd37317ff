"""What the tests of the hosts in `examples/` share: excerpts, their render, and the runtimes."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from creative_mix.audio import FloatArray
from creative_mix.renderer import WEIGHTS_PATH, Renderer

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
EXCERPT_S = 3.0


@dataclass(frozen=True)
class Pair:
    """An excerpt of `samples/` as 16-bit WAV files, and what this package makes of it."""

    drums: Path
    piano: Path
    mix: FloatArray
    """Shape (2, N)."""


def make_pair(folder: Path, name: str = "funk", duration_s: float = EXCERPT_S) -> Pair:
    """Write the excerpt's two files to `folder` and render them."""
    paths, arrays = [], []
    for role in ("drums", "piano"):
        source = ROOT / "samples" / f"{name}.{role}.flac"
        rate = sf.info(source).samplerate
        samples, _ = sf.read(source, round(duration_s * rate), dtype="float32", always_2d=True)
        paths.append(folder / f"{role}.wav")
        sf.write(paths[-1], samples, rate, "PCM_16")
        arrays.append(np.ascontiguousarray(samples.T))
    return Pair(*paths, Renderer(WEIGHTS_PATH, "cpu", threads=1).render(*arrays))


def read_samples(path: Path) -> FloatArray:
    """Return a file's samples, shape (C, N)."""
    samples, rate = sf.read(path, dtype="float32", always_2d=True)
    assert rate == 44100
    return samples.T


def need_node(package: Path, module: str) -> str:
    """Return the path of `node`; skip the test where it or the host's package is missing."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    if not (package / "node_modules" / module).is_dir():
        pytest.skip(f"{module} is not installed: npm install in {package.relative_to(ROOT)}")
    return node


def run_host(
    *arguments: str | Path, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a host to its end, on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "THREADS": "1", **variables}
    return subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
