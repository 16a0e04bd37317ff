"""Measure renders: speed, memory, chunked against whole, and how fast the command answers.

    python benchmarks/render.py samples/funk.drums.flac samples/funk.piano.flac

The recordings are looped to 5, 10 and 60 minutes of stereo. Run it with nothing else going on.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr

from creative_mix.constants import COMPONENT_NAMES, HOP_LENGTH, SAMPLE_RATE
from creative_mix.renderer import WEIGHTS_PATH, Renderer
from creative_mix.runtime import open_session

COMMAND = [sys.executable, "-m", "creative_mix.cli.main"]


def looped(path: Path, minutes: float) -> np.ndarray:
    """Stereo at 44.1 kHz of this many minutes, (2, N)."""
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    sound = soxr.resample(sound, rate, SAMPLE_RATE)
    stereo = np.repeat(sound, 2, axis=1)[:, :2] if sound.shape[1] == 1 else sound[:, :2]
    samples = round(minutes * 60 * SAMPLE_RATE)
    times = -(-samples // len(stereo))
    return np.ascontiguousarray(np.tile(stereo, (times, 1))[:samples].T)


def write_looped(source: Path, minutes: float, path: Path) -> None:
    """Write that many minutes, a minute at a time.

    A child's peak memory counts from the fork on, so this process must stay small until the
    commands have run.
    """
    minute = looped(source, 1).T
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 2, "PCM_16") as file:
        for _ in range(round(minutes)):
            file.write(minute)


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def run_command(arguments: list[str]) -> tuple[float, float]:
    """Seconds and peak memory in MB of one run of the command."""
    started = time.perf_counter()
    child = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    if status != 0:
        sys.exit(f"the command failed: {' '.join(arguments)}")
    return seconds, usage.ru_maxrss / 1e3


def chunked_against_whole(drums: np.ndarray, piano: np.ndarray) -> float:
    """Largest difference of a chunked render and one call of the graph, of full scale."""
    renderer = Renderer(device="cpu")
    chunked = renderer.render(drums, piano)
    session = open_session(WEIGHTS_PATH, "cpu").run
    before = renderer.info.lookback_frames * HOP_LENGTH
    edges = ((0, 0), (0, 0), (before, renderer.info.lookahead_frames * HOP_LENGTH))
    feeds = {
        "drums": np.pad(drums[None], edges),
        "piano": np.pad(piano[None], edges),
        "bias": np.zeros((1, len(COMPONENT_NAMES)), np.float32),
    }
    (whole,) = session.run(["mix"], feeds)
    return float(np.abs(chunked - whole[0, :, before : before + drums.shape[1]]).max())


def main() -> None:
    """Print one figure a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("drums", type=Path)
    parser.add_argument("piano", type=Path)
    parser.add_argument("--longest", type=float, default=60.0, help="minutes of the longest render")
    options = parser.parse_args()

    helps = [timed(lambda: run_command(["--help"])) for _ in range(5)]
    print(f"creative-mix --help: {min(helps):.2f} s (best of 5)")

    with tempfile.TemporaryDirectory() as folder:
        for minutes in (5.0, 10.0, options.longest):
            paths = [str(Path(folder) / f"{name}.wav") for name in ("drums", "piano", "out")]
            for path, source in zip(paths[:2], (options.drums, options.piano), strict=True):
                write_looped(source, minutes, Path(path))
            seconds, peak = run_command([*paths[:2], "-o", paths[2], "--force"])
            print(
                f"whole process, {minutes:g} minutes: {seconds:.1f} s, "
                f"{60 * minutes / seconds:.1f} x real time, peak memory {peak:.0f} MB",
                flush=True,
            )

    drums, piano = looped(options.drums, 5), looped(options.piano, 5)
    renderer = Renderer(device="cpu")
    renderer.render(drums[:, : 10 * SAMPLE_RATE], piano[:, : 10 * SAMPLE_RATE])
    seconds = timed(lambda: renderer.render(drums, piano))
    print(f"render alone, 5 minutes of stereo: {seconds:.1f} s, {300 / seconds:.1f} x real time")
    print(f"chunked against whole, 5 minutes: {chunked_against_whole(drums, piano):.1e}")


if __name__ == "__main__":
    main()
