"""Kill a batch with signal 9 at random moments, resume it, and look at what there is.

    python benchmarks/batch_kill.py samples/funk.drums.flac samples/funk.piano.flac

A batch of short pairs is rendered once in peace. Then, in another folder, it is begun and killed
ten times, at a random moment, two times of three while it renders; every second time its workers
are killed with it. Last it runs to its end. Each time every output that is there must be whole,
and must stay the file that it is; in the end all must be there, each rendered once.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from batch import COMMAND, write_pairs


def look(out: Path) -> dict[str, tuple[int, bytes]]:
    """Which files stand there, and what they hold."""
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in out.glob("*.wav")}


def renders(out: Path) -> collections.Counter[str]:
    """How often each output was made."""
    lines = (out / ".creative-mix" / "ledger.jsonl").read_text().splitlines()
    return collections.Counter(json.loads(line)["output"] for line in lines)


def killed(command: list[str], after_s: float, ready: bool, with_workers: bool) -> bool:
    """Begin a batch and kill it; whether it was still running.

    With `ready` the time counts from when its first worker has the model, else from its beginning.
    """
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )
    assert process.stderr is not None
    for line in process.stderr if ready else ():
        if line.startswith(b"device:"):
            break
    # Nobody reads meanwhile: what is said fits into the pipe.
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        (os.killpg if with_workers else os.kill)(process.pid, signal.SIGKILL)
    process.stderr.read()  # until the last worker has ended
    return process.wait() == -signal.SIGKILL


def main() -> None:
    """Print a line for every kill and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("drums", type=Path)
    parser.add_argument("piano", type=Path)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--duration", type=float, default=3.0, help="seconds of each")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    faults = []

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_pairs(options.drums, options.piano, folder, options.pairs, options.duration)
        batch = [*COMMAND, "batch", str(folder / "drums"), str(folder / "pianos"), "-o"]
        started = time.perf_counter()
        subprocess.run([*batch, str(folder / "peace"), "--quiet"], check=True)
        took_s = time.perf_counter() - started
        wanted = {name: content for name, (_, content) in look(folder / "peace").items()}
        print(f"{len(wanted)} pairs of {options.duration:g} s in peace: {took_s:.1f} s", flush=True)

        out = folder / "out"
        before: dict[str, tuple[int, bytes]] = {}
        for number in range(options.kills):
            after_s, ready = rng.uniform(0, took_s / 6), number % 3 > 0
            running = killed([*batch, str(out)], after_s, ready, with_workers=number % 2 > 0)
            there = look(out)
            torn = [name for name, (_, content) in there.items() if content != wanted[name]]
            again = [name for name in before if there.get(name) != before[name]]
            faults += torn + again
            print(
                f"{'killed' if running else 'had ended'} {after_s:.2f} s after "
                f"{'the model was loaded' if ready else 'the beginning'}: "
                f"{len(there)} outputs, {len(torn)} torn, {len(again)} replaced",
                flush=True,
            )
            before = there
        subprocess.run([*batch, str(out), "--quiet"], check=True)
        there = look(out)
        faults += [name for name in wanted if there.get(name, (0, b""))[1] != wanted[name]]
        faults += [name for name in before if there.get(name) != before[name]]
        twice = [name for name, times in renders(out).items() if times > 1]
        left = list((out / ".creative-mix").glob("parts-*"))
        print(
            f"resumed: {len(there)} of {len(wanted)} outputs, {len(twice)} rendered twice, "
            f"{len(left)} unfinished files left"
        )
        if faults or twice or left:
            sys.exit(f"faults: {', '.join([*faults, *twice, *map(str, left)])}")


if __name__ == "__main__":
    main()
