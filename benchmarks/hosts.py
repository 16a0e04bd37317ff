"""Renders one pair with the package and with every host of `examples/`, and compares the results.

python benchmarks/hosts.py [--pair funk] [--duration-s 12]
A host whose runtime is missing is named and left out.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf

from creative_mix.renderer import WEIGHTS_PATH, Renderer

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def host_commands(drums: Path, piano: Path, folder: Path) -> dict[str, tuple[list[str], Path]]:
    """Return each host's command and the file that it writes."""
    node = shutil.which("node") or "node"
    files = [str(WEIGHTS_PATH), str(drums), str(piano)]
    python_out, node_out = folder / "python.wav", folder / "node.wav"
    page = [str(EXAMPLES / "browser" / "check.mjs"), str(drums), str(piano), str(folder)]
    bare = [sys.executable, str(EXAMPLES / "python" / "render.py")]
    return {
        "Python": ([*bare, *files, str(python_out)], python_out),
        "Node": ([node, str(EXAMPLES / "node" / "render.mjs"), *files, str(node_out)], node_out),
        "browser": ([node, *page], folder / "out.wav"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pair", default="funk")
    parser.add_argument("--duration-s", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arrays, files = [], []
        for role in ("drums", "piano"):
            source = ROOT / "samples" / f"{options.pair}.{role}.flac"
            frames = min(sf.info(source).frames, round(44100 * options.duration_s))
            samples, rate = sf.read(source, frames, dtype="float32", always_2d=True)
            files.append(folder / f"{role}.wav")
            sf.write(files[-1], samples, rate, "PCM_16")
            arrays.append(np.ascontiguousarray(samples.T))
        results = {"package": Renderer(device="cpu").render(*arrays).T}
        for host, (command, out) in host_commands(*files, folder).items():
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
            if done.returncode:
                print(f"{host}: left out ({(done.stderr.splitlines() or ['?'])[-1][:120]})")
                continue
            results[host] = sf.read(out, dtype="float32", always_2d=True)[0]
        for one, other in itertools.combinations(results, 2):
            difference = results[one].astype(np.float64) - results[other]
            greatest, rms = np.abs(difference).max(), np.sqrt(np.mean(difference**2))
            print(f"{one} and {other}: greatest {greatest:.1e}, rms {rms:.1e} of full scale")


if __name__ == "__main__":
    main()
