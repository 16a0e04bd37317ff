"""Measure batches: pairs an hour and memory, beside a shell loop and one warm process.

    python benchmarks/batch.py samples/funk.drums.flac samples/funk.piano.flac

Writes 200 pairs of 15 s, no two alike, and renders them three ways: by a loop of single commands,
in one process that has loaded the model and uses all cores, and by `creative-mix batch`, with
every layout of workers and threads that is asked for. The first of them is what a batch chooses by
itself: on 2 cores, 2 workers of 1 thread made 1.13 times the pairs an hour of 1 worker of 2 threads
(8 pairs, other work beside). All ways must make the same bytes. Memory is that of all processes
together, pages that they share counted once (Linux). Run it with nothing else going on;
`--pairs 20` is a try.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from creative_mix.runtime import cpu_threads

COMMAND = [sys.executable, "-m", "creative_mix.cli.main"]

WARM = """
import sys, time
from pathlib import Path
from creative_mix.api import render_files
from creative_mix.renderer import Renderer
drums, pianos, out = map(Path, sys.argv[1:])
renderer = Renderer(device="cpu")
started = time.perf_counter()
for drum, piano in zip(sorted(drums.iterdir()), sorted(pianos.iterdir())):
    render_files(drum, piano, out / f"{drum.stem}+{piano.stem}.wav", renderer=renderer)
print(time.perf_counter() - started)
"""
"""The warm process; only the time after the model is loaded counts."""

INTERVAL_S = 0.25
"""Between two looks at the memory."""


@dataclass(frozen=True)
class Way:
    """A way to render all pairs, and what it took."""

    name: str
    seconds: float
    peak_mb: float


def write_pairs(drums: Path, piano: Path, folder: Path, count: int, duration_s: float) -> None:
    """Write stretches of two recordings, each beginning elsewhere."""
    for source, name in ((drums, "drums"), (piano, "pianos")):
        sound, rate = soundfile.read(source, dtype="float32", always_2d=True)
        length = round(duration_s * rate)
        looped = np.tile(sound, (2 + length // len(sound), 1))
        (folder / name).mkdir()
        for number in range(count):
            start = round(len(sound) * number / count)
            path = folder / name / f"{number:04}.wav"
            soundfile.write(path, looped[start : start + length], rate, "PCM_16")


def tree(pid: int) -> list[int]:
    """A process and all that came from it."""
    found = [pid]
    for parent in found:
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        except OSError:
            continue
        found += map(int, children)
    return found


def memory_mb(pid: int) -> float:
    """Memory of a process and all that came from it, shared pages counted once."""
    total = 0
    for each in tree(pid):
        try:
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line[:4] == "Pss:")
    return total / 1e3


def measure(name: str, command: list[str], own_time: bool = False) -> Way:
    """Run a command; with `own_time` the seconds are those that it prints."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    ended = threading.Event()
    peaks = [0.0]

    def watch() -> None:
        while not ended.wait(INTERVAL_S):
            peaks.append(memory_mb(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    said, _ = process.communicate()
    seconds = time.perf_counter() - started
    ended.set()
    watcher.join()
    if process.returncode:
        sys.exit(f"{name} failed: {shlex.join(command)[:200]}")
    return Way(name, float(said) if own_time else seconds, max(peaks))


def shell_loop(folder: Path, out: Path) -> list[str]:
    """A shell that renders pair after pair with the single command."""
    single = shlex.join(COMMAND)
    # Both folders have the same names.
    script = (
        f"cd {shlex.quote(str(folder))} && for d in drums/*; do n=$(basename $d .wav); "
        f"{single} $d pianos/$n.wav -o {shlex.quote(str(out))}/$n+$n.wav -q --device cpu "
        "|| exit 1; done"
    )
    return ["sh", "-c", script]


def contents(folder: Path) -> dict[str, bytes]:
    """What the outputs hold, by the name of their pair."""
    return {path.stem.split("+")[0]: path.read_bytes() for path in folder.glob("*.wav")}


def main() -> None:
    """Print one figure a line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("drums", type=Path)
    parser.add_argument("piano", type=Path)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--duration", type=float, default=15.0, help="seconds of each")
    cores = cpu_threads()
    parser.add_argument(
        "--layouts",
        default=f"{cores}x1,1x{cores}",
        help="workers x threads of the batches, the first of them compared with the other ways",
    )
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_pairs(options.drums, options.piano, folder, options.pairs, options.duration)
        inputs = [str(folder / "drums"), str(folder / "pianos")]
        ways, made = [], []

        def run(name: str, command: list[str], out: Path, own_time: bool = False) -> None:
            way = measure(name, command, own_time)
            ways.append(way)
            made.append(contents(out))
            print(
                f"{name}: {options.pairs} pairs of {options.duration:g} s in {way.seconds:.1f} s, "
                f"{3600 * options.pairs / way.seconds:.0f} pairs an hour, "
                f"peak memory {way.peak_mb:.0f} MB",
                flush=True,
            )

        for layout in options.layouts.split(","):
            workers, threads = layout.split("x")
            out = folder / f"batch-{layout}"
            command = [*COMMAND, "batch", *inputs, "-o", str(out), "--quiet", "--device", "cpu"]
            command += ["--workers", workers, "--threads", threads]
            run(f"batch, {workers} workers x {threads} threads", command, out)
        for name in ("loop", "warm"):
            (folder / name).mkdir()
        out = folder / "warm"
        command = [sys.executable, "-c", WARM, *inputs, str(out)]
        run(f"one warm process, {cores} threads", command, out, own_time=True)
        run("shell loop", shell_loop(folder, folder / "loop"), folder / "loop")

        *batches, warm, loop = ways
        for batch in batches:
            print(
                f"{batch.name}: {loop.seconds / batch.seconds:.2f} x the shell loop, "
                f"{warm.seconds / batch.seconds:.2f} x the warm process"
            )
        same = all(each == made[0] for each in made) and len(made[0]) == options.pairs
        print(f"the same bytes every way: {'yes' if same else 'NO'}")


if __name__ == "__main__":
    main()
