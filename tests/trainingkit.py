"""Tiny training pairs, and runs of the real command over them in processes of their own."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from test_model import SMALL

from creative_mix.training.config import TrainingConfig

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def tone(notes: list[tuple[float, int]], samples: int) -> np.ndarray:
    time = np.arange(samples) / 44100
    sound = np.zeros(samples)
    for start, pitch in notes:
        age = np.maximum(time - start, 0)
        body = np.exp(-3 * age) * (time >= start)
        sound += 0.2 * body * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * age)
    return sound


def write_pairs(folder: Path, noise: float = 0.0) -> Path:
    """Write three pairs of two seconds: clicks, tones, and the tones at the clicks.

    With a noise floor there is no digital silence, where the logarithms of the loss turn the last
    bit of a sum into a gradient.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    samples = 2 * 44100
    for index in range(3):
        hits = [(0.2 + 0.3 * i, int(rng.choice([36, 38, 42])), 100) for i in range(6)]
        notes = [(0.1, 1.9, 48 + index, 80), (0.9, 1.9, 64, 80)]
        clicks = np.zeros(samples)
        for start, *_ in hits:
            first = int(start * 44100)
            clicks[first : first + 2000] = rng.standard_normal(2000) * np.exp(
                -np.arange(2000) / 300
            )
        parts = {
            "drums": 0.2 * clicks,
            "piano": tone([(0.1, 48 + index), (0.9, 64)], samples),
            "truth": tone([(start, 64) for start, *_ in hits], samples),
        }
        for name, audio in parts.items():
            audio = audio + noise * np.random.default_rng(index).standard_normal(samples)
            soundfile.write(folder / f"p{index}.{name}.wav", np.stack([audio, audio], 1), 44100)
        bias = [0.0, 0, 0, 1.5 if index == 2 else 0, 0, 0]
        (folder / f"p{index}.json").write_text(
            json.dumps({"hits": hits, "piano_notes": notes, "bias": bias})
        )
    return folder


def tiny(pairs: Path | str, output: Path, **settings: Any) -> TrainingConfig:
    """A configuration whose steps take a tenth of a second."""
    plain: dict[str, Any] = {
        "pairs": str(pairs),
        "output": str(output),
        "steps": 6,
        "batch_size": 2,
        "crop_frames": 32,
        "context_frames": 8,
        "warmup_steps": 2,
        "bfloat16": False,
        "tensorboard": False,
        "save_every": 100,
        "log_every": 1,
        "threads": 1,
        "model": SMALL,
    }
    return TrainingConfig(**(plain | settings))


def write_config(config: TrainingConfig, path: Path) -> Path:
    """Write a configuration as the command reads it."""
    path.write_text(json.dumps(dataclasses.asdict(config)))
    return path


def start(
    *arguments: str | Path,
    ranks: int = 0,
    restarts: int = 0,
    rendezvous: Sequence[str] = ("--standalone",),
) -> subprocess.Popen[str]:
    """Begin `creative-mix train`, or the same under torchrun."""
    command = [sys.executable, "-m", "creative_mix.training"]
    if ranks:
        command = [sys.executable, "-m", "torch.distributed.run", *rendezvous]
        command += [f"--nproc-per-node={ranks}", f"--max-restarts={restarts}"]
        command += ["-m", "creative_mix.training"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
    )


def machines(count: int) -> list[str]:
    """Options by which as many torchruns on this machine make one run, as if each had its own."""
    with socket.create_server(("localhost", 0)) as server:
        endpoint = f"localhost:{server.getsockname()[1]}"
    options = [f"--nnodes={count}", "--rdzv-backend=c10d", "--rdzv-id=test"]
    return [*options, f"--rdzv-endpoint={endpoint}"]


def logged(folder: Path) -> list[dict[str, Any]]:
    """The whole lines of a run's log."""
    path = folder / "log.jsonl"
    if not path.is_file():
        return []
    lines = path.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines]


def wait_for_step(
    process: subprocess.Popen[str], folder: Path, step: int, within_s: float = 200.0
) -> int:
    """Wait until a step is logged or the process has ended; the last logged step."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        steps = [entry["step"] for entry in logged(folder)]
        if (steps and steps[-1] >= step) or process.poll() is not None:
            return steps[-1] if steps else 0
        time.sleep(0.01)
    process.terminate()
    told = process.communicate(timeout=60)[0]
    raise AssertionError(f"no step {step} within {within_s:.0f} s: {told}")


def ended(process: subprocess.Popen[str], within_s: float) -> str:
    """Wait for a process's end; what it said."""
    try:
        return process.communicate(timeout=within_s)[0]
    except subprocess.TimeoutExpired:
        process.terminate()
        told = process.communicate(timeout=60)[0]
        raise AssertionError(f"not at its end within {within_s:.0f} s: {told}") from None


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
