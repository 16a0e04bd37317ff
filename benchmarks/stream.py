"""Measure a stream: time and memory of a block of each size, and the same by exact windows.

    creative-mix export creative_mix/weights/creative_mix.onnx -o live.onnx --stream
    python benchmarks/stream.py live.onnx

Noise bursts in, stereo. Blocks from 4096 samples on are also made by the offline file, which hears
its whole field of context again for each; below that it would not keep up anywhere. Each line is a
process of its own. Run it with nothing else going on.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from creative_mix.constants import COMPONENT_NAMES, HOP_LENGTH, SAMPLE_RATE
from creative_mix.renderer import SKIP_INPUT, WEIGHTS_PATH, read_info
from creative_mix.runtime import open_session
from creative_mix.stream import Stream

BLOCKS = (512, 1024, 2048, 4096, 8192, 16384)
LEAST_BY_WINDOWS = 4096


def bursts(channels: int, samples: int, seed: int) -> np.ndarray:
    """Noise bursts at random times, (C, N)."""
    random = np.random.default_rng(seed)
    level = np.repeat(random.random(-(-samples // 2048)) ** 6, 2048)[:samples]
    sound: np.ndarray = (0.3 * level * random.standard_normal((channels, samples))).astype("f")
    return sound


def by_state(path: Path, block: int, count: int, threads: int | None) -> list[float]:
    """Seconds of each block in the streaming form."""
    stream = Stream(path, "cpu", threads)
    drums, piano = (bursts(stream.channels, block * count, seed) for seed in (1, 2))
    took = []
    for start in range(0, block * count, block):
        part = slice(start, start + block)
        began = time.perf_counter()
        stream.process(drums[:, part], piano[:, part])
        took.append(time.perf_counter() - began)
    return took


def by_windows(path: Path, block: int, count: int, threads: int | None) -> list[float]:
    """Seconds of each block in the offline form, with all the context that it depends on."""
    session = open_session(path, "cpu", threads).run
    info = read_info(path, session.get_modelmeta().custom_metadata_map)
    context = info.lookback_frames + info.lookahead_frames
    samples = context * HOP_LENGTH + block
    feeds = {
        "drums": bursts(2, samples, 1)[None],
        "piano": bursts(2, samples, 2)[None],
        "bias": np.zeros((1, len(COMPONENT_NAMES)), np.float32),
        SKIP_INPUT: np.array([info.lookback_frames], np.int64),
    }
    took = []
    for _ in range(count):
        began = time.perf_counter()
        session.run(["mix"], feeds)
        took.append(time.perf_counter() - began)
    return took


def measure(options: argparse.Namespace) -> None:
    """One line's process: print its seconds and peak memory as JSON."""
    way = by_windows if options.windows else by_state
    took = way(options.model, options.block, options.count, options.threads)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps({"took": took, "peak_mb": peak}))


def report(model: Path, block: int, count: int, windows: bool, threads: int | None) -> None:
    """Run one line's process and print the line."""
    command = [sys.executable, __file__, str(model), "--block", str(block), "--count", str(count)]
    command += ["--windows"] if windows else []
    command += ["--threads", str(threads)] if threads else []
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    if done.returncode:
        print(f"{block}: failed ({(done.stderr.splitlines() or ['?'])[-1][:120]})")
        return
    told = json.loads(done.stdout)
    took = np.sort(told["took"][3:] or told["took"])  # the first blocks warm the caches up
    median, worst, lasts = float(np.median(took)), float(took[-1]), block / SAMPLE_RATE
    print(
        f"{block:6d} samples, {1e3 * lasts:5.1f} ms, {'windows' if windows else 'state':8s}"
        f"median {1e3 * median:7.1f} ms, worst {1e3 * worst:7.1f} ms, "
        f"{lasts / median:5.1f} x real time, {told['peak_mb']:.0f} MB",
        flush=True,
    )


def main() -> None:
    """Print one figure a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="of export --stream")
    parser.add_argument("--offline", type=Path, default=WEIGHTS_PATH, help="of a plain export")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seconds", type=float, default=12.0, help="of sound for each block size")
    parser.add_argument("--block", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--windows", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.block:
        measure(options)
        return
    stream = Stream(options.model, "cpu", options.threads)
    print(
        f"{stream.channels} channels, {stream.threads} threads, "
        f"latency {stream.latency_samples} samples ({1e3 * stream.latency_s:.0f} ms)"
    )
    fixed = stream.block_samples
    for block in (fixed,) if fixed else BLOCKS:
        count = max(8, round(options.seconds * SAMPLE_RATE / block))
        report(options.model, block, count, False, options.threads)
        if block >= LEAST_BY_WINDOWS:
            report(options.offline, block, 6, True, options.threads)


if __name__ == "__main__":
    main()
