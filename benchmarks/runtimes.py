"""Measure one chunk of a render in ONNX Runtime, in torch, and in torch.compile, in one run.

    python benchmarks/runtimes.py samples/funk.drums.flac samples/funk.piano.flac [--compile]

A chunk is what the package renders at a time: CHUNK_FRAMES frames of stereo with their context.
All get the same samples and threads, in float32, and must agree. The real-time factor counts what
a chunk gives, not its context. Run it with nothing else going on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch

from creative_mix.constants import HOP_LENGTH, SAMPLE_RATE
from creative_mix.export.field import receptive_field
from creative_mix.model.checkpoint import load_model
from creative_mix.renderer import CHUNK_FRAMES, WEIGHTS_PATH
from creative_mix.runtime import cpu_threads, open_session


def chunk_of(path: Path, samples: int) -> np.ndarray:
    """The recording looped to so many samples of stereo, shape (1, 2, N)."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        raise SystemExit(f"{path}: {rate} Hz; give {SAMPLE_RATE} Hz")
    stereo = audio.T[[0, -1]]
    return np.ascontiguousarray(np.tile(stereo, -(-samples // stereo.shape[1]))[None, :, :samples])


def measured(work: Callable[[], np.ndarray], times: int) -> tuple[float, float, np.ndarray]:
    """Seconds of the first call, the median of the next ones, and what came out."""
    started = time.perf_counter()
    made = work()
    first, seconds = time.perf_counter() - started, []
    for _ in range(times):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return first, float(np.median(seconds)), made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("drums", type=Path)
    parser.add_argument("piano", type=Path)
    parser.add_argument("--model", type=Path, default=WEIGHTS_PATH)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="torch.compile, too: minutes")
    options = parser.parse_args()

    threads = cpu_threads()
    torch.set_num_threads(threads)
    model = load_model(options.model).eval()
    behind, ahead = receptive_field(model.config)
    samples = (behind + CHUNK_FRAMES + ahead) * HOP_LENGTH
    drums, piano = chunk_of(options.drums, samples), chunk_of(options.piano, samples)
    session = open_session(options.model, "cpu", threads).run
    feeds = {
        "drums": drums,
        "piano": piano,
        "bias": np.zeros((1, 6), np.float32),
        "skip_frames": np.array([behind], np.int64),
    }
    tensors = [torch.from_numpy(feeds[name]) for name in ("drums", "piano", "bias")]

    def mix(drums: torch.Tensor, piano: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = model(drums, piano, bias, skip=behind).mix
        return made

    def by_torch(call: Callable[..., torch.Tensor]) -> np.ndarray:
        with torch.inference_mode():
            return call(*tensors).numpy()

    ways = {
        "ONNX Runtime": lambda: session.run(["mix"], feeds)[0],
        "torch": lambda: by_torch(mix),
    }
    if options.compile:
        compiled = torch.compile(mix)
        ways["torch.compile"] = lambda: by_torch(compiled)
    wanted, given_s = None, CHUNK_FRAMES * HOP_LENGTH / SAMPLE_RATE
    print(f"{given_s:.1f} s of stereo in {behind + ahead} frames of context, {threads} threads")
    for name, work in ways.items():
        first, usual, made = measured(work, options.times)
        wanted = made if wanted is None else wanted
        count = CHUNK_FRAMES * HOP_LENGTH
        apart = float(np.abs(made[..., :count] - wanted[..., :count]).max())
        print(
            f"{name}: {usual:.2f} s a chunk, {given_s / usual:.1f} x real time; "
            f"first call {first:.1f} s; {apart:.1e} from the first"
        )


if __name__ == "__main__":
    main()
