"""Folders of recordings, and a batch in a process of its own that can be interfered with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import soundfile as sf
from recordings import make_drums, make_piano

RATE = 22050
SIDE = 4
"""Drum loops, and pianos, of a batch that is interfered with."""
PAIRS = SIDE * SIDE


def write_folders(
    folder: Path, drums: int = 3, pianos: int = 3, duration_s: float = 0.5
) -> tuple[Path, Path]:
    """Write beat0.wav... and keys0.wav..., no two alike; return their two folders."""
    places = folder / "drums", folder / "pianos"
    for place in places:
        place.mkdir(parents=True)
    for number in range(drums):
        sound = make_drums(RATE, duration_s)
        sf.write(places[0] / f"beat{number}.wav", sound.T * (1 - 0.05 * number), RATE)
    for number in range(pianos):
        sound = make_piano(RATE, duration_s)
        sf.write(places[1] / f"keys{number}.wav", sound.T * (1 - 0.05 * number), RATE)
    return places


def begin(*arguments: str | Path) -> subprocess.Popen[str]:
    """Begin `creative-mix batch` in a process group of its own; all it says comes by stderr.

    It heeds Ctrl-C also where the tests themselves run in the background, which a shell lets
    ignore it.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "creative_mix.cli.main", "batch", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_pairs(process: subprocess.Popen[str], count: int) -> str:
    """Read what a batch says until so many pairs are done, and return it."""
    assert process.stderr is not None
    said = ""
    while f"[{count}/" not in said:
        line = process.stderr.readline()
        assert line, f"the batch ended: {said}"
        said += line
    return said


def workers(process: subprocess.Popen[str]) -> list[int]:
    """Return the worker processes of a batch."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [
        int(child)
        for child in path.read_text().split()
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def outputs(folder: Path) -> dict[str, bytes]:
    """Return what the recordings hold that stand in a batch's folder under their own names."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*.wav"))
        if ".creative-mix" not in path.parts
    }


def states(folder: Path) -> dict[str, tuple[int, int]]:
    """Return which files stand there: rendered again, a file is another one."""
    return {
        name: ((folder / name).stat().st_ino, (folder / name).stat().st_mtime_ns)
        for name in outputs(folder)
    }


def unfinished(folder: Path) -> list[Path]:
    """Return the files of a batch's folder that are not whole outputs or its records."""
    records = {"ledger.jsonl", "digests.jsonl", "lock", "batch-summary.json"}
    return [
        path
        for path in folder.rglob("*")
        if (path.is_file() and path.name not in records and path.suffix != ".wav")
        or (".creative-mix" in path.parts and path.name.startswith("parts-"))
    ]


def summary(folder: Path) -> dict[str, Any]:
    """Return the summary of the last batch."""
    found: dict[str, Any] = json.loads((folder / "batch-summary.json").read_text())
    return found


def counts(folder: Path) -> tuple[int, int, int, int]:
    """Return how many pairs were rendered, skipped, failed, and left."""
    found = summary(folder)
    return found["rendered"], found["skipped"], found["failed"], found["left"]
