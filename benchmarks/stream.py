"""Measures a stream at every block size: time, memory, and how far it is from the offline render.

    creative-mix export runs/mine/best.safetensors -o live.onnx --stream
    creative-mix export runs/mine/best.safetensors -o whole.onnx
    python benchmarks/stream.py live.onnx whole.onnx drums.wav piano.wav

Both files must be of the same weights; the recordings of 44.1 kHz. The difference is that of the
mixes, full scale being 1. With --windows, blocks from 4096 samples on are also made by the offline
file, which hears its whole field of context again for each; below that it would not keep up
anywhere. Each line is a process of its own. Run it with nothing else going on.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile as sf

from creative_mix.audio import FloatArray
from creative_mix.constants import COMPONENT_NAMES, HOP_LENGTH, SAMPLE_RATE
from creative_mix.renderer import SKIP_INPUT, Renderer, read_info
from creative_mix.runtime import open_session
from creative_mix.stream import Stream

BLOCKS = (512, 1024, 2048, 4096, 16384)
LEAST_BY_WINDOWS = 4096
SOUNDS = ("drums", "piano", "mix")


def excerpt(path: Path, start_s: float, seconds: float, channels: int) -> FloatArray:
    """Samples of a recording, (C, N)."""
    samples, rate = sf.read(path, dtype="float32", always_2d=True)
    if rate != SAMPLE_RATE:
        raise SystemExit(f"{path}: {rate} Hz; give {SAMPLE_RATE} Hz")
    samples = samples[round(start_s * rate) : round((start_s + seconds) * rate)]
    if channels == 1:
        samples = samples.mean(1, keepdims=True)
    return np.ascontiguousarray(np.broadcast_to(samples.T, (channels, len(samples))))


def prepare(options: argparse.Namespace, channels: int, folder: Path) -> None:
    """Write the recordings and their offline render to the folder."""
    drums, piano = (
        excerpt(path, options.start, options.seconds, channels)
        for path in (options.drums, options.piano)
    )
    length = min(drums.shape[1], piano.shape[1]) // HOP_LENGTH * HOP_LENGTH
    if not length:
        raise SystemExit(f"nothing of a recording comes after {options.start:g} s")
    drums, piano = drums[:, :length], piano[:, :length]
    began = time.perf_counter()
    mix = Renderer(options.offline, "cpu", options.threads).render(drums, piano)
    took = time.perf_counter() - began
    lasts = length / SAMPLE_RATE
    print(
        f"offline: {lasts:.1f} s in {took:.1f} s, {lasts / took:.1f} x real time, "
        f"peak {np.abs(mix).max():.3f}"
    )
    for name, samples in zip(SOUNDS, (drums, piano, mix), strict=True):
        np.save(folder / f"{name}.npy", samples)


def by_state(options: argparse.Namespace) -> tuple[list[float], float]:
    """Seconds of each block in the streaming form, and the greatest difference from offline."""
    stream = Stream(options.stream, "cpu", options.threads)
    drums, piano, offline = (np.load(options.folder / f"{name}.npy") for name in SOUNDS)
    length, late, block = offline.shape[1], stream.latency_samples, options.block
    total = -(-(length + late) // block) * block
    drums, piano = (np.pad(each, ((0, 0), (0, total - length))) for each in (drums, piano))
    took, made = [], []
    for start in range(0, total, block):
        part = slice(start, start + block)
        began = time.perf_counter()
        made.append(stream.process(drums[:, part], piano[:, part]).mix)
        took.append(time.perf_counter() - began)
    streamed = np.concatenate(made, 1)[:, late : late + length]
    return took, float(np.abs(streamed - offline).max())


def by_windows(options: argparse.Namespace) -> tuple[list[float], None]:
    """Seconds of a few blocks in the offline form, with all the context that they depend on."""
    session = open_session(options.offline, "cpu", options.threads).run
    info = read_info(options.offline, session.get_modelmeta().custom_metadata_map)
    context = info.lookback_frames + info.lookahead_frames
    drums, piano = (np.load(options.folder / f"{name}.npy") for name in SOUNDS[:2])
    samples = context * HOP_LENGTH + options.block
    feeds = {
        "drums": np.resize(drums, (1, drums.shape[0], samples)),
        "piano": np.resize(piano, (1, piano.shape[0], samples)),
        "bias": np.zeros((1, len(COMPONENT_NAMES)), np.float32),
        SKIP_INPUT: np.array([info.lookback_frames], np.int64),
    }
    took = []
    for _ in range(6):
        began = time.perf_counter()
        session.run(["mix"], feeds)
        took.append(time.perf_counter() - began)
    return took, None


def measure(options: argparse.Namespace) -> None:
    """One line's process: print what it has measured as JSON."""
    took, difference = (by_windows if options.by_windows else by_state)(options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps({"took": took, "difference": difference, "peak_mb": peak}))


def report(folder: Path, block: int, windows: bool) -> None:
    """Run one line's process and print the line."""
    command = [sys.executable, __file__, *sys.argv[1:], "--folder", str(folder)]
    command += ["--block", str(block), *(["--by-windows"] if windows else [])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{block}: failed ({(done.stderr.splitlines() or ['?'])[-1][:120]})")
        return
    told = json.loads(done.stdout)
    took = np.array(told["took"][2:] or told["took"])  # the first blocks warm the caches up
    lasts, difference = block / SAMPLE_RATE, told["difference"]
    print(
        f"{block:6d} samples, {1e3 * lasts:5.1f} ms, by {'windows' if windows else 'state':8s}"
        f"{lasts / took.mean():5.1f} x real time; a block takes {1e3 * np.median(took):.1f} ms, "
        f"at most {1e3 * took.max():.1f}; {told['peak_mb']:.0f} MB"
        + ("" if difference is None else f"; offline within {difference:.1e}"),
        flush=True,
    )


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stream", type=Path, help="of export --stream")
    parser.add_argument("offline", type=Path, help="of a plain export of the same weights")
    parser.add_argument("drums", type=Path)
    parser.add_argument("piano", type=Path)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--start", type=float, default=0.0, help="seconds to leave out")
    parser.add_argument("--seconds", type=float, default=12.0, help="of the recordings")
    parser.add_argument("--windows", action="store_true", help="measure the offline form as well")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--block", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--by-windows", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Print one figure a line."""
    options = arguments()
    if options.folder:
        measure(options)
        return
    stream = Stream(options.stream, "cpu", options.threads)
    print(
        f"{stream.channels} channels, {stream.threads} threads, latency {stream.latency_samples} "
        f"samples ({1e3 * stream.latency_s:.0f} ms), state {stream.state_bytes} bytes"
    )
    fixed, channels = stream.block_samples, stream.channels
    del stream
    with tempfile.TemporaryDirectory() as folder:
        prepare(options, channels, Path(folder))
        for block in (fixed,) if fixed else BLOCKS:
            report(Path(folder), block, False)
            if options.windows and block >= LEAST_BY_WINDOWS:
                report(Path(folder), block, True)


if __name__ == "__main__":
    main()
